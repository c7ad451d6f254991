package wit

import (
	"fmt"
	"strconv"
	"strings"
)

// maxExponent bounds the power of ten that a number is written with, far beyond
// what any type can hold.
const maxExponent = 1_000_000

// decimal is a JSON number by its value: 0.DIGITS × 10^point. Digits neither
// begin nor end with a zero, so equal numbers are equal however they are
// written; those of zero are "".
type decimal struct {
	negative bool
	digits   string
	point    int
}

// parseDecimal reads text, which is a valid JSON number.
func parseDecimal(text string) (decimal, error) {
	d := decimal{}
	mantissa, negative := strings.CutPrefix(text, "-")
	d.negative = negative
	exponent := int64(0)
	var outOfRange error
	if at := strings.IndexAny(mantissa, "eE"); at >= 0 {
		exponent, outOfRange = strconv.ParseInt(mantissa[at+1:], 10, 64)
		mantissa = mantissa[:at]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits := strings.TrimLeft(all, "0")
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return d, nil
	}
	if outOfRange != nil || exponent < -maxExponent || exponent > maxExponent {
		return decimal{}, fmt.Errorf("the exponent of %s is beyond what any type can hold", excerpt([]byte(text)))
	}
	d.point = len(whole) - (len(all) - len(digits)) + int(exponent)
	return d, nil
}

// Numbers from 10^-6 up to 10^21 are written without an exponent, as JavaScript
// and encoding/json do.
const (
	leastPlainPoint = -5
	mostPlainPoint  = 21
)

// append writes the number in the one form that its value has. Zero keeps its
// sign, for -0 is another value than 0 to a float.
func (d decimal) append(to []byte) []byte {
	if d.negative {
		to = append(to, '-')
	}
	n := len(d.digits)
	switch {
	case n == 0:
		return append(to, '0')
	case d.point < leastPlainPoint || d.point > mostPlainPoint:
		to = append(to, d.digits[0])
		if n > 1 {
			to = append(append(to, '.'), d.digits[1:]...)
		}
		return strconv.AppendInt(append(to, 'e'), int64(d.point)-1, 10)
	case d.point <= 0:
		to = append(append(to, "0."...), strings.Repeat("0", -d.point)...)
		return append(to, d.digits...)
	case d.point < n:
		to = append(append(to, d.digits[:d.point]...), '.')
		return append(to, d.digits[d.point:]...)
	}
	return append(append(to, d.digits...), strings.Repeat("0", d.point-n)...)
}

// isInteger reports whether there is nothing behind the point.
func (d decimal) isInteger() bool { return d.digits == "" || d.point >= len(d.digits) }

// magnitude is the absolute value of an integer, if it has at most 64 bits.
func (d decimal) magnitude() (uint64, bool) {
	const mostDigits = 20 // of 2^64
	if d.digits == "" {
		return 0, true
	}
	if d.point > mostDigits {
		return 0, false
	}
	v, err := strconv.ParseUint(d.digits+strings.Repeat("0", d.point-len(d.digits)), 10, 64)
	return v, err == nil
}
