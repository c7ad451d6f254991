package canon

import (
	"encoding/binary"
	"math"

	"github.com/waterbear-run/waterbear/wit"
)

// Lift makes values of what core modules pass. One serves one call.
type Lift struct {
	Encoding Encoding
	// Memory is the guest's, as it is now; nil if types need none.
	Memory  []byte
	Handles *Handles
	Loans   *Loans // where borrows are written down
	// Transit makes values that only Lower reads: strings know how they were
	// encoded, and lists of numbers are copied as they are.
	Transit bool
	// Alias lets lists of u8 be the memory itself.
	Alias bool

	taken uint64 // of MaxLifted
}

// take accounts for host memory.
func (l *Lift) take(n uint64) error {
	if l.taken += n; l.taken > MaxLifted {
		return errTooLarge
	}
	return nil
}

// span checks that n bytes are in the memory.
func (l *Lift) span(ptr uint32, n uint64, align uint32) ([]byte, error) {
	if ptr&(align-1) != 0 {
		return nil, errAlignment
	}
	if uint64(ptr)+n > uint64(len(l.Memory)) {
		return nil, errBounds
	}
	return l.Memory[ptr : uint64(ptr)+n : uint64(ptr)+n], nil
}

// load makes the value that lies in m, which has the size of the type.
func (l *Lift) load(t *Type, m []byte) (wit.Value, error) {
	switch t.kind {
	case wit.S64, wit.U64, wit.F64:
		return l.scalar(t, binary.LittleEndian.Uint64(m))
	case wit.String:
		return l.text(pairAt(m))
	case wit.List:
		ptr, n := pairAt(m)
		return l.list(t, ptr, n)
	case wit.Record, wit.Tuple:
		v, err := l.loadFields(t, m)
		if err != nil {
			return nil, err
		}
		return v, nil
	case wit.Variant, wit.Enum, wit.Option, wit.Result:
		return l.variant(t, m)
	}
	return l.scalar(t, uint64(word(m, t.size)))
}

func (l *Lift) loadFields(t *Type, m []byte) ([]wit.Value, error) {
	v := make([]wit.Value, len(t.fields))
	for i, f := range t.fields {
		var err error
		if v[i], err = l.load(f.typ, m[f.offset:f.offset+f.typ.size]); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func pairAt(m []byte) (ptr, n uint32) {
	return binary.LittleEndian.Uint32(m), binary.LittleEndian.Uint32(m[4:])
}

// word reads an integer of up to four bytes.
func word(m []byte, size uint32) uint32 {
	switch size {
	case 1:
		return uint32(m[0])
	case 2:
		return uint32(binary.LittleEndian.Uint16(m))
	}
	return binary.LittleEndian.Uint32(m)
}

// variant loads a variant, an enum, an option or a result (load_variant).
func (l *Lift) variant(t *Type, m []byte) (wit.Value, error) {
	index := word(m, t.disc)
	if index >= t.cases {
		return nil, trapf("invalid discriminant %d of a %s of %d cases", index, t.kind, t.cases)
	}
	c := wit.Case{Index: index}
	if payload := t.fields[index].typ; payload != nil {
		var err error
		if c.Payload, err = l.load(payload, m[t.payload:t.payload+payload.size]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// scalar makes the value of the bits of a core value, or of as many bytes of the
// memory; what is above the size of the type is ignored.
func (l *Lift) scalar(t *Type, bits uint64) (wit.Value, error) {
	switch t.kind {
	case wit.Bool:
		return uint32(bits) != 0, nil
	case wit.S8:
		return int8(bits), nil
	case wit.U8:
		return uint8(bits), nil
	case wit.S16:
		return int16(bits), nil
	case wit.U16:
		return uint16(bits), nil
	case wit.S32:
		return int32(bits), nil
	case wit.U32:
		return uint32(bits), nil
	case wit.S64:
		return int64(bits), nil
	case wit.U64:
		return bits, nil
	case wit.F32:
		return float32Of(uint32(bits)), nil
	case wit.F64:
		return float64Of(bits), nil
	case wit.Char:
		return charOf(uint32(bits))
	case wit.Flags:
		return uint32(bits) & t.mask, nil
	case wit.Own:
		return l.own(t, uint32(bits))
	default:
		return l.borrow(t, uint32(bits))
	}
}

func (l *Lift) own(t *Type, i uint32) (wit.Value, error) {
	rep, err := l.Handles.liftOwn(i, t.ref.Index)
	if err != nil {
		return nil, err
	}
	return rep, nil
}

func (l *Lift) borrow(t *Type, i uint32) (wit.Value, error) {
	rep, err := l.Handles.liftBorrow(i, t.ref.Index, l.Loans)
	if err != nil {
		return nil, err
	}
	return rep, nil
}

func charOf(r uint32) (wit.Value, error) {
	if r >= 0x110000 || r >= 0xd800 && r <= 0xdfff {
		return nil, trapf("%#x is not a character", r)
	}
	return wit.Rune(r), nil
}

// The canonical NaNs: there is one value of a float that is not a number.
const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000000
)

func float32Of(bits uint32) float32 {
	if f := math.Float32frombits(bits); !math.IsNaN(float64(f)) {
		return f
	}
	return math.Float32frombits(nan32)
}

func float64Of(bits uint64) float64 {
	if f := math.Float64frombits(bits); !math.IsNaN(f) {
		return f
	}
	return math.Float64frombits(nan64)
}

// numbers is a list of numbers in transit, as they lie in memory.
type numbers []byte

// list loads the elements of a list (load_list_from_range).
func (l *Lift) list(t *Type, ptr, n uint32) (wit.Value, error) {
	elem := t.elem
	size := uint64(n) * uint64(elem.size)
	if size > maxBytes {
		return nil, trapf("a list of %d bytes is too long", size)
	}
	m, err := l.span(ptr, size, elem.align)
	if err != nil {
		return nil, err
	}
	bytes := elem.kind == wit.U8
	if l.Alias && bytes {
		return m, nil
	}
	if bytes || l.Transit && elem.dense {
		if err := l.take(size); err != nil {
			return nil, err
		}
		c := make([]byte, size)
		copy(c, m)
		if bytes {
			return c, nil
		}
		return numbers(c), nil
	}
	if err := l.take(uint64(n) * uint64(elem.weight)); err != nil {
		return nil, err
	}
	v := make([]wit.Value, n)
	for i := range v {
		if v[i], err = l.load(elem, m[:elem.size]); err != nil {
			return nil, err
		}
		m = m[elem.size:]
	}
	return v, nil
}

// flat makes a value of core values (lift_flat).
func (l *Lift) flat(t *Type, stack []uint64) (wit.Value, error) {
	switch t.kind {
	case wit.String:
		return l.text(uint32(stack[0]), uint32(stack[1]))
	case wit.List:
		return l.list(t, uint32(stack[0]), uint32(stack[1]))
	case wit.Record, wit.Tuple:
		v, err := l.flatFields(t, stack)
		if err != nil {
			return nil, err
		}
		return v, nil
	case wit.Variant, wit.Enum, wit.Option, wit.Result:
		index := uint32(stack[0])
		if index >= t.cases {
			return nil, trapf("invalid discriminant %d of a %s of %d cases", index, t.kind, t.cases)
		}
		c := wit.Case{Index: index}
		if payload := t.fields[index].typ; payload != nil {
			var err error
			// What a payload is joined with keeps its bits, in the low half where
			// it is the shorter.
			if c.Payload, err = l.flat(payload, stack[1:]); err != nil {
				return nil, err
			}
		}
		return c, nil
	}
	return l.scalar(t, stack[0])
}

func (l *Lift) flatFields(t *Type, stack []uint64) ([]wit.Value, error) {
	v := make([]wit.Value, len(t.fields))
	for i, f := range t.fields {
		var err error
		if v[i], err = l.flat(f.typ, stack); err != nil {
			return nil, err
		}
		stack = stack[f.typ.flats:]
	}
	return v, nil
}
