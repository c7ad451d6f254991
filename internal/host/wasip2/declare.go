package wasip2

import "github.com/waterbear-run/waterbear/wit"

// The types without parts.
var (
	tBool   = &wit.Type{Kind: wit.Bool}
	tU8     = &wit.Type{Kind: wit.U8}
	tU16    = &wit.Type{Kind: wit.U16}
	tU32    = &wit.Type{Kind: wit.U32}
	tU64    = &wit.Type{Kind: wit.U64}
	tS32    = &wit.Type{Kind: wit.S32}
	tS64    = &wit.Type{Kind: wit.S64}
	tString = &wit.Type{Kind: wit.String}
	tBytes  = list(tU8)
)

func list(t *wit.Type) *wit.Type         { return &wit.Type{Kind: wit.List, Elem: t} }
func option(t *wit.Type) *wit.Type       { return &wit.Type{Kind: wit.Option, Elem: t} }
func own(r *wit.Resource) *wit.Type      { return &wit.Type{Kind: wit.Own, Resource: r} }
func borrow(r *wit.Resource) *wit.Type   { return &wit.Type{Kind: wit.Borrow, Resource: r} }
func result(ok, err *wit.Type) *wit.Type { return &wit.Type{Kind: wit.Result, Elem: ok, Err: err} }

func tuple(types ...*wit.Type) *wit.Type {
	t := &wit.Type{Kind: wit.Tuple}
	for _, e := range types {
		t.Fields = append(t.Fields, wit.Field{Type: e})
	}
	return t
}

func record(name string, fields ...wit.Field) *wit.Type {
	return &wit.Type{Kind: wit.Record, Name: name, Fields: fields}
}

func variant(name string, cases ...wit.Field) *wit.Type {
	return &wit.Type{Kind: wit.Variant, Name: name, Fields: cases}
}

func enum(name string, labels ...string) *wit.Type { return labeled(wit.Enum, name, labels) }

func flags(name string, labels ...string) *wit.Type { return labeled(wit.Flags, name, labels) }

func labeled(kind wit.Kind, name string, labels []string) *wit.Type {
	t := &wit.Type{Kind: kind, Name: name}
	for _, l := range labels {
		t.Fields = append(t.Fields, wit.Field{Name: l})
	}
	return t
}

// part is a field of a record, or a case of a variant, whose type may be nil.
func part(name string, t *wit.Type) wit.Field { return wit.Field{Name: name, Type: t} }

// fn is the type of a function without a result.
func fn(params ...wit.Param) *wit.Func { return &wit.Func{Params: params} }

// fnTo is the type of a function with a result.
func fnTo(result *wit.Type, params ...wit.Param) *wit.Func {
	return &wit.Func{Params: params, Result: result}
}

func param(name string, t *wit.Type) wit.Param { return wit.Param{Name: name, Type: t} }

// self is the first parameter of a method.
func self(r *wit.Resource) wit.Param { return param("self", borrow(r)) }

// none and some are options, ok and failed are results.
var none wit.Value = wit.Case{}

func some(v wit.Value) wit.Value   { return wit.Case{Index: 1, Payload: v} }
func ok(v wit.Value) wit.Value     { return wit.Case{Payload: v} }
func failed(v wit.Value) wit.Value { return wit.Case{Index: 1, Payload: v} }

// optional is the payload of an option, or false.
func optional(v wit.Value) (wit.Value, bool) {
	c := v.(wit.Case)
	return c.Payload, c.Index == 1
}

// label is a value of an enum, or of a variant's case without a payload.
func label(index uint32) wit.Value { return wit.Case{Index: index} }
