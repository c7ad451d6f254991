package wit

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// waveReader reads WAVE, from its beginning on.
type waveReader struct {
	text  string
	pos   int
	depth int // how many brackets are open
	allowance
	labels labels
}

func newWAVEReader(text string) *waveReader {
	return &waveReader{text: text, allowance: maxValues, labels: labels{}}
}

// errDeepWAVE is why a value is refused that is nested too deeply.
var errDeepWAVE = fmt.Errorf("brackets are nested deeper than %d", MaxDepth)

// space moves past whitespace and comments.
func (r *waveReader) space() {
	for r.pos < len(r.text) {
		switch rest := r.text[r.pos:]; {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			r.pos++
		case strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				r.pos += end
			} else {
				r.pos = len(r.text)
			}
		default:
			return
		}
	}
}

// at reports whether c is next.
func (r *waveReader) at(c byte) bool {
	r.space()
	return r.pos < len(r.text) && r.text[r.pos] == c
}

// take moves past c if it is next.
func (r *waveReader) take(c byte) bool {
	if !r.at(c) {
		return false
	}
	r.pos++
	return true
}

// endOfWAVE is what is found behind the end.
const endOfWAVE = "the end"

// end says what is behind the value, or nil.
func (r *waveReader) end() error {
	if found := r.found(); found != endOfWAVE {
		return fmt.Errorf("behind the value there is %s: remove it", found)
	}
	return nil
}

// found says in words what is next, for errors.
func (r *waveReader) found() string {
	r.space()
	rest := r.text[r.pos:]
	switch {
	case rest == "":
		return endOfWAVE
	case rest[0] == '"':
		return "a string"
	case rest[0] == '\'':
		return "a character"
	}
	word, _ := strings.CutPrefix(rest, "%")
	if n := prefixLen(word, isNameByte); n > 0 {
		return excerpt([]byte(rest[:len(rest)-len(word)+n]))
	}
	_, size := utf8.DecodeRuneInString(rest)
	return rest[:size]
}

// wrong is the error for what is next and should be something else.
func (r *waveReader) wrong(want string) error {
	return fmt.Errorf("here is %s: write %s", r.found(), want)
}

// peekWord is the next word, or "".
func (r *waveReader) peekWord() string {
	r.space()
	rest := strings.TrimPrefix(r.text[r.pos:], "%")
	if rest == "" || !isNameByte(rest[0]) || rest[0] == '-' || '0' <= rest[0] && rest[0] <= '9' {
		return ""
	}
	return rest[:prefixLen(rest, isNameByte)]
}

// keyword is the next word if it may be a keyword, having no %.
func (r *waveReader) keyword() string {
	if r.at('%') {
		return ""
	}
	return r.peekWord()
}

// word reads the next word without its %, or "".
func (r *waveReader) word() string {
	w := r.peekWord()
	if w != "" {
		if r.text[r.pos] == '%' {
			r.pos++
		}
		r.pos += len(w)
	}
	return w
}

// endOfWord says what goes on where a number or a keyword should end, or nil.
func (r *waveReader) endOfWord() error {
	rest := r.text[r.pos:]
	if n := prefixLen(rest, func(c byte) bool { return isNameByte(c) || c == '.' || c == '+' || c == '_' }); n > 0 {
		return fmt.Errorf("a number or a keyword goes on with %s: remove that", quote(rest[:n]))
	}
	return nil
}

// number reads a number as JSON has it, or "".
func (r *waveReader) number() (string, error) {
	r.space()
	start := r.pos
	digits := func() bool {
		n := prefixLen(r.text[r.pos:], isDigit)
		r.pos += n
		return n > 0
	}
	if strings.HasPrefix(r.text[r.pos:], "-") {
		r.pos++
	}
	whole := r.pos
	if !digits() {
		r.pos = start
		return "", nil
	}
	if r.text[whole] == '0' && r.pos > whole+1 {
		return "", fmt.Errorf("the number %s begins with a 0: remove it", excerpt([]byte(r.text[start:r.pos])))
	}
	if strings.HasPrefix(r.text[r.pos:], ".") {
		r.pos++
		if !digits() {
			return "", errNumber
		}
	}
	if strings.HasPrefix(r.text[r.pos:], "e") || strings.HasPrefix(r.text[r.pos:], "E") {
		r.pos++
		if strings.HasPrefix(r.text[r.pos:], "+") || strings.HasPrefix(r.text[r.pos:], "-") {
			r.pos++
		}
		if !digits() {
			return "", errNumber
		}
	}
	return r.text[start:r.pos], r.endOfWord()
}

var errNumber = errors.New("a number has no digits behind its point or its exponent: write some")

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// sequence reads what lies between brackets, with commas between and perhaps
// behind.
func (r *waveReader) sequence(open, end byte, element func(i int) error) error {
	if !r.take(open) {
		return r.wrong(string(open))
	}
	if r.depth == MaxDepth {
		return errDeepWAVE
	}
	r.depth++
	for i := 0; !r.at(end); i++ {
		if err := element(i); err != nil {
			return err
		}
		if !r.take(',') && !r.at(end) {
			return r.wrong("a comma or " + string(end))
		}
	}
	r.pos++
	r.depth--
	return nil
}

// takeEmptyRecord moves past {:} if it is next.
func (r *waveReader) takeEmptyRecord() bool {
	start := r.pos
	if r.take('{') && r.take(':') && r.take('}') {
		return true
	}
	r.pos = start
	return false
}

// skip moves past a value of whatever type, as far as its brackets and quotes
// tell.
func (r *waveReader) skip() error {
	for open := 0; ; {
		switch c := r.byte(); c {
		case 0:
			return r.wrong("the rest")
		case '(', '[', '{':
			open++
			r.pos++
		case ')', ']', '}':
			if open == 0 {
				return nil
			}
			open--
			r.pos++
		case '"', '\'':
			if err := r.skipQuoted(c); err != nil {
				return err
			}
		default:
			if c == ',' && open == 0 {
				return nil
			}
			r.pos++
		}
	}
}

// byte is the next byte, or 0 at the end.
func (r *waveReader) byte() byte {
	r.space()
	if r.pos == len(r.text) {
		return 0
	}
	return r.text[r.pos]
}

func (r *waveReader) skipQuoted(quote byte) error {
	if quote == '"' {
		_, err := r.str()
		return err
	}
	_, err := r.char()
	return err
}
