package binary

import (
	"bytes"

	"github.com/waterbear-run/waterbear/wit"
)

// Section numbers of components.
const (
	sectionCustom = iota
	sectionCoreModule
	sectionCoreInstance
	sectionCoreType
	sectionComponent
	sectionInstance
	sectionAlias
	sectionType
	sectionCanon
	sectionStart
	sectionImport
	sectionExport
	sectionValue
)

var sectionNames = [...]string{
	"custom section", "core module section", "core instance section", "core type section", "component section",
	"instance section", "alias section", "type section", "canonical function section", "start section",
	"import section", "export section", "value section",
}

// The preamble: the version is that of WASI 0.2, and the layer is that of
// components, which core modules have 0 for.
const (
	version        = 0x0d
	layerModule    = 0
	layerComponent = 1
	preambleBytes  = 8
)

var magic = []byte("\x00asm")

// decoder reads a component and all that is in it.
type decoder struct {
	reader
	depth     int // of what is being read
	types     int // how many there are, in all scopes
	work      int // see charge
	coreBytes int // of core modules that have been read

	facts   map[*wit.Type]facts
	funcs   map[*wit.Func]facts
	handles map[*wit.Type]*resourceName // what each own and borrow was made with
	flat    map[*wit.Type]flat
	// same are pairs of types found to be the same.
	same map[[2]*wit.Type]bool
}

// IsComponent says whether source is a component by its first bytes, whatever its
// version, and not a core module.
func IsComponent(source []byte) bool {
	return len(source) >= preambleBytes && bytes.HasPrefix(source, magic) && source[6] == layerComponent && source[7] == 0
}

// Decode reads a component and validates it. What it returns refers to source.
// The code of core modules is not validated: that is for the engine, when it
// compiles them. An error is an *Error.
func Decode(source []byte) (*Component, error) {
	d := &decoder{
		reader:  reader{data: source, end: len(source), section: "preamble"},
		facts:   map[*wit.Type]facts{},
		funcs:   map[*wit.Func]facts{},
		handles: map[*wit.Type]*resourceName{},
		flat:    map[*wit.Type]flat{},
		same:    map[[2]*wit.Type]bool{},
	}
	if len(source) > maxBytes {
		d.tooMany(maxBytes, len(source), "bytes of a component", maxBytes)
		return nil, d.err
	}
	c, _ := d.component(nil)
	if d.err != nil {
		return nil, d.err
	}
	nameResources(c.Exports)
	return c, nil
}

// nameResources gives resource types that have no name, those that the component
// makes itself, the one that they are exported by.
func nameResources(exports []Extern) {
	for _, e := range exports {
		switch {
		case e.Resource != nil && e.Resource.Name == "":
			e.Resource.Name = e.Name
		case e.Instance != nil:
			nameResources(e.Instance.Exports)
		}
	}
}

// component reads a component from its preamble to the end of the section, and
// gives its type as well.
func (d *decoder) component(outer *scope) (*Component, *ComponentType) {
	s := newScope(inComponent, outer)
	s.component = &Component{}
	d.preamble()
	d.deeper(func() {
		for !d.done() {
			pos := d.pos
			id := d.byte()
			if int(id) >= len(sectionNames) {
				d.fail(pos, "malformed section id %d", id)
				return
			}
			size := d.u32()
			before := d.enter(size, sectionNames[id])
			d.componentSection(s, int(id))
			d.leave(before)
		}
	})
	s.component.Imports, s.component.Exports = s.imports.list, s.exports.list
	return s.component, d.finish(s)
}

// deeper reads what lies one level deeper.
func (d *decoder) deeper(read func()) {
	if d.depth == maxNesting {
		d.fail(d.pos, "nesting is too deep: more than %d components and types in each other", maxNesting)
		return
	}
	d.depth++
	read()
	d.depth--
}

func (d *decoder) preamble() {
	pos := d.pos
	head := d.bytes(preambleBytes)
	if d.err != nil {
		return
	}
	v, layer := uint16(head[4])|uint16(head[5])<<8, uint16(head[6])|uint16(head[7])<<8
	switch {
	case !bytes.HasPrefix(head, magic):
		d.fail(pos, "magic header not detected: this is not WebAssembly")
	case layer == layerModule && v == 1:
		d.fail(pos+4, "expected a version header for a component: this is a core module")
	case layer != layerComponent:
		d.fail(pos+6, "unknown binary version: layer %#x is not that of components", layer)
	case 0 < v && v < version:
		d.refuse(pos+4, &featureOld)
		d.err.Rule = "unknown binary version: " + d.err.Rule
	case v != version:
		d.fail(pos+4, "unknown binary version %#x of a component", v)
	}
}

func (d *decoder) componentSection(s *scope, id int) {
	pos := d.pos
	switch id {
	case sectionCustom:
		d.custom(s)
	case sectionCoreModule:
		m := &CoreModule{Source: d.data[d.pos:d.end:d.end], Type: d.coreModule()}
		d.coreBytes += len(m.Source)
		d.push(s, pos, &ExternType{Of: CoreModuleSort, Module: m.Type})
		s.define(m)
	case sectionCoreInstance:
		d.vector(2, "core instances", maxInstances, func() { d.coreInstance(s) })
	case sectionCoreType:
		d.vector(1, "core types", maxTypes, func() { d.coreType(s) })
	case sectionComponent:
		inner, t := d.component(s)
		d.push(s, pos, &ExternType{Of: ComponentSort, Component: t})
		s.define(&SubComponent{inner})
	case sectionInstance:
		d.vector(2, "instances", maxInstances, func() { d.instance(s) })
	case sectionAlias:
		d.vector(4, "aliases", maxItems, func() { d.alias(s) })
	case sectionType:
		d.vector(1, "types", maxTypes, func() { d.typeDef(s) })
	case sectionCanon:
		d.vector(1, "canonical functions", maxFuncs, func() { d.canon(s) })
	case sectionStart, sectionValue:
		d.refuse(pos, &featureValues)
	case sectionImport:
		d.vector(4, "imports", maxExterns, func() { d.importDef(s) })
	case sectionExport:
		d.vector(4, "exports", maxExterns, func() { d.exportDef(s) })
	}
}

// custom reads a custom section. Only the name of the component is kept; one that
// is malformed is none, as the specification has it ("Name Section").
func (d *decoder) custom(s *scope) {
	name := d.name()
	if d.err != nil {
		return
	}
	if name == "component-name" {
		names := decoder{reader: d.reader}
		if id, size := names.byte(), names.u32(); id == 0 && int64(size) <= int64(names.left()) {
			if name := names.name(); names.err == nil {
				s.component.Name = name
			}
		}
	}
	d.pos = d.end
}

func (d *decoder) importDef(s *scope) {
	a := d.attributes()
	t, isNew := d.externType(s, a.name)
	if d.err != nil {
		return
	}
	e, binds := d.declare(s, &s.imports, &a, t, isNew)
	if s.component != nil {
		s.define(&Import{Extern: e, Binds: binds})
	}
}

// exportDef reads an export of a component, which gives an item a name and maybe
// a type that says less of it.
func (d *decoder) exportDef(s *scope) {
	a := d.attributes()
	pos := d.pos
	sort := d.sort("component external kind")
	t, ref := d.itemAt(s, pos, sort, d.u32())
	if d.err == nil && sort == Type {
		t = d.renamed(&t, a.name)
	}
	isNew := false
	pos = d.pos
	switch b := d.byte(); b {
	case 0:
	case 1:
		var ascribed ExternType
		ascribed, isNew = d.externType(s, a.name)
		if d.err == nil {
			t = d.ascribe(pos, &t, ascribed, isNew)
		}
	default:
		d.refuseLeading(pos, b, "optional component export type")
	}
	if d.err != nil {
		return
	}
	e, binds := d.declare(s, &s.exports, &a, t, isNew)
	s.define(&Export{Extern: e, Item: ref, Binds: binds})
}

// ascribe gives the type that an export of an item of type t has by ascription.
func (d *decoder) ascribe(pos int, t *ExternType, ascribed ExternType, isNew bool) ExternType {
	var err error
	switch {
	case isNew && t.Resource == nil:
		err = expected("resource", typeKind(t))
	case isNew:
	default:
		err = d.ascriptionMatch(t, &ascribed)
	}
	if err != nil {
		d.fail(pos, "ascribed type of export is not compatible with item's type: %v", err)
	}
	return ascribed
}
