package wasmbin

// appendCharge writes a charge of points, inline.
func (w *rewriter) appendCharge(b asm, points uint32) asm {
	b = b.take(w.budget, int32(points)).global(opGlobalGet, w.budget).i32(0)
	return b.op(opI32LtS, opIf, blockEmpty).call(w.refill).op(opEnd)
}

// take subtracts from a global.
func (b asm) take(global uint32, n int32) asm {
	return b.global(opGlobalGet, global).i32(n).op(opI32Sub).global(opGlobalSet, global)
}

// appendPay writes a charge of points before a call.
func (w *rewriter) appendPay(b asm, points uint32, f *function) asm {
	if f.effort.inline() {
		return w.appendCharge(b, points)
	}
	return b.i32(int32(points)).call(w.pay)
}

// appendCall writes a call of a function of the module.
func (w *rewriter) appendCall(b asm, op byte, e edit, f *function) asm {
	callee := w.m.callee(e)
	bytes := callee.frame()
	if callee != f {
		bytes += f.frame() // for the way back to it, at the least
	}
	switch {
	case e.deep:
		b = w.appendDescent(b, points(callee.plan.work), bytes, f)
	case e.charged:
		b = w.appendPay(b, points(callee.plan.work), f)
	}
	b = appendU32(append(b, op), e.arg+1)
	if e.deep {
		b = b.take(w.stack, -bytes)
	}
	return b
}

// appendIndirect writes a call through a table.
func (w *rewriter) appendIndirect(b asm, call []byte, e edit, f *function) asm {
	if !e.deep {
		return append(w.appendPay(b, indirectPoints, f), call...)
	}
	bytes := f.frame() + indirectFrame
	b = append(w.appendDescent(b, indirectPoints, bytes, f), call...)
	return b.take(w.stack, -bytes)
}

// appendDescent writes what comes before a call that may come round to the
// function it is in: it charges points and takes from the stack.
func (w *rewriter) appendDescent(b asm, points uint32, bytes int32, f *function) asm {
	b = b.take(w.budget, int32(points)).take(w.stack, bytes)
	if !f.effort.inline() {
		return b.call(w.descend)
	}
	return w.appendUsedUp(b).op(opIf, blockEmpty).call(w.descend).op(opEnd)
}

// appendUsedUp writes what tells whether the budget or the stack is used up.
func (w *rewriter) appendUsedUp(b asm) asm {
	return b.global(opGlobalGet, w.budget).global(opGlobalGet, w.stack).op(opI32Or).i32(0).op(opI32LtS)
}

// appendRestore writes what comes where an exception was caught: what is left of
// the stack is again what it was, though the calls that were left did not say so.
func (w *rewriter) appendRestore(b asm, f *function) asm {
	return b.local(opLocalGet, f.locals+stackLocal).global(opGlobalSet, w.stack)
}

// appendBack writes a branch back to a loop. The way that yields goes back by a
// branch of its own: where it joined the other, the engine would keep all values
// in memory on both, because of the call on the one.
func (w *rewriter) appendBack(b asm, conditional bool, e edit, f *function) asm {
	depth := e.arg
	if conditional {
		b = b.op(opIf, blockEmpty)
		depth++
	}
	if l := &w.m.loops[e.loop]; l.counts() {
		counter := f.locals + counterLocal
		b = b.local(opLocalGet, counter).i32(1).op(opI32Add).local(opLocalTee, counter)
		b = b.i32(int32(l.batch())-1).op(opI32And).branch(opBrIf, depth).call(w.tick)
	} else {
		b = b.take(w.budget, int32(points(f.plan.round))).global(opGlobalGet, w.budget).i32(0)
		b = b.op(opI32LtS, opIf, blockEmpty).call(w.refill).branch(opBr, depth+1).op(opEnd)
	}
	b = b.branch(opBr, depth)
	if conditional {
		b = b.op(opEnd)
	}
	return b
}
