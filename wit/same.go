package wit

import (
	"cmp"
	"fmt"
)

// SameFunc says why two functions are not of the same type, or nil: what one takes
// and gives the other does too. Names of parameters do not matter, and handles are
// the same as none.
func SameFunc(a, b *Func) error {
	if len(a.Params) != len(b.Params) {
		return fmt.Errorf("one takes %d parameters, the other %d", len(a.Params), len(b.Params))
	}
	s := sameness{}
	for i := range a.Params {
		if err := s.types(a.Params[i].Type, b.Params[i].Type); err != nil {
			return fmt.Errorf("parameter %s: %w", cmp.Or(b.Params[i].Name, fmt.Sprint(i+1)), err)
		}
	}
	if err := s.types(a.Result, b.Result); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// sameness has the pairs of types that were compared: types have parts in common.
type sameness map[[2]*Type]error

func (s sameness) types(a, b *Type) error {
	if a == b {
		return nil
	}
	if a == nil || b == nil {
		return fmt.Errorf("one of them is there, and the other is not")
	}
	pair := [2]*Type{a, b}
	err, known := s[pair]
	if !known {
		err = s.compare(a, b)
		s[pair] = err
	}
	return err
}

func (s sameness) compare(a, b *Type) error {
	switch {
	case a.Kind != b.Kind:
		return fmt.Errorf("one is a %s, the other a %s", a.Kind, b.Kind)
	case len(a.Fields) != len(b.Fields):
		return fmt.Errorf("one %s has %d parts, the other %d", a.Kind, len(a.Fields), len(b.Fields))
	case a.Resource != nil || b.Resource != nil:
		return errHandle
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name {
			return fmt.Errorf("a part of one %s is %s, of the other %s", a.Kind, a.Fields[i].Name, b.Fields[i].Name)
		}
		if err := s.types(a.Fields[i].Type, b.Fields[i].Type); err != nil {
			return fmt.Errorf("%s: %w", cmp.Or(a.Fields[i].Name, fmt.Sprint(i)), err)
		}
	}
	if err := s.types(a.Elem, b.Elem); err != nil {
		return err
	}
	return s.types(a.Err, b.Err)
}

// HasHandle reports whether values of these types have handles of resources, which
// no other program can hold.
func (f *Func) HasHandle() bool {
	seen := map[*Type]bool{}
	for _, p := range f.Params {
		if hasHandle(p.Type, seen) {
			return true
		}
	}
	return hasHandle(f.Result, seen)
}

func hasHandle(t *Type, seen map[*Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	if t.Kind == Own || t.Kind == Borrow || hasHandle(t.Elem, seen) || hasHandle(t.Err, seen) {
		return true
	}
	for _, f := range t.Fields {
		if hasHandle(f.Type, seen) {
			return true
		}
	}
	return false
}
