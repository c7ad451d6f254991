package wit

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// errDeep is why a value is refused that is nested too deeply.
var errDeep = fmt.Errorf("arrays and objects are nested deeper than %d", MaxDepth)

// jsonReader reads JSON that is known to be valid, from its beginning on.
type jsonReader struct {
	text  []byte
	pos   int
	depth int // how many arrays and objects are open
	allowance
	labels labels
}

// newJSONReader says why text is no valid JSON of a bounded size. Of no text at
// all it makes otherwise.
func newJSONReader(s subject, text []byte, otherwise []byte) (*jsonReader, error) {
	text, err := checkJSON(s, text)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		text = otherwise
	}
	return &jsonReader{text: text, allowance: maxValues, labels: labels{}}, nil
}

// peek is the first byte of the next value.
func (r *jsonReader) peek() byte {
	for {
		switch c := r.text[r.pos]; c {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return c
		}
	}
}

// scalar moves past the next value and gives it as it is written, or its first
// byte, without moving, if it is an array or an object.
func (r *jsonReader) scalar() []byte {
	first, start := r.peek(), r.pos
	switch first {
	case '[', '{':
		return r.text[start : start+1]
	case '"':
		for r.pos++; r.text[r.pos] != '"'; r.pos++ {
			if r.text[r.pos] == '\\' {
				r.pos++
			}
		}
		r.pos++
	default:
		for r.pos < len(r.text) && isScalarByte(r.text[r.pos]) {
			r.pos++
		}
	}
	return r.text[start:r.pos]
}

// isScalarByte reports whether c may be part of a number, true, false or null.
func isScalarByte(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		return false
	}
	return true
}

// wrong is the error for a next value that is not what it should be.
func (r *jsonReader) wrong(want string) error {
	return fmt.Errorf("it is %s: write %s", describe(r.scalar()), want)
}

// str reads the next value, which is a string.
func (r *jsonReader) str() (string, error) { return unquoteJSON(r.scalar()) }

// unquoteJSON is the string that token, a valid one, stands for.
func unquoteJSON(token []byte) (string, error) {
	if bytes.IndexByte(token, '\\') < 0 {
		return string(token[1 : len(token)-1]), nil
	}
	var s string
	err := json.Unmarshal(token, &s)
	return s, err
}

// enter moves into the next value, which is an array or an object. Every call of
// more before one that says no is followed by reading an element, or a name and
// a value.
func (r *jsonReader) enter() error {
	if r.depth == MaxDepth {
		return errDeep
	}
	r.peek()
	r.pos++
	r.depth++
	return nil
}

// more reports whether there is more in the array or object, and leaves it if
// not.
func (r *jsonReader) more() bool {
	switch r.peek() {
	case ']', '}':
		r.pos++
		r.depth--
		return false
	case ',':
		r.pos++
	}
	return true
}

// name reads the name of the next member.
func (r *jsonReader) name() (string, error) {
	r.peek()
	s, err := r.str()
	r.peek()
	r.pos++ // the colon
	return s, err
}

// skip moves past the next value.
func (r *jsonReader) skip() {
	r.peek()
	for open := 0; ; {
		switch r.peek() {
		case '[', '{':
			open++
			r.pos++
		case ']', '}':
			open--
			r.pos++
		case ',', ':':
			r.pos++
		default:
			r.scalar()
		}
		if open == 0 {
			return
		}
	}
}

// left is how many bytes are left, and so no fewer than elements.
func (r *jsonReader) left() int { return len(r.text) - r.pos }
