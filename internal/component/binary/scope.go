package binary

import (
	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

// scopeKind is what has index spaces of its own.
type scopeKind uint8

const (
	inComponent scopeKind = iota
	inComponentType
	inInstanceType
)

// scope is a component, a component type or an instance type that is being read:
// its index spaces as far as they are filled.
type scope struct {
	kind  scopeKind
	outer *scope
	// component is what is made, if it is one.
	component *Component

	coreTypes     []coreTypeDef
	coreItems     [wasmbin.Tag + 1][]*CoreType // by kind
	coreModules   []*ModuleType
	coreInstances []map[string]*CoreType

	types      []*ExternType // those Of Type
	funcs      []*wit.Func
	components []*ComponentType
	instances  []*InstanceType

	imports, exports externs

	// imported are the resource types that the imports bring, in order.
	imported []*wit.Resource
	// made are the resource types that come into being here: by definition, by
	// instantiation, or because an export says less than is known of it.
	made []*wit.Resource
	// defined are those of made that a definition here makes.
	defined map[*wit.Resource]bool

	size int // of the imports and exports, see maxTypeSize
}

func newScope(kind scopeKind, outer *scope) *scope {
	return &scope{
		kind: kind, outer: outer, size: 1,
		imports: externs{what: "import"}, exports: externs{what: "export"},
	}
}

// at is the item with an index in a space, or the zero value after a failure. An
// error calls the item what, and its space by the last word of that.
func at[T any](d *decoder, space []T, pos int, i uint32, what string) (item T) {
	if int(i) >= len(space) {
		d.fail(pos, "unknown %s %d: %s index out of bounds", what, i, lastWord(what))
	}
	if d.err == nil {
		item = space[i]
	}
	return item
}

// resourceAt reads the index of a resource type. It gives nil after a failure.
func (d *decoder) resourceAt(s *scope) *ExternType {
	pos := d.pos
	i := d.u32()
	t := at(d, s.types, pos, i, "type")
	if t != nil && t.Resource == nil {
		d.fail(pos, "type index %d is not a resource type", i)
		return nil
	}
	return t
}

// coreItemAt is the type of the core item with an index, or nil after a failure.
func (d *decoder) coreItemAt(s *scope, pos int, kind wasmbin.Kind, i uint32) *CoreType {
	what := coreSpaceNames[kind]
	if kind == wasmbin.Func {
		what = "core function"
	}
	return at(d, s.coreItems[kind], pos, i, what)
}

// itemAt is the type of an item that can be exported or passed, and a reference
// to it.
func (d *decoder) itemAt(s *scope, pos int, sort Sort, i uint32) (ExternType, Ref) {
	t, ref := ExternType{Of: sort}, Ref{Sort: sort, Index: i}
	switch sort {
	case CoreModuleSort:
		t.Module = at(d, s.coreModules, pos, i, "module")
	case Func:
		t.Func = at(d, s.funcs, pos, i, "function")
	case Type:
		if def := at(d, s.types, pos, i, "type"); def != nil {
			t = *def
		}
		ref = Ref{Sort: Type, Resource: t.Resource}
	case ComponentSort:
		t.Component = at(d, s.components, pos, i, "component")
	case InstanceSort:
		t.Instance = at(d, s.instances, pos, i, "instance")
	}
	return t, ref
}

// push appends an item to its index space.
func (d *decoder) push(s *scope, at int, t *ExternType) {
	n, limit, what := 0, 0, ""
	switch t.Of {
	case CoreModuleSort:
		s.coreModules = append(s.coreModules, t.Module)
		n, limit, what = len(s.coreModules), maxModules, "modules"
	case Func:
		s.funcs = append(s.funcs, t.Func)
		n, limit, what = len(s.funcs)+len(s.coreItems[wasmbin.Func]), maxFuncs, "functions"
	case Type:
		s.types = append(s.types, t)
		d.types++
		n, limit, what = d.types, maxTypes, "types"
	case ComponentSort:
		s.components = append(s.components, t.Component)
		n, limit, what = len(s.components), maxComponents, "components"
	case InstanceSort:
		s.instances = append(s.instances, t.Instance)
		n, limit, what = len(s.instances)+len(s.coreInstances), maxInstances, "instances"
	}
	if n > limit {
		d.tooMany(at, n, what, limit)
	}
}

// pushCore appends a core item to its index space.
func (d *decoder) pushCore(s *scope, at int, t *CoreType) {
	space := &s.coreItems[t.Kind]
	*space = append(*space, t)
	n, limit := len(*space), maxItems
	if t.Kind == wasmbin.Func {
		n, limit = n+len(s.funcs), maxFuncs
	}
	if n > limit {
		d.tooMany(at, n, coreSpaceNames[t.Kind]+" items", limit)
	}
}

// pushCoreType appends a core type to its index space.
func (d *decoder) pushCoreType(s *scope, at int, t coreTypeDef) {
	s.coreTypes = append(s.coreTypes, t)
	if d.types++; d.types > maxTypes {
		d.tooMany(at, d.types, "types", maxTypes)
	}
}

// pushCoreInstance appends a core instance to its index space.
func (d *decoder) pushCoreInstance(s *scope, at int, exports map[string]*CoreType) {
	s.coreInstances = append(s.coreInstances, exports)
	if n := len(s.instances) + len(s.coreInstances); n > maxInstances {
		d.tooMany(at, n, "instances", maxInstances)
	}
}

// outward is the scope that is count scopes further out, or nil after a failure.
func (d *decoder) outward(s *scope, at int, count uint32) *scope {
	for n := count; s != nil && n > 0; n-- {
		s = s.outer
	}
	if s == nil {
		d.fail(at, "invalid outer alias count of %d", count)
	}
	return s
}

// define appends a definition to the component that is being read.
func (s *scope) define(def Def) {
	s.component.Defs = append(s.component.Defs, def)
}
