package wit

// parser reads WIT text (WIT.md). The first error sticks: from then on every
// token is the end of the text, so that loops end and callers check once.
type parser struct {
	lexer
	token
	err    error
	nested []*packageSyntax // the packages in blocks, so far
}

// fail lets an error stick, if it is the first.
func (p *parser) fail(at place, format string, args ...any) {
	if p.err == nil {
		p.failWith(at.errorf(format, args...))
	}
}

func (p *parser) failWith(err error) {
	if p.err == nil {
		p.err = err
	}
	p.pos = len(p.source.Text)
	p.token = token{offset: p.pos}
}

func (p *parser) at() place { return place{p.source, p.offset} }

// advance moves to the next token.
func (p *parser) advance() {
	if p.err != nil {
		return
	}
	t, err := p.next()
	if err != nil {
		p.failWith(err)
		return
	}
	p.token = t
}

// is reports whether the token is this keyword or punctuation.
func (p *parser) is(text string) bool {
	return (p.kind == keyword || p.kind == punctuation) && p.text == text
}

// take moves past the token if it is this one.
func (p *parser) take(text string) bool {
	if !p.is(text) {
		return false
	}
	p.advance()
	return true
}

// want moves past this token, which has to be here.
func (p *parser) want(text string) {
	if !p.take(text) {
		p.expected(text)
	}
}

func (p *parser) expected(what string) {
	p.fail(p.at(), "here is %s, and %s is expected", p.describe(), what)
}

// name reads a name.
func (p *parser) name(what string) word {
	w := word{p.text, p.at()}
	switch p.kind {
	case wordToken:
		p.advance()
	case keyword:
		p.fail(p.at(), "%s is a keyword, and %s is expected: write %%%s to use it as a name", p.text, what, p.text)
	default:
		p.expected(what)
	}
	return w
}

// list reads what lies between brackets, with commas between and perhaps
// behind.
func (p *parser) list(open, end string, element func()) {
	p.want(open)
	for p.err == nil && !p.is(end) {
		element()
		if !p.take(",") && !p.is(end) {
			p.expected("a comma or " + end)
		}
	}
	p.want(end)
}

// parseFile reads a file. Its package is nil if it does not say to which it
// belongs; those in blocks come besides.
func parseFile(s *Source) (header *packageSyntax, file *fileSyntax, nested []*packageSyntax, err error) {
	if err := checkText(s); err != nil {
		return nil, nil, nil, err
	}
	p := &parser{lexer: lexer{source: s}}
	p.advance()
	file = &fileSyntax{source: s, to: len(s.Text)}
	for first := true; p.err == nil && p.kind != endOfText; first = false {
		if !p.is("package") {
			p.decl(file)
			continue
		}
		at := p.at()
		pkg := p.packageDecl()
		switch {
		case p.is("{"):
			p.block(pkg)
		case first:
			header = pkg
			file.from = p.pos
			p.want(";")
		case p.is(";"):
			p.fail(at, "a file declares its package once, at its beginning: put what follows into a block, package %s { ... }", pkg.id)
		default:
			p.expected("{")
		}
	}
	return header, file, p.nested, p.err
}

// packageDecl reads what begins with the keyword package, up to its name.
func (p *parser) packageDecl() *packageSyntax {
	p.want("package")
	at := p.at()
	n := PackageName{Namespace: p.name("a namespace").name}
	p.want(":")
	n.Name = p.name("the name of a package").name
	if p.is(":") || p.is("/") {
		p.fail(p.at(), "nested namespaces and packages are not supported: write one namespace, a colon and one name")
	}
	n.Version = p.version()
	if err := n.check(); err != nil && p.err == nil {
		p.fail(at, "%v", err)
	}
	return &packageSyntax{id: n, name: word{n.String(), at}}
}

// version reads an @ and a version, or nothing.
func (p *parser) version() string {
	if !p.is("@") {
		return ""
	}
	return p.rawVersion()
}

// rawVersion reads the version behind the token, and moves past it.
func (p *parser) rawVersion() string {
	if err := p.space(); err != nil {
		p.failWith(err)
	}
	at := p.here()
	v := p.lexer.version()
	if _, err := parseVersion(v); err != nil {
		p.fail(at, "%v", err)
	}
	p.advance()
	return v
}

// block reads a package in a block.
func (p *parser) block(pkg *packageSyntax) {
	file := &fileSyntax{source: p.source, from: p.pos}
	p.want("{")
	for p.err == nil && !p.is("}") {
		if p.is("package") {
			p.fail(p.at(), "a package cannot be declared inside another: put it behind the block of %s", pkg.id)
		}
		p.decl(file)
	}
	file.to = p.offset
	p.want("}")
	pkg.files = append(pkg.files, file)
	p.nested = append(p.nested, pkg)
}

// decl reads a use, an interface or a world.
func (p *parser) decl(file *fileSyntax) {
	at := p.at()
	gate := p.gate()
	switch {
	case p.is("use"):
		if gate != (Gate{}) {
			p.fail(at, "a use outside of interfaces and worlds cannot be gated: remove the gate")
		}
		file.uses = append(file.uses, p.topUse())
	case p.is("interface"), p.is("world"):
		d := &declSyntax{gate: gate, world: p.is("world")}
		p.advance()
		if d.world {
			d.name = p.name("the name of a world")
			p.items(d, p.worldItem)
		} else {
			d.name = p.name("the name of an interface")
			p.items(d, p.interfaceItem)
		}
		file.decls = append(file.decls, d)
	default:
		p.expected("package, use, interface or world")
	}
}

func (p *parser) topUse() topUse {
	p.want("use")
	u := topUse{path: p.path()}
	u.as = word{u.path.id.Name, u.path.at}
	if p.is(".") {
		p.fail(p.at(), "types can be used only inside an interface or a world: move the use there")
	}
	if p.take("as") {
		u.as = p.name("a name")
	}
	p.want(";")
	return u
}

// path reads the name of an interface or a world.
func (p *parser) path() pathSyntax {
	path := pathSyntax{at: p.at()}
	first := p.name("the name of an interface or a world")
	if p.is(":") {
		return p.longPath(first)
	}
	path.id.Name = first.name
	return path
}

// longPath reads the rest of a path, from the colon on.
func (p *parser) longPath(namespace word) pathSyntax {
	path := pathSyntax{at: namespace.at}
	p.want(":")
	path.id.Package = PackageName{Namespace: namespace.name, Name: p.name("the name of a package").name}
	return p.restOfPath(path)
}

// restOfPath reads the rest of a path, from the slash on.
func (p *parser) restOfPath(path pathSyntax) pathSyntax {
	if p.is(":") {
		p.fail(p.at(), "nested namespaces are not supported: write namespace:package/interface")
	}
	if !p.is("/") {
		p.expected("a slash and the name of an interface, as in namespace:package/interface")
	}
	p.want("/")
	path.id.Name = p.name("the name of an interface or a world").name
	if p.is("/") {
		p.fail(p.at(), "nested packages are not supported: write namespace:package/interface")
	}
	path.id.Package.Version = p.version()
	if err := path.id.Package.check(); err != nil && p.err == nil {
		p.fail(path.at, "%v", err)
	}
	return path
}

// gate reads feature gates.
func (p *parser) gate() Gate {
	var g Gate
	start := p.at()
	for p.is("@") {
		at := p.at()
		p.advance()
		kind := p.text
		var to *string
		switch kind {
		case "since":
			to = &g.Since
		case "unstable":
			to = &g.Unstable
		case "deprecated":
			to = &g.Deprecated
		case "external-id":
			p.fail(at, "@external-id is not supported: remove it")
			return g
		default:
			p.fail(at, "there is no @%s: there are @since, @unstable and @deprecated", kind)
			return g
		}
		if *to != "" {
			p.fail(at, "@%s is here twice", kind)
		}
		p.advance()
		*to = p.gateValue(kind == "unstable")
	}
	switch {
	case g.Since != "" && g.Unstable != "":
		p.fail(start, "what is @since a version is not @unstable: remove one of them")
	case g.Deprecated != "" && g.Since == "" && g.Unstable == "":
		p.fail(start, "@deprecated stands beside @since or @unstable only: add @since(version = ...)")
	}
	return g
}

// gateValue reads what is behind the name of a gate.
func (p *parser) gateValue(feature bool) string {
	key := "version"
	if feature {
		key = "feature"
	}
	p.want("(")
	if p.text != key {
		p.expected(key + " = ...")
	}
	p.advance()
	var value string
	switch {
	case !p.is("="):
		p.expected("=")
	case feature:
		p.advance()
		value = p.name("the name of a feature").name
	default:
		value = p.rawVersion()
	}
	p.want(")")
	return value
}
