package wit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FromWAVE reads a value of type t from WAVE, the WebAssembly Value Encoding
// (bytecodealliance/wasm-tools, crates/wasm-wave). docs/VALUES.md has examples:
//
//	bool              true, false
//	s8 … u64          a number, as in JSON
//	f32, f64          a number, nan, inf, -inf
//	char              'x'; with the escapes \' \" \\ \t \n \r \u{1f600}
//	string            "x"; with these escapes, and over several lines between """
//	list              [1, 2]
//	record            {name: value}, in any order; a field of type option may be
//	                  left out: it is none. {:} if all are
//	tuple             (1, "x")
//	variant, enum     case, case(payload); %case if it is true, false, some, none,
//	                  ok, err, nan or inf
//	option            none, some(value), or the value, unless that is an option or a
//	                  result itself
//	result            ok, ok(value), err, err(value), or the value of ok, likewise
//	flags             {read, write}, in any order
//
// Between tokens there may be space and comments, from // to the end of the
// line; behind the last of several values, a comma. Handles are refused, and
// numbers that a float cannot hold. So is text longer than MaxArgs or with
// brackets deeper than MaxDepth. The error begins with the part that is wrong,
// such as "element 3, field qty".
func FromWAVE(t *Type, text string) (Value, error) {
	if err := theValue.checkSize([]byte(text)); err != nil {
		return nil, err
	}
	r := newWAVEReader(text)
	v, err := r.value(t)
	if err != nil {
		return nil, err
	}
	return v, r.end()
}

// ArgsFromWAVE reads the arguments of a function: values in parentheses, one for
// each parameter, where options at the end may be left out if they are none. No
// text at all stands for no arguments. The error says which argument is wrong,
// from 1, its name, and why.
func ArgsFromWAVE(f *Func, args string) ([]Value, error) {
	if err := theArguments.checkSize([]byte(args)); err != nil {
		return nil, err
	}
	r := newWAVEReader(args)
	values, count := []Value{}, 0
	if r.found() != endOfWAVE {
		if !r.at('(') {
			return nil, fmt.Errorf(`the arguments are %s: put them into parentheses, as in (1, "x")`, r.found())
		}
		err := r.sequence('(', ')', func(i int) error {
			count++
			if i >= len(f.Params) {
				return r.skip()
			}
			v, err := r.value(f.Params[i].Type)
			values = append(values, v)
			return inArg(i, f.Params[i].Name, err)
		})
		if err == nil {
			err = r.end()
		}
		if err != nil {
			return nil, err
		}
	}
	for _, p := range f.Params[min(count, len(f.Params)):] {
		if p.Type.Kind == Option {
			values = append(values, Case{})
		}
	}
	if count > len(f.Params) || len(values) < len(f.Params) {
		return nil, fmt.Errorf("the function takes %s, got %d", f.arity(), count)
	}
	return values, nil
}

// SplitWAVECall takes a call such as add-item({sku: "x"}) apart into what it
// calls, which may be any text, and the arguments, for ArgsFromWAVE.
func SplitWAVECall(text string) (function, args string, err error) {
	at := strings.IndexByte(text, '(')
	if at < 0 {
		return "", "", fmt.Errorf("%s is no call: write the arguments in parentheses, as in add(1, 2)", quote(text))
	}
	function = strings.TrimSpace(text[:at])
	if function == "" {
		return "", "", fmt.Errorf("%s calls nothing: write the name of a function before the parentheses", quote(text))
	}
	return function, text[at:], nil
}

// waveKeywords are the words that are no cases by themselves.
var waveKeywords = []string{"true", "false", "inf", "nan", "some", "none", "ok", "err"}

// value reads the next value.
func (r *waveReader) value(t *Type) (Value, error) {
	if err := r.spend(1); err != nil {
		return nil, err
	}
	switch t.Kind {
	case Bool:
		switch r.keyword() {
		case "true", "false":
			return r.word() == "true", nil
		}
		return nil, r.wrong("true or false")
	case S8, U8, S16, U16, S32, U32, S64, U64:
		number, err := r.number()
		switch {
		case err != nil:
			return nil, err
		case number == "":
			return nil, r.wrong("an integer")
		}
		return parseInteger(t.Kind, []byte(number))
	case F32, F64:
		return r.float(t.Kind)
	case Char:
		return r.char()
	case String:
		if !r.at('"') {
			return nil, r.wrong(`a string, "..."`)
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
		return r.short(t, 1, "none", "some")
	case Result:
		return r.short(t, 0, "ok", "err")
	case Flags:
		return r.flags(t)
	case Own, Borrow:
		return nil, errHandle
	}
	return nil, fmt.Errorf("values of %s have no WAVE form", t.Kind)
}

func (r *waveReader) float(kind Kind) (Value, error) {
	special := r.keyword()
	if strings.HasPrefix(r.text[r.pos:], "-inf") {
		special = "-inf"
	}
	switch special {
	case "nan", "inf", "-inf":
		r.pos += len(special)
		// JSON has other names for them.
		name := map[string]string{"nan": `"NaN"`, "inf": `"Infinity"`, "-inf": `"-Infinity"`}[special]
		bits, err := lowerFloat(kind.String(), []byte(name))
		if err == nil {
			err = r.endOfWord()
		}
		return floatOf(kind, bits), err
	}
	number, err := r.number()
	switch {
	case err != nil:
		return nil, err
	case number == "":
		return nil, r.wrong("a number, nan, inf or -inf")
	}
	bits, err := parseFloat(kind.String(), []byte(number))
	if err != nil {
		return nil, err
	}
	return floatOf(kind, bits), nil
}

func (r *waveReader) list(t *Type) (Value, error) {
	if !r.at('[') {
		return nil, r.wrong("a list, [...]")
	}
	values, bytes := []Value{}, []byte{}
	err := r.sequence('[', ']', func(i int) error {
		v, err := r.value(t.Elem)
		if b, ok := v.(byte); ok {
			bytes = append(bytes, b)
		} else {
			values = append(values, v)
		}
		return inElement(i, err)
	})
	if t.isBytes() {
		return bytes, err
	}
	return values, err
}

func (r *waveReader) tuple(t *Type) (Value, error) {
	if !r.at('(') {
		return nil, r.wrong("a tuple, (...)")
	}
	values, count := []Value{}, 0
	err := r.sequence('(', ')', func(i int) error {
		count++
		if i >= len(t.Fields) {
			return r.skip()
		}
		v, err := r.value(t.Fields[i].Type)
		values = append(values, v)
		return inElement(i, err)
	})
	if err == nil && count != len(t.Fields) {
		err = fmt.Errorf("it has %d elements, and a %s has %d", count, t, len(t.Fields))
	}
	return values, err
}

func (r *waveReader) record(t *Type) (Value, error) {
	if !r.at('{') {
		return nil, r.wrong("a record, {name: value, ...}")
	}
	if err := r.spend(len(t.Fields)); err != nil {
		return nil, err
	}
	values := make([]Value, len(t.Fields))
	if r.takeEmptyRecord() {
		return values, fillIn(t, values)
	}
	empty, hint := true, 0
	err := r.sequence('{', '}', func(int) error {
		empty = false
		name := r.word()
		if name == "" {
			return r.wrong("the name of a field")
		}
		i, ok := r.labels.find(t, name, hint)
		switch {
		case !ok:
			return noSuch(t, "field", name)
		case values[i] != nil:
			return fmt.Errorf("it has two fields %s", name)
		case !r.take(':'):
			return inField(name, r.wrong("a colon"))
		}
		v, err := r.value(t.Fields[i].Type)
		values[i], hint = v, i+1
		return inField(name, err)
	})
	switch {
	case err != nil:
		return nil, err
	case empty:
		return nil, errors.New("it is {}, which is flags: write {:} for a record without fields")
	}
	return values, fillIn(t, values)
}

func (r *waveReader) flags(t *Type) (Value, error) {
	if !r.at('{') {
		return nil, r.wrong("flags, {name, ...}")
	}
	var bits uint32
	err := r.sequence('{', '}', func(i int) error {
		name := r.word()
		if name == "" {
			return inElement(i, r.wrong("the name of a flag"))
		}
		var err error
		bits, err = r.labels.setFlag(t, bits, name)
		return inElement(i, err)
	})
	return bits, err
}

func (r *waveReader) variant(t *Type) (Value, error) {
	keyword := r.keyword()
	name := r.word()
	switch {
	case name == "":
		return nil, r.wrong("the name of a case")
	case slices.Contains(waveKeywords, keyword):
		return nil, fmt.Errorf("it is the keyword %s: write %%%s for a case of that name", name, name)
	}
	i, ok := r.labels.find(t, name, 0)
	if !ok {
		return nil, noSuch(t, "case", name)
	}
	v, err := r.payload(name, t.Fields[i].Type)
	return Case{Index: uint32(i), Payload: v}, err
}

// payload reads the payload of a case, from its parenthesis on, or none.
func (r *waveReader) payload(name string, t *Type) (v Value, err error) {
	open := r.at('(')
	switch {
	case t == nil && open:
		return nil, fmt.Errorf("case %s has no payload: write %s alone", name, name)
	case t == nil:
		return nil, nil
	case !open:
		return nil, fmt.Errorf("case %s has a payload of type %s: write %s(payload)", name, t, name)
	}
	count := 0
	err = r.sequence('(', ')', func(int) error {
		if count++; count > 1 {
			return r.skip()
		}
		var err error
		v, err = r.value(t)
		return inCase(name, err)
	})
	if err == nil && count != 1 {
		err = fmt.Errorf("case %s has one payload, and here are %d", name, count)
	}
	return v, err
}

// short reads an option or a result, whose cases have these names, and which may
// be the payload of its usual case alone.
func (r *waveReader) short(t *Type, usual int, names ...string) (Value, error) {
	written := slices.Clone(names)
	for i, name := range names {
		_, payload := t.caseAt(i)
		if r.keyword() == name {
			r.word()
			v, err := r.payload(name, payload)
			return Case{Index: uint32(i), Payload: v}, err
		}
		if payload != nil {
			written[i] += "(value)"
		}
	}
	_, payload := t.caseAt(usual)
	if payload == nil || payload.Kind == Option || payload.Kind == Result {
		return nil, r.wrong(strings.Join(written, " or "))
	}
	v, err := r.value(payload)
	return Case{Index: uint32(usual), Payload: v}, err
}
