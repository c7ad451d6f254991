package wit

import (
	"slices"
	"strings"
)

// String is the document as WIT text, always the same for the same document:
// the first package as the one that the text is about, the others in blocks.
// Within an interface or a world, uses come first, then types, then functions;
// a world has its interfaces before these. Comments are not kept.
//
// Borrowed handles of a resource that has several names in one place are all
// written by the first of them. What WIT has no syntax for is printed so that
// people can read it: a record without a name is written in place, and a
// function of an exported resource by the name that a component has it under.
func (d *Document) String() string {
	p := &printer{}
	for i, pkg := range d.Packages {
		if i == 0 {
			p.line("package ", packageDeclText(pkg.Name), ";")
			p.packageItems(pkg)
			continue
		}
		p.blank()
		p.open("package ", packageDeclText(pkg.Name))
		p.packageItems(pkg)
		p.close()
	}
	return p.out.String()
}

// printer writes WIT, line by line.
type printer struct {
	out    strings.Builder
	indent int
	fresh  bool // nothing is yet in the block that is open

	pkg   PackageName // that is printed
	types []*TypeDecl // that are declared where the printer is
}

func (p *printer) line(parts ...string) {
	for range p.indent {
		p.out.WriteString("  ")
	}
	for _, part := range parts {
		p.out.WriteString(part)
	}
	p.out.WriteByte('\n')
	p.fresh = false
}

// blank sets what follows off from what was before it in the same block.
func (p *printer) blank() {
	if !p.fresh {
		p.out.WriteByte('\n')
	}
}

func (p *printer) open(parts ...string) {
	p.line(append(parts, " {")...)
	p.indent++
	p.fresh = true
}

func (p *printer) close() {
	p.indent--
	p.line("}")
}

func (p *printer) packageItems(pkg *Package) {
	p.pkg = pkg.Name
	for _, i := range pkg.Interfaces {
		p.blank()
		p.gate(i.Gate)
		p.open("interface ", ident(i.ID.Name))
		p.interfaceItems(i)
		p.close()
	}
	for _, w := range pkg.Worlds {
		p.blank()
		p.gate(w.Gate)
		p.open("world ", ident(w.ID.Name))
		p.worldItems(w)
		p.close()
	}
}

func (p *printer) gate(g Gate) {
	if g.Since != "" {
		p.line("@since(version = ", g.Since, ")")
	}
	if g.Unstable != "" {
		p.line("@unstable(feature = ", ident(g.Unstable), ")")
	}
	if g.Deprecated != "" {
		p.line("@deprecated(version = ", g.Deprecated, ")")
	}
}

// path is an interface or world as it is called in the package that is printed.
func (p *printer) path(id ID) string {
	if id.Package == p.pkg || id.Package == (PackageName{}) {
		return ident(id.Name)
	}
	n := id.Package
	return ident(n.Namespace) + ":" + ident(n.Name) + "/" + ident(id.Name) + n.version()
}

func (p *printer) interfaceItems(i *Interface) {
	outer := p.types
	p.types = i.Types
	p.typeDecls(i.Types, i.Funcs)
	for _, f := range i.Funcs {
		if !p.belongsToResource(f) {
			p.blank()
			p.functions("", []*FuncDecl{f})
		}
	}
	p.types = outer
}

func (p *printer) worldItems(w *World) {
	p.types = w.Types
	p.interfaces("import ", w.Imports)
	imports := funcsOf(w.Imports)
	p.typeDecls(w.Types, imports)
	imports = slices.DeleteFunc(imports, p.belongsToResource)
	if len(imports) > 0 {
		p.blank()
	}
	p.functions("import ", imports)
	if len(w.Exports) > 0 {
		p.blank()
	}
	p.interfaces("export ", w.Exports)
	p.functions("export ", funcsOf(w.Exports))
	p.types = nil
}

func funcsOf(externs []*Extern) (funcs []*FuncDecl) {
	for _, e := range externs {
		if e.Func != nil {
			funcs = append(funcs, e.Func)
		}
	}
	return funcs
}

func (p *printer) interfaces(verb string, externs []*Extern) {
	for _, e := range externs {
		if e.Interface == nil {
			continue
		}
		p.gate(e.Gate)
		switch {
		case e.Name == "":
			p.line(verb, p.path(e.Interface.ID), ";")
		case e.Interface.ID != (ID{}):
			p.line(verb, ident(e.Name), ": ", p.path(e.Interface.ID), ";")
		default:
			p.open(verb, ident(e.Name), ": interface")
			p.interfaceItems(e.Interface)
			p.close()
		}
	}
}

// belongsToResource reports whether f is printed as part of a resource.
func (p *printer) belongsToResource(f *FuncDecl) bool {
	if f.Name.Kind == Freestanding {
		return false
	}
	t := findType(p.types, f.Name.Resource)
	return t != nil && t.Resource != nil && t.Of == (TypeRef{})
}

// functions prints those that belong to no resource.
func (p *printer) functions(verb string, funcs []*FuncDecl) {
	for _, f := range funcs {
		p.gate(f.Gate)
		name := ident(f.Name.Name)
		if f.Name.Kind != Freestanding {
			name = "%" + f.Name.String()
		}
		p.line(verb, name, ": func", p.signature(f.Type.Params, f.Type.Result), ";")
	}
}

func (p *printer) signature(params []Param, result *Type) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, param := range params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(ident(param.Name) + ": " + p.typeText(param.Type))
	}
	b.WriteByte(')')
	if result != nil {
		b.WriteString(" -> " + p.typeText(result))
	}
	return b.String()
}

// packageDeclText is a package's name in its declaration.
func packageDeclText(n PackageName) string {
	return ident(n.Namespace) + ":" + ident(n.Name) + n.version()
}

// ident is a name as WIT has it: keywords get a %.
func ident(name string) string {
	if isKeyword(name) {
		return "%" + name
	}
	return name
}

func isKeyword(name string) bool { return slices.Contains(keywords, name) }

// keywords are the words that are no names by themselves (WIT.md, "Keywords").
var keywords = []string{
	"as", "async", "bool", "borrow", "char", "constructor", "enum", "export", "f32", "f64", "flags", "from", "func",
	"future", "import", "include", "interface", "list", "map", "option", "own", "package", "record", "resource",
	"result", "s16", "s32", "s64", "s8", "static", "stream", "string", "tuple", "type", "u16", "u32", "u64", "u8",
	"use", "variant", "with", "world",
}
