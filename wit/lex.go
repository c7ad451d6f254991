package wit

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Source is a file of WIT text.
type Source struct {
	Name string // what errors call it, such as wit/world.wit
	Text string
}

// ParseError says what is wrong with WIT text, where, and what to do.
type ParseError struct {
	File   string // the Name of the Source
	Line   int    // from 1
	Column int    // from 1, in characters
	Reason string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// place is where something is written.
type place struct {
	source *Source
	offset int
}

// errorf is the error that something is wrong there.
func (p place) errorf(format string, args ...any) error {
	before := p.source.Text[:p.offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return &ParseError{
		File: p.source.Name, Line: strings.Count(before, "\n") + 1,
		Column: utf8.RuneCountInString(before[start:]) + 1, Reason: fmt.Sprintf(format, args...),
	}
}

// String is the file and the line.
func (p place) String() string {
	return fmt.Sprintf("%s:%d", p.source.Name, strings.Count(p.source.Text[:p.offset], "\n")+1)
}

// tokenKind tells tokens apart.
type tokenKind uint8

const (
	endOfText tokenKind = iota
	wordToken           // a name, without its %, or a keyword
	keyword
	numberToken
	punctuation
)

// token is a token of WIT (WIT.md, "Lexical structure").
type token struct {
	kind   tokenKind
	text   string
	offset int
}

// describe says in words what a token is, for errors.
func (t token) describe() string {
	switch t.kind {
	case endOfText:
		return "the end of the file"
	case keyword:
		return "the keyword " + t.text
	case wordToken:
		return "the name " + t.text
	}
	return excerpt([]byte(t.text))
}

// lexer takes text apart into tokens.
type lexer struct {
	source *Source
	pos    int
}

// checkText says which character of the text is not allowed, or nil: control
// codes, those that change the direction of what is around them, and those that
// Unicode deprecates or discourages.
func checkText(s *Source) error {
	for i, c := range s.Text {
		_, size := utf8.DecodeRuneInString(s.Text[i:])
		at := place{s, i}
		switch {
		case c == utf8.RuneError && size == 1:
			return at.errorf("the text is not valid UTF-8 here")
		case c == '\n' || c == '\r' || c == '\t':
		case unicode.Is(unicode.Cc, c):
			return at.errorf("the text has the control character %U: remove it", c)
		case 0x202a <= c && c <= 0x202e || 0x2066 <= c && c <= 0x2069:
			return at.errorf("the text has the character %U, which changes the direction of writing: remove it", c)
		case unicode.Is(unicode.Deprecated, c) || c == 0x17b4 || c == 0x17b5:
			return at.errorf("the text has the character %U, which Unicode discourages: remove it", c)
		}
	}
	return nil
}

// next is the next token; of what is no token it is the error.
func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	text := l.source.Text[l.pos:]
	t := token{kind: punctuation, offset: l.pos}
	switch {
	case text == "":
		t.kind = endOfText
		return t, nil
	case strings.HasPrefix(text, "->"):
		t.text = "->"
	case strings.IndexByte("=,:;(){}<>*/.@_", text[0]) >= 0:
		t.text = text[:1]
	case '0' <= text[0] && text[0] <= '9':
		t.kind, t.text = numberToken, text[:prefixLen(text, isNameByte)]
	case text[0] == '%' || isNameByte(text[0]) && text[0] != '-':
		return l.word(text)
	case text[0] == '"':
		return t, l.here().errorf("strings have no place here: @external-id is not supported")
	default:
		c, _ := utf8.DecodeRuneInString(text)
		return t, l.here().errorf("the character %q has no place here", c)
	}
	l.pos += len(t.text)
	return t, nil
}

func (l *lexer) here() place { return place{l.source, l.pos} }

// word reads a name, or a keyword.
func (l *lexer) word(text string) (token, error) {
	t := token{kind: wordToken, offset: l.pos}
	name, escaped := strings.CutPrefix(text, "%")
	t.text = name[:prefixLen(name, isNameByte)]
	if strings.HasPrefix(name[len(t.text):], "_") && t.text != "" {
		return t, l.here().errorf("names have hyphens in the place of underscores: write %s-...", t.text)
	}
	if err := checkLabel(t.text); err != nil {
		return t, l.here().errorf("%v", err)
	}
	if !escaped && isKeyword(t.text) {
		t.kind = keyword
	}
	l.pos += len(text) - len(name) + len(t.text)
	return t, nil
}

// space moves past whitespace and comments.
func (l *lexer) space() error {
	for {
		text := l.source.Text[l.pos:]
		switch {
		case text != "" && strings.IndexByte(" \t\r\n", text[0]) >= 0:
			l.pos++
		case strings.HasPrefix(text, "//"):
			if end := strings.IndexByte(text, '\n'); end >= 0 {
				l.pos += end
			} else {
				l.pos += len(text)
			}
		case strings.HasPrefix(text, "/*"):
			if err := l.blockComment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// blockComment moves past a comment, in which others may lie.
func (l *lexer) blockComment() error {
	start, open := l.here(), 0
	for {
		text := l.source.Text[l.pos:]
		next := strings.IndexAny(text, "/*")
		if next < 0 {
			return start.errorf("this comment has no end: close it with */")
		}
		l.pos += next
		switch text = text[next:]; {
		case strings.HasPrefix(text, "/*"):
			open++
			l.pos += 2
		case strings.HasPrefix(text, "*/"):
			open--
			l.pos += 2
			if open == 0 {
				return nil
			}
		default:
			l.pos++
		}
	}
}

// version reads a version, as far as it may be one: behind a dot it goes on only
// if there is more of it, for in types@1.0.0.{a} there is not.
func (l *lexer) version() string {
	text := l.source.Text[l.pos:]
	n := 0
	for n < len(text) && isVersionByte(text[n]) && (text[n] != '.' || n+1 < len(text) && isVersionByte(text[n+1])) {
		n++
	}
	l.pos += n
	return text[:n]
}

func prefixLen(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

// isNameByte reports whether c may be part of a name, or is part of what
// somebody took for one.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}
