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
}

// Rewrite prepares a core module for the runtime. It takes time and memory in
// proportion to the source.
func Rewrite(source []byte, o Options) (*Rewritten, error) {
	if o.TableItems == 0 {
		o.TableItems = maxTableItems
	}
	m, err := decode(source, int(o.TableItems))
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
	}
	w.exportState(r)
	r.Base = m.takeBase()
	r.Module = w.module()
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
	flags   map[uint32]uint32 // global index by dropped data segment
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
		exports: slices.Clone(m.exports),
		prefix:  exportPrefix(m.exports),
		yield:   uint32(m.importedFuncs),
		base:    uint32(len(m.funcs) + 1),
		budget:  uint32(len(m.globals)),
		stack:   uint32(len(m.globals) + 1),
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
		w.flags[segment] = w.stack + 1 + uint32(i)
	}
	w.changed = w.stack + 1 + uint32(len(w.dropped))
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
	r.Stack = w.add(Global, w.stack, "stack")
	if m.use.changes {
		r.Changed = w.add(Global, w.changed, "changed")
	}
	if m.start >= 0 {
		r.Start = w.prefix + "start"
		w.exports = append(w.exports, export{r.Start, Func, uint32(m.start)})
	}
	if len(m.memories) > 0 {
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
			name = w.add(Global, uint32(i), "global"+strconv.Itoa(i))
		}
		r.Globals = append(r.Globals, name)
	}
	for _, segment := range w.dropped {
		name := "dropped" + strconv.Itoa(int(segment))
		r.Globals = append(r.Globals, w.add(Global, w.flags[segment], name))
	}
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
	note(m.importedMemories > 0, "its memory is imported")
	note(m.importedTables > 0, "it imports a table")
	note(slices.ContainsFunc(m.globals[:m.importedGlobals], func(g global) bool { return g.mutable }), "it imports a mutable global")
	return r
}
