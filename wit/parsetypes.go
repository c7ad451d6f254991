package wit

import (
	"slices"
	"strings"
)

// maxTypeDepth bounds how deep types lie in each other, those that have names
// included.
const maxTypeDepth = 100

// typeDeclKinds are what declarations of types begin with.
var typeDeclKinds = map[string]Kind{"record": Record, "variant": Variant, "enum": Enum, "flags": Flags, "type": 0, "resource": 0}

func (p *parser) isTypeDecl() bool {
	_, ok := typeDeclKinds[p.text]
	return ok && p.kind == keyword
}

// typeDecl reads the declaration of a type.
func (p *parser) typeDecl(gate Gate) *typeSyntax {
	what := p.text
	d := &typeSyntax{kind: typeDeclKinds[what], resource: what == "resource", gate: gate}
	p.advance()
	d.name = p.name("the name of a type")
	switch {
	case d.resource:
		p.resource(d)
	case d.kind == 0:
		p.want("=")
		d.alias = p.typeExpr(0)
		p.want(";")
	default:
		p.list("{", "}", func() { d.fields = append(d.fields, p.field(d.kind)) })
		if len(d.fields) == 0 {
			p.fail(d.name.at, "the %s %s is empty: it has at least one field, case or label", what, d.name.name)
		}
	}
	return d
}

// field reads a field, a case or a label.
func (p *parser) field(kind Kind) fieldSyntax {
	f := fieldSyntax{name: p.name("a name")}
	switch {
	case kind == Record:
		p.want(":")
		f.typ = p.typeExpr(0)
	case kind == Variant && p.take("("):
		f.typ = p.typeExpr(0)
		p.want(")")
	}
	return f
}

// resource reads the rest of a resource, from behind its name.
func (p *parser) resource(d *typeSyntax) {
	if p.take(";") {
		return
	}
	p.want("{")
	for p.err == nil && !p.is("}") {
		gate, at := p.gate(), p.at()
		f := &funcSyntax{kind: Constructor}
		if p.take("constructor") {
			f.name.at = at
			p.signature(f)
		} else {
			name := p.name("a function, constructor or }")
			p.want(":")
			kind := Method
			if p.take("static") {
				kind = Static
			}
			f = p.function(kind)
			f.name = name
		}
		f.gate = gate
		p.want(";")
		d.funcs = append(d.funcs, f)
	}
	p.want("}")
}

// primitives are the types that are keywords.
var primitives = map[string]Kind{
	"bool": Bool, "s8": S8, "u8": U8, "s16": S16, "u16": U16, "s32": S32, "u32": U32, "s64": S64, "u64": U64,
	"f32": F32, "f64": F64, "char": Char, "string": String,
}

// laterTypes are those that WASI 0.2 does not have.
var laterTypes = []string{"future", "stream", "map"}

// typeExpr reads a type, which lies in depth others.
func (p *parser) typeExpr(depth int) *typeExpr {
	e := &typeExpr{at: p.at()}
	if depth == maxTypeDepth {
		p.fail(e.at, "types are nested deeper than %d: give the inner ones fewer levels", maxTypeDepth)
		return e
	}
	if p.kind == wordToken {
		if p.text == "error-context" {
			p.unsupported("error contexts")
		}
		e.name = p.name("a type")
		return e
	}
	if p.kind != keyword {
		p.notAType()
		return e
	}
	text := p.text
	if kind, ok := primitives[text]; ok {
		e.kind = kind
		p.advance()
		return e
	}
	if slices.Contains(laterTypes, text) {
		p.unsupported("the types " + strings.Join(laterTypes, ", "))
		return e
	}
	switch text {
	case "list", "option", "tuple", "result", "own", "borrow":
		p.advance()
		p.generic(e, text, depth)
	default:
		p.notAType()
	}
	return e
}

func (p *parser) notAType() {
	if p.is("(") {
		p.fail(p.at(), "a function has one result: write tuple<...> or a record for several")
	}
	if p.kind == keyword {
		p.fail(p.at(), "%s is a keyword, and a type is expected: declare records, variants, enums and flags by name, and write %%%s if it is the name of one", p.text, p.text)
	}
	p.expected("a type")
}

// generic reads the rest of a type, behind its keyword.
func (p *parser) generic(e *typeExpr, text string, depth int) {
	part := func() { e.parts = append(e.parts, p.typeExpr(depth+1)) }
	switch text {
	case "own", "borrow":
		e.kind = Own
		if text == "borrow" {
			e.kind = Borrow
		}
		p.want("<")
		e.name = p.name("the name of a resource")
		p.want(">")
	case "list", "option":
		e.kind = List
		if text == "option" {
			e.kind = Option
		}
		p.want("<")
		part()
		if e.kind == List && p.is(",") {
			p.fail(p.at(), "lists of a fixed length are not supported: write list<...> or a tuple")
		}
		p.want(">")
	case "tuple":
		e.kind = Tuple
		p.list("<", ">", part)
		if len(e.parts) == 0 {
			p.fail(e.at, "this tuple is empty: it has at least one element")
		}
	case "result":
		e.kind = Result
		e.parts = []*typeExpr{nil, nil}
		p.result(e, depth)
	}
}

// result reads the rest of a result, whose parts are the ok and the error.
func (p *parser) result(e *typeExpr, depth int) {
	if !p.take("<") {
		return
	}
	if p.take("_") {
		if !p.is(",") {
			p.fail(p.at(), "a result without a type for ok has one for the error: write result<_, type>, or result")
		}
	} else {
		e.parts[0] = p.typeExpr(depth + 1)
	}
	if p.take(",") {
		e.parts[1] = p.typeExpr(depth + 1)
	}
	p.want(">")
}
