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
	out = appendSection(out, sectionElement, m.elements)
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
	b := appendU32(nil, uint32(len(w.m.types)+len(added)))
	for _, types := range [][]FuncType{w.m.types, added[:]} {
		for _, t := range types {
			b = append(b, 0x60)
			b = appendTypes(b, t.Params)
			b = appendTypes(b, t.Results)
		}
	}
	return b
}

func (w *rewriter) imports() []byte {
	b := appendU32(nil, uint32(len(w.m.imports)+1))
	b = append(b, w.m.importItems...)
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
	share := uint32(max(room, 0) / len(defined))
	b := appendU32(nil, uint32(len(defined)))
	for _, t := range defined {
		l := limits{min: t.min, max: t.min + share, bounded: true}
		if t.bounded {
			l.max = min(l.max, t.max)
		}
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
	b := appendU32(nil, uint32(defined+1+len(w.dropped)))
	b = append(b, w.m.globalItems...)
	b = appendGlobalType(b, global{value: I32, mutable: true})
	b = append(appendS32(append(b, opI32Const), budget), opEnd)
	for range w.dropped {
		b = appendGlobalType(b, global{value: I32, mutable: true})
		b = append(b, opI32Const, 0, opEnd)
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
		b = w.appendBody(b, &w.m.functions[i])
	}
	for _, h := range w.helpers {
		b = append(appendU32(b, uint32(len(h.body))), h.body...)
	}
	return b
}

// appendBody writes one function body: its source, changed where the edits say.
func (w *rewriter) appendBody(out []byte, f *function) []byte {
	source := w.m.source
	counter := f.locals
	b := asm(w.body[:0])
	if f.counter {
		b = appendU32(b, f.groups+1)
		b = append(b, source[f.decls:f.code]...)
		b = append(b, 1, byte(I32))
	} else {
		b = appendU32(b, f.groups)
		b = append(b, source[f.decls:f.code]...)
	}
	if f.plan.entry > 0 {
		b = w.appendCharge(b, f.plan.entry)
	}
	pos := f.code
	for _, e := range w.m.edits[f.edits[0]:f.edits[1]] {
		b = append(b, source[pos:e.at]...)
		pos = int(e.at) + int(e.size)
		b = w.appendEdit(b, e, f.plan, counter)
	}
	b = append(b, source[pos:f.end]...)
	w.body = b
	return append(appendU32(out, uint32(len(b))), b...)
}

// appendEdit writes what comes at an edit, in place of the bytes it replaces.
func (w *rewriter) appendEdit(b asm, e edit, p plan, counter uint32) asm {
	replaced := w.m.source[e.at : e.at+uint32(e.size)]
	switch e.kind {
	case editFunction:
		return appendU32(b, w.m.renumber(e.arg))
	case editCall:
		if e.charged {
			b = w.appendCharge(b, points(w.m.callee(e).plan.work))
		}
		return appendU32(append(b, replaced[0]), e.arg+1)
	case editImport:
		return append(b, replaced...)
	case editIndirect:
		return append(w.appendCharge(b, indirectPoints), replaced...)
	case editLoop:
		if w.m.loops[e.loop].counts() {
			return b.i32(0).local(opLocalSet, counter)
		}
		return b
	case editBack:
		return w.appendBack(b, replaced[0] == opBrIf, e, p, counter)
	case editRound:
		return w.appendCharge(b, points(p.round))
	case editTry:
		return b.i32(YieldTick).call(w.yield)
	case editByte:
		return append(b, byte(e.arg))
	case editOpcode:
		return appendU32(b, e.arg)
	case editElemDrop:
		if w.m.use.tableInit {
			return append(b, replaced...)
		}
		return append(b, opNop)
	case editDataDrop:
		if flag, ok := w.flags[e.arg]; ok {
			return b.i32(1).global(opGlobalSet, flag)
		}
		return append(b, opNop)
	case editMemoryInit:
		if init, ok := w.inits[e.arg]; ok {
			return b.call(init)
		}
		return append(b.call(w.charge), replaced...)
	case editMemoryCopy:
		return b.call(w.copy)
	case editMemoryFill:
		return b.call(w.fill)
	default: // editTableBulk
		return b.call(w.charge)
	}
}

// appendCharge writes a charge of points.
func (w *rewriter) appendCharge(b asm, points uint32) asm {
	b = w.appendTake(b, points)
	return b.op(opI32LtS, opIf, blockEmpty).call(w.refill).op(opEnd)
}

// appendTake writes what takes points from the budget, and leaves what is left
// of it and 0 to be compared.
func (w *rewriter) appendTake(b asm, points uint32) asm {
	b = b.global(opGlobalGet, w.budget).i32(int32(points)).op(opI32Sub).global(opGlobalSet, w.budget)
	return b.global(opGlobalGet, w.budget).i32(0)
}

// appendBack writes a branch back to a loop. The way that yields goes back by a
// branch of its own: where it joined the other, the engine would keep all values
// in memory on both, because of the call on the one.
func (w *rewriter) appendBack(b asm, conditional bool, e edit, p plan, counter uint32) asm {
	depth := e.arg
	if conditional {
		b = b.op(opIf, blockEmpty)
		depth++
	}
	if l := &w.m.loops[e.loop]; l.counts() {
		b = b.local(opLocalGet, counter).i32(1).op(opI32Add).local(opLocalTee, counter)
		b = b.i32(int32(l.batch())-1).op(opI32And).branch(opBrIf, depth).call(w.tick)
	} else {
		b = w.appendTake(b, points(p.round)).op(opI32LtS, opIf, blockEmpty).call(w.refill)
		b = b.branch(opBr, depth+1).op(opEnd)
	}
	b = b.branch(opBr, depth)
	if conditional {
		b = b.op(opEnd)
	}
	return b
}
