package wasmbin

// The locals that are added to every function, after its own. Those it does not
// use cost nothing.
const (
	counterLocal = iota // counts the rounds of loops
	stackLocal          // how much of the stack was left when it was called
	addedLocals
)

// appendBody writes one function body: its source, changed where the edits say.
func (w *rewriter) appendBody(out []byte, number int) []byte {
	source, f := w.m.source, &w.m.functions[number]
	b := asm(appendU32(w.body[:0], f.groups+1))
	b = append(b, source[f.decls:f.code]...)
	b = append(b, addedLocals, byte(I32))
	if f.catches {
		b = b.global(opGlobalGet, w.stack).local(opLocalSet, f.locals+stackLocal)
	}
	if f.returns {
		b = w.appendResultType(b.op(opBlock), number)
	}
	if f.plan.entry > 0 {
		b = w.appendCharge(b, f.plan.entry)
	}
	pos := f.code
	for _, e := range w.m.edits[f.edits[0]:f.edits[1]] {
		b = append(b, source[pos:e.at]...)
		pos = int(e.at) + int(e.size)
		b = w.appendEdit(b, e, f)
	}
	b = append(b, source[pos:f.end]...)
	if f.returns {
		b = w.appendRestore(b, f).op(opEnd)
	}
	w.body = b
	return append(appendU32(out, uint32(len(b))), b...)
}

// appendResultType writes the type of a block that gives what a function does.
func (w *rewriter) appendResultType(b asm, number int) asm {
	t := w.m.funcs[w.m.importedFuncs+number]
	switch results := w.m.types[t].Results; {
	case len(results) == 0:
		return b.op(blockEmpty)
	case len(results) == 1:
		return b.op(byte(results[0]))
	}
	return appendS32(b, int32(w.returnTypes[t]))
}

// addReturnTypes adds the types of the blocks in which functions that may catch
// by returning are put, where these need a type of their own.
func (w *rewriter) addReturnTypes() {
	w.returnTypes = map[uint32]uint32{}
	for i, f := range w.m.functions {
		t := w.m.funcs[w.m.importedFuncs+i]
		if _, ok := w.returnTypes[t]; ok || !f.returns || len(w.m.types[t].Results) < 2 {
			continue
		}
		w.returnTypes[t] = w.addedType(addedTypes) + uint32(len(w.returned))
		w.returned = append(w.returned, FuncType{Results: w.m.types[t].Results})
	}
}

// appendEdit writes what comes at an edit, in place of the bytes it replaces.
func (w *rewriter) appendEdit(b asm, e edit, f *function) asm {
	replaced := w.m.source[e.at : e.at+uint32(e.size)]
	switch e.kind {
	case editFunction:
		return appendU32(b, w.m.renumber(e.arg))
	case editGlobal:
		return appendU32(b, e.arg)
	case editByte:
		return append(b, byte(e.arg))
	case editOpcode:
		return appendU32(b, e.arg)
	case editCall:
		return w.appendCall(b, replaced[0], e, f)
	case editImport:
		if e.charged {
			// What it calls in another module may do as much as any function does
			// between charges.
			b = w.appendPay(b, points(freeWork), f)
		}
		return append(b, replaced...)
	case editIndirect:
		return w.appendIndirect(b, replaced, e, f)
	case editLoop:
		if w.m.loops[e.loop].counts() {
			return b.i32(0).local(opLocalSet, f.locals+counterLocal)
		}
		return b
	case editLoopTop:
		if w.m.loops[e.loop].caught {
			return w.appendRestore(b, f)
		}
		return b
	case editBack:
		return w.appendBack(b, replaced[0] == opBrIf, e, f)
	case editRound:
		return w.appendCharge(b, points(f.plan.round))
	case editThrow:
		if !w.m.use.exceptionRefs && w.m.link == nil {
			return b
		}
		return b.i32(YieldTick).call(w.yield)
	case editTry:
		return b.i32(YieldTick).call(w.yield)
	case editCaught:
		return w.appendRestore(b, f)
	case editChange:
		return w.appendChange(b, int32(e.arg))
	default:
		return w.appendBulk(b, e, replaced)
	}
}

// appendChange writes that state is about to be changed which cannot be read.
func (w *rewriter) appendChange(b asm, bit int32) asm {
	return b.global(opGlobalGet, w.changed).i32(bit).op(opI32Or).global(opGlobalSet, w.changed)
}

// appendBulk writes an instruction about segments or many bytes or items.
func (w *rewriter) appendBulk(b asm, e edit, replaced []byte) asm {
	switch e.kind {
	case editElemDrop:
		if w.m.use.tableInit {
			return append(w.appendChange(b, ChangedSegment), replaced...)
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
