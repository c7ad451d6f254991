package canon_test

import (
	"fmt"
	"math"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/wit"
)

// memory is a guest that has nothing but memory: it allocates upwards and never
// frees.
type memory struct {
	bytes []byte
	next  uint32
	calls []string // of realloc
	fail  error
	// answer, if set, is what realloc returns.
	answer func(uint32) uint32
}

func newMemory(size int) *memory { return &memory{bytes: make([]byte, size), next: 16} }

func (m *memory) Memory() []byte { return m.bytes }

func (m *memory) Realloc(old, oldSize, align, size uint32) (uint32, error) {
	m.calls = append(m.calls, fmt.Sprintf("%d %d->%d", align, oldSize, size))
	if m.fail != nil {
		return 0, m.fail
	}
	ptr := (m.next + align - 1) / align * align
	m.next = ptr + size
	if uint64(m.next) <= uint64(len(m.bytes)) {
		copy(m.bytes[ptr:m.next], m.bytes[old:old+min(oldSize, size)])
	}
	if m.answer != nil {
		return m.answer(ptr), nil
	}
	return ptr, nil
}

var scalarKinds = []wit.Kind{
	wit.Bool, wit.S8, wit.U8, wit.S16, wit.U16, wit.S32, wit.U32, wit.S64, wit.U64, wit.F32, wit.F64, wit.Char, wit.String,
}

var someResource = &wit.Resource{Name: "thing"}

// genType draws a type, at most depth deep.
func genType(t *rapid.T, depth int) *wit.Type {
	kinds := append([]wit.Kind{wit.Enum, wit.Flags, wit.Own}, scalarKinds...)
	if depth > 0 {
		kinds = append(kinds, wit.List, wit.Record, wit.Tuple, wit.Variant, wit.Option, wit.Result)
	}
	y := &wit.Type{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	maybe := func() *wit.Type {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return genType(t, depth-1)
	}
	switch y.Kind {
	case wit.List, wit.Option:
		y.Elem = genType(t, depth-1)
	case wit.Result:
		y.Elem, y.Err = maybe(), maybe()
	case wit.Own:
		y.Resource = someResource
	case wit.Record, wit.Tuple, wit.Variant:
		for range rapid.IntRange(1, 6).Draw(t, "fields") {
			f := wit.Field{Name: "f", Type: maybe()}
			if f.Type == nil && y.Kind != wit.Variant {
				f.Type = genType(t, 0)
			}
			y.Fields = append(y.Fields, f)
		}
	case wit.Enum:
		y.Fields = make([]wit.Field, rapid.SampledFrom([]int{1, 3, 256, 257, 65536, 65537}).Draw(t, "labels"))
	case wit.Flags:
		y.Fields = make([]wit.Field, rapid.SampledFrom([]int{1, 7, 8, 9, 16, 17, 32}).Draw(t, "labels"))
	}
	return y
}

// genValue draws a value of a type.
func genValue(t *rapid.T, y *wit.Type) wit.Value {
	switch y.Kind {
	case wit.Bool:
		return rapid.Bool().Draw(t, "bool")
	case wit.S8:
		return rapid.Int8().Draw(t, "s8")
	case wit.U8:
		return rapid.Uint8().Draw(t, "u8")
	case wit.S16:
		return rapid.Int16().Draw(t, "s16")
	case wit.U16:
		return rapid.Uint16().Draw(t, "u16")
	case wit.S32:
		return rapid.Int32().Draw(t, "s32")
	case wit.U32, wit.Own:
		return rapid.Uint32().Draw(t, "u32")
	case wit.S64:
		return rapid.Int64().Draw(t, "s64")
	case wit.U64:
		return rapid.Uint64().Draw(t, "u64")
	case wit.F32:
		return canonical32(math.Float32frombits(rapid.Uint32().Draw(t, "f32")))
	case wit.F64:
		return canonical64(math.Float64frombits(rapid.Uint64().Draw(t, "f64")))
	case wit.Char:
		return wit.Rune(rapid.Rune().Draw(t, "char"))
	case wit.String:
		return rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{0,8}`), rapid.StringMatching(`[a-zà-ÿ]{0,8}`)).Draw(t, "string")
	case wit.List:
		if y.Elem.Kind == wit.U8 {
			return rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "bytes")
		}
		v := make([]wit.Value, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range v {
			v[i] = genValue(t, y.Elem)
		}
		return v
	case wit.Record, wit.Tuple:
		v := make([]wit.Value, len(y.Fields))
		for i, f := range y.Fields {
			v[i] = genValue(t, f.Type)
		}
		return v
	case wit.Flags:
		return rapid.Uint32().Draw(t, "flags") & uint32(1<<len(y.Fields)-1)
	}
	payloads := casesOf(y)
	c := wit.Case{Index: rapid.Uint32Range(0, uint32(len(payloads)-1)).Draw(t, "case")}
	if p := payloads[c.Index]; p != nil {
		c.Payload = genValue(t, p)
	}
	return c
}

// casesOf are the payloads of a variant, an enum, an option or a result.
func casesOf(y *wit.Type) []*wit.Type {
	switch y.Kind {
	case wit.Option:
		return []*wit.Type{nil, y.Elem}
	case wit.Result:
		return []*wit.Type{y.Elem, y.Err}
	}
	payloads := make([]*wit.Type, len(y.Fields))
	for i, f := range y.Fields {
		payloads[i] = f.Type
	}
	return payloads
}

func canonical32(f float32) float32 {
	if f != f {
		return math.Float32frombits(0x7fc00000)
	}
	return f
}

func canonical64(f float64) float64 {
	if f != f {
		return math.Float64frombits(0x7ff8000000000000)
	}
	return f
}

// resolve takes all resources for one, of another component instance.
func resolve(*wit.Resource) (canon.Resource, error) { return canon.Resource{Index: 7}, nil }

func newScope() *canon.Scope { return &canon.Scope{Resolve: resolve} }

var encodings = []canon.Encoding{canon.UTF8, canon.UTF16, canon.Latin1OrUTF16}
