package wit

import (
	"bytes"
	"fmt"
	"math"
)

// integerRange is which integers a type has: from -2^signBits or 0 to max.
type integerRange struct {
	max    uint64
	signed bool
}

var integerRanges = [...]integerRange{
	S8: {math.MaxInt8, true}, U8: {math.MaxUint8, false},
	S16: {math.MaxInt16, true}, U16: {math.MaxUint16, false},
	S32: {math.MaxInt32, true}, U32: {math.MaxUint32, false},
	S64: {math.MaxInt64, true}, U64: {math.MaxUint64, false},
}

// parseInteger reads text, a valid JSON number, as an integer of the kind.
func parseInteger(kind Kind, text []byte) (Value, error) {
	magnitude, negative, ok := plainInteger(text)
	if !ok {
		d, err := parseDecimal(string(text))
		if err != nil {
			return nil, err
		}
		if !d.isInteger() {
			return nil, fmt.Errorf("%s is not an integer", excerpt(text))
		}
		negative = d.negative
		if magnitude, ok = d.magnitude(); !ok {
			return nil, integerRanges[kind].outOfRange(kind, text)
		}
	}
	r := integerRanges[kind]
	switch {
	case magnitude == 0:
	case negative && (!r.signed || magnitude > r.max+1), !negative && magnitude > r.max:
		return nil, r.outOfRange(kind, text)
	}
	if negative {
		magnitude = -magnitude
	}
	return integerOf(kind, magnitude), nil
}

// plainInteger reads what most integers are, a few digits, which takes a third
// of the time of reading any number.
func plainInteger(text []byte) (magnitude uint64, negative, ok bool) {
	const most = 18 // digits of which an uint64 holds any
	digits, negative := bytes.CutPrefix(text, []byte("-"))
	if len(digits) > most {
		return 0, negative, false
	}
	for _, c := range digits {
		if !isDigit(c) {
			return 0, negative, false
		}
		magnitude = magnitude*10 + uint64(c-'0')
	}
	return magnitude, negative, true
}

func (r integerRange) outOfRange(kind Kind, text []byte) error {
	if r.signed {
		return fmt.Errorf("%s is out of range: an %s is from %d to %d", excerpt(text), kind, -int64(r.max)-1, r.max)
	}
	return fmt.Errorf("%s is out of range: a %s is from 0 to %d", excerpt(text), kind, r.max)
}

// integerOf is the Go value of the low bits of v.
func integerOf(kind Kind, v uint64) Value {
	switch kind {
	case S8:
		return int8(v)
	case U8:
		return uint8(v)
	case S16:
		return int16(v)
	case U16:
		return uint16(v)
	case S32:
		return int32(v)
	case U32:
		return uint32(v)
	case S64:
		return int64(v)
	}
	return v
}

// floatOf is the Go value of the float with those bits.
func floatOf(kind Kind, bits uint64) Value {
	if kind == F32 {
		return math.Float32frombits(uint32(bits))
	}
	return math.Float64frombits(bits)
}
