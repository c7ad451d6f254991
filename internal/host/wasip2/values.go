package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// codeValue codes a value of a type that has no lists, floats or handles in it.
func codeValue(c *wasi.Coder, t *wit.Type, v *wit.Value) {
	switch t.Kind {
	case wit.U8:
		codeScalar[uint8](c, v, 1<<8-1)
	case wit.U16:
		codeScalar[uint16](c, v, 1<<16-1)
	case wit.U32:
		codeScalar[uint32](c, v, 1<<32-1)
	case wit.U64:
		codeScalar[uint64](c, v, 1<<64-1)
	case wit.String:
		text, _ := (*v).(string)
		wasi.Text(c, &text, maxHeld)
		*v = text
	case wit.Record:
		parts, _ := (*v).([]wit.Value)
		if c.Reading() {
			parts = make([]wit.Value, len(t.Fields))
		}
		for i, f := range t.Fields {
			codeValue(c, f.Type, &parts[i])
		}
		*v = parts
	case wit.Option:
		codeCase(c, []wit.Field{{}, {Type: t.Elem}}, v)
	case wit.Variant:
		codeCase(c, t.Fields, v)
	default:
		panic("wasip2: values of " + t.Kind.String() + " are not kept")
	}
}

func codeScalar[T uint8 | uint16 | uint32 | uint64](c *wasi.Coder, v *wit.Value, most T) {
	n, _ := (*v).(T)
	wasi.Uint(c, &n, most)
	*v = n
}

func codeCase(c *wasi.Coder, cases []wit.Field, v *wit.Value) {
	value, _ := (*v).(wit.Case)
	wasi.Uint(c, &value.Index, uint32(len(cases)-1))
	if t := cases[value.Index].Type; t != nil {
		codeValue(c, t, &value.Payload)
	}
	*v = value
}

// textIn is how many bytes of texts a value has.
func textIn(v wit.Value) (n int) {
	switch v := v.(type) {
	case string:
		return len(v)
	case wit.Case:
		return textIn(v.Payload)
	case []wit.Value:
		for _, p := range v {
			n += textIn(p)
		}
	}
	return n
}
