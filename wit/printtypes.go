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

// fieldText is a field of a record, a case of a variant, or a label.
func (p *printer) fieldText(kind Kind, f Field) string {
	switch {
	case f.Type == nil:
		return ident(f.Name)
	case kind == Variant:
		return ident(f.Name) + "(" + p.typeText(f.Type) + ")"
	}
	return ident(f.Name) + ": " + p.typeText(f.Type)
}

// typeText is a type as it is referred to.
func (p *printer) typeText(t *Type) string {
	if t.Name != "" {
		return ident(t.Name)
	}
	var parts []string
	switch t.Kind {
	case Own:
		return p.resourceName(t.Resource)
	case Borrow:
		return "borrow<" + p.resourceName(t.Resource) + ">"
	case List, Option:
		parts = append(parts, p.typeText(t.Elem))
	case Result:
		if t.Elem == nil && t.Err == nil {
			return t.Kind.String()
		}
		parts = append(parts, "_")
		if t.Elem != nil {
			parts[0] = p.typeText(t.Elem)
		}
		if t.Err != nil {
			parts = append(parts, p.typeText(t.Err))
		}
	case Tuple:
		for _, f := range t.Fields {
			parts = append(parts, p.typeText(f.Type))
		}
	case Record, Variant, Enum, Flags:
		for _, f := range t.Fields {
			parts = append(parts, p.fieldText(t.Kind, f))
		}
		return t.Kind.String() + " { " + strings.Join(parts, ", ") + " }"
	default:
		return t.Kind.String()
	}
	return t.Kind.String() + "<" + strings.Join(parts, ", ") + ">"
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
