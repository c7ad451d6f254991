// Package wittest makes types of the component model and values of them up, for
// tests of whatever carries values from one form into another and back.
package wittest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/wit"
)

// maxDepth is how deep the types that are made up lie in each other.
const maxDepth = 4

// maxParts is how many fields, cases and elements there are.
const maxParts = 5

// maxFlags is how many labels flags can have.
const maxFlags = 32

// Types makes up types of all kinds but handles. They have no names.
func Types() *rapid.Generator[*wit.Type] { return typesUpTo(maxDepth) }

// TypesOf makes up types of one kind.
func TypesOf(kind wit.Kind) *rapid.Generator[*wit.Type] {
	if kind <= wit.String {
		return rapid.Just(&wit.Type{Kind: kind})
	}
	return rapid.Custom(func(t *rapid.T) *wit.Type { return typeOf(t, kind, maxDepth) })
}

func typesUpTo(depth int) *rapid.Generator[*wit.Type] {
	return rapid.Custom(func(t *rapid.T) *wit.Type {
		first, last := wit.Bool, wit.String
		if depth > 0 && rapid.Bool().Draw(t, "nested") {
			first, last = wit.List, wit.Flags
		}
		return typeOf(t, wit.Kind(rapid.IntRange(int(first), int(last)).Draw(t, "kind")), depth)
	})
}

func typeOf(t *rapid.T, kind wit.Kind, depth int) *wit.Type {
	part := func() *wit.Type { return typesUpTo(depth-1).Draw(t, "part") }
	optional := func() *wit.Type {
		if rapid.Bool().Draw(t, "payload") {
			return part()
		}
		return nil
	}
	made := &wit.Type{Kind: kind}
	switch kind {
	case wit.List, wit.Option:
		made.Elem = part()
	case wit.Result:
		made.Elem, made.Err = optional(), optional()
	case wit.Record:
		for _, name := range labels(t, maxParts) {
			made.Fields = append(made.Fields, wit.Field{Name: name, Type: part()})
		}
	case wit.Variant:
		for _, name := range labels(t, maxParts) {
			made.Fields = append(made.Fields, wit.Field{Name: name, Type: optional()})
		}
	case wit.Enum, wit.Flags:
		for _, name := range labels(t, maxFlags) {
			made.Fields = append(made.Fields, wit.Field{Name: name})
		}
	case wit.Tuple:
		for range rapid.IntRange(1, maxParts).Draw(t, "elements") {
			made.Fields = append(made.Fields, wit.Field{Type: part()})
		}
	}
	return made
}

// labels makes up names that are told apart without regard to case.
func labels(t *rapid.T, most int) []string {
	return rapid.SliceOfNDistinct(Labels(), 1, most, strings.ToLower).Draw(t, "labels")
}

// Labels makes up names in kebab case, keywords of WIT and WAVE among them.
func Labels() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"true", "false", "some", "none", "ok", "err", "error", "nan", "inf", "record", "list", "u8", "as"}),
		rapid.StringMatching(`([a-z][a-z0-9]{0,2}|[A-Z][A-Z0-9]?)(-([a-z0-9]{1,2}|[A-Z0-9]{1,2})){0,2}`),
	)
}

// Values makes up values of type t, which has no handles.
func Values(t *wit.Type) *rapid.Generator[wit.Value] {
	return rapid.Custom(func(r *rapid.T) wit.Value { return valueOf(r, t) })
}

func valueOf(r *rapid.T, t *wit.Type) wit.Value {
	switch t.Kind {
	case wit.List:
		if t.Elem.Kind == wit.U8 {
			return rapid.SliceOf(rapid.Byte()).Draw(r, "bytes")
		}
		return rapid.SliceOfN(Values(t.Elem), 0, maxParts).Draw(r, "list")
	case wit.Record, wit.Tuple:
		fields := make([]wit.Value, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = valueOf(r, f.Type)
		}
		return fields
	case wit.Variant, wit.Enum:
		i := rapid.IntRange(0, len(t.Fields)-1).Draw(r, "case")
		return caseOf(r, i, t.Fields[i].Type)
	case wit.Option:
		i := rapid.IntRange(0, 1).Draw(r, "some")
		return caseOf(r, i, []*wit.Type{nil, t.Elem}[i])
	case wit.Result:
		i := rapid.IntRange(0, 1).Draw(r, "error")
		return caseOf(r, i, []*wit.Type{t.Elem, t.Err}[i])
	case wit.Flags:
		return rapid.Uint32().Draw(r, "flags") & uint32(1<<len(t.Fields)-1)
	}
	return scalarOf(r, t.Kind)
}

func caseOf(r *rapid.T, i int, payload *wit.Type) wit.Value {
	c := wit.Case{Index: uint32(i)}
	if payload != nil {
		c.Payload = valueOf(r, payload)
	}
	return c
}

func scalarOf(r *rapid.T, kind wit.Kind) wit.Value {
	switch kind {
	case wit.Bool:
		return rapid.Bool().Draw(r, "bool")
	case wit.S8:
		return rapid.Int8().Draw(r, "s8")
	case wit.U8:
		return rapid.Uint8().Draw(r, "u8")
	case wit.S16:
		return rapid.Int16().Draw(r, "s16")
	case wit.U16:
		return rapid.Uint16().Draw(r, "u16")
	case wit.S32:
		return rapid.Int32().Draw(r, "s32")
	case wit.U32:
		return rapid.Uint32().Draw(r, "u32")
	case wit.S64:
		return rapid.Int64().Draw(r, "s64")
	case wit.U64:
		return rapid.Uint64().Draw(r, "u64")
	case wit.F32:
		return rapid.OneOf(rapid.Float32(), rapid.Map(rapid.Uint32(), math.Float32frombits)).Draw(r, "f32")
	case wit.F64:
		return rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Uint64(), math.Float64frombits)).Draw(r, "f64")
	case wit.Char:
		return wit.Rune(rapid.Rune().Draw(r, "char"))
	case wit.String:
		return rapid.String().Draw(r, "string")
	}
	panic("wittest: no values of " + kind.String())
}

// Equal reports whether a and b, values of one type, are the same. One NaN is
// like another, and -0 is not 0.
func Equal(a, b wit.Value) bool {
	switch a := a.(type) {
	case float32:
		b, ok := b.(float32)
		return ok && (math.Float32bits(a) == math.Float32bits(b) || a != a && b != b)
	case float64:
		b, ok := b.(float64)
		return ok && (math.Float64bits(a) == math.Float64bits(b) || a != a && b != b)
	case []byte:
		b, ok := b.([]byte)
		return ok && slices.Equal(a, b)
	case []wit.Value:
		b, ok := b.([]wit.Value)
		return ok && slices.EqualFunc(a, b, Equal)
	case wit.Case:
		b, ok := b.(wit.Case)
		return ok && a.Index == b.Index && Equal(a.Payload, b.Payload)
	}
	return a == b
}

// Show writes a value so that two are shown alike if and only if they are the
// same, NaNs included.
func Show(v wit.Value) string {
	switch v := v.(type) {
	case float32:
		return fmt.Sprintf("f32:%#x", math.Float32bits(v))
	case float64:
		return fmt.Sprintf("f64:%#x", math.Float64bits(v))
	case []wit.Value:
		var s strings.Builder
		s.WriteString("[")
		for _, e := range v {
			s.WriteString(Show(e) + " ")
		}
		return s.String() + "]"
	case wit.Case:
		return fmt.Sprintf("%d(%s)", v.Index, Show(v.Payload))
	}
	return fmt.Sprintf("%T:%#v", v, v)
}
