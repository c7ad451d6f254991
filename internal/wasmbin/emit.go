package wasmbin

// Types that are added, after those of the source.
const (
	typeTake   = iota // [i32] -> []
	typeRun           // [] -> []
	typeCharge        // [i32] -> [i32]
	typeBulk          // [i32 i32 i32] -> []
	addedTypes
)

func (w *rewriter) addedType(t uint32) uint32 { return uint32(len(w.m.types)) + t }

// module writes the whole result.
func (w *rewriter) module() []byte {
	m := w.m
	out := make([]byte, 0, len(m.source)+len(m.source)/3+1024)
	out = append(out, m.source[:8]...)
	out = appendSection(out, sectionType, w.types())
	out = appendSection(out, sectionImport, w.imports())
	out = appendSection(out, sectionFunction, w.functions())
	out = appendSection(out, sectionTable, w.tables())
	out = appendSection(out, sectionMemory, w.memory())
	out = appendSection(out, sectionTag, w.tags())
	out = appendSection(out, sectionGlobal, w.globals())
	out = appendSection(out, sectionExport, w.exportItems())
	out = appendSection(out, sectionElement, m.elementSegments(w.lateElements))
	if m.dataCount >= 0 {
		out = appendSection(out, sectionDataCount, appendU32(nil, uint32(m.dataCount)))
	}
	out = appendSection(out, sectionCode, w.code())
	out = appendSection(out, sectionData, m.data)
	return appendSection(out, sectionCustom, w.names())
}

func (w *rewriter) types() []byte {
	added := [addedTypes]FuncType{
		typeTake:   {Params: []ValueType{I32}},
		typeCharge: {Params: []ValueType{I32}, Results: []ValueType{I32}},
		typeBulk:   {Params: []ValueType{I32, I32, I32}},
	}
	b := appendU32(nil, uint32(len(w.m.types)+len(added)+len(w.returned)))
	for _, types := range [][]FuncType{w.m.types, added[:], w.returned} {
		for _, t := range types {
			b = append(b, 0x60)
			b = appendTypes(b, t.Params)
			b = appendTypes(b, t.Results)
		}
	}
	return b
}

func (w *rewriter) imports() []byte {
	added := 1
	if w.m.link != nil {
		added += sharedGlobals
	}
	b := appendU32(nil, uint32(len(w.m.imports)+added))
	b = append(b, w.m.importItems...)
	if w.m.link != nil {
		b = sharedImports(b)
	}
	b = appendName(b, YieldModule)
	b = appendName(b, YieldName)
	return appendU32(append(b, byte(Func)), w.addedType(typeTake))
}

func (w *rewriter) functions() []byte {
	defined := w.m.funcs[w.m.importedFuncs:]
	b := appendU32(nil, uint32(len(defined)+len(w.helpers)))
	for _, t := range defined {
		b = appendU32(b, t)
	}
	for _, h := range w.helpers {
		b = appendU32(b, w.addedType(h.kind))
	}
	return b
}

// tables writes the tables with a maximum each, so that together they stay
// within the limit however they grow.
func (w *rewriter) tables() []byte {
	defined := w.m.tables[w.m.importedTables:]
	if len(defined) == 0 {
		return nil
	}
	room := w.m.tableItems
	for _, t := range defined {
		room -= int(t.min)
	}
	share := uint32(max(min(room, w.m.tableRoom), 0) / len(defined))
	b := appendU32(nil, uint32(len(defined)))
	for _, t := range defined {
		l := limits{min: t.min, max: t.min + share, bounded: true}
		if t.bounded {
			l.max = min(l.max, t.max)
		}
		w.tableItems += l.max
		b = appendLimits(append(b, byte(t.item)), l)
	}
	return b
}

func (w *rewriter) memory() []byte {
	defined := w.m.memories[w.m.importedMemories:]
	if len(defined) == 0 {
		return nil
	}
	return appendLimits([]byte{1}, defined[0])
}

func (w *rewriter) tags() []byte {
	defined := w.m.tags[w.m.importedTags:]
	if len(defined) == 0 {
		return nil
	}
	b := appendU32(nil, uint32(len(defined)))
	for _, t := range defined {
		b = appendU32(append(b, 0), t)
	}
	return b
}

func (w *rewriter) globals() []byte {
	defined := len(w.m.globals) - w.m.importedGlobals
	var added []int32
	if w.m.link == nil {
		added = []int32{budget, DefaultStack}
	}
	added = append(added, make([]int32, len(w.dropped))...)
	if w.m.use.changes {
		added = append(added, 0)
	}
	b := appendU32(nil, uint32(defined+len(added)))
	b = append(b, w.m.globalItems...)
	for _, value := range added {
		b = appendGlobalType(b, global{value: I32, mutable: true})
		b = append(appendS32(append(b, opI32Const), value), opEnd)
	}
	return b
}

func (w *rewriter) exportItems() []byte {
	if len(w.exports) == 0 {
		return nil
	}
	b := appendU32(nil, uint32(len(w.exports)))
	for _, e := range w.exports {
		b = append(appendName(b, e.name), byte(e.kind))
		index := e.index
		if e.kind == Func {
			index = w.m.renumber(index)
		}
		b = appendU32(b, index)
	}
	return b
}

func (w *rewriter) code() []byte {
	size := 0
	for _, f := range w.m.functions {
		size += f.end - f.start
	}
	b := appendU32(make([]byte, 0, size+size/3+4096), uint32(len(w.m.functions)+len(w.helpers)))
	for i := range w.m.functions {
		b = w.appendBody(b, i)
	}
	for _, h := range w.helpers {
		b = append(appendU32(b, uint32(len(h.body))), h.body...)
	}
	return b
}
