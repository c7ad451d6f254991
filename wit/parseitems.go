package wit

// items reads what is in an interface or a world.
func (p *parser) items(d *declSyntax, read func(d *declSyntax, gate Gate)) {
	p.want("{")
	for p.err == nil && !p.is("}") {
		read(d, p.gate())
	}
	p.want("}")
}

func (p *parser) interfaceItem(d *declSyntax, gate Gate) {
	switch {
	case p.is("use"):
		d.items = append(d.items, p.use(gate))
	case p.isTypeDecl():
		d.items = append(d.items, p.typeDecl(gate))
	default:
		name := p.name("a function, a type, use or }")
		p.want(":")
		f := p.function(Freestanding)
		f.name, f.gate = name, gate
		p.want(";")
		d.items = append(d.items, f)
	}
}

func (p *parser) worldItem(d *declSyntax, gate Gate) {
	switch {
	case p.is("use"):
		d.items = append(d.items, p.use(gate))
	case p.isTypeDecl():
		d.items = append(d.items, p.typeDecl(gate))
	case p.is("include"):
		d.items = append(d.items, p.include(gate))
	case p.is("import"), p.is("export"):
		d.items = append(d.items, p.extern(gate))
	default:
		p.expected("import, export, include, use, a type or }")
	}
}

func (p *parser) use(gate Gate) useSyntax {
	p.want("use")
	u := useSyntax{path: p.path(), gate: gate}
	if !p.is(".") {
		p.expected("a dot and the types to use, as in types.{a, b}")
	}
	p.want(".")
	p.list("{", "}", func() { u.names = append(u.names, p.renaming(false)) })
	p.want(";")
	return u
}

// renaming reads "a as b", or "a" alone if it need not be more.
func (p *parser) renaming(always bool) renaming {
	r := renaming{from: p.name("a name")}
	r.to = r.from
	if always && !p.is("as") {
		p.expected("as")
	}
	if p.take("as") {
		r.to = p.name("a name")
	}
	return r
}

func (p *parser) include(gate Gate) includeSyntax {
	p.want("include")
	i := includeSyntax{path: p.path(), gate: gate}
	if p.take("with") {
		p.list("{", "}", func() { i.with = append(i.with, p.renaming(true)) })
		p.take(";") // which the grammar has not, and its example has
		return i
	}
	p.want(";")
	return i
}

func (p *parser) extern(gate Gate) externSyntax {
	e := externSyntax{export: p.is("export"), at: p.at(), gate: gate}
	p.advance()
	first := p.name("the name of a function or an interface")
	if !p.is(":") {
		e.path = pathSyntax{id: ID{Name: first.name}, at: first.at}
		p.want(";")
		return e
	}
	p.advance()
	switch {
	case p.is("func"), p.is("async"):
		e.name, e.fn = first, p.function(Freestanding)
		e.fn.name, e.fn.gate = first, gate
		p.want(";")
	case p.is("interface"):
		p.advance()
		e.name, e.inline = first, &declSyntax{name: first}
		p.items(e.inline, p.interfaceItem)
	default:
		// This is "name: path" or the rest of a path.
		second := p.name("func, interface or the name of an interface")
		if p.is("/") {
			e.path = p.restOfPath(pathSyntax{at: first.at, id: ID{Package: PackageName{Namespace: first.name, Name: second.name}}})
		} else {
			e.name, e.path = first, pathSyntax{at: second.at, id: ID{Name: second.name}}
			if p.is(":") {
				e.path = p.longPath(second)
			}
		}
		p.want(";")
	}
	return e
}

// function reads a function from its keyword on.
func (p *parser) function(kind FuncKind) *funcSyntax {
	f := &funcSyntax{kind: kind}
	if p.is("async") {
		p.unsupported("async functions")
	}
	p.want("func")
	p.signature(f)
	return f
}

// unsupported fails because of something that WASI 0.2 does not have.
func (p *parser) unsupported(what string) {
	p.fail(p.at(), "%s are not supported: they came with WASI 0.3, use what there is for WASI 0.2", what)
}

// signature reads parameters and a result.
func (p *parser) signature(f *funcSyntax) {
	p.list("(", ")", func() {
		name := p.name("the name of a parameter")
		p.want(":")
		f.params = append(f.params, fieldSyntax{name, p.typeExpr(0)})
	})
	if p.take("->") {
		f.result = p.typeExpr(0)
	}
}
