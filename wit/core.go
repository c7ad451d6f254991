package wit

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The core value types that can be passed. The others, v128 and references,
// have no form in JSON.
const (
	typeI32 = "i32"
	typeI64 = "i64"
	typeF32 = "f32"
	typeF64 = "f64"
)

// CanPass reports whether values of all these types can be passed.
func CanPass(types []string) bool { return unpassable(types) == nil }

// unpassable says which of the types cannot be passed, or nil.
func unpassable(types []string) error {
	for _, t := range types {
		switch t {
		case typeI32, typeI64, typeF32, typeF64:
		default:
			return fmt.Errorf("values of type %s cannot be passed, only i32, i64, f32 and f64", t)
		}
	}
	return nil
}

// LowerCore appends to stack the arguments of a function that takes types, as
// the engine wants them: one slot each, an i32 in the low half.
//
// args is a JSON array with one element for each type; no args at all stand for
// an empty array. An i32 is an integer from -2^31 to 2^32-1 and an i64 one from
// -2^63 to 2^63-1 or, as an unsigned number, to 2^64-1; those of the upper half
// are the same as the negative ones with the same bits. How an integer is
// written does not matter: 1, 1.0 and 10e-1 are the same. An f32 or f64 is a
// number, which is rounded once, directly from what is written, to the nearest
// value of the type and to the even one of two that are equally near; one that
// is beyond the greatest finite value after that is refused. Or it is "NaN",
// which gives the canonical NaN, "Infinity" or "-Infinity".
//
// The error says which argument is wrong, from 1, its type, and why.
func LowerCore(types []string, args json.RawMessage, stack []uint64) ([]uint64, error) {
	if err := unpassable(types); err != nil {
		return nil, err
	}
	args, err := checkArgs(args)
	if err != nil {
		return nil, err
	}
	count := 0
	for e := range elements(args) {
		if count++; count > len(types) {
			continue
		}
		slot, err := lower(types[count-1], e)
		if err != nil {
			return nil, fmt.Errorf("argument %d (%s): %w", count, types[count-1], err)
		}
		stack = append(stack, slot)
	}
	if count != len(types) {
		return nil, fmt.Errorf("the function takes %s, got %d", arity(types), count)
	}
	return stack, nil
}

// arity says how many arguments of which types there are to be.
func arity(types []string) string {
	switch len(types) {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument (" + types[0] + ")"
	}
	return fmt.Sprintf("%d arguments (%s)", len(types), strings.Join(types, " "))
}

func lower(t string, e []byte) (uint64, error) {
	if t == typeF32 || t == typeF64 {
		return lowerFloat(t, e)
	}
	if !isNumber(e) {
		return 0, fmt.Errorf("it is %s: write an integer", describe(e))
	}
	d, err := parseDecimal(string(e))
	if err != nil {
		return 0, err
	}
	if !d.isInteger() {
		return 0, fmt.Errorf("%s is not an integer", excerpt(e))
	}
	bits := uint(64)
	if t == typeI32 {
		bits = 32
	}
	v, ok := d.magnitude()
	switch {
	case d.negative && ok && v <= 1<<(bits-1):
		v = -v
	case d.negative || !ok || v > math.MaxUint64>>(64-bits):
		return 0, fmt.Errorf("%s is out of range: an %s is from -2^%d to 2^%d-1", excerpt(e), t, bits-1, bits)
	}
	return v & (math.MaxUint64 >> (64 - bits)), nil
}

func isNumber(e []byte) bool { return e[0] == '-' || '0' <= e[0] && e[0] <= '9' }

// canonicalNaN32 and canonicalNaN64 are what "NaN" stands for: the
// specification's canonical NaNs, positive, with the one bit that it requires.
const (
	canonicalNaN32 = 0x7fc00000
	canonicalNaN64 = 0x7ff8000000000000
)

func lowerFloat(t string, e []byte) (uint64, error) {
	if e[0] == '"' {
		return lowerSpecial(t, e)
	}
	if !isNumber(e) {
		return 0, fmt.Errorf("it is %s: write a number", describe(e))
	}
	v, err := parseFloat(t, e)
	if errors.Is(err, errOutOfRange) {
		err = fmt.Errorf(`%w; "Infinity" and "-Infinity" are strings`, err)
	}
	return v, err
}

// errOutOfRange is why a number that no float of its type comes near is refused.
var errOutOfRange = errors.New("out of range")

// parseFloat reads text, a valid JSON number, as the bits of a float.
func parseFloat(t string, text []byte) (uint64, error) {
	if _, err := parseDecimal(string(text)); err != nil {
		return 0, err
	}
	bits := 64
	if t == typeF32 {
		bits = 32
	}
	v, err := strconv.ParseFloat(string(text), bits)
	if err != nil {
		return 0, fmt.Errorf("%s is %w of an %s", excerpt(text), errOutOfRange, t)
	}
	if t == typeF32 {
		return uint64(math.Float32bits(float32(v))), nil
	}
	return math.Float64bits(v), nil
}

// lowerSpecial reads the floats that JSON has no numbers for.
func lowerSpecial(t string, e []byte) (uint64, error) {
	var name string
	if err := json.Unmarshal(e, &name); err != nil {
		return 0, err
	}
	sign := 1
	switch name {
	case "NaN":
		if t == typeF32 {
			return canonicalNaN32, nil
		}
		return canonicalNaN64, nil
	case "Infinity":
	case "-Infinity":
		sign = -1
	default:
		return 0, fmt.Errorf(`it is %s: write a number, "NaN", "Infinity" or "-Infinity"`, describe(e))
	}
	if t == typeF32 {
		return uint64(math.Float32bits(float32(math.Inf(sign)))), nil
	}
	return math.Float64bits(math.Inf(sign)), nil
}

// LiftCore gives the results of a function that returns types, which the engine
// left at the beginning of stack, as a JSON array in its canonical form.
// Integers are signed. A float is the shortest number that LowerCore reads as
// the same float, with the sign of a zero, or "NaN", "Infinity" or "-Infinity";
// which NaN it was is not told.
func LiftCore(types []string, stack []uint64) (json.RawMessage, error) {
	if err := unpassable(types); err != nil {
		return nil, err
	}
	if len(stack) < len(types) {
		return nil, fmt.Errorf("the function returns %d values, and its stack has %d", len(types), len(stack))
	}
	out := json.RawMessage{'['}
	for i, t := range types {
		if i > 0 {
			out = append(out, ',')
		}
		switch t {
		case typeI32:
			out = strconv.AppendInt(out, int64(int32(uint32(stack[i]))), 10)
		case typeI64:
			out = strconv.AppendInt(out, int64(stack[i]), 10)
		case typeF32:
			out = liftFloat(out, float64(math.Float32frombits(uint32(stack[i]))), 32)
		case typeF64:
			out = liftFloat(out, math.Float64frombits(stack[i]), 64)
		}
	}
	return append(out, ']'), nil
}

func liftFloat(out []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(out, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(out, `"-Infinity"`...)
	}
	d, err := parseDecimal(strconv.FormatFloat(v, 'e', -1, bits))
	if err != nil {
		panic("wit: no float has such an exponent: " + err.Error())
	}
	return d.append(out)
}
