package canon

import (
	"fmt"

	"github.com/waterbear-run/waterbear/wit"
)

// Func is a function type worked out for one component instance.
type Func struct {
	params *Type // a tuple of them, nil without
	result *Type // nil without
	// Stack is how many core values parameters and results take at most, where
	// the function is lifted and where it is lowered.
	LiftStack, LowerStack int

	core [2]Signature
}

// Signature is the type of a core function.
type Signature struct{ Params, Results []Core }

// Side says who calls a core function that stands for one of a component.
type Side int

// The sides.
const (
	// Lifted is a core function of a guest that is called from outside.
	Lifted Side = iota
	// Lowered is a core function that a guest calls.
	Lowered
)

// Func works out the type of a function.
func (ts *Scope) Func(f *wit.Func) (*Func, error) {
	c := &Func{}
	if len(f.Params) > 0 {
		fields := make([]wit.Field, len(f.Params))
		for i, p := range f.Params {
			fields[i].Type = p.Type
		}
		c.params = &Type{kind: wit.Tuple}
		if err := ts.layOutFields(c.params, fields, 0); err != nil {
			return nil, fmt.Errorf("parameters: %w", err)
		}
	}
	if f.Result != nil {
		var err error
		if c.result, err = ts.Type(f.Result); err != nil {
			return nil, fmt.Errorf("result: %w", err)
		}
		if c.result.borrows {
			return nil, fmt.Errorf("result: it has borrows in it")
		}
	}
	c.core[Lifted], c.core[Lowered] = c.signature(Lifted), c.signature(Lowered)
	for side, stack := range []*int{&c.LiftStack, &c.LowerStack} {
		*stack = max(len(c.core[side].Params), len(c.core[side].Results))
	}
	return c, nil
}

// spilled tells whether parameters or results go through memory.
func spilled(t *Type, most int) bool { return t != nil && t.flats > most }

func (c *Func) signature(side Side) (s Signature) {
	if spilled(c.params, MaxFlatParams) {
		s.Params = []Core{I32}
	} else if c.params != nil {
		s.Params = append(s.Params, c.params.flat...)
	}
	switch {
	case c.result == nil:
	case !spilled(c.result, MaxFlatResults):
		s.Results = c.result.flat
	case side == Lifted:
		s.Results = []Core{I32}
	default:
		s.Params = append(s.Params, I32)
	}
	return s
}

// Core is the core function type of the function (flatten_functype).
func (c *Func) Core(side Side) Signature { return c.core[side] }

// Borrows tells whether there are borrows among the parameters.
func (c *Func) Borrows() bool { return c.params != nil && c.params.borrows }

// LiftParams makes arguments of what a guest has called a lowered function with.
func (c *Func) LiftParams(l *Lift, stack []uint64) ([]wit.Value, error) {
	if c.params == nil {
		return nil, nil
	}
	if !spilled(c.params, MaxFlatParams) {
		return l.flatFields(c.params, stack)
	}
	m, err := l.span(uint32(stack[0]), uint64(c.params.size), c.params.align)
	if err != nil {
		return nil, err
	}
	return l.loadFields(c.params, m)
}

// LiftResult makes the result of what a lifted function has returned, nil if the
// type has none.
func (c *Func) LiftResult(l *Lift, stack []uint64) (wit.Value, error) {
	if c.result == nil {
		return nil, nil
	}
	if !spilled(c.result, MaxFlatResults) {
		return l.flat(c.result, stack)
	}
	m, err := l.span(uint32(stack[0]), uint64(c.result.size), c.result.align)
	if err != nil {
		return nil, err
	}
	return l.load(c.result, m)
}

// LowerParams writes the core values for calling a lifted function with args.
func (c *Func) LowerParams(l *Lower, args []wit.Value, stack []uint64) error {
	n := 0
	if c.params != nil {
		n = len(c.params.fields)
	}
	if len(args) != n {
		return &ValueError{Kind: wit.Tuple, Why: fmt.Sprintf("the function takes %d arguments, got %d", n, len(args))}
	}
	if n == 0 {
		return nil
	}
	if !spilled(c.params, MaxFlatParams) {
		return l.flatFields(c.params, args, stack)
	}
	if l.Guest == nil {
		return trapf("there is no memory to pass arguments in")
	}
	ptr, err := l.realloc(0, 0, c.params.align, uint64(c.params.size))
	if err != nil {
		return err
	}
	stack[0] = uint64(ptr)
	return l.storeFields(c.params, args, ptr)
}

// LowerResult gives the result to a guest that has called a lowered function with
// stack, which is overwritten.
func (c *Func) LowerResult(l *Lower, result wit.Value, stack []uint64) error {
	if c.result == nil {
		if result != nil {
			return &ValueError{Kind: wit.Tuple, Why: "the function has no result"}
		}
		return nil
	}
	if !spilled(c.result, MaxFlatResults) {
		return l.flat(c.result, result, stack)
	}
	// The pointer to where the result goes comes behind the parameters.
	ptr := uint32(stack[len(c.core[Lowered].Params)-1])
	if err := l.valid(ptr, uint64(c.result.size), c.result.align); err != nil {
		return err
	}
	return l.store(c.result, result, ptr)
}
