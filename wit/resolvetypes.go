package wit

import "strings"

// maxTypeSize bounds how many types a type consists of, each counted as often
// as it is there: text of a few lines could have more than there are atoms.
const maxTypeSize = 1_000_000

// measure is how much there is of a type.
type measure struct {
	depth  int  // how deep types lie in it, those that have names included
	size   int  // how many it consists of
	borrow bool // there is a borrowed handle in it
}

// measured takes a type up that consists of parts, which have been.
func (r *resolver) measured(t *Type, at place, parts ...*Type) error {
	m := measure{depth: 1, size: 1, borrow: t.Kind == Borrow}
	for _, part := range parts {
		if part == nil {
			continue
		}
		p := r.measures[part]
		m.depth = max(m.depth, p.depth+1)
		m.size = min(m.size+p.size, maxTypeSize+1)
		m.borrow = m.borrow || p.borrow
	}
	switch {
	case m.depth > maxTypeDepth:
		return at.errorf("types are nested deeper than %d here, with those that have names: give the inner ones fewer levels", maxTypeDepth)
	case m.size > maxTypeSize:
		return at.errorf("this type consists of more than %d others: make it smaller", maxTypeSize)
	}
	r.measures[t] = m
	return nil
}

// resolveTypes resolves all types of the scope.
func (s *scope) resolveTypes() error {
	for _, e := range s.order {
		if err := s.resolveType(e, e.name.at); err != nil {
			return err
		}
	}
	return nil
}

// resolveType resolves a type, which is needed at a place.
func (s *scope) resolveType(e *typeEntry, at place) error {
	switch {
	case e.hidden != "":
		return hidden(word{e.name.name, at}, e.hidden)
	case e.state == resolved:
		return nil
	case e.state == resolving:
		return at.errorf("the type %s consists of itself: types cannot be recursive, so refer to others by an index or a handle", e.name.name)
	case s.waiting > maxTypeDepth:
		return at.errorf("types are nested deeper than %d here, with those that have names: give the inner ones fewer levels", maxTypeDepth)
	}
	e.state = resolving
	s.waiting++
	err := s.typeDecl(e)
	s.waiting--
	if err != nil {
		return err
	}
	e.state = resolved
	return nil
}

// types are the declarations of the scope, resolved.
func (s *scope) types() (decls []*TypeDecl) {
	for _, e := range s.order {
		decls = append(decls, e.decl)
	}
	return decls
}

func (s *scope) typeDecl(e *typeEntry) error {
	d, name := e.syntax, e.name.name
	if d.resource {
		r := &Resource{Name: name}
		e.decl = &TypeDecl{Name: name, Type: &Type{Kind: Own, Name: name, Resource: r}, Resource: r, Gate: d.gate}
		return s.r.measured(e.decl.Type, e.name.at)
	}
	if d.alias != nil {
		return s.aliasDecl(e)
	}
	t := &Type{Kind: d.kind, Name: name}
	if d.kind == Flags && len(d.fields) > maxFlags {
		return e.name.at.errorf("flags %s has %d labels, more than %d: write several flags", name, len(d.fields), maxFlags)
	}
	fields, err := s.fields(d.fields, e.names)
	if err != nil {
		return err
	}
	t.Fields = fields
	var parts []*Type
	for _, f := range fields {
		parts = append(parts, f.Type)
	}
	e.decl = &TypeDecl{Name: name, Type: t, Gate: d.gate}
	return s.r.measured(t, e.name.at, parts...)
}

// aliasDecl resolves the declaration of a type by another.
func (s *scope) aliasDecl(e *typeEntry) error {
	d, name := e.syntax, e.name.name
	if d.alias.kind != 0 {
		t, err := s.typ(d.alias, e.names)
		if err != nil {
			return err
		}
		t.Name = name // nothing else refers to it
		e.decl = &TypeDecl{Name: name, Type: t, Gate: d.gate}
		return nil
	}
	of, err := s.lookup(d.alias.name, e.names)
	if err != nil {
		return err
	}
	e.decl = s.r.alias(of, name, TypeRef{Name: of.Name}, d.gate)
	return s.r.measured(e.decl.Type, e.name.at, of.Type)
}

// fields resolves fields, cases, labels or parameters.
func (s *scope) fields(syntax []fieldSyntax, names renames) ([]Field, error) {
	fields := make([]Field, 0, len(syntax))
	own := map[string]place{}
	for _, f := range syntax {
		key := strings.ToLower(f.name.name)
		if at, ok := own[key]; ok {
			return nil, twice(f.name, at)
		}
		own[key] = f.name.at
		field := Field{Name: f.name.name}
		if f.typ != nil {
			var err error
			if field.Type, err = s.typ(f.typ, names); err != nil {
				return nil, err
			}
		}
		fields = append(fields, field)
	}
	return fields, nil
}

// lookup is the declaration of a type, resolved.
func (s *scope) lookup(w word, names renames) (*TypeDecl, error) {
	e := s.known[names.of(w.name)]
	if e == nil {
		if _, ok := s.names[strings.ToLower(w.name)]; ok {
			return nil, w.at.errorf("%s is no type", w.name)
		}
		return nil, w.at.errorf("there is no type %s here: declare it, or use it from the interface that does", w.name)
	}
	if err := s.resolveType(e, w.at); err != nil {
		return nil, err
	}
	return e.decl, nil
}

// typ resolves a reference to a type.
func (s *scope) typ(e *typeExpr, names renames) (*Type, error) {
	if e.kind == 0 {
		d, err := s.lookup(e.name, names)
		if err != nil {
			return nil, err
		}
		return d.Type, nil
	}
	t := &Type{Kind: e.kind}
	if e.kind == Own || e.kind == Borrow {
		d, err := s.lookup(e.name, names)
		if err != nil {
			return nil, err
		}
		if d.Resource == nil {
			return nil, e.name.at.errorf("%s is no resource, and only resources have handles: write %s alone", e.name.name, e.name.name)
		}
		t.Resource = d.Resource
		return t, s.r.measured(t, e.at)
	}
	parts := make([]*Type, len(e.parts))
	for i, part := range e.parts {
		if part == nil {
			continue
		}
		var err error
		if parts[i], err = s.typ(part, names); err != nil {
			return nil, err
		}
	}
	switch e.kind {
	case List, Option:
		t.Elem = parts[0]
	case Result:
		t.Elem, t.Err = parts[0], parts[1]
	case Tuple:
		for _, part := range parts {
			t.Fields = append(t.Fields, Field{Type: part})
		}
	}
	return t, s.r.measured(t, e.at, parts...)
}

// itemFuncs are the functions that an item declares, resolved.
func (s *scope) itemFuncs(it item, names renames) ([]*FuncDecl, error) {
	switch it := it.(type) {
	case *funcSyntax:
		return s.functions([]*funcSyntax{it}, nil, names)
	case *typeSyntax:
		if s.r.hides(it.gate) || !it.resource {
			return nil, nil
		}
		d, err := s.lookup(it.name, names)
		if err != nil {
			return nil, err
		}
		return s.functions(it.funcs, d, names)
	}
	return nil, nil
}

// functions resolves functions, those of a resource perhaps.
func (s *scope) functions(all []*funcSyntax, resource *TypeDecl, names renames) (funcs []*FuncDecl, err error) {
	for _, f := range all {
		if s.r.hides(f.gate) {
			continue
		}
		n := FuncName{Kind: f.kind, Name: f.name.name}
		if resource == nil {
			n.Name = names.of(n.Name)
		} else {
			n.Resource = resource.Name
		}
		d := &FuncDecl{Name: n, Type: &Func{}, Gate: f.gate}
		if err := s.signature(d, f, resource, names); err != nil {
			return nil, err
		}
		funcs = append(funcs, d)
	}
	return funcs, nil
}

// selfName is the first parameter of methods.
const selfName = "self"

func (s *scope) signature(d *FuncDecl, f *funcSyntax, resource *TypeDecl, names renames) error {
	fields, err := s.fields(f.params, names)
	if err != nil {
		return err
	}
	if f.kind == Method {
		self := &Type{Kind: Borrow, Resource: resource.Resource}
		d.Type.Params = append(d.Type.Params, Param{Name: selfName, Type: self})
	}
	for i, field := range fields {
		if f.kind == Method && strings.EqualFold(field.Name, selfName) {
			return f.params[i].name.at.errorf("a method has the parameter self without saying so: give this one another name")
		}
		d.Type.Params = append(d.Type.Params, Param(field))
	}
	if f.result != nil {
		if d.Type.Result, err = s.typ(f.result, names); err != nil {
			return err
		}
		if s.r.measures[d.Type.Result].borrow {
			return f.result.at.errorf("the result of %s has a borrowed handle, which nobody could give back: return an owned one, or an identifier", d.Name)
		}
	}
	if f.kind != Constructor {
		return nil
	}
	return s.constructed(d, f, resource)
}

// constructed checks the result of a constructor, or gives it one.
func (s *scope) constructed(d *FuncDecl, f *funcSyntax, resource *TypeDecl) error {
	t := d.Type.Result
	if t == nil {
		d.Type.Result = resource.Type
		return nil
	}
	if t.Kind != Result || t.Elem == nil || t.Elem.Kind != Own || t.Elem.Resource != resource.Resource {
		return f.result.at.errorf("a constructor of %s returns nothing or result<%s, ...>: write a static func for anything else", resource.Name, resource.Name)
	}
	return nil
}
