package canon

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/wit"
)

// text is a string in transit, and how it lay in the memory that it is from: the
// allocations that Lower makes for it depend on that.
type text struct {
	s     string
	form  form
	units uint32 // of the form
}

// form is how a string was encoded.
type form uint8

const (
	formUTF8 form = iota
	formUTF16
	// Latin-1 and UTF-16 where either could have been.
	formLatin1
	formTaggedUTF16
)

// text loads a string (load_string_from_range).
func (l *Lift) text(ptr, tagged uint32) (wit.Value, error) {
	t := text{units: tagged}
	size, align := uint64(tagged), uint32(1)
	switch l.Encoding {
	case UTF16:
		t.form, size, align = formUTF16, 2*size, 2
	case Latin1OrUTF16:
		t.form, align = formLatin1, 2
		if tagged&utf16Tag != 0 {
			t.form, t.units = formTaggedUTF16, tagged&^utf16Tag
			size = 2 * uint64(t.units)
		}
	}
	if size > maxBytes {
		return nil, trapf("a string of %d bytes is too long", size)
	}
	m, err := l.span(ptr, size, align)
	if err != nil {
		return nil, err
	}
	if t.s, err = l.decode(t.form, m); err != nil {
		return nil, err
	}
	if l.Transit {
		return t, nil
	}
	return t.s, nil
}

// decode makes a Go string of an encoded one.
func (l *Lift) decode(f form, m []byte) (string, error) {
	switch f {
	case formUTF8:
		if err := l.take(uint64(len(m))); err != nil {
			return "", err
		}
		if !utf8.Valid(m) {
			return "", trapf("a string is not valid UTF-8")
		}
		return string(m), nil
	case formLatin1:
		size := len(m)
		for _, b := range m {
			size += int(b >> 7)
		}
		if err := l.take(uint64(size)); err != nil {
			return "", err
		}
		if size == len(m) {
			return string(m), nil
		}
		var s strings.Builder
		s.Grow(size)
		for _, b := range m {
			s.WriteRune(rune(b))
		}
		return s.String(), nil
	}
	size, ok := measureUTF16(m)
	if !ok {
		return "", trapf("a string is not valid UTF-16")
	}
	if err := l.take(uint64(size)); err != nil {
		return "", err
	}
	return fromUTF16(m, size), nil
}

// measureUTF16 gives how many bytes UTF-8 takes for valid UTF-16.
func measureUTF16(m []byte) (size int, ok bool) {
	for len(m) >= 2 {
		u := binary.LittleEndian.Uint16(m)
		m = m[2:]
		switch {
		case u < utf8.RuneSelf:
			size++
		case u < 0x800:
			size += 2
		case u < 0xd800 || u > 0xdfff:
			size += 3
		case len(m) < 2 || pairOf(u, m) < 0:
			return 0, false
		default:
			size += 4
			m = m[2:]
		}
	}
	return size, true
}

// fromUTF16 makes a string of size bytes of valid UTF-16.
func fromUTF16(m []byte, size int) string {
	var s strings.Builder
	s.Grow(size)
	var part [512]byte
	n := 0
	for len(m) >= 2 {
		if n > len(part)-utf8.UTFMax {
			s.Write(part[:n])
			n = 0
		}
		u := binary.LittleEndian.Uint16(m)
		m = m[2:]
		switch {
		case u < utf8.RuneSelf:
			part[n] = byte(u)
			n++
		case u < 0xd800 || u > 0xdfff:
			n += utf8.EncodeRune(part[n:], rune(u))
		default:
			n += utf8.EncodeRune(part[n:], pairOf(u, m))
			m = m[2:]
		}
	}
	s.Write(part[:n])
	return s.String()
}

// pairOf is the character of a surrogate and the one that m begins with, or -1 if
// they are no pair.
func pairOf(first uint16, m []byte) rune {
	r := utf16.DecodeRune(rune(first), rune(binary.LittleEndian.Uint16(m)))
	if r == utf8.RuneError {
		return -1
	}
	return r
}

// text stores a string (store_string_into_range). Which allocations are made, of
// what size and in which order, is what the specification says for where the
// string is from; one of the host's counts as UTF-8.
func (l *Lower) text(t *Type, v wit.Value) (ptr, units uint32, err error) {
	x, ok := v.(text)
	if !ok {
		s, ok := v.(string)
		if !ok {
			return 0, 0, notOf(t, v)
		}
		switch {
		case len(s) > maxBytes:
			return 0, 0, badValue(t, "it has %d bytes, more than %d", len(s), maxBytes)
		case !utf8.ValidString(s):
			return 0, 0, badValue(t, "it is not valid UTF-8")
		}
		x = text{s: s, units: uint32(len(s))}
	}
	switch l.Encoding {
	case UTF8:
		if x.form == formUTF8 {
			return l.copyUTF8(x.s)
		}
		return l.toUTF8(x)
	case UTF16:
		if x.form == formUTF8 {
			return l.toUTF16(x)
		}
		return l.copyUTF16(x)
	default:
		switch x.form {
		case formLatin1:
			return l.copyLatin1(x)
		case formTaggedUTF16:
			return l.probablyUTF16(x)
		}
		return l.toEither(x)
	}
}

func (l *Lower) copyUTF8(s string) (ptr, units uint32, err error) {
	ptr, err = l.realloc(0, 0, 1, uint64(len(s)))
	if err != nil {
		return 0, 0, err
	}
	copy(l.memory[ptr:], s)
	return ptr, uint32(len(s)), nil
}

func (l *Lower) copyUTF16(x text) (ptr, units uint32, err error) {
	ptr, err = l.realloc(0, 0, 2, 2*uint64(x.units))
	if err != nil {
		return 0, 0, err
	}
	putUTF16(l.memory[ptr:], x.s)
	return ptr, x.units, nil
}

func (l *Lower) copyLatin1(x text) (ptr, units uint32, err error) {
	ptr, err = l.realloc(0, 0, 2, uint64(x.units))
	if err != nil {
		return 0, 0, err
	}
	putLatin1(l.memory[ptr:], x.s)
	return ptr, x.units, nil
}

// toUTF8 hopes for one byte a unit, and allocates as much as there may be once
// that is wrong (store_string_to_utf8).
func (l *Lower) toUTF8(x text) (ptr, units uint32, err error) {
	ptr, err = l.realloc(0, 0, 1, uint64(x.units))
	if err != nil {
		return 0, 0, err
	}
	ascii := 0
	for ascii < len(x.s) && x.s[ascii] < utf8.RuneSelf {
		ascii++
	}
	copy(l.memory[ptr:], x.s[:ascii])
	if ascii == len(x.s) {
		return ptr, x.units, nil
	}
	worst := 3 * uint64(x.units)
	if x.form == formLatin1 {
		worst = 2 * uint64(x.units)
	}
	if ptr, err = l.realloc(ptr, x.units, 1, worst); err != nil {
		return 0, 0, err
	}
	copy(l.memory[uint64(ptr)+uint64(ascii):], x.s[ascii:])
	ptr, err = l.shrink(ptr, worst, 1, uint64(len(x.s)))
	return ptr, uint32(len(x.s)), err
}

// shrink gives back what was allocated beyond size.
func (l *Lower) shrink(ptr uint32, have uint64, align uint32, size uint64) (uint32, error) {
	if have == size {
		return ptr, nil
	}
	return l.realloc(ptr, uint32(have), align, size)
}

// toUTF16 allocates as much as there may be, and gives back the rest
// (store_utf8_to_utf16).
func (l *Lower) toUTF16(x text) (ptr, units uint32, err error) {
	worst := 2 * uint64(x.units)
	if ptr, err = l.realloc(0, 0, 2, worst); err != nil {
		return 0, 0, err
	}
	size := putUTF16(l.memory[ptr:], x.s)
	ptr, err = l.shrink(ptr, worst, 2, uint64(size))
	return ptr, uint32(size / 2), err
}

// toEither hopes for Latin-1, and goes on in UTF-16 from the first character that
// is not (store_string_to_latin1_or_utf16).
func (l *Lower) toEither(x text) (ptr, units uint32, err error) {
	if ptr, err = l.realloc(0, 0, 2, uint64(x.units)); err != nil {
		return 0, 0, err
	}
	n, rest := putLatin1(l.memory[ptr:], x.s)
	if rest == "" {
		ptr, err = l.shrink(ptr, uint64(x.units), 2, uint64(n))
		return ptr, uint32(n), err
	}
	worst := 2 * uint64(x.units)
	if ptr, err = l.realloc(ptr, x.units, 2, worst); err != nil {
		return 0, 0, err
	}
	m := l.memory[ptr:]
	for i := n - 1; i >= 0; i-- {
		m[2*i], m[2*i+1] = m[i], 0
	}
	size := 2*n + putUTF16(m[2*n:], rest)
	ptr, err = l.shrink(ptr, worst, 2, uint64(size))
	return ptr, uint32(size/2) | utf16Tag, err
}

// probablyUTF16 stores as UTF-16 what was UTF-16, unless it need not have been
// (store_probably_utf16_to_latin1_or_utf16).
func (l *Lower) probablyUTF16(x text) (ptr, units uint32, err error) {
	size := 2 * uint64(x.units)
	if ptr, err = l.realloc(0, 0, 2, size); err != nil {
		return 0, 0, err
	}
	m := l.memory[ptr:]
	putUTF16(m, x.s)
	for i := uint32(0); i < x.units; i++ {
		if m[2*i+1] != 0 {
			return ptr, x.units | utf16Tag, nil
		}
	}
	for i := uint32(0); i < x.units; i++ {
		m[i] = m[2*i]
	}
	ptr, err = l.realloc(ptr, uint32(size), 1, uint64(x.units))
	return ptr, x.units, err
}

// putUTF16 writes s and gives the number of bytes.
func putUTF16(m []byte, s string) (n int) {
	for len(s) > 0 && s[0] < utf8.RuneSelf {
		m[n], m[n+1] = s[0], 0
		s, n = s[1:], n+2
	}
	for _, r := range s {
		if r < 0x10000 {
			binary.LittleEndian.PutUint16(m[n:], uint16(r))
			n += 2
			continue
		}
		high, low := utf16.EncodeRune(r)
		binary.LittleEndian.PutUint16(m[n:], uint16(high))
		binary.LittleEndian.PutUint16(m[n+2:], uint16(low))
		n += 4
	}
	return n
}

// putLatin1 writes what of s comes before the first character that Latin-1 does
// not have. It gives the number of bytes, and the rest of s.
func putLatin1(m []byte, s string) (n int, rest string) {
	for i, r := range s {
		if r > 0xff {
			return n, s[i:]
		}
		m[n] = byte(r)
		n++
	}
	return n, ""
}
