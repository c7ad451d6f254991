package binary

import (
	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

// Opcodes of types that are no value types.
const (
	codeResource      = 0x3f
	codeFunc          = 0x40
	codeComponentType = 0x41
	codeInstanceType  = 0x42
	codeAsyncFunc     = 0x43
)

// typeDef reads the definition of a type.
func (d *decoder) typeDef(s *scope) {
	pos := d.pos
	t := &ExternType{Of: Type}
	switch code := d.byte(); code {
	case codeResource:
		d.resourceType(s, pos, t)
	case codeFunc:
		t.Func = d.funcType(s)
	case codeAsyncFunc:
		d.refuse(pos, &featureAsync)
	case codeComponentType:
		t.Component = d.componentType(s)
	case codeInstanceType:
		t.Instance = d.instanceType(s)
	default:
		t.Value = d.definedType(s, pos, code)
	}
	if d.err == nil {
		d.push(s, pos, t)
	}
}

// resourceType reads a resource type, behind its opcode.
func (d *decoder) resourceType(s *scope, pos int, t *ExternType) {
	if s.kind != inComponent {
		d.fail(pos, "resources can only be defined within a concrete component")
		return
	}
	switch d.coreValueType() {
	case wasmbin.I32:
	case wasmbin.I64:
		d.refuse(pos, &featureMemory64)
	default:
		d.fail(pos, "resources can only be represented by `i32`")
	}
	def := &ResourceType{Dtor: -1}
	at := d.pos
	switch b := d.byte(); b {
	case 0:
	case 1:
		at = d.pos
		i := d.u32()
		def.Dtor = int(i)
		f := d.coreItemAt(s, at, wasmbin.Func, i)
		if f != nil && !sameCoreFunc(&f.Func, &dtorType.Func) {
			d.fail(at, "core function %d has wrong signature for a destructor", i)
		}
	default:
		d.refuseLeading(at, b, "resource destructor")
	}
	def.Resource = &wit.Resource{}
	t.Resource, t.name = def.Resource, &resourceName{def.Resource}
	s.made = append(s.made, def.Resource)
	if s.defined == nil {
		s.defined = map[*wit.Resource]bool{}
	}
	s.defined[def.Resource] = true
	s.define(def)
}

// Kinds of declarations in the types of components and instances.
const (
	declCoreType = iota
	declType
	declAlias
	declImport
	declExport
)

// componentType reads the type of a component, behind its opcode.
func (d *decoder) componentType(outer *scope) *ComponentType {
	s := newScope(inComponentType, outer)
	d.declarations(s)
	return d.finish(s)
}

// instanceType reads the type of an instance, behind its opcode.
func (d *decoder) instanceType(outer *scope) *InstanceType {
	s := newScope(inInstanceType, outer)
	d.declarations(s)
	t := &InstanceType{Exports: s.exports.list, own: s.made, size: s.size}
	t.depth = d.nesting(t.Exports)
	return t
}

func (d *decoder) declarations(s *scope) {
	d.deeper(func() {
		d.vector(2, "declarations of a type", maxDecls, func() { d.declaration(s) })
	})
}

func (d *decoder) declaration(s *scope) {
	pos := d.pos
	switch b := d.byte(); {
	case b == declCoreType:
		d.coreType(s)
	case b == declType:
		d.typeDef(s)
	case b == declAlias:
		d.alias(s)
	case b == declImport && s.kind == inComponentType:
		d.importDef(s)
	case b == declExport:
		a := d.attributes()
		t, isNew := d.externType(s, a.name)
		if d.err == nil {
			d.declare(s, &s.exports, &a, t, isNew)
		}
	default:
		d.refuseLeading(pos, b, "component or instance type declaration")
	}
}

// nesting is how deep types of instances and components lie in each other, of one
// that exchanges these items.
func (d *decoder) nesting(lists ...[]Extern) int {
	deepest := 0
	for _, list := range lists {
		for i := range list {
			deepest = max(deepest, depthOf(&list[i].ExternType))
		}
	}
	if deepest == maxNesting {
		d.fail(d.pos, "type nesting is too deep: more than %d", maxNesting)
	}
	return deepest + 1
}

// finish gives the type of a component that has been read, or of a component type.
func (d *decoder) finish(s *scope) *ComponentType {
	t := &ComponentType{Imports: s.imports.list, Exports: s.exports.list, imported: s.imported, size: s.size}
	t.depth = d.nesting(t.Imports, t.Exports)
	if d.err != nil || len(s.made) == 0 {
		return t
	}
	used := d.resourcesOf(t.Imports)
	for _, r := range s.made {
		if used[r] {
			d.fail(d.pos, "local resource type found in imports")
		}
	}
	used = d.resourcesOf(t.Exports)
	exported := map[*wit.Resource]bool{}
	for i := range t.Exports {
		d.eachResource(&t.Exports[i].ExternType, nil, func(r *wit.Resource, _ []string) { exported[r] = true })
	}
	for _, r := range s.made {
		if !used[r] {
			continue
		}
		if !exported[r] {
			d.fail(d.pos, "local resource type found in export but not exported itself")
		}
		t.own = append(t.own, r)
	}
	return t
}

// coreType reads the definition of a core type.
func (d *decoder) coreType(s *scope) {
	pos := d.pos
	switch d.peek() {
	case formSub:
		d.pos++
		m := d.moduleType(s)
		if d.err == nil {
			d.pushCoreType(s, pos, coreTypeDef{module: m})
		}
	case 0:
		d.byte()
		if b := d.byte(); b != formSub {
			d.refuseLeading(pos+1, b, "non-final sub type")
			return
		}
		d.pushCoreType(s, pos, d.openFuncType())
	default:
		d.pushCoreType(s, pos, d.coreFuncType())
	}
}

// Kinds of declarations in module types.
const (
	coreDeclImport = iota
	coreDeclType
	coreDeclAlias
	coreDeclExport
)

// moduleType reads the type of a core module, behind its opcode.
func (d *decoder) moduleType(s *scope) *ModuleType {
	c := newCoreSpace()
	d.vector(2, "module type declarations", maxCoreDecls, func() {
		pos := d.pos
		switch b := d.byte(); b {
		case coreDeclImport:
			d.coreImport(c)
		case coreDeclType:
			c.types = append(c.types, d.coreFuncType())
		case coreDeclAlias:
			d.coreTypeAlias(s, c)
		case coreDeclExport:
			name := d.name()
			d.addCoreExport(c, pos, name, d.coreExternType(c))
		default:
			d.refuseLeading(pos, b, "type definition")
		}
	})
	return c.module
}

// coreTypeAlias reads an alias in a module type: of a core type around.
func (d *decoder) coreTypeAlias(s *scope, c *coreSpace) {
	pos := d.pos
	if b := d.byte(); b != 0x10 {
		d.refuseLeading(pos, b, "outer alias kind")
	}
	if b := d.byte(); b != 1 {
		d.refuseLeading(pos+1, b, "outer alias target")
	}
	pos = d.pos
	count, i := d.u32(), d.u32()
	space := c.types
	if count > 0 {
		if from := d.outward(s, pos, count-1); from != nil {
			space = from.coreTypes
		}
	}
	t := at(d, space, pos, i, "type")
	if t.module != nil {
		d.fail(pos, "not implemented: aliasing core module types into a core module's types index space")
	}
	if d.err == nil {
		c.types = append(c.types, t)
	}
}
