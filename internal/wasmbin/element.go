package wasmbin

// Bits of the form of an element segment. The first bit is set for segments
// that are not active; then the second is set for declarative ones, and else for
// those that name their table.
const (
	elementNotActive   = 1
	elementTableOrDecl = 2
	elementExpressions = 4
)

// elementSection reads the element segments and writes them again, because they
// hold function indexes.
func (m *module) elementSection(r *reader) {
	n := r.count(2, "element segments", maxElementItems)
	m.elements = appendU32(make([]byte, 0, r.left()+r.left()/8), uint32(n))
	items := 0
	for range n {
		items += m.element(r)
		if items > maxElementItems {
			r.tooMany(r.pos, "items in element segments", maxElementItems)
		}
		if r.err != nil {
			return
		}
	}
}

// element reads and writes one segment and gives the number of its items.
func (m *module) element(r *reader) int {
	at := r.pos
	form := r.u32()
	if form > 7 {
		r.fail(at, "unknown form of element segment %#x", form)
		return 0
	}
	m.elements = append(m.elements, byte(form))
	if form&elementNotActive == 0 {
		target := uint32(0)
		if form&elementTableOrDecl != 0 {
			target = r.u32()
			m.elements = appendU32(m.elements, target)
		}
		if int(target) >= len(m.tables) {
			r.fail(at, "an element segment for a table that is not there")
			return 0
		}
		m.elements = m.constant(r, m.elements)
	}
	kind := FuncRef
	if form&(elementNotActive|elementTableOrDecl) != 0 {
		kind = m.elementType(r, form)
	}
	m.elementKind = append(m.elementKind, kind)
	n := r.count(1, "items in element segments", maxElementItems)
	m.elements = appendU32(m.elements, uint32(n))
	for range n {
		if form&elementExpressions != 0 {
			m.elements = m.constant(r, m.elements)
		} else {
			i := m.funcIndex(r)
			m.declare(i)
			m.elements = appendU32(m.elements, m.renumber(i))
		}
		if r.err != nil {
			return n
		}
	}
	return n
}

// elementType reads what a segment says about its items: a type where they are
// expressions, and else a kind, of which there is only one.
func (m *module) elementType(r *reader, form uint32) ValueType {
	if form&elementExpressions != 0 {
		t := r.refType()
		m.elements = append(m.elements, byte(t))
		return t
	}
	at := r.pos
	if b := r.byte(); b != 0 {
		r.fail(at, "unknown kind of element %#x", b)
	}
	m.elements = append(m.elements, 0)
	return FuncRef
}

func (m *module) declare(function uint32) {
	if int(function) < len(m.declared) {
		m.declared[function] = true
	}
}

// renumber gives the index of a source function in the result, where the yield
// import comes after the other imports.
func (m *module) renumber(function uint32) uint32 {
	if int(function) >= m.importedFuncs {
		return function + 1
	}
	return function
}

// constant reads a constant expression and appends it to out, renumbered.
func (m *module) constant(r *reader, out []byte) []byte {
	for r.err == nil {
		at := r.pos
		op := r.byte()
		switch op {
		case opEnd:
			return append(out, op)
		case opI32Const:
			r.signed(32)
		case opI64Const:
			r.signed(64)
		case opF32Const:
			r.skip(4)
		case opF64Const:
			r.skip(8)
		case opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul:
		case opGlobalGet:
			m.constantGlobal(r)
		case opRefNull:
			out = append(out, op, byte(r.heapType()))
			continue
		case opRefFunc:
			i := m.funcIndex(r)
			m.declare(i)
			out = appendU32(append(out, op), m.renumber(i))
			continue
		case opVectorPrefix:
			if r.u32() != vecConst {
				r.fail(at, "a vector instruction in a constant expression")
			}
			r.skip(16)
			if r.err == nil {
				out = append(append(out, op, vecConst), m.source[r.pos-16:r.pos]...)
			}
			continue
		case opGCPrefix:
			r.unsupported(at, featureGC)
		default:
			r.fail(at, "instruction %#x in a constant expression", op)
		}
		if r.err == nil {
			out = append(out, m.source[at:r.pos]...)
		}
	}
	return out
}

func (m *module) constantGlobal(r *reader) {
	at := r.pos
	switch i := int(r.u32()); {
	case i >= len(m.globals):
		r.fail(at, "unknown global %d", i)
	case i >= m.importedGlobals:
		r.unsupported(at, featureConstGlobals)
	case m.globals[i].mutable:
		r.fail(at, "a mutable global in a constant expression")
	}
}

// heapType reads the operand of ref.null as the type it makes.
func (r *reader) heapType() ValueType {
	return r.longRefType(r.pos, true)
}
