package binary

import "github.com/waterbear-run/waterbear/wit"

// Opcodes of value types (Binary.md, "Type Definitions").
const (
	codeBool         = 0x7f
	codeString       = 0x73
	codeRecord       = 0x72
	codeVariant      = 0x71
	codeList         = 0x70
	codeTuple        = 0x6f
	codeFlags        = 0x6e
	codeEnum         = 0x6d
	codeOption       = 0x6b
	codeResult       = 0x6a
	codeOwn          = 0x69
	codeBorrow       = 0x68
	codeFixedList    = 0x67
	codeStream       = 0x66
	codeFuture       = 0x65
	codeErrorContext = 0x64
	codeMap          = 0x63
)

// primitives are the types without parts, in the order of their opcodes from
// codeString up.
var primitives = [...]*wit.Type{
	{Kind: wit.String},
	{Kind: wit.Char},
	{Kind: wit.F64},
	{Kind: wit.F32},
	{Kind: wit.U64},
	{Kind: wit.S64},
	{Kind: wit.U32},
	{Kind: wit.S32},
	{Kind: wit.U16},
	{Kind: wit.S16},
	{Kind: wit.U8},
	{Kind: wit.S8},
	{Kind: wit.Bool},
}

// valueType reads the use of a value type: the opcode of a primitive one, or the
// index of a definition. It gives nil only after a failure.
func (d *decoder) valueType(s *scope) *wit.Type {
	pos := d.pos
	b := d.peek()
	if codeString <= b && b <= codeBool {
		d.pos++
		return primitives[b-codeString]
	}
	if b == codeErrorContext {
		d.refuse(pos, &featureErrorContext)
		return nil
	}
	i := d.signed(33)
	if i < 0 {
		d.refuseLeading(pos, b, "component value type")
	}
	if d.err != nil {
		return nil
	}
	t := at(d, s.types, pos, uint32(i), "type")
	if t != nil && t.Value == nil {
		d.fail(pos, "type index %d is not a defined type", i)
	}
	if d.err != nil {
		return nil
	}
	return t.Value
}

// optionalType reads a value type that may be absent.
func (d *decoder) optionalType(s *scope) *wit.Type {
	at := d.pos
	switch b := d.byte(); b {
	case 0:
		return nil
	case 1:
		return d.valueType(s)
	default:
		d.refuseLeading(at, b, "optional component value type")
		return nil
	}
}

// definedType reads the definition of a value type, behind its opcode.
func (d *decoder) definedType(s *scope, at int, code byte) *wit.Type {
	if codeString <= code && code <= codeBool {
		return primitives[code-codeString]
	}
	t := &wit.Type{}
	switch code {
	case codeRecord:
		t.Kind, t.Fields = wit.Record, d.fields(s, at, "record field", "record type must have at least one field", d.recordField)
	case codeVariant:
		t.Kind, t.Fields = wit.Variant, d.fields(s, at, "variant case", "variant type must have at least one case", d.variantCase)
	case codeTuple:
		t.Kind, t.Fields = wit.Tuple, d.fields(s, at, "", "tuple type must have at least one type", d.recordField)
	case codeEnum:
		t.Kind, t.Fields = wit.Enum, d.fields(s, at, "enum tag", "enum type must have at least one variant", nil)
	case codeFlags:
		t.Kind, t.Fields = wit.Flags, d.fields(s, at, "flag", "flags must have at least one entry", nil)
		if len(t.Fields) > maxFlags {
			d.fail(at, "cannot have more than %d flags", maxFlags)
		}
	case codeList:
		t.Kind, t.Elem = wit.List, d.valueType(s)
	case codeOption:
		t.Kind, t.Elem = wit.Option, d.valueType(s)
	case codeResult:
		t.Kind, t.Elem, t.Err = wit.Result, d.optionalType(s), d.optionalType(s)
	case codeOwn, codeBorrow:
		d.handle(s, t, code)
	default:
		d.refuseType(at, code)
	}
	if d.err != nil {
		return nil
	}
	d.checkFacts(at, t)
	return t
}

// refuseType fails because of an opcode that no definition of a value type of
// WASI 0.2 begins with.
func (d *decoder) refuseType(at int, code byte) {
	switch code {
	case codeStream, codeFuture, 0x43:
		d.refuse(at, &featureAsync)
	case codeErrorContext:
		d.refuse(at, &featureErrorContext)
	case codeFixedList:
		d.refuse(at, &featureFixedLists)
	case codeMap:
		d.refuse(at, &featureMap)
	default:
		d.refuseLeading(at, code, "component defined type")
	}
}

// checkFacts checks a new type against the limits.
func (d *decoder) checkFacts(at int, t *wit.Type) {
	f := d.factsOf(t)
	switch {
	case f.size >= maxTypeSize:
		d.fail(at, "effective type size exceeds the limit of %d", maxTypeSize)
	case f.depth > maxTypeDepth:
		d.fail(at, "type nesting is too deep: more than %d", maxTypeDepth)
	}
}

// handle reads the resource type of an own or a borrow.
func (d *decoder) handle(s *scope, t *wit.Type, code byte) {
	t.Kind = wit.Own
	if code == codeBorrow {
		t.Kind = wit.Borrow
	}
	if r := d.resourceAt(s); r != nil {
		t.Resource = r.Resource
		d.handles[t] = r.name
	}
}

// fields reads the fields, cases or labels of a type: with names unless what they
// are is "", and with what payload reads behind each name unless it is nil.
func (d *decoder) fields(s *scope, at int, what, none string, payload func(*scope) *wit.Type) []wit.Field {
	limit := maxFields
	n := d.count(1, "parts of a type", limit)
	if d.err == nil && n == 0 {
		d.fail(at, "%s", none)
	}
	all := make([]wit.Field, 0, n)
	var names nameSet
	for range n {
		f := wit.Field{}
		if what != "" {
			f.Name = d.label(what, &names)
		}
		if payload != nil {
			f.Type = payload(s)
		}
		if d.err != nil {
			return nil
		}
		all = append(all, f)
	}
	return all
}

func (d *decoder) recordField(s *scope) *wit.Type { return d.valueType(s) }

func (d *decoder) variantCase(s *scope) *wit.Type {
	t := d.optionalType(s)
	at := d.pos
	if b := d.byte(); b != 0 {
		d.refuseLeading(at, b, "zero byte required")
	}
	return t
}

// nameSet is the labels of one scope, by what has to be unique of them.
type nameSet map[string]string

// label reads a label that no other of the set is like.
func (d *decoder) label(what string, names *nameSet) string {
	at := d.pos
	s := d.name()
	if d.err != nil {
		return ""
	}
	if s == "" {
		d.fail(at, "%s name cannot be empty", what)
		return ""
	}
	if !isLabel(s) {
		d.fail(at, "%s name `%s` is not in kebab case", what, s)
		return ""
	}
	if *names == nil {
		*names = nameSet{}
	}
	key := unique(s)
	if before, ok := (*names)[key]; ok {
		d.fail(at, "%s name `%s` conflicts with previous %s name `%s`", what, s, lastWord(what), before)
		return ""
	}
	(*names)[key] = s
	return s
}

// lastWord is that of what: errors say "record field" first and then "field".
func lastWord(what string) string {
	for i := len(what) - 1; i >= 0; i-- {
		if what[i] == ' ' {
			return what[i+1:]
		}
	}
	return what
}

// funcType reads the type of a function, behind its opcode.
func (d *decoder) funcType(s *scope) *wit.Func {
	f := &wit.Func{}
	var names nameSet
	d.vector(2, "component function parameters", maxParams, func() {
		p := wit.Param{Name: d.label("function parameter", &names)}
		p.Type = d.valueType(s)
		f.Params = append(f.Params, p)
	})
	at := d.pos
	switch b := d.byte(); b {
	case 0:
		f.Result = d.valueType(s)
	case 1:
		if n := d.byte(); n != 0 {
			d.refuseLeading(at+1, n, "number of results")
		}
	default:
		d.refuseLeading(at, b, "component function results")
	}
	if d.err != nil {
		return nil
	}
	if f.Result != nil && d.factsOf(f.Result).borrow {
		d.fail(at, "function result cannot contain a `borrow` type")
	}
	if d.funcFacts(f).size >= maxTypeSize {
		d.fail(at, "effective type size exceeds the limit of %d", maxTypeSize)
	}
	return f
}
