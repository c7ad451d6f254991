package wit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// FromJSON reads a value of type t. docs/VALUES.md has examples of all of this:
//
//	bool              true, false
//	s8 … u64          a number; how it is written does not matter, so 1, 1.0 and
//	                  10e-1 are the same. An s64 or u64 may be a string as well,
//	                  for those who cannot write such numbers exactly: "18446744073709551615"
//	f32, f64          a number, rounded once to the nearest value of the type, or
//	                  "NaN", "Infinity", "-Infinity"
//	char              a string of one character
//	string            a string
//	list              an array; a list<u8> may be a string, which is base64 (RFC
//	                  4648, section 4)
//	record            an object with the fields' names as in WIT. A field of type
//	                  option may be left out: it is none
//	tuple             an array
//	variant           {"case": payload}, or "case" for one without payload
//	enum              "case"
//	option            null, or the value; of an option of an option, {"some": value}
//	result            {"ok": payload}, {"error": payload}; null if there is none
//	flags             an array of names, in any order
//
// Handles are refused. So is text longer than MaxArgs, deeper than MaxDepth, or
// with an object that names something twice. The error begins with the part
// that is wrong, such as "element 3, field qty".
func FromJSON(t *Type, text json.RawMessage) (Value, error) {
	r, err := newJSONReader(theValue, text, nil)
	if err != nil {
		return nil, err
	}
	if r.text == nil {
		return nil, errors.New("there is no value: write one as JSON")
	}
	return r.value(t)
}

// ArgsFromJSON reads the arguments of a function: an array with one element for
// each parameter. No text at all stands for an empty array. If the function has
// one parameter and that is a record, the text may be that record. The error
// says which argument is wrong, from 1, its name, and why.
func ArgsFromJSON(f *Func, args json.RawMessage) ([]Value, error) {
	r, err := newJSONReader(theArguments, args, noArgs)
	if err != nil {
		return nil, err
	}
	switch {
	case r.peek() == '[':
	case r.peek() == '{' && len(f.Params) == 1 && f.Params[0].Type.Kind == Record:
		r.depth++ // it could stand in an array
		v, err := r.value(f.Params[0].Type)
		if err != nil {
			return nil, inArg(0, f.Params[0].Name, err)
		}
		return []Value{v}, nil
	default:
		return nil, notAnArray(r.text)
	}
	values := []Value{}
	if err := r.enter(); err != nil {
		return nil, err
	}
	for count := 0; ; count++ {
		if !r.more() {
			if count != len(f.Params) {
				return nil, fmt.Errorf("the function takes %s, got %d", f.arity(), count)
			}
			return values, nil
		}
		if count >= len(f.Params) {
			r.skip()
			continue
		}
		p := f.Params[count]
		v, err := r.value(p.Type)
		if err != nil {
			return nil, inArg(count, p.Name, err)
		}
		values = append(values, v)
	}
}

// arity says how many arguments there are to be, and what they are.
func (f *Func) arity() string {
	if len(f.Params) == 0 {
		return "no arguments"
	}
	text := fmt.Sprintf("%d arguments (", len(f.Params))
	if len(f.Params) == 1 {
		text = "1 argument ("
	}
	for i, p := range f.Params {
		switch {
		case i == maxListed:
			return text + ", …)"
		case i > 0:
			text += ", "
		}
		text += p.Name + ": " + p.Type.String()
	}
	return text + ")"
}

// value reads the next value.
func (r *jsonReader) value(t *Type) (Value, error) {
	if err := r.spend(1); err != nil {
		return nil, err
	}
	switch t.Kind {
	case Bool:
		switch token := r.scalar(); string(token) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		default:
			return nil, fmt.Errorf("it is %s: write true or false", describe(token))
		}
	case S8, U8, S16, U16, S32, U32, S64, U64:
		return r.integer(t.Kind)
	case F32, F64:
		return r.float(t.Kind)
	case Char:
		return r.char()
	case String:
		if r.peek() != '"' {
			return nil, r.wrong("a string")
		}
		return r.str()
	case List:
		return r.list(t)
	case Tuple:
		return r.tuple(t)
	case Record:
		return r.record(t)
	case Variant, Enum:
		return r.variant(t)
	case Option:
		return r.option(t)
	case Result:
		return r.result(t)
	case Flags:
		return r.flags(t)
	case Own, Borrow:
		return nil, errHandle
	}
	return nil, fmt.Errorf("values of %s have no JSON form", t.Kind)
}

func (r *jsonReader) integer(kind Kind) (Value, error) {
	token := r.scalar()
	if token[0] == '"' && (kind == S64 || kind == U64) {
		text, err := unquoteJSON(token)
		if err != nil {
			return nil, err
		}
		token = []byte(text)
		if !json.Valid(token) || !isNumber(token) {
			return nil, fmt.Errorf("it is the string %s, which is no number", quote(text))
		}
	}
	if !isNumber(token) {
		return nil, fmt.Errorf("it is %s: write an integer", describe(token))
	}
	return parseInteger(kind, token)
}

func (r *jsonReader) float(kind Kind) (Value, error) {
	bits, err := lowerFloat(kind.String(), r.scalar())
	if err != nil {
		return nil, err
	}
	return floatOf(kind, bits), nil
}

func (r *jsonReader) char() (Value, error) {
	if r.peek() != '"' {
		return nil, r.wrong("a string of one character")
	}
	s, err := r.str()
	if err != nil {
		return nil, err
	}
	c, size := utf8.DecodeRuneInString(s)
	if size == 0 || size != len(s) {
		return nil, fmt.Errorf("the string %s has %d characters: write one", quote(s), utf8.RuneCountInString(s))
	}
	return Rune(c), nil
}

func (r *jsonReader) list(t *Type) (Value, error) {
	if r.peek() == '"' && t.isBytes() {
		s, err := r.str()
		if err != nil {
			return nil, err
		}
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("the string %s is no base64: write an array of numbers, or base64 with its padding", quote(s))
		}
		return b, nil
	}
	if r.peek() != '[' {
		return nil, r.wrong("an array")
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	values, bytes := []Value{}, []byte{}
	for i := 0; r.more(); i++ {
		v, err := r.value(t.Elem)
		if err != nil {
			return nil, inElement(i, err)
		}
		if b, ok := v.(byte); ok {
			bytes = append(bytes, b)
		} else {
			values = append(values, v)
		}
	}
	if t.isBytes() {
		return bytes, nil
	}
	return values, nil
}

func (r *jsonReader) tuple(t *Type) (Value, error) {
	if r.peek() != '[' {
		return nil, r.wrong("an array")
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	values := make([]Value, 0, min(len(t.Fields), r.left()))
	count := 0
	for ; r.more(); count++ {
		if count >= len(t.Fields) {
			r.skip()
			continue
		}
		v, err := r.value(t.Fields[count].Type)
		if err != nil {
			return nil, inElement(count, err)
		}
		values = append(values, v)
	}
	if count != len(t.Fields) {
		return nil, fmt.Errorf("it has %d elements, and a %s has %d", count, t, len(t.Fields))
	}
	return values, nil
}

func (r *jsonReader) option(t *Type) (Value, error) {
	if r.peek() == 'n' {
		r.skip()
		return Case{}, nil
	}
	if t.Elem.Kind != Option {
		v, err := r.value(t.Elem)
		return Case{Index: 1, Payload: v}, err
	}
	if r.peek() != '{' {
		return nil, r.wrong(`null or {"some": value}`)
	}
	return r.member(func(name string) (Value, error) {
		if name != "some" {
			return nil, fmt.Errorf(`it has a member %s: write null or {"some": value}`, quote(name))
		}
		v, err := r.value(t.Elem)
		return Case{Index: 1, Payload: v}, inCase(name, err)
	})
}

func (r *jsonReader) result(t *Type) (Value, error) {
	if r.peek() != '{' {
		return nil, r.wrong(`{"ok": value} or {"error": value}`)
	}
	return r.member(func(name string) (Value, error) {
		for i := range t.caseCount() {
			if this, payload := t.caseAt(i); this == name {
				v, err := r.payload(payload)
				return Case{Index: uint32(i), Payload: v}, inCase(name, err)
			}
		}
		return nil, fmt.Errorf(`it has a member %s: write {"ok": value} or {"error": value}`, quote(name))
	})
}

// payload reads the payload of a result: null if it has none.
func (r *jsonReader) payload(t *Type) (Value, error) {
	if t != nil {
		return r.value(t)
	}
	if r.peek() != 'n' {
		return nil, r.wrong("null, for there is no payload")
	}
	r.skip()
	return nil, nil
}

var errMembers = errors.New("it is an object with other than one member")

// member reads an object of exactly one member.
func (r *jsonReader) member(read func(name string) (Value, error)) (Value, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	if !r.more() {
		return nil, errMembers
	}
	name, err := r.name()
	if err != nil {
		return nil, err
	}
	v, err := read(name)
	if err != nil {
		return nil, err
	}
	if r.more() {
		return nil, errMembers
	}
	return v, nil
}
