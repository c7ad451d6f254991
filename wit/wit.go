// Package wit is types and values as they cross the border of a WebAssembly
// program, in the forms that people and programs write them in.
//
// Of the component model it has the types, the values (Value, by Type), and what
// WIT declares with them: a Document of packages, which a Parser reads and its
// String prints. Values are read from JSON and from WAVE, and written as either;
// Check holds a value against a type. Of core WebAssembly it has the values of
// functions as JSON arrays, and the strings that a command takes.
//
// It hides where JSON says less, or more, than the types do. Whatever it reads
// is taken for hostile: sizes, depths and all that could grow faster than the
// text are bounded.
package wit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the arguments of one call.
const (
	// MaxArgs bounds their JSON, in bytes: with room to spare they fit one entry
	// of an oplog.
	MaxArgs = 512 << 10
	// MaxStrings bounds how many strings a command takes.
	MaxStrings = 10_000
	// MaxDepth bounds how deep arrays and objects lie in each other, the array
	// of the arguments included.
	MaxDepth = 64
)

// maxExcerpt bounds what an error repeats of a wrong argument, in bytes.
const maxExcerpt = 48

// noArgs is what absent arguments stand for.
var noArgs = json.RawMessage("[]")

// subject is what an error says that something is wrong with.
type subject struct{ noun, have, are string }

var (
	theArguments = subject{"the arguments", "have", "are"}
	theValue     = subject{"the value", "has", "is"}
)

// checkArgs says why args are no JSON array of a bounded size whose strings all
// are text, or nil; and gives the array for them, which is empty if they are.
func checkArgs(args json.RawMessage) (json.RawMessage, error) {
	args, err := checkJSON(theArguments, args)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return noArgs, nil
	}
	if args[0] != '[' {
		return nil, notAnArray(args)
	}
	return args, nil
}

func notAnArray(args []byte) error {
	return fmt.Errorf("the arguments are %s: put them into an array, as in [1, 2]", describe(args))
}

// checkJSON says why text is neither empty nor JSON of a bounded size whose
// strings all are text, or nil; and gives it without the space before it.
func checkJSON(s subject, text []byte) ([]byte, error) {
	if err := s.checkSize(text); err != nil {
		return nil, err
	}
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 {
		return nil, nil
	}
	if !json.Valid(text) {
		var whole json.RawMessage
		return nil, fmt.Errorf("%s %s not valid JSON: %w", s.noun, s.are, json.Unmarshal(text, &whole))
	}
	if loneSurrogate(text) {
		return nil, fmt.Errorf(`a string in %s has one half of a surrogate pair, such as "\ud800", which stands for no character`, s.noun)
	}
	return text, nil
}

// checkSize says why text is no UTF-8 of a bounded size, or nil.
func (s subject) checkSize(text []byte) error {
	if len(text) > MaxArgs {
		return fmt.Errorf("%s %s %d bytes, more than %d: pass large values in files", s.noun, s.have, len(text), MaxArgs)
	}
	if !utf8.Valid(text) {
		return fmt.Errorf("%s %s not valid UTF-8", s.noun, s.are)
	}
	return nil
}

// loneSurrogate reports whether a string in text, which is valid JSON, has half
// a pair: encoding/json would put another character there.
func loneSurrogate(text []byte) bool {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return false
		}
		text = text[at:]
		r := escaped(text)
		switch {
		case !utf16.IsSurrogate(r):
			text = text[2:]
		case utf16.DecodeRune(r, escaped(text[6:])) == utf8.RuneError:
			return true
		default:
			text = text[12:]
		}
	}
}

// escaped is the character that text begins with an escape of by number, as in
// \u0041, or 0.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	var r rune
	for _, c := range text[2:6] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// elements yields the elements of array, which is valid JSON, as they are
// written.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		depth, quoted, start := 0, false, 0
		for i := 0; i < len(array); i++ {
			c := array[i]
			switch {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '[' || c == '{':
				if depth++; depth == 1 {
					start = i + 1
				}
			case c == ',' && depth == 1, (c == ']' || c == '}') && depth == 1:
				// Only an empty array has nothing between its brackets.
				e := bytes.TrimSpace(array[start:i])
				if len(e) > 0 && !yield(e) || c != ',' {
					return
				}
				start = i + 1
			case c == ']' || c == '}':
				depth--
			}
		}
	}
}

// Strings reads the arguments of a command: an array of strings.
func Strings(args json.RawMessage) ([]string, error) {
	args, err := checkArgs(args)
	if err != nil {
		return nil, err
	}
	all := []string{}
	for e := range elements(args) {
		number := len(all) + 1
		if number > MaxStrings {
			return nil, fmt.Errorf("there are more than %d arguments: pass them in a file", MaxStrings)
		}
		if e[0] != '"' {
			return nil, fmt.Errorf("argument %d is %s: the arguments of a command are strings", number, describe(e))
		}
		var s string
		if err := json.Unmarshal(e, &s); err != nil {
			return nil, fmt.Errorf("argument %d: %w", number, err)
		}
		if bytes.IndexByte([]byte(s), 0) >= 0 {
			return nil, fmt.Errorf("argument %d has a NUL character, which no program can be given in an argument", number)
		}
		all = append(all, s)
	}
	return all, nil
}

// describe says in words what a JSON value is, for errors.
func describe(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "the string " + excerpt(value)
	case 't', 'f', 'n':
		return string(bytes.TrimSpace(value))
	}
	return "the number " + excerpt(value)
}

// excerpt is as much of a value as an error repeats.
func excerpt(value []byte) string {
	if len(value) <= maxExcerpt {
		return string(bytes.TrimSpace(value))
	}
	cut := maxExcerpt
	for !utf8.RuneStart(value[cut]) {
		cut--
	}
	return string(value[:cut]) + "…"
}
