package wit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// CanonicalArgs gives args in the one form that all arrays of the same values
// have, so that two calls have the same arguments if and only if this is the
// same. It is an array that LowerCore, Strings and CanonicalArgs read as they
// read args.
//
// Nothing is between the values. A number is written by its value: 1, 1.0 and
// 10e-1 all are 1, 1e2 is 100, and from 10^21 up and below 10^-6 there is an
// exponent, as in 1.5e-7. -0 stays, for it is another value than 0 to a float;
// so an integer that is once written 0 and once -0 makes two calls. A string
// has no escapes but those that JSON requires. The members of an object are in
// the order of their names, bytewise; the same name twice is refused.
func CanonicalArgs(args json.RawMessage) (json.RawMessage, error) {
	args, err := checkArgs(args)
	if err != nil {
		return nil, err
	}
	if isCanonical(args) {
		return args, nil
	}
	c := canonical{decoder: json.NewDecoder(bytes.NewReader(args))}
	c.decoder.UseNumber()
	out, err := c.value(make([]byte, 0, len(args)), 0)
	if err != nil {
		return nil, err
	}
	if len(out) > MaxArgs {
		return nil, fmt.Errorf("the arguments have %d bytes once their numbers are written out, more than %d: pass large values in files", len(out), MaxArgs)
	}
	return out, nil
}

// maxPlainDigits is how long an integer may be to be written without an
// exponent whatever its digits are.
const maxPlainDigits = 20

// isCanonical reports whether args, which is a JSON array, is one of small
// integers in canonical form. Most arguments are, and decoding takes ten times
// as long as looking.
func isCanonical(args []byte) bool {
	if len(args) < 2 || args[0] != '[' {
		return false
	}
	rest := args[1 : len(args)-1]
	for len(rest) > 0 {
		number := rest
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			number, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		digits := bytes.TrimPrefix(number, []byte("-"))
		if len(digits) == 0 || len(digits) > maxPlainDigits || digits[0] == '0' && len(number) > 1 {
			return false
		}
		for _, d := range digits {
			if d < '0' || d > '9' {
				return false
			}
		}
	}
	return true
}

// canonical rewrites the JSON that it decodes.
type canonical struct{ decoder *json.Decoder }

// value appends the next value.
func (c canonical) value(out []byte, depth int) ([]byte, error) {
	token, err := c.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == MaxDepth {
			return nil, fmt.Errorf("the arguments are nested deeper than %d", MaxDepth)
		}
		if token == '{' {
			return c.object(out, depth+1)
		}
		return c.array(out, depth+1)
	case json.Number:
		d, err := parseDecimal(token.String())
		if err != nil {
			return nil, err
		}
		return d.append(out), nil
	case string:
		return appendString(out, token), nil
	case bool:
		return fmt.Append(out, token), nil
	}
	return append(out, "null"...), nil
}

// array appends the rest of an array, whose bracket has been read.
func (c canonical) array(out []byte, depth int) (_ []byte, err error) {
	out = append(out, '[')
	for first := true; c.decoder.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		if out, err = c.value(out, depth); err != nil {
			return nil, err
		}
	}
	_, err = c.decoder.Token() // the closing bracket
	return append(out, ']'), err
}

// object appends the rest of an object, whose bracket has been read.
func (c canonical) object(out []byte, depth int) ([]byte, error) {
	type member struct {
		name  string
		value []byte
	}
	var members []member
	for c.decoder.More() {
		token, err := c.decoder.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: token.(string)} // JSON has no other names
		if m.value, err = c.value(nil, depth); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	if _, err := c.decoder.Token(); err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if m.name == members[i-1].name {
				return nil, fmt.Errorf("an object in the arguments has two members named %s", excerpt(appendString(nil, m.name)))
			}
			out = append(out, ',')
		}
		out = append(append(appendString(out, m.name), ':'), m.value...)
	}
	return append(out, '}'), nil
}

// shortEscapes are the control characters, the quote and the backslash that
// JSON has escapes of two characters for, and those.
const (
	shortEscaped = "\"\\\b\f\n\r\t"
	shortEscapes = `"\bfnrt`
)

// appendString writes s with the shortest escapes, and only where JSON requires
// one.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s {
		if at := strings.IndexRune(shortEscaped, r); at >= 0 {
			out = append(out, '\\', shortEscapes[at])
		} else if r < ' ' {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}
