package wasmbin

// specialInstruction reads the instructions whose operands no other has.
func (s *scanner) specialInstruction(at int, op byte) {
	switch op {
	case opCall, opReturnCall:
		s.call(at, op)
	case opCallIndirect, opReturnCallIndirect:
		s.callIndirect(at, op)
	case opSelectTyped:
		s.selectTyped(at)
	case opTryTable:
		s.tryTable(at)
	case opRefNull:
		heap := s.pos
		t := s.heapType()
		s.edit(heap, editByte, uint32(t))
	case opRefFunc:
		s.refFunc()
	case opMiscPrefix:
		s.misc(at)
	case opVectorPrefix:
		s.vector(at)
	}
}

func (s *scanner) call(at int, op byte) {
	i := s.m.funcIndex(s.reader)
	if s.err != nil {
		return
	}
	s.signature(s.m.funcs[i])
	if int(i) < s.m.importedFuncs {
		s.edit(at, editImport, i)
		s.weight += callWeight
		s.m.edits[len(s.m.edits)-1].charged = s.m.link != nil
	} else {
		s.event(eventSite, uint32(len(s.m.edits)-s.fn.edits[0]))
		s.edit(at, editCall, i)
	}
	if op == opReturnCall {
		s.dead()
	}
}

func (s *scanner) signature(index uint32) {
	t := s.m.types[index]
	s.moved += len(t.Params) + len(t.Results)
	s.fn.effort.calls++
	s.inner()
}

func (s *scanner) callIndirect(at int, op byte) {
	i := s.m.typeIndex(s.reader)
	s.table()
	if s.err != nil {
		return
	}
	s.signature(i)
	s.edit(at, editIndirect, 0)
	s.m.edits[len(s.m.edits)-1].deep = op == opCallIndirect
	s.weight += callWeight
	if op == opReturnCallIndirect {
		s.dead()
	}
}

func (s *scanner) selectTyped(at int) {
	if n := s.u32(); n != 1 {
		s.fail(at, "a select of %d types", n)
		return
	}
	from := s.pos
	t := s.valueType()
	if s.pos > from+1 {
		s.edit(from, editByte, uint32(t))
	}
}

// tryTable reads the beginning of a try_table. Its labels do not count itself.
func (s *scanner) tryTable(at int) {
	s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: editTry})
	params, results := s.blockType()
	for range s.count(2, "catch clauses", maxFunctionBytes) {
		form := s.pos
		switch kind := s.byte(); kind {
		case 0, 1:
			s.tag()
			s.m.use.exceptionRefs = s.m.use.exceptionRefs || kind == 1
		case 2, 3:
			s.m.use.exceptionRefs = s.m.use.exceptionRefs || kind == 3
		default:
			s.fail(form, "unknown form of catch clause %#x", kind)
		}
		f, depth := s.target()
		if s.err != nil {
			return
		}
		s.catch(f, depth)
	}
	s.inner()
	s.open(at, opTryTable, params, results)
}

// catch notes a catch clause that branches to a block.
func (s *scanner) catch(f frame, depth uint32) {
	s.fn.catches = true
	to := len(s.frames) - 1 - int(depth)
	s.frames[to].caught = true
	s.fn.returns = s.fn.returns || to == 0
	if f.op == opLoop {
		s.m.loops[f.loop].caught = true
	} else {
		s.event(eventBranch, depth)
	}
}

func (s *scanner) refFunc() {
	at := s.pos
	i := s.m.funcIndex(s.reader)
	if s.err == nil && !s.m.declared[i] {
		s.fail(at, "a reference to the function %d, which is not declared outside code", i)
	}
	s.edit(at, editFunction, i)
}

func (s *scanner) vector(at int) {
	op := s.u32()
	memory, lanes, ok := vectorOperands(op)
	switch {
	case s.err != nil:
	case op >= 0x100 && op <= 0x113:
		s.unsupported(at, featureRelaxedSIMD)
	case op > 0x113 && op <= 0x1ff:
		s.unsupported(at, featureHalfPrecision)
	case !ok:
		s.fail(at, "unknown vector instruction %#x", op)
	}
	s.shorten(at+1, op, s.pos)
	if memory {
		s.memoryAccess()
	}
	s.skip(lanes)
}

// shorten has an opcode after a prefix written in as few bytes as it needs: the
// engine knows vector instructions by the first of them.
func (s *scanner) shorten(at int, op uint32, end int) {
	if end-at != lengthU32(op) {
		s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: editOpcode, size: uint8(end - at), arg: op})
	}
}

func lengthU32(v uint32) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func (s *scanner) misc(at int) {
	u := &s.m.use
	op := s.u32()
	end, before := s.pos, len(s.m.edits)
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating truncations
	case miscMemoryInit:
		segment := s.dataSegment()
		s.zeroMemory()
		u.memoryInit = true
		s.bulk(at, editMemoryInit, segment)
	case miscDataDrop:
		segment := s.dataSegment()
		s.m.drop(segment)
		s.bulk(at, editDataDrop, segment)
	case miscMemoryCopy:
		s.zeroMemory()
		s.zeroMemory()
		u.memoryCopy = u.memoryCopy || !s.smallBulk()
		s.bulk(at, editMemoryCopy, 0)
	case miscMemoryFill:
		s.zeroMemory()
		u.memoryFill = u.memoryFill || !s.smallBulk()
		s.bulk(at, editMemoryFill, 0)
	case miscTableInit:
		s.elementSegment()
		s.table()
		u.tableInit = true
		s.change(at, ChangedTable)
		s.bulk(at, editTableBulk, 0)
	case miscElemDrop:
		s.elementSegment()
		s.edit(at, editElemDrop, 0)
	case miscTableCopy:
		s.table()
		s.table()
		s.change(at, ChangedTable)
		s.bulk(at, editTableBulk, 0)
	case miscTableGrow:
		s.table()
		s.change(at, ChangedTable)
		s.bulk(at, editTableBulk, 0)
	case miscTableSize:
		s.table()
	case miscTableFill:
		s.table()
		s.change(at, ChangedTable)
		s.bulk(at, editTableBulk, 0)
	case 0x12:
		s.unsupported(at, featureMemoryControl)
	case 0x13, 0x14, 0x15, 0x16:
		s.unsupported(at, featureWideArithmetic)
	default:
		s.fail(at, "unknown instruction %#x %#x", opMiscPrefix, op)
	}
	if len(s.m.edits) == before || s.m.edits[before].size == 0 {
		s.shorten(at+1, op, end)
	}
}

// bulk notes an instruction that may touch much memory, unless the number of
// items is a small constant.
func (s *scanner) bulk(at int, kind editKind, arg uint32) {
	s.weight += bulkWeight
	s.inner()
	switch {
	case kind == editTableBulk && !s.smallBulk():
		s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: kind})
	case kind == editDataDrop || kind == editMemoryInit || kind != editTableBulk && !s.smallBulk():
		s.edit(at, kind, arg)
	}
}

// smallBulk says whether the number of items of a bulk instruction is a
// constant, and small.
func (s *scanner) smallBulk() bool { return s.was == jumpConstant && s.value < smallBulk }

func (s *scanner) dataSegment() uint32 {
	at := s.pos
	i := s.u32()
	if s.m.dataCount < 0 {
		s.fail(at, "a data segment in code without a data count section")
	} else if int(i) >= s.m.dataCount {
		s.fail(at, "unknown data segment %d", i)
	}
	return i
}

func (m *module) drop(segment uint32) {
	if m.use.dropped == nil {
		m.use.dropped = map[uint32]bool{}
	}
	m.use.dropped[segment] = true
}

func (s *scanner) elementSegment() {
	at := s.pos
	if i := s.u32(); int(i) >= len(s.m.elements) {
		s.fail(at, "unknown element segment %d", i)
	}
}
