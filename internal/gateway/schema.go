package gateway

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/waterbear-run/waterbear/wit"
)

// schema is one of JSON Schema 2020-12, as OpenAPI 3.1 has them.
type schema map[string]any

// maxSchemas bounds the schemas of one document: a small component can have types
// that are written out for ever. What is beyond the bound is anything.
const maxSchemas = 50_000

// schemas are those of a document's types, by what they are declared as.
type schemas struct {
	named map[string]schema
	texts map[string]string // what they are, by name
	known map[*wit.Type]string
	count int
}

func newSchemas() *schemas {
	return &schemas{named: map[string]schema{}, texts: map[string]string{}, known: map[*wit.Type]string{}}
}

// of describes the JSON of a form's values (docs/VALUES.md).
func (s *schemas) of(f form) schema {
	if f.Type != nil {
		return s.typed(f.Type)
	}
	switch f.core {
	case "i32":
		return integer(math.MinInt32, strconv.FormatUint(math.MaxUint32, 10))
	case "i64":
		return integer(math.MinInt64, strconv.FormatUint(math.MaxUint64, 10))
	case textForm:
		return schema{"type": "string"}
	case "f32":
		return float(maxF32)
	}
	return float(math.MaxFloat64)
}

// typed describes the JSON of a type's values: by reference, if the type has a
// name.
func (s *schemas) typed(t *wit.Type) schema {
	if s.count++; s.count > maxSchemas {
		return schema{}
	}
	if t.Name == "" {
		return s.inline(t)
	}
	name, ok := s.known[t]
	if !ok {
		name = s.declare(t)
		s.known[t] = name
	}
	return schema{"$ref": "#/components/schemas/" + name}
}

// declare gives a type's schema a name. Two types may be called the same, and a
// type may be there twice, once for each revision that declares it.
func (s *schemas) declare(t *wit.Type) string {
	made := s.inline(t)
	text, err := json.Marshal(made)
	if err != nil {
		panic("gateway: a schema has no JSON: " + err.Error())
	}
	name := t.Name
	for n := 2; ; n++ {
		if _, taken := s.named[name]; !taken {
			s.named[name], s.texts[name] = made, string(text)
			return name
		}
		if s.texts[name] == string(text) {
			return name
		}
		name = t.Name + "-" + strconv.Itoa(n)
	}
}

func integer(least int64, most string) schema {
	return schema{"type": "integer", "minimum": least, "maximum": json.Number(most)}
}

// maxF32 is the greatest float of 32 bits as it is written in JSON, which is a
// little more than it is.
const maxF32 = 3.4028235e38

// float is that of floats of a type whose greatest is most: numbers beyond are
// refused.
func float(most float64) schema {
	return schema{"anyOf": []schema{{"type": "number", "minimum": -most, "maximum": most}, {"enum": []string{"NaN", "Infinity", "-Infinity"}}}}
}

// object is a schema of an object of one member.
func object(name string, member schema) schema {
	return schema{"type": "object", "properties": schema{name: member}, "required": []string{name}, "additionalProperties": false}
}

// text describes a value that is written as text, and is there.
func (s *schemas) text(f form) schema {
	if f.Type != nil && f.Kind == wit.Option {
		f.Type = f.Elem
	}
	switch {
	case f.isBytes():
		return base64Text()
	case f.list():
		return schema{"type": "array", "items": s.text(form{Type: f.Elem})}
	}
	return s.of(f)
}

// base64Text is bytes as a text: RFC 4648, section 4, with padding, and no bits
// behind the last byte.
func base64Text() schema {
	return schema{
		"type": "string", "contentEncoding": "base64",
		"pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
	}
}

var null = schema{"type": "null"}

func (s *schemas) inline(t *wit.Type) schema {
	switch t.Kind {
	case wit.Bool:
		return schema{"type": "boolean"}
	case wit.S8:
		return integer(math.MinInt8, "127")
	case wit.U8:
		return integer(0, "255")
	case wit.S16:
		return integer(math.MinInt16, "32767")
	case wit.U16:
		return integer(0, "65535")
	case wit.S32:
		return integer(math.MinInt32, "2147483647")
	case wit.U32:
		return integer(0, "4294967295")
	case wit.S64:
		return integer(math.MinInt64, "9223372036854775807")
	case wit.U64:
		return integer(0, "18446744073709551615")
	case wit.F32:
		return float(maxF32)
	case wit.F64:
		return float(math.MaxFloat64)
	case wit.Char:
		return schema{"type": "string", "minLength": 1, "maxLength": 1}
	case wit.String:
		return schema{"type": "string"}
	case wit.List:
		list := schema{"type": "array", "items": s.typed(t.Elem)}
		if t.Elem.Kind == wit.U8 {
			return schema{"anyOf": []schema{list, base64Text()}}
		}
		return list
	case wit.Record:
		return s.record(t)
	case wit.Tuple:
		var items []schema
		for _, f := range t.Fields {
			items = append(items, s.typed(f.Type))
		}
		return schema{"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
	case wit.Variant:
		var cases []schema
		for _, f := range t.Fields {
			if f.Type == nil {
				cases = append(cases, schema{"const": f.Name})
			} else {
				cases = append(cases, object(f.Name, s.typed(f.Type)))
			}
		}
		return schema{"oneOf": cases}
	case wit.Enum:
		return schema{"type": "string", "enum": labels(t)}
	case wit.Flags:
		return schema{"type": "array", "items": schema{"enum": labels(t)}, "uniqueItems": true}
	case wit.Option:
		if t.Elem.Kind == wit.Option {
			return schema{"anyOf": []schema{null, object("some", s.typed(t.Elem))}}
		}
		return schema{"anyOf": []schema{null, s.typed(t.Elem)}}
	case wit.Result:
		return schema{"oneOf": []schema{object("ok", s.payload(t.Elem)), object("error", s.payload(t.Err))}}
	}
	return schema{} // a handle, which no function has that can be invoked
}

func (s *schemas) payload(t *wit.Type) schema {
	if t == nil {
		return null
	}
	return s.typed(t)
}

func (s *schemas) record(t *wit.Type) schema {
	properties, required := schema{}, []string{}
	for _, f := range t.Fields {
		properties[f.Name] = s.typed(f.Type)
		if f.Type.Kind != wit.Option {
			required = append(required, f.Name)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func labels(t *wit.Type) []string {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return names
}
