package wit

import "strings"

// typeDecls prints declarations, those of resources with their functions, which
// are among funcs.
func (p *printer) typeDecls(decls []*TypeDecl, funcs []*FuncDecl) {
	p.uses(decls)
	for _, d := range decls {
		if d.Of.Interface != (ID{}) {
			continue
		}
		p.blank()
		p.gate(d.Gate)
		if d.Resource != nil && d.Of == (TypeRef{}) {
			p.resource(d, funcs)
			continue
		}
		p.typeDecl(d)
	}
}

// uses prints what is declared elsewhere, as few lines as keep its order.
func (p *printer) uses(decls []*TypeDecl) {
	var last *TypeDecl
	var names []string
	flush := func() {
		if last != nil {
			p.gate(last.Gate)
			p.line("use ", p.path(last.Of.Interface), ".{", strings.Join(names, ", "), "};")
		}
		names = nil
	}
	for _, d := range decls {
		if d.Of.Interface == (ID{}) {
			continue
		}
		if last != nil && (last.Of.Interface != d.Of.Interface || last.Gate != d.Gate) {
			flush()
		}
		last = d
		if d.Of.Name == d.Name {
			names = append(names, ident(d.Name))
		} else {
			names = append(names, ident(d.Of.Name)+" as "+ident(d.Name))
		}
	}
	flush()
}

func (p *printer) resource(d *TypeDecl, funcs []*FuncDecl) {
	var own []*FuncDecl
	for _, f := range funcs {
		if f.Name.Kind != Freestanding && f.Name.Resource == d.Name {
			own = append(own, f)
		}
	}
	if len(own) == 0 {
		p.line("resource ", ident(d.Name), ";")
		return
	}
	p.open("resource ", ident(d.Name))
	for _, f := range own {
		p.gate(f.Gate)
		params, result := f.Type.Params, f.Type.Result
		name, keyword := ident(f.Name.Name)+": ", "func"
		switch f.Name.Kind {
		case Constructor:
			name, keyword = "", "constructor"
			if result != nil && result.Kind == Own {
				result = nil // it goes without saying
			}
		case Method:
			params = params[min(1, len(params)):]
		case Static:
			keyword = "static func"
		}
		p.line(name, keyword, p.signature(params, result), ";")
	}
	p.close()
}

func (p *printer) typeDecl(d *TypeDecl) {
	name := ident(d.Name)
	if d.Of.Name != "" {
		p.line("type ", name, " = ", ident(d.Of.Name), ";")
		return
	}
	switch d.Type.Kind {
	case Record, Variant, Enum, Flags:
		p.open(d.Type.Kind.String(), " ", name)
		for _, f := range d.Type.Fields {
			p.line(p.fieldText(d.Type.Kind, f), ",")
		}
		p.close()
	case Own:
		p.line("type ", name, " = own<", p.resourceName(d.Type.Resource), ">;")
	default:
		unnamed := *d.Type
		unnamed.Name = ""
		p.line("type ", name, " = ", p.typeText(&unnamed), ";")
	}
}

// maxTypeText bounds the text of one type, in bytes: types that have no names
// can be made of each other so that their text is without end. What is beyond
// it is left out.
const maxTypeText = 16 << 10

// fieldText is a field of a record, a case of a variant, or a label.
func (p *printer) fieldText(kind Kind, f Field) string {
	return string(p.appendField(nil, kind, f, maxTypeText))
}

// typeText is a type as it is referred to.
func (p *printer) typeText(t *Type) string { return string(p.appendType(nil, t, maxTypeText)) }

func (p *printer) appendField(b []byte, kind Kind, f Field, limit int) []byte {
	b = append(b, ident(f.Name)...)
	switch {
	case f.Type == nil:
		return b
	case kind == Variant:
		return append(p.appendType(append(b, '('), f.Type, limit), ')')
	}
	return p.appendType(append(b, ": "...), f.Type, limit)
}

func (p *printer) appendType(b []byte, t *Type, limit int) []byte {
	switch {
	case t == nil:
		return append(b, '_')
	case t.Name != "":
		return append(b, ident(t.Name)...)
	case t.Kind == Own:
		return append(b, p.resourceName(t.Resource)...)
	case t.Kind == Borrow:
		return append(append(append(b, "borrow<"...), p.resourceName(t.Resource)...), '>')
	case len(b) > limit:
		return append(b, "…"...)
	}
	b = append(b, t.Kind.String()...)
	switch t.Kind {
	case List, Option:
		return append(p.appendType(append(b, '<'), t.Elem, limit), '>')
	case Result:
		if t.Elem == nil && t.Err == nil {
			return b
		}
		b = p.appendType(append(b, '<'), t.Elem, limit)
		if t.Err != nil {
			b = p.appendType(append(b, ", "...), t.Err, limit)
		}
		return append(b, '>')
	case Tuple:
		return append(p.appendFields(append(b, '<'), t, limit), '>')
	case Record, Variant, Enum, Flags:
		return append(p.appendFields(append(b, " { "...), t, limit), " }"...)
	}
	return b
}

func (p *printer) appendFields(b []byte, t *Type, limit int) []byte {
	for i, f := range t.Fields {
		if i > 0 {
			b = append(b, ", "...)
		}
		switch {
		case len(b) > limit:
			return append(b, "…"...)
		case t.Kind == Tuple:
			b = p.appendType(b, f.Type, limit)
		default:
			b = p.appendField(b, t.Kind, f, limit)
		}
	}
	return b
}

// resourceName is what a resource is called where the printer is.
func (p *printer) resourceName(r *Resource) string {
	for _, d := range p.types {
		if d.Resource == r {
			return ident(d.Name)
		}
	}
	return ident(r.Name)
}
