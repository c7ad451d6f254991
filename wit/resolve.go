package wit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// resolver makes a document of packages that have been parsed: it looks up the
// names in them.
type resolver struct {
	options  Parser
	packages []*packageScope
	byName   map[PackageName]*packageScope
	measures map[*Type]measure
	externs  int // so far, of all worlds
}

func newResolver(options Parser) *resolver {
	return &resolver{options: options, byName: map[PackageName]*packageScope{}, measures: map[*Type]measure{}}
}

// packageScope is a package and the names that are known in all of it.
type packageScope struct {
	syntax *packageSyntax
	group  int      // which of the groups of files it is in
	tokens []string // nil until they are needed
	decls  map[string]*decl
	order  []*decl
	uses   []topUse
	out    *Package
}

// fileScope is the names that are known in one file or block besides.
type fileScope struct {
	pkg  *packageScope
	uses map[string]topUse
}

// decl is an interface or a world.
type decl struct {
	syntax *declSyntax
	file   *fileScope
	id     ID
	state  state
	depth  int     // how long the longest chain of uses or includes from here is
	uses   []*decl // the interfaces that it uses types of
	used   map[*decl]bool

	iface *Interface // or nil
	scope *scope     // of an interface
	world *World     // or nil
	flat  []worldItem
}

func newDecl(d *declSyntax, file *fileScope) *decl {
	return &decl{syntax: d, file: file, id: ID{Package: file.pkg.syntax.id, Name: d.name.name}, used: map[*decl]bool{}}
}

func (d *decl) String() string {
	if d.syntax.world {
		return "world " + d.syntax.name.name
	}
	return "interface " + d.syntax.name.name
}

// state tells what has been resolved from what is being resolved.
type state uint8

const (
	unresolved state = iota
	resolving
	resolved
)

// addGroup parses files that are one package, and adds it and those in blocks.
func (r *resolver) addGroup(group int, sources []Source) error {
	if len(sources) == 0 {
		return errors.New("a package has no files of WIT: give at least one")
	}
	var pkg *packageSyntax
	var nested []*packageSyntax
	var files []*fileSyntax
	for i := range sources {
		header, file, inside, err := parseFile(&sources[i])
		if err != nil {
			return err
		}
		files = append(files, file)
		nested = append(nested, inside...)
		switch {
		case header == nil:
		case pkg == nil:
			pkg = header
		case pkg.id != header.id:
			return header.name.at.errorf("the package is %s here, and %s at %s: files that are read together are of one package", header.id, pkg.id, pkg.name.at)
		}
	}
	if pkg == nil {
		return place{source: &sources[0]}.errorf("no file says which package this is: begin with package namespace:name;")
	}
	pkg.files = files
	for _, p := range append([]*packageSyntax{pkg}, nested...) {
		if err := r.addPackage(group, p); err != nil {
			return err
		}
	}
	return nil
}

// addPackage declares what is in a package. It may be in several groups if it is
// the same in all.
func (r *resolver) addPackage(group int, syntax *packageSyntax) error {
	if other := r.byName[syntax.id]; other != nil {
		if other.tokens == nil {
			other.tokens = other.syntax.tokens()
		}
		if other.group != group && slices.Equal(syntax.tokens(), other.tokens) {
			return nil
		}
		return syntax.name.at.errorf("package %s is declared already, at %s: remove one of them", syntax.id, other.syntax.name.at)
	}
	pkg := &packageScope{syntax: syntax, group: group, decls: map[string]*decl{}, out: &Package{Name: syntax.id}}
	r.byName[syntax.id] = pkg
	r.packages = append(r.packages, pkg)
	for _, f := range syntax.files {
		file := &fileScope{pkg: pkg, uses: map[string]topUse{}}
		own := map[string]place{}
		for _, u := range f.uses {
			key := strings.ToLower(u.as.name)
			if at, ok := own[key]; ok {
				return twice(u.as, at)
			}
			own[key] = u.as.at
			file.uses[key] = u
			pkg.uses = append(pkg.uses, u)
		}
		for _, d := range f.decls {
			key := strings.ToLower(d.name.name)
			if other := pkg.decls[key]; other != nil {
				return twice(d.name, other.syntax.name.at)
			}
			if at, ok := own[key]; ok {
				return twice(d.name, at)
			}
			if err := r.checkGate(pkg, d.name, d.gate); err != nil {
				return err
			}
			pkg.decls[key] = newDecl(d, file)
			pkg.order = append(pkg.order, pkg.decls[key])
		}
	}
	return nil
}

// twice is the error for a name that is there already, in any case.
func twice(w word, other place) error {
	return w.at.errorf("%s is declared already, at %s: remove one of them, or give it a name that differs in more than its case", w.name, other)
}

// checkGate says why something cannot be gated so, or nil.
func (r *resolver) checkGate(pkg *packageScope, w word, g Gate) error {
	if g.Since+g.Deprecated != "" && pkg.syntax.id.Version == "" {
		return w.at.errorf("%s has a gate with a version, so its package has to have one: write package %s@version", w.name, pkg.syntax.id)
	}
	if g.Since == "" {
		return nil
	}
	since, err := parseVersion(g.Since)
	if err != nil {
		return err
	}
	current, err := parseVersion(pkg.syntax.id.Version)
	if err != nil {
		return err
	}
	if since.compare(current) > 0 {
		return w.at.errorf("%s is part of its package since version %s, and the package has version %s", w.name, g.Since, pkg.syntax.id.Version)
	}
	return nil
}

// hides reports whether what is gated so is left out.
func (r *resolver) hides(g Gate) bool {
	return g.Unstable != "" && !r.options.AllFeatures && !slices.Contains(r.options.Features, g.Unstable)
}

func hidden(w word, feature string) error {
	return w.at.errorf("%s is part of the unstable feature %s, which is not read: enable it, or gate this with @unstable(feature = %s) as well", w.name, feature, feature)
}

// document resolves everything.
func (r *resolver) document() (*Document, error) {
	for _, pkg := range r.packages {
		for _, u := range pkg.uses {
			if _, err := r.lookup(&fileScope{pkg: pkg}, u.path); err != nil {
				return nil, err
			}
		}
		for _, d := range pkg.order {
			if r.hides(d.syntax.gate) {
				continue
			}
			if err := r.resolve(d, d.syntax.name.at, 0); err != nil {
				return nil, err
			}
		}
	}
	d := &Document{}
	for _, pkg := range r.packages {
		for _, decl := range pkg.order {
			switch {
			case decl.iface != nil:
				pkg.out.Interfaces = append(pkg.out.Interfaces, decl.iface)
			case decl.world != nil:
				pkg.out.Worlds = append(pkg.out.Worlds, decl.world)
			}
		}
		d.Packages = append(d.Packages, pkg.out)
	}
	return d, nil
}

// maxChain bounds how many interfaces use each other, and worlds include each
// other, in a chain.
const maxChain = 100

// resolve resolves an interface or a world, which something at a place needs
// that has depth others waiting for it.
func (r *resolver) resolve(d *decl, at place, depth int) error {
	switch {
	case d.state == resolving:
		return at.errorf("%s depends on itself: break the circle, for example by moving types that both need into an interface of their own", d)
	case d.state == resolved:
		return nil
	case depth > maxChain:
		return at.errorf("interfaces and worlds depend on each other in a chain longer than %d", maxChain)
	}
	d.state = resolving
	var err error
	if d.syntax.world {
		err = r.resolveWorld(d, depth)
	} else {
		err = r.resolveInterface(d, depth)
	}
	d.state = resolved
	if err == nil && d.depth > maxChain {
		err = at.errorf("interfaces and worlds depend on each other in a chain longer than %d", maxChain)
	}
	return err
}

// find is the interface or the world that a path names in a file, resolved.
func (r *resolver) find(file *fileScope, path pathSyntax, world bool, user *decl, depth int) (*decl, error) {
	target, err := r.lookup(file, path)
	switch {
	case err != nil:
		return nil, err
	case world && !target.syntax.world:
		return nil, path.at.errorf("%s is an interface, and a world is expected: import or export it", target.id)
	case !world && target.syntax.world:
		return nil, path.at.errorf("%s is a world, and an interface is expected: worlds can only be included", target.id)
	case r.hides(target.syntax.gate):
		return nil, hidden(word{target.String(), path.at}, target.syntax.gate.Unstable)
	}
	if err := r.resolve(target, path.at, depth+1); err != nil {
		return nil, err
	}
	user.depth = max(user.depth, target.depth+1)
	if !world && !user.used[target] {
		user.used[target] = true
		user.uses = append(user.uses, target)
	}
	return target, nil
}

func (r *resolver) lookup(file *fileScope, path pathSyntax) (*decl, error) {
	pkg, id, at := file.pkg, path.id, path.at
	if u, ok := file.uses[strings.ToLower(id.Name)]; ok && id.Package == (PackageName{}) && u.as.name == id.Name {
		id, at = u.path.id, u.path.at
	}
	if id.Package != (PackageName{}) {
		if pkg = r.byName[id.Package]; pkg == nil {
			return nil, r.noPackage(id.Package, at)
		}
	}
	if d := pkg.decls[strings.ToLower(id.Name)]; d != nil && d.syntax.name.name == id.Name {
		return d, nil
	}
	return nil, at.errorf("package %s has no interface or world %s", pkg.syntax.id, id.Name)
}

// noPackage says that a package is not there, and which similar ones are.
func (r *resolver) noPackage(n PackageName, at place) error {
	var others []string
	for _, p := range r.packages {
		other := p.syntax.id
		other.Version = n.Version
		if other == n {
			others = append(others, p.syntax.id.String())
		}
	}
	advice := "add it to the directory deps"
	if len(others) > 0 {
		advice = "write a version that is here, " + strings.Join(others[:min(len(others), maxListed)], " or ") + ", or " + advice
	}
	return at.errorf("there is no package %s: %s", n, advice)
}

// resolveInterface fills in an interface.
func (r *resolver) resolveInterface(d *decl, depth int) error {
	i, s, err := r.interfaceBody(d, d.file, d.syntax.items, depth)
	if err != nil {
		return err
	}
	i.ID, i.Gate = d.id, d.syntax.gate
	d.iface, d.scope = i, s
	return nil
}

// interfaceBody makes an interface of items, on behalf of user.
func (r *resolver) interfaceBody(user *decl, file *fileScope, items []item, depth int) (*Interface, *scope, error) {
	s := newScope(r, file)
	for _, it := range items {
		if err := s.declareItem(it, user, nil, depth); err != nil {
			return nil, nil, err
		}
	}
	i := &Interface{}
	if err := s.resolveTypes(); err != nil {
		return nil, nil, err
	}
	i.Types = s.types()
	for _, it := range items {
		funcs, err := s.itemFuncs(it, nil)
		if err != nil {
			return nil, nil, err
		}
		i.Funcs = append(i.Funcs, funcs...)
	}
	return i, s, nil
}

// tokens are those of the files of a package, without its own declaration.
func (p *packageSyntax) tokens() []string {
	all := []string{}
	for _, f := range p.files {
		l := lexer{source: f.source, pos: f.from}
		for {
			t, err := l.next()
			if err != nil || t.kind == endOfText || t.offset >= f.to {
				break
			}
			all = append(all, fmt.Sprint(t.kind, t.text))
		}
	}
	return all
}
