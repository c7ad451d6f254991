package binary

import (
	"fmt"
	"unicode/utf8"
)

// reader reads a binary. The first error sticks: from then on every read gives
// zero and done is true, so that loops end and callers check once.
type reader struct {
	data    []byte // all of it, so that positions are offsets in it
	pos     int
	end     int // of the section
	section string
	err     *Error
}

// enter narrows the reader to the next size bytes, and gives what leave takes to
// widen it again.
func (r *reader) enter(size uint32, section string) (outer reader) {
	outer = reader{end: r.end, section: r.section}
	r.section = section
	if int64(size) > int64(r.left()) {
		r.fail(r.end, "unexpected end-of-file: it has %d bytes, not the %d that it claims", r.left(), size)
		return outer
	}
	r.end = r.pos + int(size)
	return outer
}

// leave undoes enter.
func (r *reader) leave(outer reader) {
	if r.err == nil && r.pos < r.end {
		r.fail(r.pos, "unexpected data at the end of the section: %d bytes are left over", r.left())
	}
	r.end, r.section = outer.end, outer.section
}

func (r *reader) done() bool { return r.pos >= r.end || r.err != nil }

func (r *reader) left() int { return r.end - r.pos }

// fail lets an error stick, if it is the first.
func (r *reader) fail(at int, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Offset: at, Section: r.section, Rule: fmt.Sprintf(format, brief(args)...)}
	}
}

// refuse fails because of a feature.
func (r *reader) refuse(at int, f *Feature) {
	if r.err == nil {
		r.err = &Error{Offset: at, Section: r.section, Rule: "it uses " + f.Name, Feature: f}
	}
}

// refuseLeading fails because of a byte that nothing begins with.
func (r *reader) refuseLeading(at int, b byte, what string) {
	r.fail(at, "invalid leading byte (%#x) for %s", b, what)
}

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.pos >= r.end {
		r.fail(r.pos, "unexpected end-of-file")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// peek is the next byte, or 0 if there is none.
func (r *reader) peek() byte {
	if r.done() {
		return 0
	}
	return r.data[r.pos]
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
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
	r.fail(at, "integer too large: more than 32 bits")
	return 0
}

// signed reads a signed LEB128 number of at most the given bits, 64 or less.
func (r *reader) signed(bits int) int64 {
	at := r.pos
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		used := shift + 7
		if used < 64 && b&0x40 != 0 {
			v |= -1 << used
		}
		if used > bits && !signExtends(b, bits-shift) {
			break
		}
		return v
	}
	r.fail(at, "integer too large: more than %d bits", bits)
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
	switch {
	case r.err != nil:
		return 0
	case n > limit:
		r.tooMany(at, n, what, limit)
		return 0
	case n > r.left()/size:
		r.fail(r.end, "unexpected end-of-file: it claims %d %s in %d bytes", n, what, r.left())
		return 0
	}
	return n
}

// vector reads a vector, whose items are read by item.
func (r *reader) vector(size int, what string, limit int, item func()) {
	for range r.count(size, what, limit) {
		if r.err != nil {
			return
		}
		item()
	}
}

func (r *reader) tooMany(at, n int, what string, limit int) {
	r.fail(at, "%d %s are more than the limit of %d", n, what, limit)
}

func (r *reader) name() string {
	at := r.pos
	n := r.u32()
	if n > maxNameBytes {
		r.tooMany(at, int(n), "bytes of a name", maxNameBytes)
		return ""
	}
	b := r.bytes(int(n))
	if !utf8.Valid(b) {
		r.fail(at, "malformed UTF-8 encoding of a name")
		return ""
	}
	return string(b)
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > r.left() {
		r.fail(r.end, "unexpected end-of-file: %d bytes where %d are left", n, r.left())
		return nil
	}
	b := r.data[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}
