package wasmbin

// Bits of the form of an element segment. The first bit is set for segments
// that are not active; then the second is set for declarative ones, and else for
// those that name their table.
const (
	elementNotActive   = 1
	elementTableOrDecl = 2
	elementExpressions = 4
)

// elementSegment is a segment of the source's element section, with the function
// indexes of the result.
type elementSegment struct {
	form  byte
	table uint32 // of an active one
	place []byte // of an active one, the offset as an expression
	kind  ValueType
	items []byte // with their number before them
	count int
	// fits tells that an active one cannot reach beyond its table.
	fits bool
}

func (s *elementSegment) active() bool { return s.form&elementNotActive == 0 }

// elementSection reads the element segments. They are written again, because they
// hold function indexes.
func (m *module) elementSection(r *reader) {
	n := r.count(2, "element segments", maxElementItems)
	m.elements = make([]elementSegment, 0, n)
	for range n {
		s := m.element(r)
		m.elements = append(m.elements, s)
		if m.elementItems += s.count; m.elementItems > maxElementItems {
			r.tooMany(r.pos, "items in element segments", maxElementItems)
		}
		if r.err != nil {
			return
		}
	}
}

// element reads one segment.
func (m *module) element(r *reader) (s elementSegment) {
	at := r.pos
	form := r.u32()
	if form > 7 {
		r.fail(at, "unknown form of element segment %#x", form)
		return s
	}
	s.form, s.kind = byte(form), FuncRef
	from := r.pos
	if s.active() {
		if form&elementTableOrDecl != 0 {
			s.table = r.u32()
		}
		if int(s.table) >= len(m.tables) {
			r.fail(at, "an element segment for a table that is not there")
			return s
		}
		from = r.pos
		s.place = m.constant(r, nil)
	}
	place := m.source[from:r.pos]
	if form&(elementNotActive|elementTableOrDecl) != 0 {
		s.kind = m.elementType(r, form)
	}
	s.count = r.count(1, "items in element segments", maxElementItems)
	if s.active() && r.err == nil {
		offset, known := constantI32(place)
		s.fits = known && uint64(offset)+uint64(s.count) <= uint64(m.tables[s.table].min)
	}
	s.items = appendU32(make([]byte, 0, 4+s.count+s.count/2), uint32(s.count))
	for range s.count {
		if form&elementExpressions != 0 {
			s.items = m.constant(r, s.items)
		} else {
			i := m.funcIndex(r)
			m.declare(i)
			s.items = appendU32(s.items, m.renumber(i))
		}
		if r.err != nil {
			return s
		}
	}
	return s
}

// elementType reads what a segment says about its items: a type where they are
// expressions, and else a kind, of which there is only one.
func (m *module) elementType(r *reader, form uint32) ValueType {
	if form&elementExpressions != 0 {
		return r.refType()
	}
	at := r.pos
	if b := r.byte(); b != 0 {
		r.fail(at, "unknown kind of element %#x", b)
	}
	return FuncRef
}

// elementSegments writes the element section. Late, the active segments become
// passive ones.
func (m *module) elementSegments(late bool) []byte {
	if len(m.elements) == 0 {
		return nil
	}
	b := appendU32(nil, uint32(len(m.elements)))
	for i := range m.elements {
		s := &m.elements[i]
		form := s.form
		if late && s.active() {
			form = form&elementExpressions | elementNotActive
		}
		b = append(b, form)
		if form&elementNotActive == 0 {
			if form&elementTableOrDecl != 0 {
				b = appendU32(b, s.table)
			}
			b = append(b, s.place...)
		}
		if form&(elementNotActive|elementTableOrDecl) != 0 {
			if form&elementExpressions != 0 {
				b = append(b, byte(s.kind))
			} else {
				b = append(b, 0)
			}
		}
		b = append(b, s.items...)
	}
	return b
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
