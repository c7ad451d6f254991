package wit

import (
	"fmt"
	"strconv"
)

// AppendJSON appends v, a value of type t, in the one form that it has among
// those that FromJSON reads as v. Nothing is between the tokens, numbers are
// written as CanonicalArgs does, strings with no escapes but those that JSON
// requires, all fields of records, in their order, and flags in theirs. Which
// NaN a NaN is is not told. It fails if v is no value of t, or has a handle, or
// is nested deeper than MaxDepth.
func AppendJSON(b []byte, t *Type, v Value) ([]byte, error) {
	if err := Check(t, v); err != nil {
		return nil, err
	}
	return appendJSON(b, t, v, 0)
}

// AppendArgsJSON appends the arguments of a function as an array of the form
// that AppendJSON gives each.
func AppendArgsJSON(b []byte, f *Func, args []Value) ([]byte, error) {
	if len(args) != len(f.Params) {
		return nil, fmt.Errorf("the function takes %s, got %d", f.arity(), len(args))
	}
	b = append(b, '[')
	for i, p := range f.Params {
		if i > 0 {
			b = append(b, ',')
		}
		err := Check(p.Type, args[i])
		if err == nil {
			b, err = appendJSON(b, p.Type, args[i], 1)
		}
		if err != nil {
			return nil, inArg(i, p.Name, err)
		}
	}
	return append(b, ']'), nil
}

// appendJSON appends v, which is a value of t, within depth arrays and objects.
func appendJSON(b []byte, t *Type, v Value, depth int) ([]byte, error) {
	switch t.Kind {
	case Bool:
		return strconv.AppendBool(b, v.(bool)), nil
	case F32:
		return liftFloat(b, float64(v.(float32)), 32), nil
	case F64:
		return liftFloat(b, v.(float64), 64), nil
	case Char:
		return appendString(b, string(rune(v.(Rune)))), nil
	case String:
		return appendString(b, v.(string)), nil
	case Variant, Enum, Option, Result:
		return appendCaseJSON(b, t, v.(Case), depth)
	case List, Record, Tuple, Flags:
		if depth == MaxDepth {
			return nil, errDeep
		}
		return appendNestedJSON(b, t, v, depth+1)
	case Own, Borrow:
		return nil, errHandle
	}
	return appendInteger(b, v), nil
}

func appendNestedJSON(b []byte, t *Type, v Value, depth int) (_ []byte, err error) {
	switch v := v.(type) {
	case uint32:
		return appendFlagsJSON(b, t, v), nil
	case []byte:
		return appendBytesJSON(b, v), nil
	case []Value:
		if t.Kind == Record {
			return appendRecordJSON(b, t, v, depth)
		}
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, t.elementAt(i), e, depth); err != nil {
				return nil, inElement(i, err)
			}
		}
	}
	return append(b, ']'), nil
}

// elementAt is the type of element i of a list or a tuple.
func (t *Type) elementAt(i int) *Type {
	if t.Kind == List {
		return t.Elem
	}
	return t.Fields[i].Type
}

func appendRecordJSON(b []byte, t *Type, values []Value, depth int) (_ []byte, err error) {
	b = append(b, '{')
	for i, f := range t.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, f.Name), ':')
		if b, err = appendJSON(b, f.Type, values[i], depth); err != nil {
			return nil, inField(f.Name, err)
		}
	}
	return append(b, '}'), nil
}

func appendFlagsJSON(b []byte, t *Type, bits uint32) []byte {
	b = append(b, '[')
	first := true
	for i, f := range t.Fields {
		if bits>>i&1 == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, f.Name)
	}
	return append(b, ']')
}

func appendBytesJSON(b, bytes []byte) []byte {
	b = append(b, '[')
	for i, c := range bytes {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(c), 10)
	}
	return append(b, ']')
}

func appendCaseJSON(b []byte, t *Type, c Case, depth int) ([]byte, error) {
	name, payload := t.caseAt(int(c.Index))
	switch {
	case t.Kind == Option && payload == nil:
		return append(b, "null"...), nil
	case t.Kind == Option && payload.Kind != Option:
		return appendJSON(b, payload, c.Payload, depth)
	case t.Kind != Result && payload == nil:
		return appendString(b, name), nil
	case depth == MaxDepth:
		return nil, errDeep
	}
	b = append(appendString(append(b, '{'), name), ':')
	if payload == nil {
		return append(b, "null}"...), nil
	}
	b, err := appendJSON(b, payload, c.Payload, depth+1)
	if err != nil {
		return nil, inCase(name, err)
	}
	return append(b, '}'), nil
}

// appendInteger appends an integer of any type.
func appendInteger(b []byte, v Value) []byte {
	switch v := v.(type) {
	case int8:
		return strconv.AppendInt(b, int64(v), 10)
	case uint8:
		return strconv.AppendUint(b, uint64(v), 10)
	case int16:
		return strconv.AppendInt(b, int64(v), 10)
	case uint16:
		return strconv.AppendUint(b, uint64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	}
	panic(fmt.Sprintf("wit: %T was checked to be an integer", v))
}
