package component_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/component"
	decoder "github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// echoCore is a core module with a memory of 64 MiB, a realloc that never gives
// back, and a function that takes a list and returns it.
var echoCore = section(nil, []byte("\x00asm\x01\x00\x00\x00"),
	1, "\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x02\x7f\x7f\x01\x7f",
	3, "\x02\x00\x01",
	5, "\x01\x00\x80\x08",
	6, "\x01\x7f\x01\x41\x80\x08\x0b",
	7, "\x03\x06memory\x02\x00\x07realloc\x00\x00\x04echo\x00\x01",
	10, "\x02"+
		// Of realloc: p = (heap + align - 1) & -align; heap = p + size; what was there is copied.
		named("\x01\x01\x7f\x23\x00\x20\x02\x6a\x41\x01\x6b\x41\x00\x20\x02\x6b\x71\x21\x04"+
			"\x20\x04\x20\x03\x6a\x24\x00\x20\x04\x20\x00\x20\x01\xfc\x0a\x00\x00\x20\x04\x0b")+
		// Of echo: pointer and length go to 8, which is the result.
		named("\x00\x41\x08\x20\x00\x36\x02\x00\x41\x0c\x20\x01\x36\x02\x00\x41\x08\x0b"),
)

// section appends sections, each a number and its content, to b and more.
func section(b, more []byte, sections ...any) []byte {
	b = append(b, more...)
	for i := 0; i < len(sections); i += 2 {
		content := fmt.Sprint(sections[i+1])
		b = append(b, byte(sections[i].(int)))
		b = append(binary.AppendUvarint(b, uint64(len(content))), content...)
	}
	return b
}

// echoComponent writes a component with a function that returns what it is given,
// a list of a type.
type echoComponent struct {
	b     []byte
	types int // that there are
}

// named is a name, or whatever else comes behind its length.
func named(name string) string { return string(binary.AppendUvarint(nil, uint64(len(name)))) + name }

func number(n int) string { return string(binary.AppendUvarint(nil, uint64(n))) }

// index is the number of a type where a type is wanted (s33).
func index(n int) string {
	var b []byte
	for ; n >= 0x40; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return string(append(b, byte(n)))
}

var primitives = map[wit.Kind]byte{
	wit.Bool: 0x7f, wit.S8: 0x7e, wit.U8: 0x7d, wit.S16: 0x7c, wit.U16: 0x7b, wit.S32: 0x7a, wit.U32: 0x79,
	wit.S64: 0x78, wit.U64: 0x77, wit.F32: 0x76, wit.F64: 0x75, wit.Char: 0x74, wit.String: 0x73,
}

// typ defines a type and gives how it is referred to. Types that have to have
// names are exported.
func (c *echoComponent) typ(t *wit.Type) string {
	if p, ok := primitives[t.Kind]; ok {
		return string(p)
	}
	optional := func(t *wit.Type) string {
		if t == nil {
			return "\x00"
		}
		return "\x01" + c.typ(t)
	}
	parts, exported := number(len(t.Fields)), true
	for _, f := range t.Fields {
		switch t.Kind {
		case wit.Record:
			parts += named(f.Name) + c.typ(f.Type)
		case wit.Tuple:
			parts += c.typ(f.Type)
		case wit.Variant:
			parts += named(f.Name) + optional(f.Type) + "\x00"
		default:
			parts += named(f.Name)
		}
	}
	var definition string
	switch t.Kind {
	case wit.Record:
		definition = "\x72" + parts
	case wit.Variant:
		definition = "\x71" + parts
	case wit.Flags:
		definition = "\x6e" + parts
	case wit.Enum:
		definition = "\x6d" + parts
	default:
		exported = false
	}
	switch t.Kind {
	case wit.List:
		definition = "\x70" + c.typ(t.Elem)
	case wit.Tuple:
		definition = "\x6f" + parts
	case wit.Option:
		definition = "\x6b" + c.typ(t.Elem)
	case wit.Result:
		definition = "\x6a" + optional(t.Elem) + optional(t.Err)
	}
	c.b = section(c.b, nil, 7, "\x01"+definition)
	c.types++
	if exported {
		c.b = section(c.b, nil, 11, "\x01\x00"+named(fmt.Sprint("t", c.types))+"\x03"+number(c.types-1)+"\x00")
		c.types++
	}
	return index(c.types - 1)
}

// component writes the whole.
func (c *echoComponent) component(list *wit.Type, encoding byte) []byte {
	c.b = section(nil, []byte("\x00asm\x0d\x00\x01\x00"),
		1, string(echoCore),
		2, "\x01\x00\x00\x00",
		6, "\x03\x00\x02\x01\x00"+named("memory")+"\x00\x00\x01\x00"+named("realloc")+"\x00\x00\x01\x00"+named("echo"),
	)
	t := c.typ(list)
	c.b = section(c.b, nil,
		7, "\x01\x40\x01"+named("v")+t+"\x00"+t,
		8, "\x01\x00\x00\x01\x03"+string(encoding)+"\x03\x00\x04\x00"+number(c.types),
		11, "\x01\x00"+named("echo")+"\x01\x00\x00",
	)
	return c.b
}

// TestWhatIsLoweredIsLifted lets a real component return values of types that are
// made up, in all encodings of text.
func TestWhatIsLoweredIsLifted(t *testing.T) {
	e, err := wasm.New(context.Background(), wasm.Config{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for encoding, name := range []string{"utf8", "utf16", "latin1+utf16"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				list := listOf(wittest.Types().Draw(t, "type"))
				source := (&echoComponent{}).component(list, byte(encoding))
				decoded, err := decoder.Decode(source)
				if err != nil {
					t.Fatalf("%s: %v", list, err)
				}
				p, err := component.Compile(context.Background(), e, decoded, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				in, err := p.Instantiate(context.Background(), component.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				for range 3 {
					want := wittest.Values(list).Draw(t, "value")
					got, err := in.Call(context.Background(), "echo", []wit.Value{want})
					if err != nil || !wittest.Equal(got, want) {
						t.Fatalf("%s: got %v, %v, want %v", list, got, err, want)
					}
				}
			})
		})
	}
}
