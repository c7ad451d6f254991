package wasmbin

// helper is a function that is added to a module.
type helper struct {
	name string
	kind uint32 // one of the added types
	body []byte
}

// asm is code under construction.
type asm []byte

func (b asm) op(ops ...byte) asm { return append(b, ops...) }

func (b asm) i32(v int32) asm { return appendS32(append(b, opI32Const), v) }

func (b asm) call(f uint32) asm { return appendU32(append(b, opCall), f) }

func (b asm) local(op byte, i uint32) asm { return appendU32(append(b, op), i) }

func (b asm) get(locals ...uint32) asm {
	for _, i := range locals {
		b = b.local(opLocalGet, i)
	}
	return b
}

func (b asm) branch(op byte, depth uint32) asm { return appendU32(append(b, op), depth) }

func (b asm) global(op byte, i uint32) asm { return appendU32(append(b, op), i) }

// addHelpers adds the functions that the passes call.
func (w *rewriter) addHelpers() {
	w.refill = w.addHelper("refill", typeRun, w.refillBody())
	w.tick = w.addHelper("tick", typeRun, append(w.appendCharge(asm{0}, 1), opEnd))
	w.pay = w.addHelper("pay", typeTake, w.payBody())
	w.descend = w.addHelper("descend", typeRun, w.descendBody())
	w.charge = w.addHelper("charge", typeCharge, w.chargeBody())
	if w.m.use.memoryCopy {
		w.copy = w.addHelper("memory.copy", typeBulk, w.copyBody())
	}
	if w.m.use.memoryFill {
		w.fill = w.addHelper("memory.fill", typeBulk, w.fillBody())
	}
	for _, segment := range w.dropped {
		w.inits[segment] = w.addHelper("memory.init", typeBulk, w.initBody(segment))
	}
}

func (w *rewriter) addHelper(name string, kind uint32, body []byte) uint32 {
	w.helpers = append(w.helpers, helper{"waterbear." + name, kind, body})
	return w.base + uint32(len(w.helpers)) - 1
}

// refillBody yields and begins a new budget.
func (w *rewriter) refillBody() asm {
	b := asm{0}.i32(budget).global(opGlobalSet, w.budget)
	return b.i32(YieldTick).call(w.yield).op(opEnd)
}

// payBody charges its parameter's points.
func (w *rewriter) payBody() asm {
	b := asm{0}.global(opGlobalGet, w.budget).get(0).op(opI32Sub).global(opGlobalSet, w.budget)
	b = b.global(opGlobalGet, w.budget).i32(0).op(opI32LtS)
	return b.op(opIf, blockEmpty).call(w.refill).op(opEnd, opEnd)
}

// descendBody yields if the stack or the budget is used up.
func (w *rewriter) descendBody() asm {
	b := w.appendUsedUp(asm{0}).op(opIf, blockEmpty)
	b = b.global(opGlobalGet, w.stack).i32(0).op(opI32LtS, opIf, blockEmpty)
	b = b.i32(YieldOverflow).call(w.yield).op(opEnd)
	return b.call(w.refill).op(opEnd, opEnd)
}

// chargeBody charges for the number of bytes or items that a bulk instruction
// is about to touch, if it is large, and gives the number back.
func (w *rewriter) chargeBody() asm {
	b := asm{0}.get(0).i32(smallBulk).op(opI32GeU, opIf, blockEmpty)
	b = b.global(opGlobalGet, w.budget).get(0).i32(bulkShift).op(opI32ShrU, opI32Sub)
	b = b.global(opGlobalSet, w.budget)
	b = b.global(opGlobalGet, w.budget).i32(0).op(opI32LtS)
	b = b.op(opIf, blockEmpty).call(w.refill).op(opEnd)
	return b.op(opEnd).get(0).op(opEnd)
}

// Large copies and fills are done in pieces, between which others run.
const bulkPiece = 1 << 20

// Operands of memory.copy, memory.fill and memory.init.
const (
	bulkTo = iota
	bulkFrom
	bulkSize
)

func memoryCopy(b asm) asm { return b.op(opMiscPrefix, miscMemoryCopy, 0, 0) }

func memoryFill(b asm) asm { return b.op(opMiscPrefix, miscMemoryFill, 0) }

// whole leaves the function by doing the instruction at once where it is small,
// or where it reaches beyond the memory: then it must trap before it writes.
func (w *rewriter) whole(b asm, last func(asm) asm, ends ...uint32) asm {
	b = b.get(bulkSize).i32(smallBulk).op(opI32LtU, opIf, blockEmpty)
	b = last(b.get(bulkTo, bulkFrom, bulkSize)).op(opReturn, opEnd)
	b = b.get(bulkSize).i32(bulkPiece).op(opI32LeU)
	for _, end := range ends {
		b = b.get(end).op(opI64ExtendI32U).get(bulkSize).op(opI64ExtendI32U, opI64Add)
		b = b.op(opMemorySize, 0, opI64ExtendI32U, opI64Const, 16, opI64Shl)
		b = b.op(opI64GtU, opI32Or)
	}
	b = b.op(opIf, blockEmpty).get(bulkTo, bulkFrom, bulkSize).call(w.charge)
	return last(b).op(opReturn, opEnd)
}

// piece charges for one piece.
func (w *rewriter) piece(b asm) asm { return b.i32(bulkPiece).call(w.charge) }

// step changes an operand by the size of a piece.
func step(b asm, op byte, operands ...uint32) asm {
	for _, o := range operands {
		b = b.get(o).i32(bulkPiece).op(op).local(opLocalSet, o)
	}
	return b
}

// more goes back to the loop while more than a piece is left.
func more(b asm) asm {
	return b.get(bulkSize).i32(bulkPiece).op(opI32GtU, opBrIf, 0, opEnd)
}

// copyBody copies forward where the target is below the source and else
// backward, so that pieces that overlap are read before they are written.
func (w *rewriter) copyBody() asm {
	b := w.whole(asm{0}, memoryCopy, bulkTo, bulkFrom)
	b = b.get(bulkTo, bulkFrom).op(opI32LeU, opIf, blockEmpty, opLoop, blockEmpty)
	b = memoryCopy(w.piece(b.get(bulkTo, bulkFrom)))
	b = step(b, opI32Add, bulkTo, bulkFrom)
	b = more(step(b, opI32Sub, bulkSize))
	b = b.op(opElse, opLoop, blockEmpty)
	b = step(b, opI32Sub, bulkSize)
	b = b.get(bulkTo, bulkSize).op(opI32Add).get(bulkFrom, bulkSize).op(opI32Add)
	b = more(memoryCopy(w.piece(b))).op(opEnd)
	return memoryCopy(b.get(bulkTo, bulkFrom, bulkSize)).op(opEnd)
}

func (w *rewriter) fillBody() asm {
	b := w.whole(asm{0}, memoryFill, bulkTo).op(opLoop, blockEmpty)
	b = memoryFill(w.piece(b.get(bulkTo, bulkFrom)))
	b = step(b, opI32Add, bulkTo)
	b = more(step(b, opI32Sub, bulkSize))
	return memoryFill(b.get(bulkTo, bulkFrom, bulkSize)).op(opEnd)
}

// initBody is memory.init from a segment that data.drop may empty. The flag is
// state that can be imaged, a dropped segment is not; an empty one is told from
// it only by where reading from it traps, which is beyond its first byte.
func (w *rewriter) initBody(segment uint32) asm {
	init := func(b asm) asm { return append(appendU32(b.op(opMiscPrefix, miscMemoryInit), segment), 0) }
	b := asm{0}.global(opGlobalGet, w.flags[segment]).op(opIf, blockEmpty)
	// size becomes 1 and from the last address if either is not 0, which traps.
	b = b.get(bulkFrom, bulkSize).op(opI32Or).i32(0).op(opI32Ne).local(opLocalSet, bulkSize)
	b = b.i32(0).get(bulkSize).op(opI32Sub).local(opLocalSet, bulkFrom)
	b = b.op(opEnd).get(bulkTo, bulkFrom, bulkSize).call(w.charge)
	return init(b).op(opEnd)
}
