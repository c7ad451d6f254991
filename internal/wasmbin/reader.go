package wasmbin

import (
	"fmt"
	"unicode/utf8"
)

// reader reads a range of a module. The first error sticks: from then on every
// read gives zero and done is true, so that loops end and callers check once.
type reader struct {
	data    []byte // the whole module, so that positions are offsets in it
	pos     int
	end     int
	section string
	err     error
}

// sub gives a reader of the next n bytes and moves past them.
func (r *reader) sub(n int, section string) *reader {
	s := &reader{data: r.data, pos: r.pos, end: r.pos, section: section, err: r.err}
	if r.skip(n) {
		s.end = r.pos
	}
	s.err = r.err
	return s
}

func (r *reader) done() bool { return r.pos >= r.end || r.err != nil }

func (r *reader) left() int { return r.end - r.pos }

func (r *reader) fail(at int, format string, args ...any) {
	r.failWith(&MalformedError{Section: r.section, Offset: at, Reason: fmt.Sprintf(format, args...)})
}

// failWith lets an error stick, if it is one and the first.
func (r *reader) failWith(err error) {
	if r.err == nil && err != nil {
		r.err = err
		r.pos = r.end
	}
}

func (r *reader) unsupported(at int, f Feature) {
	r.failWith(&UnsupportedError{Feature: f, Section: r.section, Offset: at})
}

func (r *reader) tooMany(at int, what string, limit int) {
	r.failWith(&LimitError{What: what, Limit: limit, Section: r.section, Offset: at})
}

// skip moves past n bytes, and says whether there were as many.
func (r *reader) skip(n int) bool {
	if n < 0 || n > r.end-r.pos {
		r.fail(r.pos, "it ends before the %d bytes it claims", n)
		return false
	}
	r.pos += n
	return true
}

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.fail(r.pos, "it ends too early")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	if r.pos < r.end {
		if b := r.data[r.pos]; b < 0x80 {
			r.pos++
			return uint32(b)
		}
	}
	return r.longU32()
}

func (r *reader) longU32() uint32 {
	at := r.pos
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.fail(at, "a number of more than 32 bits")
	return 0
}

// signed reads a signed LEB128 number of at most the given bits.
func (r *reader) signed(bits int) int64 {
	at := r.pos
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			used := shift + 7
			if used < 64 && b&0x40 != 0 {
				v |= -1 << used
			}
			if used > bits && !signExtends(b, bits-shift) {
				break
			}
			return v
		}
	}
	r.fail(at, "a number of more than %d bits", bits)
	return 0
}

// signExtends says whether the bits of the last byte above the first n repeat
// the sign, as they must where a number has fewer bits than its bytes can hold.
func signExtends(b byte, n int) bool {
	high := b & 0x7f >> (n - 1)
	return high == 0 || high == 0x7f>>(n-1)
}

// count reads the length of a vector whose items take at least size bytes each.
func (r *reader) count(size int, what string, limit int) int {
	at := r.pos
	n := int(r.u32())
	if n > limit {
		r.tooMany(at, what, limit)
		return 0
	}
	if n > r.left()/size {
		r.fail(at, "it claims %d %s in %d bytes", n, what, r.left())
		return 0
	}
	return n
}

func (r *reader) name() string {
	at := r.pos
	b := r.bytes(int(r.u32()))
	if !utf8.Valid(b) {
		r.fail(at, "a name that is not UTF-8")
		return ""
	}
	return string(b)
}

func (r *reader) bytes(n int) []byte {
	start := r.pos
	if !r.skip(n) {
		return nil
	}
	return r.data[start:r.pos:r.pos]
}

func (r *reader) valueType() ValueType {
	at := r.pos
	switch b := r.byte(); b {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f, 0x69:
		return ValueType(b)
	case 0x63, 0x64:
		return r.longRefType(at, b == 0x63)
	default:
		r.badType(at, b)
		return 0
	}
}

func (r *reader) refType() ValueType {
	at := r.pos
	t := r.valueType()
	if r.err == nil && !t.isRef() {
		r.fail(at, "a value type where a reference type must be")
	}
	return t
}

func (t ValueType) isRef() bool { return t == FuncRef || t == ExternRef || t == ExnRef }

// longRefType reads the heap type of a reference type in its long form. Only
// nullable references to what has a short form are taken, and given as that.
func (r *reader) longRefType(at int, nullable bool) ValueType {
	switch heap := r.signed(33); {
	case r.err != nil:
		return 0
	case heap == -0x10 && nullable:
		return FuncRef
	case heap == -0x11 && nullable:
		return ExternRef
	case heap == -0x17 && nullable:
		return ExnRef
	case heap >= 0, heap == -0x10, heap == -0x11, heap == -0x17:
		r.unsupported(at, featureFunctionReferences)
	default:
		r.badType(at, byte(heap&0x7f))
	}
	return 0
}

func (r *reader) badType(at int, b byte) {
	switch b {
	case 0x78, 0x77, 0x74, 0x73, 0x72, 0x71, 0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x65:
		r.unsupported(at, featureGC)
	case 0x75, 0x68:
		r.unsupported(at, featureStackSwitching)
	default:
		r.fail(at, "unknown type %#x", b)
	}
}
