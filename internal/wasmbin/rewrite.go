package wasmbin

import (
	"slices"
	"strconv"
	"strings"
)

// Options change what Rewrite does. They belong in the key of a compile cache.
type Options struct {
	// TableItems bounds the sum of the sizes of all tables, for ever:
	// table.grow beyond it gives -1. Zero means maxTableItems.
	TableItems uint32
	// TableRoom bounds the sum of what tables can grow by. Zero means TableItems.
	TableRoom uint32
	// Link prepares the module for being linked with others; nil for one that
	// stands alone.
	Link *Link
}

// Rewrite prepares a core module for the runtime. It takes time and memory in
// proportion to the source.
func Rewrite(source []byte, o Options) (*Rewritten, error) {
	if o.TableItems == 0 {
		o.TableItems = maxTableItems
	}
	if o.TableRoom == 0 {
		o.TableRoom = o.TableItems
	}
	m, err := decode(source, o)
	if err != nil {
		return nil, err
	}
	m.planCalls()
	if err := m.checkEffort(); err != nil {
		return nil, err
	}
	w := newRewriter(m)
	r := &Rewritten{
		Imports: m.imports,
		Exports: m.publicExports(),
		Reasons: m.reasons(),

		ExceptionRefs: m.use.exceptionRefs,
		MemoryImport:  m.memoryImport(),
		InstanceBytes: m.instanceBytes(),
	}
	w.exportState(r)
	if w.lateElements = m.lateElements(); w.lateElements {
		r.Elements = w.exportFunction("elements", w.addHelper("elements", typeRun, w.elementsBody()))
	}
	base, ok := m.takeBase()
	r.Base = base
	if !ok && m.link != nil {
		r.Data = w.exportFunction("data", w.addHelper("data", typeRun, w.dataBody(m.moveData())))
	}
	r.Module = w.module()
	r.InstanceBytes += 8 * uint64(w.tableItems)
	return r, nil
}

// rewriter writes the result. Its numbers are those of the index spaces of the
// result: what is added to types, functions and globals comes after what was
// there, except the yield import, which ends the imported functions.
type rewriter struct {
	m       *module
	exports []export // of the result, with the function indexes of the source
	prefix  string   // of added exports
	yield   uint32
	helpers []helper
	base    uint32 // function index of the first helper
	budget  uint32 // global index of what is left of it
	stack   uint32 // global index of what is left of it
	changed uint32 // global index of what cannot be read and was changed
	dropped []uint32
	// tableItems is how many items the tables may have.
	tableItems uint32
	// lateElements tells that a function writes the element segments.
	lateElements bool
	flags        map[uint32]uint32 // global index by dropped data segment
	refill, tick, pay, descend, charge,
	copy, fill uint32 // helpers' function indexes
	inits       map[uint32]uint32 // function index by dropped data segment
	returnTypes map[uint32]uint32 // of blocks, by type of function
	returned    []FuncType        // those of them that are added
	body        []byte            // scratch
}

func newRewriter(m *module) *rewriter {
	w := &rewriter{
		m:       m,
		exports: m.renumberedExports(),
		prefix:  exportPrefix(m.exports),
		yield:   uint32(m.importedFuncs),
		base:    uint32(len(m.funcs) + 1),
		budget:  m.addedGlobal(0),
		stack:   m.addedGlobal(1),
		flags:   map[uint32]uint32{},
		inits:   map[uint32]uint32{},
	}
	if m.use.memoryInit {
		for segment := range m.use.dropped {
			w.dropped = append(w.dropped, segment)
		}
		slices.Sort(w.dropped)
	}
	for i, segment := range w.dropped {
		w.flags[segment] = uint32(len(m.globals) + sharedGlobals + i)
	}
	w.changed = uint32(len(m.globals) + sharedGlobals + len(w.dropped))
	w.addReturnTypes()
	w.addHelpers()
	return w
}

// exportPrefix gives what the names of added exports begin with, and none of
// the program's own does.
func exportPrefix(exports []export) string {
	const stem = "waterbear"
	longest := 0
	for _, e := range exports {
		if rest, ok := strings.CutPrefix(e.name, stem); ok {
			longest = max(longest, 1+len(rest)-len(strings.TrimLeft(rest, "'")))
		}
	}
	return stem + strings.Repeat("'", longest) + ":"
}

// exportState exports what is hidden, and says under which names all is found.
func (w *rewriter) exportState(r *Rewritten) {
	m := w.m
	if m.use.changes {
		r.Changed = w.add(Global, w.changed, "changed")
	}
	if m.link == nil {
		r.Stack = w.add(Global, w.stack, "stack")
	}
	if m.start >= 0 {
		r.Start = w.prefix + "start"
		w.exports = append(w.exports, export{r.Start, Func, uint32(m.start)})
	}
	if len(m.memories) > m.importedMemories {
		l := m.memories[0]
		r.MemoryMin, r.MemoryMax = l.min, maxPages
		if l.bounded {
			r.MemoryMax = l.max
		}
		r.Memory = w.exported(Memory, 0, "memory")
	}
	names := map[uint32]string{}
	for _, e := range m.exports {
		if e.kind == Global && names[e.index] == "" {
			names[e.index] = e.name
		}
	}
	for i, g := range m.globals {
		if i < m.importedGlobals || !g.mutable || g.value == V128 || g.value.isRef() {
			continue
		}
		name := names[uint32(i)]
		if name == "" {
			name = w.add(Global, m.renumberGlobal(uint32(i)), "global"+strconv.Itoa(i))
		}
		r.Globals = append(r.Globals, name)
	}
	for _, segment := range w.dropped {
		name := "dropped" + strconv.Itoa(int(segment))
		r.Globals = append(r.Globals, w.add(Global, w.flags[segment], name))
	}
}

// addedGlobal is the index in the result of the budget, 0, or the stack, 1.
func (m *module) addedGlobal(number int) uint32 {
	if m.link != nil {
		return uint32(m.importedGlobals + number)
	}
	return uint32(len(m.globals) + number)
}

// memoryImport is the number of the import that is the memory, or -1.
func (m *module) memoryImport() int {
	return slices.IndexFunc(m.imports, func(i Import) bool { return i.Kind == Memory })
}

// exported gives the name of an export, which is added if there is none.
func (w *rewriter) exported(k Kind, index uint32, name string) string {
	for _, e := range w.m.exports {
		if e.kind == k && e.index == index {
			return e.name
		}
	}
	return w.add(k, index, name)
}

func (w *rewriter) add(k Kind, index uint32, name string) string {
	name = w.prefix + name
	w.exports = append(w.exports, export{name, k, index})
	return name
}

// exportFunction adds an export of a helper.
func (w *rewriter) exportFunction(name string, helper uint32) string {
	return w.add(Func, helper-1, name)
}

// renumberedExports are the exports of the source with the numbers that globals
// have in the result.
func (m *module) renumberedExports() []export {
	exports := slices.Clone(m.exports)
	for i, e := range exports {
		if e.kind == Global {
			exports[i].index = m.renumberGlobal(e.index)
		}
	}
	return exports
}

func (m *module) publicExports() []Export {
	public := make([]Export, len(m.exports))
	for i, e := range m.exports {
		public[i] = Export{Name: e.name, Kind: e.kind}
		if e.kind == Func {
			public[i].Type = m.types[m.funcs[e.index]]
		}
	}
	return public
}

// reasons lists what is state from the start and cannot be read or set.
func (m *module) reasons() []string {
	var r []string
	note := func(is bool, reason string) {
		if is {
			r = append(r, reason)
		}
	}
	alone := m.link == nil
	note(alone && m.importedMemories > 0, "its memory is imported")
	note(alone && m.importedTables > 0, "it imports a table")
	imported := slices.ContainsFunc(m.globals[:m.importedGlobals], func(g global) bool { return g.mutable })
	note(alone && imported, "it imports a mutable global")
	return r
}
