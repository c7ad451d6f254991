package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/wit"
)

// script is a suite as json-from-wast of wasm-tools writes it.
type script struct {
	Commands []command `json:"commands"`
}

// command is a step of a script.
type command struct {
	Type       string        `json:"type"`
	Line       int           `json:"line"`
	Name       string        `json:"name"` // that a component gets
	Filename   string        `json:"filename"`
	ModuleType string        `json:"module_type"`
	Instance   string        `json:"instance"` // that is made
	Module     string        `json:"module"`   // that an instance is of
	As         string        `json:"as"`       // of register
	Action     *action       `json:"action"`
	Expected   []scriptValue `json:"expected"`
	Text       string        `json:"text"`
}

// action is what an assertion is about.
type action struct {
	Type   string        `json:"type"`
	Module string        `json:"module"`
	Field  string        `json:"field"`
	Args   []scriptValue `json:"args"`
}

// scriptValue is a value of the component model.
type scriptValue struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

// value reads a value of a type.
func (v scriptValue) value(t *wit.Type) (wit.Value, error) {
	switch t.Kind {
	case wit.Bool:
		var b bool
		return b, json.Unmarshal(v.Value, &b)
	case wit.String, wit.Char:
		var s string
		if err := json.Unmarshal(v.Value, &s); err != nil || t.Kind == wit.String {
			return s, err
		}
		r, _ := utf8.DecodeRuneInString(s)
		return wit.Rune(r), nil
	case wit.List:
		return v.list(t)
	case wit.Record, wit.Tuple:
		return v.fields(t)
	case wit.Variant, wit.Enum, wit.Option, wit.Result:
		return v.cases(t)
	case wit.Flags:
		return v.flags(t)
	}
	return v.number(t)
}

func (v scriptValue) number(t *wit.Type) (wit.Value, error) {
	var s string
	if err := json.Unmarshal(v.Value, &s); err != nil {
		return nil, err
	}
	switch t.Kind {
	case wit.F32:
		if isNaN(s) {
			return math.Float32frombits(0x7fc00000), nil
		}
		n, err := strconv.ParseUint(s, 10, 32)
		return math.Float32frombits(uint32(n)), err
	case wit.F64:
		if isNaN(s) {
			return math.Float64frombits(0x7ff8000000000000), nil
		}
		n, err := strconv.ParseUint(s, 10, 64)
		return math.Float64frombits(n), err
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n < 0 {
		return integer(t.Kind, uint64(n)), nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return integer(t.Kind, n), err
}

func isNaN(s string) bool { return s == "nan:canonical" || s == "nan:arithmetic" }

func integer(k wit.Kind, n uint64) wit.Value {
	switch k {
	case wit.S8:
		return int8(n)
	case wit.U8:
		return uint8(n)
	case wit.S16:
		return int16(n)
	case wit.U16:
		return uint16(n)
	case wit.S32:
		return int32(n)
	case wit.S64:
		return int64(n)
	case wit.U64:
		return n
	}
	return uint32(n)
}

func (v scriptValue) list(t *wit.Type) (wit.Value, error) {
	var items []scriptValue
	if err := json.Unmarshal(v.Value, &items); err != nil {
		return nil, err
	}
	list, bytes := make([]wit.Value, len(items)), make([]byte, len(items))
	for i, item := range items {
		var err error
		if list[i], err = item.value(t.Elem); err != nil {
			return nil, err
		}
		if b, ok := list[i].(uint8); ok {
			bytes[i] = b
		}
	}
	if t.Elem.Kind == wit.U8 {
		return bytes, nil
	}
	return list, nil
}

// fields reads a record, which is an array of pairs of names and values, or a
// tuple.
func (v scriptValue) fields(t *wit.Type) (wit.Value, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(v.Value, &items); err != nil {
		return nil, err
	}
	if len(items) != len(t.Fields) {
		return nil, fmt.Errorf("%d fields of %d", len(items), len(t.Fields))
	}
	fields := make([]wit.Value, len(items))
	for i, item := range items {
		if t.Kind == wit.Record {
			var pair [2]json.RawMessage
			if err := json.Unmarshal(item, &pair); err != nil {
				return nil, err
			}
			item = pair[1]
		}
		var field scriptValue
		if err := json.Unmarshal(item, &field); err != nil {
			return nil, err
		}
		var err error
		if fields[i], err = field.value(t.Fields[i].Type); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// cases reads a variant, an enum, an option or a result.
func (v scriptValue) cases(t *wit.Type) (wit.Value, error) {
	var payload *scriptValue
	var typ *wit.Type
	c := wit.Case{}
	switch t.Kind {
	case wit.Option:
		if err := json.Unmarshal(v.Value, &payload); err != nil || payload == nil {
			return c, err
		}
		c.Index, typ = 1, t.Elem
	case wit.Result:
		var r struct{ Ok, Err *scriptValue }
		var set map[string]json.RawMessage
		if err := json.Unmarshal(v.Value, &r); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(v.Value, &set); err != nil {
			return nil, err
		}
		payload, typ = r.Ok, t.Elem
		if _, failed := set["Err"]; failed {
			c.Index, payload, typ = 1, r.Err, t.Err
		}
	default:
		var name string
		if t.Kind == wit.Enum {
			if err := json.Unmarshal(v.Value, &name); err != nil {
				return nil, err
			}
		} else {
			var r struct {
				Case    string
				Payload *scriptValue
			}
			if err := json.Unmarshal(v.Value, &r); err != nil {
				return nil, err
			}
			name, payload = r.Case, r.Payload
		}
		at := slices.IndexFunc(t.Fields, func(f wit.Field) bool { return f.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no case %s", name)
		}
		c.Index, typ = uint32(at), t.Fields[at].Type
	}
	if payload == nil || typ == nil {
		return c, nil
	}
	var err error
	c.Payload, err = payload.value(typ)
	return c, err
}

func (v scriptValue) flags(t *wit.Type) (wit.Value, error) {
	var names []string
	if err := json.Unmarshal(v.Value, &names); err != nil {
		return nil, err
	}
	bits := uint32(0)
	for _, name := range names {
		at := slices.IndexFunc(t.Fields, func(f wit.Field) bool { return f.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no flag %s", name)
		}
		bits |= 1 << at
	}
	return bits, nil
}
