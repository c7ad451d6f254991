package wit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// waveEscaped are what WAVE has escapes of two characters for, and those.
const (
	waveEscaped = "'\"\\\t\n\r"
	waveEscapes = `'"\tnr`
)

// tripleQuote is around strings of several lines.
const tripleQuote = `"""`

// char reads a character in single quotes.
func (r *waveReader) char() (Value, error) {
	if !r.take('\'') {
		return nil, r.wrong("a character, '...'")
	}
	if r.pos < len(r.text) && r.text[r.pos] == '\'' {
		return nil, errors.New("there is no character between the quotes: write one, and \\' for a quote")
	}
	c, err := r.unescape()
	if err != nil {
		return nil, err
	}
	if r.pos == len(r.text) || r.text[r.pos] != '\'' {
		return nil, errors.New("behind the character there is no quote: write one character between single quotes")
	}
	r.pos++
	return Rune(c), nil
}

// unescape reads a character of a char or a string, which may be an escape.
func (r *waveReader) unescape() (rune, error) {
	c, size := utf8.DecodeRuneInString(r.text[r.pos:])
	switch {
	case size == 0:
		return 0, errors.New("the text ends within quotes: close them")
	case c == '\n':
		return 0, errors.New(`a line ends within quotes: write \n for the end of a line`)
	case c != '\\':
		r.pos += size
		return c, nil
	}
	rest := r.text[r.pos+1:]
	if rest == "" {
		return 0, errors.New("the text ends within an escape")
	}
	if at := strings.IndexByte(waveEscapes, rest[0]); at >= 0 {
		r.pos += 2
		return rune(waveEscaped[at]), nil
	}
	hex, found := strings.CutPrefix(rest, "u{")
	digits, _, closed := strings.Cut(hex, "}")
	if !found || !closed {
		return 0, fmt.Errorf(`there is no escape %s: there are \' \" \\ \t \n \r and \u{...}`, excerpt([]byte(r.text[r.pos:][:1+prefixRune(rest)])))
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) || n > unicode.MaxRune {
		return 0, fmt.Errorf(`the escape \u{%s} stands for no character`, excerpt([]byte(digits)))
	}
	r.pos += len(`\u{}`) + len(digits)
	return rune(n), nil
}

// prefixRune is the length of the first character.
func prefixRune(s string) int {
	_, size := utf8.DecodeRuneInString(s)
	return size
}

// str reads a string, whose quote is next.
func (r *waveReader) str() (string, error) {
	if strings.HasPrefix(r.text[r.pos:], tripleQuote) {
		return r.lines()
	}
	r.pos++
	return r.unescapeUntil(func() bool { return r.pos < len(r.text) && r.text[r.pos] == '"' }, 1)
}

// unescapeUntil reads characters until there is an end, and moves past it.
func (r *waveReader) unescapeUntil(ended func() bool, end int) (string, error) {
	var b strings.Builder
	for !ended() {
		c, err := r.unescape()
		if err != nil {
			return "", err
		}
		b.WriteRune(c)
	}
	r.pos += end
	return b.String(), nil
}

// lines reads a string of several lines. What stands before the closing quotes
// is how far all lines are indented.
func (r *waveReader) lines() (string, error) {
	inside := r.text[r.pos+len(tripleQuote):]
	inside, _, closed := strings.Cut(inside, tripleQuote)
	if !closed {
		return "", errors.New(`a string of several lines has no end: close it with """`)
	}
	after := r.pos + 2*len(tripleQuote) + len(inside)
	all := strings.Split(strings.ReplaceAll(inside, "\r\n", "\n"), "\n")
	indent := all[len(all)-1]
	switch {
	case all[0] != "" || len(all) == 1:
		return "", errors.New(`behind the opening """ the line has to end: write the text from the next line on`)
	case strings.Trim(indent, " ") != "":
		return "", errors.New(`before the closing """ there may be only spaces: write it in a line of its own, and "" apart from " within the text`)
	}
	var b strings.Builder
	for i, line := range all[1 : len(all)-1] {
		line, indented := strings.CutPrefix(line, indent)
		if !indented {
			return "", fmt.Errorf("line %d of a string of several lines is indented less than its closing quotes: indent it by %d spaces", i+1, len(indent))
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		inner := &waveReader{text: line}
		text, err := inner.unescapeUntil(func() bool { return inner.pos == len(line) }, 0)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	r.pos = after
	return b.String(), nil
}

// appendWAVEText appends s in quotes, with escapes where they are needed and for
// control codes.
func appendWAVEText(b []byte, s string, quote byte) []byte {
	b = append(b, quote)
	for _, c := range s {
		at := strings.IndexRune(waveEscaped, c)
		switch {
		case (c == '"' || c == '\'') && c != rune(quote):
			b = append(b, byte(c))
		case at >= 0:
			b = append(b, '\\', waveEscapes[at])
		case unicode.Is(unicode.Cc, c):
			b = fmt.Appendf(b, `\u{%x}`, c)
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, quote)
}
