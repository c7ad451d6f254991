package wit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// AppendWAVE appends v, a value of type t, as WAVE in the one form that it has
// among those that FromWAVE reads as v: numbers as in JSON, options and results
// with their cases, fields and flags in their order, without fields that are
// none. Which NaN a NaN is is not told. It fails if v is no value of t, or has a
// handle, or has brackets deeper than MaxDepth.
func AppendWAVE(b []byte, t *Type, v Value) ([]byte, error) {
	if err := Check(t, v); err != nil {
		return nil, err
	}
	w := waveWriter{out: b}
	if err := w.value(t, v, 0); err != nil {
		return nil, err
	}
	return w.out, nil
}

// AppendArgsWAVE appends the arguments of a function in parentheses.
func AppendArgsWAVE(b []byte, f *Func, args []Value) ([]byte, error) {
	if len(args) != len(f.Params) {
		return nil, fmt.Errorf("the function takes %s, got %d", f.arity(), len(args))
	}
	w := waveWriter{out: append(b, '(')}
	for i, p := range f.Params {
		w.comma(i)
		err := Check(p.Type, args[i])
		if err == nil {
			err = w.value(p.Type, args[i], 1)
		}
		if err != nil {
			return nil, inArg(i, p.Name, err)
		}
	}
	return append(w.out, ')'), nil
}

// waveWriter writes values that have been checked.
type waveWriter struct{ out []byte }

func (w *waveWriter) add(s string) { w.out = append(w.out, s...) }

// comma separates element i from the one before.
func (w *waveWriter) comma(i int) {
	if i > 0 {
		w.add(", ")
	}
}

// value writes v within depth brackets.
func (w *waveWriter) value(t *Type, v Value, depth int) error {
	switch t.Kind {
	case Bool:
		w.out = strconv.AppendBool(w.out, v.(bool))
	case F32:
		w.float(float64(v.(float32)), 32)
	case F64:
		w.float(v.(float64), 64)
	case Char:
		w.out = appendWAVEText(w.out, string(rune(v.(Rune))), '\'')
	case String:
		w.out = appendWAVEText(w.out, v.(string), '"')
	case Variant, Enum, Option, Result:
		return w.caseOf(t, v.(Case), depth)
	case List, Record, Tuple, Flags:
		if depth == MaxDepth {
			return errDeepWAVE
		}
		return w.nested(t, v, depth+1)
	case Own, Borrow:
		return errHandle
	default:
		w.out = appendInteger(w.out, v)
	}
	return nil
}

func (w *waveWriter) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		w.add("nan")
	case math.IsInf(v, 1):
		w.add("inf")
	case math.IsInf(v, -1):
		w.add("-inf")
	default:
		w.out = liftFloat(w.out, v, bits)
	}
}

func (w *waveWriter) caseOf(t *Type, c Case, depth int) error {
	name, payload := t.caseAt(int(c.Index))
	switch {
	case t.Kind == Result && c.Index == 1:
		name = "err"
	case (t.Kind == Variant || t.Kind == Enum) && slices.Contains(waveKeywords, name):
		w.add("%")
	}
	w.add(name)
	if payload == nil {
		return nil
	}
	if depth == MaxDepth {
		return errDeepWAVE
	}
	w.add("(")
	if err := w.value(payload, c.Payload, depth+1); err != nil {
		return inCase(name, err)
	}
	w.add(")")
	return nil
}

func (w *waveWriter) nested(t *Type, v Value, depth int) error {
	switch t.Kind {
	case Record:
		return w.record(t, v.([]Value), depth)
	case Flags:
		w.flags(t, v.(uint32))
		return nil
	}
	open, end := "[", "]"
	if t.Kind == Tuple {
		open, end = "(", ")"
	}
	w.add(open)
	switch v := v.(type) {
	case []byte:
		for i, c := range v {
			w.comma(i)
			w.out = strconv.AppendUint(w.out, uint64(c), 10)
		}
	case []Value:
		for i, e := range v {
			w.comma(i)
			if err := w.value(t.elementAt(i), e, depth); err != nil {
				return inElement(i, err)
			}
		}
	}
	w.add(end)
	return nil
}

func (w *waveWriter) record(t *Type, values []Value, depth int) error {
	w.add("{")
	written := 0
	for i, f := range t.Fields {
		if f.Type.Kind == Option && values[i].(Case).Index == 0 {
			continue
		}
		w.comma(written)
		written++
		w.add(f.Name + ": ")
		if err := w.value(f.Type, values[i], depth); err != nil {
			return inField(f.Name, err)
		}
	}
	if written == 0 {
		w.add(":")
	}
	w.add("}")
	return nil
}

func (w *waveWriter) flags(t *Type, bits uint32) {
	w.add("{")
	written := 0
	for i, f := range t.Fields {
		if bits>>i&1 != 0 {
			w.comma(written)
			written++
			w.add(f.Name)
		}
	}
	w.add("}")
}
