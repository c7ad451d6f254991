package binary

import (
	"github.com/waterbear-run/waterbear/wit"
)

// world is what the world of a component is called in a document, as other tools
// do: components do not keep the name of theirs.
var world = wit.ID{Package: wit.PackageName{Namespace: "root", Name: "component"}, Name: "root"}

// WIT describes what the component imports and exports. The document's types are
// those of Imports and Exports. The error says what of it WIT has no words for:
// modules, components, and instances within instances.
func (c *Component) WIT() (*wit.Document, error) {
	w := &wit.World{ID: world}
	d := describer{
		document: &wit.Document{Packages: []*wit.Package{{Name: world.Package, Worlds: []*wit.World{w}}}},
		world:    w,
		in:       newTypeScope(wit.ID{}),
		declared: map[string]bool{},

		packages:   map[wit.PackageName]*wit.Package{},
		interfaces: map[wit.ID]*published{},
		values:     map[*wit.Type]wit.TypeRef{},
		resources:  map[*wit.Resource]wit.TypeRef{},
	}
	var err error
	if w.Imports, err = d.externs("import", c.Imports); err != nil {
		return nil, err
	}
	if w.Exports, err = d.externs("export", c.Exports); err != nil {
		return nil, err
	}
	return d.document, nil
}

// describer makes a document of a component.
type describer struct {
	document *wit.Document
	world    *wit.World
	in       *typeScope // the world's
	declared map[string]bool

	packages   map[wit.PackageName]*wit.Package
	interfaces map[wit.ID]*published
	// values and resources are where types were declared first that others can be
	// declared to be.
	values    map[*wit.Type]wit.TypeRef
	resources map[*wit.Resource]wit.TypeRef
}

// published is an interface in its package, and the names of what it declares.
type published struct {
	*wit.Interface
	types map[string]bool
	funcs map[wit.FuncName]bool
}

// typeScope is an interface, or the world, with the types that are declared in it.
type typeScope struct {
	id        wit.ID // zero if no other can refer to it
	values    map[*wit.Type]string
	resources map[*wit.Resource]string
}

func newTypeScope(id wit.ID) *typeScope {
	return &typeScope{id: id, values: map[*wit.Type]string{}, resources: map[*wit.Resource]string{}}
}

// externs describes the imports or the exports of the world.
func (d *describer) externs(what string, list []Extern) (all []*wit.Extern, err error) {
	for i := range list {
		e := &list[i]
		var x *wit.Extern
		switch e.Of {
		case Type:
			// WIT can say of a type that it is exported only by what uses it.
			if !d.declared[e.Name] {
				d.declared[e.Name] = true
				d.world.Types = append(d.world.Types, d.typeDecl(e, d.in))
			}
			continue
		case Func:
			x = &wit.Extern{}
			x.Func, err = funcDecl(e)
		case InstanceSort:
			x, err = d.instance(e)
		default:
			err = mismatch("its sort is %s, which WIT has no word for", externNames[e.Of])
		}
		if err != nil {
			return nil, within(err, "%s %s", what, e.Name)
		}
		all = append(all, x)
	}
	return all, nil
}

func funcDecl(e *Extern) (*wit.FuncDecl, error) {
	name, err := wit.ParseFuncName(e.Name)
	return &wit.FuncDecl{Name: name, Type: e.Func}, err
}

// instance describes an instance as an interface: that of its name, or of the one
// that it implements, or one declared in place.
func (d *describer) instance(e *Extern) (*wit.Extern, error) {
	n, err := parseName(e.Name)
	if err != nil {
		return nil, err
	}
	if n.form > interfaceName {
		return nil, mismatch("it is named by where it comes from, which WIT has no word for")
	}
	x := &wit.Extern{Interface: &wit.Interface{}}
	id := e.Implements
	if n.form == interfaceName {
		id = e.Name
	} else {
		x.Name = e.Name
	}
	if id != "" {
		if x.Interface.ID, err = wit.ParseID(id); err != nil {
			return nil, err
		}
	}
	in := newTypeScope(x.Interface.ID)
	for i := range e.Instance.Exports {
		item := &e.Instance.Exports[i]
		switch item.Of {
		case Type:
			x.Interface.Types = append(x.Interface.Types, d.typeDecl(item, in))
		case Func:
			f, err := funcDecl(item)
			if err != nil {
				return nil, err
			}
			x.Interface.Funcs = append(x.Interface.Funcs, f)
		default:
			return nil, mismatch("it exports %s, whose sort is %s, which an interface cannot", item.Name, externNames[item.Of])
		}
	}
	d.publish(x.Interface)
	return x, nil
}

// publish puts an interface into its package. One that is imported and exported
// has there what either has.
func (d *describer) publish(i *wit.Interface) {
	if i.ID == (wit.ID{}) {
		return
	}
	p := d.packages[i.ID.Package]
	if p == nil {
		p = &wit.Package{Name: i.ID.Package}
		d.packages[i.ID.Package] = p
		d.document.Packages = append(d.document.Packages, p)
	}
	known := d.interfaces[i.ID]
	if known == nil {
		whole := &wit.Interface{ID: i.ID}
		known = &published{Interface: whole, types: map[string]bool{}, funcs: map[wit.FuncName]bool{}}
		d.interfaces[i.ID] = known
		p.Interfaces = append(p.Interfaces, whole)
	}
	for _, t := range i.Types {
		if !known.types[t.Name] {
			known.types[t.Name] = true
			known.Types = append(known.Types, t)
		}
	}
	for _, f := range i.Funcs {
		if !known.funcs[f.Name] {
			known.funcs[f.Name] = true
			known.Funcs = append(known.Funcs, f)
		}
	}
}

// typeDecl describes a type that is imported or exported.
func (d *describer) typeDecl(e *Extern, in *typeScope) *wit.TypeDecl {
	t := &wit.TypeDecl{Name: e.Name}
	switch {
	case e.Resource != nil:
		t.Resource = e.Resource
		t.Type = &wit.Type{Kind: wit.Own, Name: e.Name, Resource: e.Resource}
		t.Of = declare(e.Resource, nil, e.Name, in.id, in.resources, d.resources)
	case e.Value != nil:
		t.Type = e.Value
		if t.Type.Name != e.Name {
			named := *t.Type
			named.Name = e.Name
			t.Type = &named
		}
		t.Of = declare(e.Value, e.origin, e.Name, in.id, in.values, d.values)
	}
	return t
}

// declare notes that a type is declared under a name, and gives what it is another
// name of: of itself or of its origin, where that is declared here, or anywhere by
// an interface that can be named.
func declare[T comparable](t, origin T, name string, in wit.ID, here map[T]string, anywhere map[T]wit.TypeRef) wit.TypeRef {
	var none T
	of := wit.TypeRef{}
	for _, same := range []T{t, origin} {
		if same == none || of != (wit.TypeRef{}) {
			continue
		}
		if known, ok := here[same]; ok {
			of = wit.TypeRef{Name: known}
		} else if known, ok := anywhere[same]; ok {
			of = known
		}
	}
	if _, ok := here[t]; !ok {
		here[t] = name
	}
	if _, ok := anywhere[t]; !ok && in != (wit.ID{}) {
		anywhere[t] = wit.TypeRef{Interface: in, Name: name}
	}
	return of
}
