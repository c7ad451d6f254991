package wasmbin

import "bytes"

// Run is a part of a memory: bytes and where they are.
type Run struct {
	Offset uint32
	Bytes  []byte
}

// basePage is the unit of a base image: runs begin and end at its multiples.
const basePage = 4 << 10

// dataSegment is a segment of the source's data section.
type dataSegment struct {
	passive bool
	known   bool // the offset is a constant
	offset  uint32
	place   []byte // the offset as an expression, without its end
	data    []byte
}

// takeBase takes the active data segments out of the module and gives what they
// write, page by page without those that stay zero. The engine would evaluate
// them for every instance, and a program in Go has 35,000.
//
// Either all of them are taken or none: where one is beyond the memory, or at an
// offset that is not constant, instantiation decides what is written before it
// fails. Where nothing can initialize memory later the section goes with them,
// and else each leaves an empty passive one, which is what it is after
// instantiation.
func (m *module) takeBase() (base []Run, ok bool) {
	from, to, ok := m.baseSpan()
	if !ok {
		return nil, false
	}
	m.forgetSegments()
	if from >= to {
		return nil, true
	}
	from -= from % basePage
	to += (basePage - to%basePage) % basePage
	image := make([]byte, to-from)
	for _, s := range m.dataSegments {
		if !s.passive {
			copy(image[uint64(s.offset)-from:], s.data)
		}
	}
	m.dataSegments = nil
	return runs(uint32(from), image), true
}

// baseSpan is the part of the memory that the active segments write to. ok tells
// whether they can be taken out.
func (m *module) baseSpan() (from, to uint64, ok bool) {
	size := uint64(0)
	if len(m.memories) > 0 {
		size = uint64(m.memories[0].min) << 16
	}
	from = size
	for _, s := range m.dataSegments {
		if s.passive {
			continue
		}
		end := uint64(s.offset) + uint64(len(s.data))
		if m.importedMemories > 0 || !s.known || end > size {
			return 0, 0, false
		}
		if len(s.data) > 0 {
			from, to = min(from, uint64(s.offset)), max(to, end)
		}
	}
	return from, to, to <= from || to-from <= freeBaseBytes+basePerByte*uint64(len(m.source))
}

// forgetSegments leaves of the data section what code can still refer to.
func (m *module) forgetSegments() {
	if !m.use.memoryInit {
		m.data, m.dataCount = nil, -1
		return
	}
	m.data = appendU32(nil, uint32(len(m.dataSegments)))
	for _, s := range m.dataSegments {
		if !s.passive {
			s.data = nil
		}
		m.data = appendPassive(m.data, s.data)
	}
}

// appendPassive writes a passive segment.
func appendPassive(b, data []byte) []byte {
	return append(appendU32(append(b, 1), uint32(len(data))), data...)
}

var zeroPage [basePage]byte

// runs gives the pages of image that are not zero.
func runs(offset uint32, image []byte) []Run {
	var list []Run
	from := 0
	for at := 0; at <= len(image); at += basePage {
		if at < len(image) && !bytes.Equal(image[at:at+basePage], zeroPage[:]) {
			continue
		}
		if at > from {
			list = append(list, Run{offset + uint32(from), image[from:at:at]})
		}
		from = at + basePage
	}
	return list
}

// constantI32 evaluates a constant expression of numbers, without globals. What
// is not of type i32 is left to the engine to refuse.
func constantI32(expression []byte) (value uint32, ok bool) {
	r := &reader{data: expression, end: len(expression)}
	var stack []uint32
	for {
		switch op := r.byte(); op {
		case opI32Const:
			stack = append(stack, uint32(r.signed(32)))
		case opI32Add, opI32Sub, opI32Mul:
			n := len(stack) - 2
			if n < 0 {
				return 0, false
			}
			a, b := stack[n], stack[n+1]
			switch stack = stack[:n+1]; op {
			case opI32Add:
				stack[n] = a + b
			case opI32Sub:
				stack[n] = a - b
			default:
				stack[n] = a * b
			}
		case opEnd:
			if len(stack) != 1 || r.err != nil {
				return 0, false
			}
			return stack[0], true
		default:
			return 0, false
		}
	}
}
