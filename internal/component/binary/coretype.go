package binary

import "github.com/waterbear-run/waterbear/internal/wasmbin"

// coreTypeDef is a core type: the type of functions or of modules.
type coreTypeDef struct {
	fn     *CoreType
	module *ModuleType
}

// Forms of core types.
const (
	formFunc     = 0x60
	formCont     = 0x5d
	formStruct   = 0x5f
	formArray    = 0x5e
	formSubFinal = 0x4f
	formSub      = 0x50 // and, at the top level of a component, a module type
	formRec      = 0x4e
)

// coreFuncType reads a type of a core module, which has to be of a function.
func (d *decoder) coreFuncType() coreTypeDef {
	at := d.pos
	switch b := d.byte(); b {
	case formFunc:
		return coreTypeDef{fn: &CoreType{Kind: wasmbin.Func, Func: wasmbin.FuncType{
			Params:  d.coreValueTypes("parameters"),
			Results: d.coreValueTypes("results"),
		}}}
	case formStruct, formArray, formRec, formSub, formSubFinal, 0x4c, 0x4d, 0x65:
		d.refuse(at, &featureGC)
	case formCont:
		d.refuse(at, &featureStackSwitching)
	default:
		d.refuseLeading(at, b, "type")
	}
	return coreTypeDef{}
}

// openFuncType reads the rest of a sub type, behind its opcode: without
// supertypes, as there is nothing here that it could be a subtype of.
func (d *decoder) openFuncType() coreTypeDef {
	at := d.pos
	if d.u32() != 0 || d.peek() != formFunc {
		d.refuse(at, &featureGC)
		return coreTypeDef{}
	}
	t := d.coreFuncType()
	t.fn.open = true
	return t
}

func (d *decoder) coreValueTypes(what string) []wasmbin.ValueType {
	n := d.count(1, what, maxParams)
	if n == 0 {
		return nil
	}
	t := make([]wasmbin.ValueType, n)
	for i := range t {
		t[i] = d.coreValueType()
	}
	return t
}

// coreValueType reads a core value type. Of references only those of WebAssembly
// 2.0 and exnref are taken, in whatever form.
func (d *decoder) coreValueType() wasmbin.ValueType {
	at := d.pos
	b := d.byte()
	switch t := wasmbin.ValueType(b); t {
	case wasmbin.I32, wasmbin.I64, wasmbin.F32, wasmbin.F64, wasmbin.V128,
		wasmbin.FuncRef, wasmbin.ExternRef, wasmbin.ExnRef:
		return t
	}
	if b != 0x63 && b != 0x64 {
		d.badValueType(at, b)
		return 0
	}
	heap := d.signed(33)
	if b == 0x63 && heap < 0 {
		switch t := wasmbin.ValueType(heap & 0x7f); t {
		case wasmbin.FuncRef, wasmbin.ExternRef, wasmbin.ExnRef:
			return t
		}
	}
	if d.err == nil {
		d.refuse(at, &featureGC)
	}
	return 0
}

func (d *decoder) badValueType(at int, b byte) {
	switch b {
	case 0x78, 0x77, 0x74, 0x73, 0x72, 0x71, 0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x65:
		d.refuse(at, &featureGC)
	case 0x75, 0x68:
		d.refuse(at, &featureStackSwitching)
	default:
		d.refuseLeading(at, b, "core value type")
	}
}

// tableType reads the type of a core table.
func (d *decoder) tableType() *CoreType {
	at := d.pos
	if d.peek() == 0x40 {
		d.refuse(at, &featureGC)
		return nil
	}
	t := &CoreType{Kind: wasmbin.Table, Value: d.coreValueType()}
	switch t.Value {
	case wasmbin.FuncRef, wasmbin.ExternRef, wasmbin.ExnRef:
	default:
		d.fail(at, "a table of what is no reference")
	}
	d.limits(t)
	if t.Min > maxTableItems {
		d.tooMany(at, int(t.Min), "items of a table", maxTableItems)
	}
	return t
}

// memoryType reads the type of a core memory.
func (d *decoder) memoryType() *CoreType {
	at := d.pos
	t := &CoreType{Kind: wasmbin.Memory}
	d.limits(t)
	if t.Min > maxPages || t.Max > maxPages {
		d.fail(at, "memory size must be at most %d pages", maxPages)
	}
	return t
}

// limits reads the limits of a table or a memory.
func (d *decoder) limits(t *CoreType) {
	at := d.pos
	flags := d.byte()
	switch {
	case flags > 0x0f:
		d.fail(at, "invalid limits flags %#x", flags)
	case flags&2 != 0:
		d.refuse(at, &featureCoreThreads)
	case flags&4 != 0:
		d.refuse(at, &featureMemory64)
	case flags&8 != 0:
		d.refuse(at, &featurePageSizes)
	}
	t.Min = uint64(d.u32())
	if flags&1 == 0 {
		return
	}
	t.Bounded, t.Max = true, uint64(d.u32())
	if t.Max < t.Min {
		d.fail(at, "size minimum must not be greater than maximum")
	}
}

func (d *decoder) globalType() *CoreType {
	t := &CoreType{Kind: wasmbin.Global, Value: d.coreValueType()}
	at := d.pos
	switch b := d.byte(); {
	case b == 1:
		t.Mutable = true
	case b&2 != 0:
		d.refuse(at, &featureCoreThreads)
	case b != 0:
		d.fail(at, "malformed mutability %#x", b)
	}
	return t
}

// coreMatch says why an item of type a cannot stand for one of type b, or nil.
func coreMatch(a, b *CoreType) error {
	if a.Kind != b.Kind {
		return expected(coreKindNames[b.Kind], coreKindNames[a.Kind])
	}
	switch a.Kind {
	case wasmbin.Func, wasmbin.Tag:
		if !sameCoreFunc(&a.Func, &b.Func) || a.open != b.open {
			return mismatch("expected: %s, found: %s", coreFuncText(b), coreFuncText(a))
		}
	case wasmbin.Table:
		if a.Value != b.Value {
			return mismatch("expected table element type %s, found %s", coreValueNames[b.Value], coreValueNames[a.Value])
		}
		if !fits(a, b) {
			return mismatch("mismatch in table limits")
		}
	case wasmbin.Memory:
		if !fits(a, b) {
			return mismatch("mismatch in memory limits")
		}
	case wasmbin.Global:
		if a.Mutable != b.Mutable {
			return mismatch("global types differ in mutability")
		}
		if a.Value != b.Value {
			return mismatch("expected global type %s, found %s", coreValueNames[b.Value], coreValueNames[a.Value])
		}
	}
	return nil
}

// fits says whether the limits a lie within b.
func fits(a, b *CoreType) bool {
	return a.Min >= b.Min && (!b.Bounded || a.Bounded && a.Max <= b.Max)
}

// moduleMatch says why a module of type a cannot stand for one of type b, or
// nil: a may import less and export more.
func (d *decoder) moduleMatch(a, b *ModuleType) error {
	if a == b {
		return nil
	}
	d.charge(a.size + b.size)
	given := make(map[[2]string]*CoreType, len(b.Imports))
	for i := range b.Imports {
		given[[2]string{b.Imports[i].Module, b.Imports[i].Name}] = &b.Imports[i].CoreType
	}
	for i := range a.Imports {
		want := &a.Imports[i]
		t, ok := given[[2]string{want.Module, want.Name}]
		if !ok {
			return mismatch("missing expected import `%s::%s`", want.Module, want.Name)
		}
		if err := coreMatch(t, &want.CoreType); err != nil {
			return within(err, "type mismatch in import `%s::%s`", want.Module, want.Name)
		}
	}
	exports := a.exports()
	for i := range b.Exports {
		want := &b.Exports[i]
		t, ok := exports[want.Name]
		if !ok {
			return mismatch("missing expected export `%s`", want.Name)
		}
		if err := coreMatch(t, &want.CoreType); err != nil {
			return within(err, "type mismatch in export `%s`", want.Name)
		}
	}
	return nil
}

// exports are the types of a module's exports by name.
func (t *ModuleType) exports() map[string]*CoreType {
	if t.byName == nil {
		t.byName = make(map[string]*CoreType, len(t.Exports))
		for i := range t.Exports {
			t.byName[t.Exports[i].Name] = &t.Exports[i].CoreType
		}
	}
	return t.byName
}
