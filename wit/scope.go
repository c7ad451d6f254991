package wit

import "strings"

// scope is the names of an interface or a world.
type scope struct {
	r     *resolver
	file  *fileScope
	names map[string]place      // of everything declared, by what has to differ
	known map[string]*typeEntry // the types, by their names
	order []*typeEntry
	// included is set while what is declared comes from an include there.
	included *place
	// waiting are those that wait for one that is being resolved.
	waiting int
}

// typeEntry is a type that is declared in a scope.
type typeEntry struct {
	name   word
	syntax *typeSyntax // nil: it is used from elsewhere
	names  renames     // in its syntax
	state  state
	decl   *TypeDecl
	hidden string // the feature that it is left out with, or ""
}

// renames are the names in items of a world that another world includes, and
// what they are called there. What is not in it is called as it is.
type renames map[string]string

func (n renames) of(name string) string {
	if to, ok := n[name]; ok {
		return to
	}
	return name
}

func newScope(r *resolver, file *fileScope) *scope {
	return &scope{r: r, file: file, names: map[string]place{}, known: map[string]*typeEntry{}}
}

// uniqueKey is what has to differ between names that are declared together
// (Explainer.md, "Name Uniqueness").
func uniqueKey(n FuncName) string {
	key := n.Name
	switch {
	case n.Kind == Constructor:
		key = n.String()
	case n.Kind != Freestanding && n.Name != n.Resource:
		key = n.Resource + "." + n.Name
	}
	return strings.ToLower(key)
}

// declare makes a name known that is written at a place.
func (s *scope) declare(n FuncName, at place) error {
	key := uniqueKey(n)
	other, ok := s.names[key]
	switch {
	case ok && s.included != nil:
		return s.included.errorf("this include brings %s, which is declared already, at %s: give it another name, with { %s as another-name }", n, other, n)
	case ok:
		return twice(word{n.String(), at}, other)
	}
	s.names[key] = at
	return nil
}

// declareItem makes known what an item declares, and resolves what it uses on
// behalf of user.
func (s *scope) declareItem(it item, user *decl, names renames, depth int) error {
	switch it := it.(type) {
	case useSyntax:
		return s.declareUse(it, user, names, depth)
	case *typeSyntax:
		return s.declareType(it, names)
	case *funcSyntax:
		return s.declareFunc(it, word{}, names)
	}
	return nil
}

// declareFunc makes a function known, one of a resource perhaps.
func (s *scope) declareFunc(f *funcSyntax, resource word, names renames) error {
	if s.r.hides(f.gate) {
		return nil
	}
	n := f.funcName(resource, names)
	if err := s.r.checkGate(s.file.pkg, word{n.String(), f.name.at}, f.gate); err != nil {
		return err
	}
	return s.declare(n, f.name.at)
}

// funcName is what a function is called where names are called so.
func (f *funcSyntax) funcName(resource word, names renames) FuncName {
	n := FuncName{Kind: f.kind, Name: f.name.name}
	if f.kind == Freestanding {
		n.Name = names.of(n.Name)
	} else {
		n.Resource = names.of(resource.name)
	}
	return n
}

func (s *scope) declareType(t *typeSyntax, names renames) error {
	e := &typeEntry{name: word{names.of(t.name.name), t.name.at}, syntax: t, names: names}
	if s.r.hides(t.gate) {
		s.leaveOut(e, t.gate)
		return nil
	}
	if err := s.r.checkGate(s.file.pkg, e.name, t.gate); err != nil {
		return err
	}
	if err := s.add(e); err != nil {
		return err
	}
	for _, f := range t.funcs {
		if err := s.declareFunc(f, t.name, names); err != nil {
			return err
		}
	}
	return nil
}

// add makes a type known.
func (s *scope) add(e *typeEntry) error {
	if err := s.declare(FuncName{Name: e.name.name}, e.name.at); err != nil {
		return err
	}
	s.known[e.name.name] = e
	s.order = append(s.order, e)
	return nil
}

// leaveOut remembers a type as left out, so that errors can say so.
func (s *scope) leaveOut(e *typeEntry, g Gate) {
	e.hidden = g.Unstable
	if s.known[e.name.name] == nil {
		s.known[e.name.name] = e
	}
}

func (s *scope) declareUse(u useSyntax, user *decl, names renames, depth int) error {
	if s.r.hides(u.gate) {
		for _, n := range u.names {
			s.leaveOut(&typeEntry{name: word{names.of(n.to.name), n.to.at}}, u.gate)
		}
		return nil
	}
	from, err := s.r.find(s.file, u.path, false, user, depth)
	if err != nil {
		return err
	}
	for _, n := range u.names {
		if err := s.r.checkGate(s.file.pkg, n.to, u.gate); err != nil {
			return err
		}
		d, err := from.typeNamed(n.from)
		if err != nil {
			return err
		}
		name := names.of(n.to.name)
		used := s.r.alias(d, name, TypeRef{Interface: from.id, Name: d.Name}, u.gate)
		e := &typeEntry{name: word{name, n.to.at}, state: resolved, decl: used}
		if err := s.add(e); err != nil {
			return err
		}
	}
	return nil
}

// typeNamed is a type of an interface that is resolved.
func (d *decl) typeNamed(w word) (*TypeDecl, error) {
	e := d.scope.known[w.name]
	switch {
	case e != nil && e.hidden != "":
		return nil, hidden(w, e.hidden)
	case e != nil:
		return e.decl, nil
	}
	if _, ok := d.scope.names[strings.ToLower(w.name)]; ok {
		return nil, w.at.errorf("%s is no type of %s: only types can be used, and functions are imported with their interface", w.name, d.id)
	}
	return nil, w.at.errorf("%s has no type %s", d.id, w.name)
}

// alias is another name for what d declares.
func (r *resolver) alias(d *TypeDecl, name string, of TypeRef, g Gate) *TypeDecl {
	t := d.Type
	if t.Name != name {
		renamed := *t
		renamed.Name = name
		t = &renamed
		r.measures[t] = r.measures[d.Type]
	}
	return &TypeDecl{Name: name, Type: t, Resource: d.Resource, Of: of, Gate: g}
}
