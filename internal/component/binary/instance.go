package binary

import "github.com/waterbear-run/waterbear/internal/wasmbin"

// Forms of instances.
const (
	formInstantiate = iota
	formBundle
)

// coreInstance reads the definition of a core instance.
func (d *decoder) coreInstance(s *scope) {
	pos := d.pos
	switch b := d.byte(); b {
	case formInstantiate:
		d.instantiateModule(s, pos)
	case formBundle:
		d.coreBundle(s, pos)
	default:
		d.refuseLeading(pos, b, "core instance")
	}
}

func (d *decoder) instantiateModule(s *scope, pos int) {
	def := &CoreInstance{Module: d.u32()}
	given := map[string]map[string]*CoreType{}
	d.vector(3, "core instantiation arguments", maxArgs, func() {
		pos := d.pos
		arg := CoreArg{Name: d.name()}
		if b := d.byte(); b != 0x12 {
			d.refuseLeading(d.pos-1, b, "instantiation arg kind")
		}
		arg.Instance = d.u32()
		if _, ok := given[arg.Name]; ok {
			d.fail(pos, "duplicate module instantiation argument named `%s`", arg.Name)
		}
		given[arg.Name] = at(d, s.coreInstances, pos, arg.Instance, "core instance")
		def.Args = append(def.Args, arg)
	})
	m := at(d, s.coreModules, pos, def.Module, "module")
	if m == nil {
		return
	}
	for i := range m.Imports {
		want := &m.Imports[i]
		d.charge(want.size())
		from, ok := given[want.Module]
		if !ok {
			d.fail(pos, "missing module instantiation argument named `%s`", want.Module)
			return
		}
		t, ok := from[want.Name]
		if !ok {
			d.fail(pos, "module instantiation argument `%s` does not export an item named `%s`", want.Module, want.Name)
			return
		}
		if err := coreMatch(t, &want.CoreType); err != nil {
			d.fail(pos, "type mismatch for export `%s` of module instantiation argument `%s`: %v", want.Name, want.Module, err)
			return
		}
	}
	d.pushCoreInstance(s, pos, m.exports())
	s.define(def)
}

func (d *decoder) coreBundle(s *scope, pos int) {
	def := &CoreBundle{}
	exports := map[string]*CoreType{}
	d.vector(3, "core instantiation exports", maxArgs, func() {
		pos := d.pos
		name := d.name()
		kind := wasmbin.Kind(d.byte())
		if kind > wasmbin.Tag {
			d.refuseLeading(d.pos-1, byte(kind), "external kind")
			return
		}
		e := NamedRef{Name: name, Ref: Ref{Sort: coreSorts[kind], Index: d.u32()}}
		if exports[name] != nil {
			d.fail(pos, "duplicate instantiation export name `%s` already defined", name)
		}
		exports[name] = d.coreItemAt(s, pos, kind, e.Index)
		def.Exports = append(def.Exports, e)
	})
	if d.err == nil {
		d.pushCoreInstance(s, pos, exports)
		s.define(def)
	}
}

// instance reads the definition of an instance.
func (d *decoder) instance(s *scope) {
	pos := d.pos
	switch b := d.byte(); b {
	case formInstantiate:
		d.instantiate(s, pos)
	case formBundle:
		d.bundle(s, pos)
	default:
		d.refuseLeading(pos, b, "instance")
	}
}

// instantiate reads the instantiation of a component (Explainer.md, "Instance
// Definitions").
func (d *decoder) instantiate(s *scope, pos int) {
	def := &Instance{Component: d.u32()}
	given := map[string]*ExternType{}
	d.vector(3, "instantiation arguments", maxArgs, func() {
		pos := d.pos
		name := d.name()
		sort := d.sort("component external kind")
		t, ref := d.itemAt(s, pos, sort, d.u32())
		if given[name] != nil {
			d.fail(pos, "instantiation argument `%s` conflicts with previous argument `%s`", name, name)
		}
		given[name] = &t
		def.Args = append(def.Args, NamedRef{Name: name, Ref: ref})
	})
	c := at(d, s.components, pos, def.Component, "component")
	if c == nil {
		return
	}
	m, err := d.open("import", c.Imports, c.imported, func(name string) *ExternType { return given[name] })
	if err != nil {
		d.fail(pos, "%v", err)
		return
	}
	made := m.renew(c.own)
	s.made = append(s.made, made...)
	t := &InstanceType{size: c.size, depth: c.depth}
	t.Exports, _ = m.externs(c.Exports)
	def.Type = t
	item := ExternType{Of: InstanceSort, Instance: t}
	def.Binds = d.bindings(&item, made)
	d.push(s, pos, &item)
	s.define(def)
}

// bundle reads an instance made of exports.
func (d *decoder) bundle(s *scope, pos int) {
	def := &Bundle{Type: &InstanceType{size: 1}}
	names := externs{what: "export"}
	d.vector(4, "instantiation exports", maxArgs, func() {
		a := d.attributes()
		pos := d.pos
		sort := d.sort("component external kind")
		t, ref := d.itemAt(s, pos, sort, d.u32())
		if d.err != nil {
			return
		}
		d.checkName(&names, &a, &t)
		d.addSize(pos, &def.Type.size, d.sizeOf(&t))
		def.Type.Exports = append(def.Type.Exports, Extern{Name: a.name, Implements: a.implements, ExternType: t})
		def.Exports = append(def.Exports, NamedRef{Name: a.name, Ref: ref})
	})
	def.Type.depth = d.nesting(def.Type.Exports)
	if d.err == nil {
		d.push(s, pos, &ExternType{Of: InstanceSort, Instance: def.Type})
		s.define(def)
	}
}
