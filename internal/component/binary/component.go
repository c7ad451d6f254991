// Package binary reads WebAssembly components (component model of WASI 0.2,
// Binary.md and Explainer.md of WebAssembly/component-model) and checks all that
// can be known of one before it runs. What Decode returns is valid: a runtime
// instantiates it by going through its definitions once, in order. The package
// hides index spaces of types, the forms of the binary format and the rules of
// validation.
package binary

import (
	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

// Component is a valid component.
type Component struct {
	// Name is what its component-name section says, "" without one.
	Name string
	// Defs are its definitions in order. Each whose sort is not Type adds one item
	// to the index space of its sort: the items of a sort are numbered from 0 in
	// the order of their definitions, over all kinds of definitions. A definition
	// refers to earlier ones only. Definitions and aliases of types are not among
	// them, for whatever refers to a type has it here; but those of resource
	// types are, and so are imports and exports of types.
	Defs []Def
	// Imports and Exports are what it takes and what it gives, in order, in terms
	// of its own resource types.
	Imports, Exports []Extern
}

// Def is a definition of a component: a *CoreModule, *CoreInstance,
// *CoreBundle, *CoreAlias, *SubComponent, *Instance, *Bundle, *Alias,
// *OuterAlias, *ResourceType, *Lift, *Lower, *ResourceFunc, *Import or *Export.
type Def interface {
	// Sort is the index space that it adds to, or Type, which has none at run
	// time: resource types are known by their *wit.Resource.
	Sort() Sort
}

// Sort is a sort of definition, and names its index space.
type Sort uint8

// The sorts.
const (
	CoreFunc Sort = iota
	CoreTable
	CoreMemory
	CoreGlobal
	CoreTag
	CoreModuleSort
	CoreInstanceSort
	Func
	Type
	ComponentSort
	InstanceSort
	// Sorts is how many sorts there are.
	Sorts
)

// Ref refers to an item.
type Ref struct {
	Sort Sort
	// Index is that in the index space of Sort. It says nothing where Sort is
	// Type.
	Index uint32
	// Resource is which one, if Sort is Type and it is a resource type. Other
	// types are nothing at run time.
	Resource *wit.Resource
}

// NamedRef is a Ref under a name: an argument of an instantiation, or an export.
type NamedRef struct {
	Name string
	Ref
}

// Binding is a resource type that a definition brings into a component, which
// its function types name from then on. Two static resource types may stand for
// one at run time, never the reverse within an instance.
type Binding struct {
	Resource *wit.Resource
	// Path leads to the run-time type: the export names to go through from the
	// item defined, which is an instance; or nothing, if the item is the type.
	Path []string
}

// CoreModule is a core module.
type CoreModule struct {
	// Source is the module, a part of what was decoded. Its interface has been
	// read, its code has not.
	Source []byte
	Type   *ModuleType
}

// CoreInstance instantiates a core module.
type CoreInstance struct {
	Module uint32
	// Args give the core instance for each module name that it imports from.
	Args []CoreArg
}

// CoreArg is an argument of the instantiation of a core module.
type CoreArg struct {
	Name     string
	Instance uint32
}

// CoreBundle makes a core instance of items that are there.
type CoreBundle struct{ Exports []NamedRef }

// CoreAlias is an export of a core instance.
type CoreAlias struct {
	Of       Sort
	Instance uint32
	Name     string
}

// SubComponent is a component within. What an *OuterAlias in it refers to is
// that of the instance which the definition belongs to.
type SubComponent struct{ *Component }

// Instance instantiates a component.
type Instance struct {
	Component uint32
	Args      []NamedRef
	Type      *InstanceType
	// Binds are the resource types that it exports and nothing passed to it.
	Binds []Binding
}

// Bundle makes an instance of items that are there.
type Bundle struct {
	Exports []NamedRef
	Type    *InstanceType
}

// Alias is an export of an instance.
type Alias struct {
	Of       Sort
	Instance uint32
	Name     string
}

// OuterAlias is a core module or a component of a component around.
type OuterAlias struct {
	Of Sort
	// Outward is how many components out it is: 0 is this one.
	Outward uint32
	Index   uint32
}

// ResourceType makes a resource type, a new one in each instance.
type ResourceType struct {
	Resource *wit.Resource
	// Dtor is the core function that is called with the representation of what
	// is dropped, -1 for none.
	Dtor int
}

// Lift makes a function of a core function.
type Lift struct {
	CoreFunc uint32
	Type     *wit.Func
	Core     wasmbin.FuncType // of the core function
	Options  Options
}

// Lower makes a core function of a function.
type Lower struct {
	Func    uint32
	Type    *wit.Func
	Core    wasmbin.FuncType // of the core function
	Options Options
}

// Options say how values cross between a component and its core modules.
type Options struct {
	Encoding Encoding
	// Memory, Realloc and PostReturn are the indexes of a core memory and of
	// core functions, -1 for none.
	Memory, Realloc, PostReturn int
}

// Encoding is how strings lie in memory.
type Encoding uint8

// The encodings.
const (
	UTF8 Encoding = iota
	UTF16
	// Latin1OrUTF16 has the high bit of a length say which of the two it is.
	Latin1OrUTF16
)

// ResourceFunc makes a core function that works on handles.
type ResourceFunc struct {
	Op       ResourceOp
	Resource *wit.Resource
}

// ResourceOp is what a ResourceFunc does.
type ResourceOp uint8

// The operations: [rep] -> [handle], [handle] -> [] and [handle] -> [rep].
const (
	ResourceNew ResourceOp = iota
	ResourceDrop
	ResourceRep
)

// Import takes an item from outside.
type Import struct {
	Extern
	Binds []Binding
}

// Export gives an item to the outside under a name. It adds the same item to its
// index space once more.
type Export struct {
	Extern // its type as the outside sees it
	Item   Ref
	Binds  []Binding // the resource types that exist only in the type seen outside
}

// Extern is an import or an export: a name and a type.
type Extern struct {
	Name string
	// Implements is the interface that an instance under a plain name is said to
	// be one of, or "".
	Implements string
	ExternType
}

// ExternType is the type of an item that components exchange. The field that
// belongs to Of is set, and no other; if Of is Type, that for which it stands.
type ExternType struct {
	Of        Sort // CoreModuleSort, Func, Type, ComponentSort or InstanceSort
	Module    *ModuleType
	Func      *wit.Func
	Component *ComponentType
	Instance  *InstanceType
	// Value and Resource are what a Type can stand for besides a Func, a
	// Component or an Instance type.
	Value    *wit.Type
	Resource *wit.Resource

	// name is the definition or the alias that Resource was reached by.
	name *resourceName
	// origin is what Value was made known as before, or nil.
	origin *wit.Type
}

// InstanceType is the type of an instance.
type InstanceType struct {
	Exports []Extern

	// own are the resource types that it declares. An instance that is there has
	// none: they belong to the component that it is in.
	own    []*wit.Resource
	size   int // see maxTypeSize
	depth  int // of instance and component types in each other
	byName map[string]int
}

// ComponentType is the type of a component.
type ComponentType struct {
	Imports, Exports []Extern

	// imported are the resource types that it takes, and own are those of each
	// instance of it.
	imported, own []*wit.Resource
	size, depth   int
}

// ModuleType is the type of a core module.
type ModuleType struct {
	Imports []CoreImport
	Exports []CoreExport

	size   int // as a type, see maxTypeSize
	byName map[string]*CoreType
}

// CoreImport is an import of a core module.
type CoreImport struct {
	Module, Name string
	CoreType
}

// CoreExport is an export of a core module.
type CoreExport struct {
	Name string
	CoreType
}

// CoreType is the type of an item that core modules exchange. Which fields say
// something follows from Kind.
type CoreType struct {
	Kind wasmbin.Kind
	// Func is the type of a function, and the parameters of a tag.
	Func wasmbin.FuncType
	// Min and Max bound the size of a table, in items, or of a memory, in pages;
	// without Bounded there is no Max.
	Min, Max uint64
	Bounded  bool
	// Value is the type of a global or of the items of a table.
	Value   wasmbin.ValueType
	Mutable bool // of a global

	// open is set for a type of functions that subtypes could be declared of,
	// which makes it another type.
	open bool
}

// Sort is CoreModuleSort.
func (*CoreModule) Sort() Sort { return CoreModuleSort }

// Sort is CoreInstanceSort.
func (*CoreInstance) Sort() Sort { return CoreInstanceSort }

// Sort is CoreInstanceSort.
func (*CoreBundle) Sort() Sort { return CoreInstanceSort }

// Sort is that of the item.
func (d *CoreAlias) Sort() Sort { return d.Of }

// Sort is ComponentSort.
func (*SubComponent) Sort() Sort { return ComponentSort }

// Sort is InstanceSort.
func (*Instance) Sort() Sort { return InstanceSort }

// Sort is InstanceSort.
func (*Bundle) Sort() Sort { return InstanceSort }

// Sort is that of the item.
func (d *Alias) Sort() Sort { return d.Of }

// Sort is that of the item.
func (d *OuterAlias) Sort() Sort { return d.Of }

// Sort is Type.
func (*ResourceType) Sort() Sort { return Type }

// Sort is Func.
func (*Lift) Sort() Sort { return Func }

// Sort is CoreFunc.
func (*Lower) Sort() Sort { return CoreFunc }

// Sort is CoreFunc.
func (*ResourceFunc) Sort() Sort { return CoreFunc }

// Sort is that of the item.
func (d *Import) Sort() Sort { return d.Of }

// Sort is that of the item.
func (d *Export) Sort() Sort { return d.Item.Sort }
