package wit

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxFlags is how many labels flags have at most (Explainer.md, "Fundamental
// value types").
const maxFlags = 32

// errHandle is why no text form has handles.
var errHandle = errors.New("it is a handle of a resource, which only a program can hold: it has no text form")

// Check says why v is no value of type t, in the form that Value describes, or
// nil. Of a handle it knows only that there has to be one. The error begins with
// the part that is wrong, such as "element 3, field qty".
func Check(t *Type, v Value) error {
	switch t.Kind {
	case List:
		return checkList(t, v)
	case Record, Tuple:
		return checkFields(t, v)
	case Variant, Enum, Option, Result:
		return checkCase(t, v)
	case Flags:
		bits, ok := v.(uint32)
		if !ok {
			return mismatch(t, v)
		}
		if n := len(t.Fields); n > maxFlags || n < maxFlags && bits>>n != 0 {
			return fmt.Errorf("it has flags %#x, and the type has %d, of at most %d", bits, n, maxFlags)
		}
		return nil
	case Own, Borrow:
		if v == nil {
			return mismatch(t, v)
		}
		return nil
	}
	return checkScalar(t, v)
}

func checkScalar(t *Type, v Value) error {
	var ok bool
	switch t.Kind {
	case Bool:
		_, ok = v.(bool)
	case S8:
		_, ok = v.(int8)
	case U8:
		_, ok = v.(uint8)
	case S16:
		_, ok = v.(int16)
	case U16:
		_, ok = v.(uint16)
	case S32:
		_, ok = v.(int32)
	case U32:
		_, ok = v.(uint32)
	case S64:
		_, ok = v.(int64)
	case U64:
		_, ok = v.(uint64)
	case F32:
		_, ok = v.(float32)
	case F64:
		_, ok = v.(float64)
	case Char:
		var r Rune
		if r, ok = v.(Rune); ok && !utf8.ValidRune(rune(r)) {
			return fmt.Errorf("%#x is no Unicode scalar value", rune(r))
		}
	case String:
		var s string
		if s, ok = v.(string); ok && !utf8.ValidString(s) {
			return errors.New("it is not valid UTF-8")
		}
	}
	if !ok {
		return mismatch(t, v)
	}
	return nil
}

// mismatch is the error for a Go value of another type than t has.
func mismatch(t *Type, v Value) error {
	return fmt.Errorf("it is a Go value of type %T, which is none of the type %s", v, t)
}

// isBytes reports whether values of t are a []byte.
func (t *Type) isBytes() bool { return t.Kind == List && t.Elem.Kind == U8 }

func checkList(t *Type, v Value) error {
	if t.isBytes() {
		if _, ok := v.([]byte); !ok {
			return mismatch(t, v)
		}
		return nil
	}
	elements, ok := v.([]Value)
	if !ok {
		return mismatch(t, v)
	}
	for i, e := range elements {
		if err := Check(t.Elem, e); err != nil {
			return inElement(i, err)
		}
	}
	return nil
}

func checkFields(t *Type, v Value) error {
	fields, ok := v.([]Value)
	if !ok {
		return mismatch(t, v)
	}
	if len(fields) != len(t.Fields) {
		return fmt.Errorf("it has %d fields, and the type %s has %d", len(fields), t, len(t.Fields))
	}
	for i, f := range t.Fields {
		if err := Check(f.Type, fields[i]); err != nil {
			return inPart(t, i, err)
		}
	}
	return nil
}

// inPart says that err is about field i of a record or a tuple.
func inPart(t *Type, i int, err error) error {
	if t.Kind == Tuple {
		return inElement(i, err)
	}
	return inField(t.Fields[i].Name, err)
}

func checkCase(t *Type, v Value) error {
	c, ok := v.(Case)
	if !ok {
		return mismatch(t, v)
	}
	if uint64(c.Index) >= uint64(t.caseCount()) {
		return fmt.Errorf("it is case %d, and the type %s has %d, from 0", c.Index, t, t.caseCount())
	}
	name, payload := t.caseAt(int(c.Index))
	switch {
	case payload != nil && c.Payload == nil:
		return fmt.Errorf("case %s has a payload of type %s, and the value has none", name, payload)
	case payload == nil && c.Payload != nil:
		return fmt.Errorf("case %s has no payload, and the value has one of Go type %T", name, c.Payload)
	case payload == nil:
		return nil
	}
	return inCase(name, Check(payload, c.Payload))
}

// caseCount is how many cases a variant, an enum, an option or a result has.
func (t *Type) caseCount() int {
	switch t.Kind {
	case Option, Result:
		return 2
	}
	return len(t.Fields)
}

// caseAt is the name and the payload of one of them, nil without one. Those of
// options and results are what they are short for (CanonicalABI.md,
// "Despecialization").
func (t *Type) caseAt(i int) (name string, payload *Type) {
	switch {
	case t.Kind == Option && i == 0:
		return "none", nil
	case t.Kind == Option:
		return "some", t.Elem
	case t.Kind == Result && i == 0:
		return "ok", t.Elem
	case t.Kind == Result:
		return "error", t.Err
	}
	return t.Fields[i].Name, t.Fields[i].Type
}
