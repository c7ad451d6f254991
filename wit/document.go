package wit

import "slices"

// Document is packages of WIT: what a set of sources declares, or what a
// component imports and exports (WIT.md).
//
// It is plain data, for a parser or the reader of a component to fill in, and
// for AppendText to print. Names in it refer to each other by text, as they do
// in WIT: a Type by its Name, which is declared in the interface or world that
// it is used in; a Resource by the declarations of its handles; an interface by
// its ID, whose package need not be in the document.
type Document struct {
	// Packages are all of them in the order in which they are printed. The first
	// is what the document is about.
	Packages []*Package
}

// Package is what is distributed together under one name.
type Package struct {
	Name       PackageName
	Interfaces []*Interface
	Worlds     []*World
}

// Interface is types and functions that are imported and exported together.
type Interface struct {
	// ID is zero if the interface is declared in place, inside a world.
	ID    ID
	Types []*TypeDecl
	Funcs []*FuncDecl
	Gate  Gate
}

// World is what a component imports and exports.
type World struct {
	ID      ID
	Types   []*TypeDecl // which are imports
	Imports []*Extern
	Exports []*Extern
	Gate    Gate
}

// TypeDecl declares a name for a type.
type TypeDecl struct {
	Name string // kebab case
	// Type is what the name stands for where it is used, and has it as its Name.
	// For a resource, it is the Own handle.
	Type *Type
	// Resource is what the name stands for, if that is a resource, or nil.
	Resource *Resource
	// Of is what this is another name of, or zero: it is declared here.
	Of   TypeRef
	Gate Gate
}

// TypeRef names a type that is declared elsewhere.
type TypeRef struct {
	// Interface is where that is, or zero: in the same interface or world.
	Interface ID
	Name      string // kebab case
}

// FuncDecl declares a function.
type FuncDecl struct {
	Name FuncName
	// Type is all of it: the parameters of a Method begin with self, and a
	// Constructor has a result.
	Type *Func
	Gate Gate
}

// Extern is an import or an export of a world: an interface or a function. The
// functions of a resource that a world declares are imports of it.
type Extern struct {
	// Name is the plain name of an interface, or "": it goes by its ID. One that
	// has both is an implementation of the interface by another name.
	Name      string
	Interface *Interface // or nil
	Func      *FuncDecl  // or nil
	Gate      Gate       // of an Interface; a Func has its own
}

// ExternName is the name that a component has it under, such as
// wasi:io/streams@0.2.0 or run.
func (e *Extern) ExternName() string {
	switch {
	case e.Func != nil:
		return e.Func.Name.String()
	case e.Name != "":
		return e.Name
	}
	return e.Interface.ID.String()
}

// Gate says since and until when something is part of its package (WIT.md,
// "Feature Gates"). Of the first two at most one is set. What lies in something
// gated is gated with it.
type Gate struct {
	Since      string // a version, or ""
	Unstable   string // the name of the feature that it is part of, or ""
	Deprecated string // a version, or ""
}

// Package is the one of that name, or nil.
func (d *Document) Package(name PackageName) *Package {
	for _, p := range d.Packages {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Interface is the one of that name, or nil.
func (d *Document) Interface(id ID) *Interface {
	if p := d.Package(id.Package); p != nil {
		for _, i := range p.Interfaces {
			if i.ID == id {
				return i
			}
		}
	}
	return nil
}

// World is the one of that name, or nil.
func (d *Document) World(id ID) *World {
	if p := d.Package(id.Package); p != nil {
		for _, w := range p.Worlds {
			if w.ID == id {
				return w
			}
		}
	}
	return nil
}

// Add puts an interface into the package that its ID names, behind the others;
// the package is made if it is not there. What is imported and exported may have
// parts of one interface each: if it is there, what it lacks is added to it.
func (d *Document) Add(i *Interface) {
	p := d.Package(i.ID.Package)
	if p == nil {
		p = &Package{Name: i.ID.Package}
		d.Packages = append(d.Packages, p)
	}
	there := d.Interface(i.ID)
	if there == nil {
		whole := *i
		whole.Types, whole.Funcs = slices.Clone(i.Types), slices.Clone(i.Funcs)
		p.Interfaces = append(p.Interfaces, &whole)
		return
	}
	for _, t := range i.Types {
		if there.Type(t.Name) == nil {
			there.Types = append(there.Types, t)
		}
	}
	for _, f := range i.Funcs {
		if there.Func(f.Name) == nil {
			there.Funcs = append(there.Funcs, f)
		}
	}
}

// Type is the declaration of that name, or nil.
func (i *Interface) Type(name string) *TypeDecl { return findType(i.Types, name) }

// Func is the declaration of that name, or nil.
func (i *Interface) Func(name FuncName) *FuncDecl {
	for _, f := range i.Funcs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Type is the declaration of that name, or nil.
func (w *World) Type(name string) *TypeDecl { return findType(w.Types, name) }

func findType(all []*TypeDecl, name string) *TypeDecl {
	for _, t := range all {
		if t.Name == name {
			return t
		}
	}
	return nil
}
