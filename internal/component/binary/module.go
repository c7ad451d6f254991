package binary

import (
	"bytes"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// coreSpace is what a core module or a module type defines so far.
type coreSpace struct {
	types  []coreTypeDef
	items  [wasmbin.Tag + 1][]*CoreType // by kind
	module *ModuleType

	imported map[[2]string]bool
	exported map[string]bool
}

func newCoreSpace() *coreSpace {
	return &coreSpace{
		module:   &ModuleType{size: 1},
		imported: map[[2]string]bool{},
		exported: map[string]bool{},
	}
}

// Section numbers of core modules whose content matters to their types.
const (
	coreCustom   = 0
	coreTypes    = 1
	coreImports  = 2
	coreFuncs    = 3
	coreTables   = 4
	coreMemories = 5
	coreGlobals  = 6
	coreExports  = 7
	coreCode     = 10
	coreTags     = 13
)

// coreOrder gives the place of each section in a core module, by its number: tags
// come after memories, and the data count before code.
var coreOrder = [...]int{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6}

// coreModule reads as much of the core module that is the rest of the section as
// says its type. Code, data and elements are left to the engine.
func (d *decoder) coreModule() *ModuleType {
	at := d.pos
	head := d.bytes(8)
	if d.err == nil && !bytes.Equal(head, []byte("\x00asm\x01\x00\x00\x00")) {
		d.fail(at, "expected a version header for a module")
	}
	c := newCoreSpace()
	order := 0
	bodies := 0
	for !d.done() {
		at := d.pos
		id := d.byte()
		if int(id) >= len(coreOrder) {
			d.fail(at, "malformed section id %d of a core module", id)
			break
		}
		outer := d.enter(d.u32(), d.section)
		if id != coreCustom {
			if coreOrder[id] <= order {
				d.fail(at, "section out of order: number %d of a core module", id)
			}
			order = coreOrder[id]
		}
		if id == coreCode {
			bodies = int(d.u32())
		}
		d.coreSection(c, id)
		d.leave(outer)
	}
	defined := len(c.items[wasmbin.Func]) - c.module.funcImports()
	if d.err == nil && bodies != defined {
		d.fail(d.pos, "function and code section have inconsistent lengths")
	}
	return c.module
}

func (t *ModuleType) funcImports() (n int) {
	for i := range t.Imports {
		if t.Imports[i].Kind == wasmbin.Func {
			n++
		}
	}
	return n
}

// coreSection reads a section of a core module, or skips it.
func (d *decoder) coreSection(c *coreSpace, id byte) {
	switch id {
	case coreCustom:
		d.name()
		d.pos = max(d.pos, d.end)
	case coreTypes:
		d.vector(2, "types", maxTypes, func() { c.types = append(c.types, d.coreFuncType()) })
	case coreImports:
		d.vector(4, "imports", maxExterns, func() { d.coreImport(c) })
	case coreFuncs:
		d.vector(1, "functions", maxFuncs, func() { d.addCore(c, d.coreFuncOf(c)) })
	case coreTables:
		d.vector(3, "tables", maxItems, func() { d.addCore(c, d.tableType()) })
	case coreMemories:
		d.vector(2, "memories", maxItems, func() { d.addCore(c, d.memoryType()) })
	case coreTags:
		d.vector(2, "tags", maxItems, func() { d.addCore(c, d.tagType(c)) })
	case coreGlobals:
		d.vector(4, "globals", maxItems, func() {
			d.addCore(c, d.globalType())
			d.constant()
		})
	case coreExports:
		d.vector(3, "exports", maxExterns, func() { d.coreModuleExport(c) })
	default:
		d.pos = max(d.pos, d.end)
	}
}

// addCore appends an item to its index space.
func (d *decoder) addCore(c *coreSpace, t *CoreType) {
	if d.err == nil {
		c.items[t.Kind] = append(c.items[t.Kind], t)
	}
}

// coreFuncOf reads the index of a function type. It gives nil after a failure.
func (d *decoder) coreFuncOf(c *coreSpace) *CoreType {
	at := d.pos
	i := d.u32()
	if int(i) >= len(c.types) {
		d.fail(at, "unknown type %d: type index out of bounds", i)
	}
	if d.err != nil {
		return nil
	}
	return c.types[i].fn
}

func (d *decoder) tagType(c *coreSpace) *CoreType {
	at := d.pos
	if b := d.byte(); b != 0 {
		d.fail(at, "invalid tag attributes %#x", b)
	}
	f := d.coreFuncOf(c)
	if f == nil {
		return nil
	}
	if len(f.Func.Results) > 0 {
		d.fail(at, "invalid exception type: non-empty tag result type")
	}
	t := *f
	t.Kind = wasmbin.Tag
	return &t
}

// coreExternType reads the type of an import, or of an export of a module type.
func (d *decoder) coreExternType(c *coreSpace) *CoreType {
	at := d.pos
	switch b := d.byte(); wasmbin.Kind(b) {
	case wasmbin.Func:
		return d.coreFuncOf(c)
	case wasmbin.Table:
		return d.tableType()
	case wasmbin.Memory:
		return d.memoryType()
	case wasmbin.Global:
		return d.globalType()
	case wasmbin.Tag:
		return d.tagType(c)
	default:
		if b == 0x10 || b == 0x20 {
			d.refuse(at, &featureTypeImports)
		} else {
			d.refuseLeading(at, b, "external kind")
		}
		return nil
	}
}

func (d *decoder) coreImport(c *coreSpace) {
	at := d.pos
	i := CoreImport{Module: d.name(), Name: d.name()}
	t := d.coreExternType(c)
	if d.err != nil {
		return
	}
	key := [2]string{i.Module, i.Name}
	if c.imported[key] {
		d.fail(at, "duplicate import name `%s:%s` already defined", i.Module, i.Name)
		return
	}
	c.imported[key] = true
	i.CoreType = *t
	d.addCore(c, t)
	c.module.Imports = append(c.module.Imports, i)
	d.addSize(at, &c.module.size, t.size())
}

// coreModuleExport reads an export of a module, which names an item.
func (d *decoder) coreModuleExport(c *coreSpace) {
	at := d.pos
	name := d.name()
	kind := wasmbin.Kind(d.byte())
	i := d.u32()
	switch {
	case d.err != nil:
	case kind > wasmbin.Tag:
		d.refuseLeading(at, byte(kind), "external kind")
	case int(i) >= len(c.items[kind]):
		d.fail(at, "unknown %s %d: %s index out of bounds", coreKindNames[kind], i, coreKindNames[kind])
	default:
		d.addCoreExport(c, at, name, c.items[kind][i])
	}
}

func (d *decoder) addCoreExport(c *coreSpace, at int, name string, t *CoreType) {
	if d.err != nil {
		return
	}
	if c.exported[name] {
		d.fail(at, "duplicate export name `%s` already defined", name)
		return
	}
	c.exported[name] = true
	c.module.Exports = append(c.module.Exports, CoreExport{Name: name, CoreType: *t})
	d.addSize(at, &c.module.size, t.size())
}

// size is how much an item adds to the size of a type.
func (t *CoreType) size() int { return 1 + len(t.Func.Params) + len(t.Func.Results) }

// Instructions of constant expressions.
const (
	opEnd       = 0x0b
	opGlobalGet = 0x23
	opI32Const  = 0x41
	opI64Const  = 0x42
	opF32Const  = 0x43
	opF64Const  = 0x44
	opI32Add    = 0x6a
	opI32Mul    = 0x6c
	opI64Add    = 0x7c
	opI64Mul    = 0x7e
	opRefNull   = 0xd0
	opRefFunc   = 0xd2
	opGC        = 0xfb
	opVector    = 0xfd
	vectorConst = 12
)

// constant skips a constant expression.
func (d *decoder) constant() {
	for d.err == nil {
		at := d.pos
		switch op := d.byte(); {
		case op == opEnd:
			return
		case op == opI32Const:
			d.signed(32)
		case op == opI64Const:
			d.signed(64)
		case op == opF32Const:
			d.bytes(4)
		case op == opF64Const:
			d.bytes(8)
		case opI32Add <= op && op <= opI32Mul, opI64Add <= op && op <= opI64Mul:
		case op == opGlobalGet, op == opRefFunc:
			d.u32()
		case op == opRefNull:
			d.signed(33)
		case op == opVector && d.u32() == vectorConst:
			d.bytes(16)
		case op == opGC:
			d.refuse(at, &featureGC)
		default:
			d.fail(at, "instruction %#x in a constant expression", op)
		}
	}
}
