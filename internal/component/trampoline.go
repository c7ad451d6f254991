package component

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// trampoline is a core function that leads out of a core module: to a function of
// a component or of the host, or to the handles.
type trampoline struct {
	index int
	core  wasmbin.FuncType
	// run reads the parameters from stack and writes the results over them. An
	// error ends the whole call.
	run func(in *Instance, stack []uint64) error
}

// add makes a core function of a trampoline.
func (l *linker) add(core wasmbin.FuncType, run func(in *Instance, stack []uint64) error) *coreFunc {
	t := &trampoline{index: len(l.program.tramps), core: core, run: run}
	l.program.tramps = append(l.program.tramps, t)
	return &coreFunc{instance: -1, tramp: t}
}

// hostFunc is the trampoline as core modules import it.
func (t *trampoline) hostFunc() wasm.HostFunc {
	return wasm.HostFunc{
		Name: strconv.Itoa(t.index), Params: valueTypes(t.core.Params), Results: valueTypes(t.core.Results),
		Call: func(in *wasm.Instance, stack []uint64) {
			if err := t.run(in.State().(*Instance), stack); err != nil {
				wasm.Abort(err)
			}
		},
	}
}

func valueTypes(types []wasmbin.ValueType) []wasm.ValueType {
	out := make([]wasm.ValueType, len(types))
	for i, t := range types {
		out[i] = wasm.ValueType(t)
	}
	return out
}

// trap makes a guest's fault of a violation of the canonical ABI.
func trap(err error) error {
	if t, ok := err.(*canon.Trap); ok {
		return &wasm.Trap{Reason: t.Reason}
	}
	return err
}

func trapf(format string, args ...any) error {
	return &wasm.Trap{Reason: fmt.Sprintf(format, args...)}
}

// lowered is a function of a component as core modules of one component instance
// call it (CanonicalABI.md, "canon lower").
type lowered struct {
	component int // that calls
	abi       *canon.Func
	guest     int
	encoding  canon.Encoding
	function  *function
	// entering are the component instances that a call of a guest's function
	// enters.
	entering []int
}

func (l *linker) lower(s *scope, def *binary.Lower) (any, error) {
	abi, err := l.abi(s, def.Type, def.Core, canon.Lowered)
	if err != nil {
		return nil, err
	}
	f := s.items[binary.Func][def.Func].(*function)
	d := &lowered{
		component: s.index, abi: abi, function: f,
		guest: l.guest(s, &def.Options), encoding: encodings[def.Options.Encoding],
	}
	if f.lift == nil {
		return l.add(def.Core, d.callHost), nil
	}
	d.entering = l.entering(f.lift.component, s.index)
	return l.add(def.Core, d.callGuest), nil
}

// lift prepares to read what core modules have passed.
func (d *lowered) lift(in *Instance, loans *canon.Loans) canon.Lift {
	return canon.Lift{
		Encoding: d.encoding, Memory: in.guests[d.guest].Memory(),
		Handles: &in.components[d.component].handles, Loans: loans,
	}
}

// lower prepares to give core modules the result.
func (d *lowered) lower(in *Instance) canon.Lower {
	g := &in.guests[d.guest]
	lower := canon.Lower{Encoding: d.encoding, Handles: &in.components[d.component].handles}
	if g.hasMemory() {
		lower.Guest = g
	}
	return lower
}

// callGuest calls a function of another component instance.
func (d *lowered) callGuest(in *Instance, stack []uint64) error {
	if err := in.mayLeave(d.component); err != nil {
		return err
	}
	c, err := in.begin(d.function.lift, d.entering)
	if err != nil {
		return err
	}
	var loans canon.Loans
	lift := d.lift(in, &loans)
	lift.Transit = true
	args, err := d.abi.LiftParams(&lift, stack)
	if err != nil {
		return trap(err)
	}
	result, err := c.run(args, true)
	if err != nil {
		return err
	}
	lower := d.lower(in)
	if err := d.abi.LowerResult(&lower, result, stack); err != nil {
		return trap(err)
	}
	if err := c.end(); err != nil {
		return err
	}
	loans.Return()
	return nil
}

// callHost calls a function of the host.
func (d *lowered) callHost(in *Instance, stack []uint64) error {
	if err := in.mayLeave(d.component); err != nil {
		return err
	}
	var loans canon.Loans
	lift := d.lift(in, &loans)
	lift.Alias = d.function.host.Aliased
	args, err := d.abi.LiftParams(&lift, stack)
	if err != nil {
		return trap(err)
	}
	result, err := in.callHost(d.function, args)
	if err != nil {
		return err
	}
	lower := d.lower(in)
	if err = d.abi.LowerResult(&lower, result, stack); err != nil {
		var wrong *canon.ValueError
		if errors.As(err, &wrong) {
			return fmt.Errorf("result of the host function %s: %w", d.function.name, err)
		}
		err = trap(err)
	}
	loans.Return()
	return err
}

// resourceFunc follows a function that works on handles.
func (l *linker) resourceFunc(s *scope, def *binary.ResourceFunc) (any, error) {
	r, err := s.resource(def.Resource)
	if err == nil {
		err = l.count()
	}
	if err != nil {
		return nil, err
	}
	i32 := []wasmbin.ValueType{wasmbin.I32}
	typ, component := uint32(r), s.index
	switch def.Op {
	case binary.ResourceNew:
		return l.add(wasmbin.FuncType{Params: i32, Results: i32}, func(in *Instance, stack []uint64) error {
			err := in.mayLeave(component)
			if err != nil {
				return err
			}
			i, err := in.components[component].handles.New(typ, uint32(stack[0]))
			stack[0] = uint64(i)
			return trap(err)
		}), nil
	case binary.ResourceRep:
		return l.add(wasmbin.FuncType{Params: i32, Results: i32}, func(in *Instance, stack []uint64) error {
			rep, err := in.components[component].handles.Rep(uint32(stack[0]), typ)
			stack[0] = uint64(rep)
			return trap(err)
		}), nil
	}
	plan := &l.program.resources[r]
	if plan.component >= 0 && plan.entering[component] == nil {
		plan.entering[component] = l.entering(plan.component, component)
	}
	return l.add(wasmbin.FuncType{Params: i32}, func(in *Instance, stack []uint64) error {
		if err := in.mayLeave(component); err != nil {
			return err
		}
		rep, owned, err := in.components[component].handles.Drop(uint32(stack[0]), typ)
		if err != nil || !owned {
			return trap(err)
		}
		return in.destroy(int(typ), component, rep)
	}), nil
}
