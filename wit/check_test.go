package wit_test

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/wit"
)

func TestWhatIsNoValueOfATypeIsFound(t *testing.T) {
	tooMany := &wit.Type{Kind: wit.Flags}
	for range 33 {
		tooMany.Fields = append(tooMany.Fields, wit.Field{Name: "f"})
	}
	item := func(qty wit.Value) wit.Value { return []wit.Value{"x", qty, wit.Case{}} }
	for _, test := range []struct {
		of   *wit.Type
		v    wit.Value
		want string
	}{
		{aBool, 1, "it is a Go value of type int, which is none of the type bool"},
		{aS8, uint8(1), "none of the type s8"},
		{of(wit.S16), int8(1), "none of the type s16"},
		{of(wit.U32), int32(1), "none of the type u32"},
		{of(wit.S32), uint32(1), "none of the type s32"},
		{aS64, uint64(1), "none of the type s64"},
		{aU64, int64(1), "none of the type u64"},
		{anF32, 1.5, "none of the type f32"},
		{anF64, float32(1.5), "none of the type f64"},
		{aChar, 'a', "it is a Go value of type int32, which is none of the type char"},
		{aChar, wit.Rune(0xd800), "0xd800 is no Unicode scalar value"},
		{aChar, wit.Rune(-1), "-0x1 is no Unicode scalar value"},
		{aString, "\xff", "it is not valid UTF-8"},
		{aString, nil, "it is a Go value of type <nil>, which is none of the type string"},
		{list(aU8), []wit.Value{uint8(1)}, "none of the type list<u8>"},
		{list(aU16), []byte{1}, "none of the type list<u16>"},
		{list(aU16), []wit.Value{uint16(1), "x"}, "element 2: it is a Go value of type string"},
		{anItem, []wit.Value{"x"}, "it has 1 fields, and the type item has 3"},
		{anItem, "x", "none of the type item"},
		{list(anItem), []wit.Value{item(uint8(1)), item(1)}, "element 2, field qty: it is a Go value of type int"},
		{tuple(aU8, aU8), []wit.Value{uint8(1), nil}, "element 2: it is a Go value of type <nil>"},
		{aShape, wit.Case{Index: 2}, "it is case 2, and the type shape has 2, from 0"},
		{aShape, wit.Case{Index: 1 << 31}, "it is case 2147483648"},
		{aShape, wit.Case{Index: 1}, "case circle has a payload of type f64, and the value has none"},
		{aShape, wit.Case{Payload: 1.5}, "case dot has no payload, and the value has one of Go type float64"},
		{aShape, wit.Case{Index: 1, Payload: 1}, "case circle: it is a Go value of type int"},
		{aColor, wit.Case{Index: 2}, "it is case 2"},
		{aColor, "red", "none of the type color"},
		{option(aU8), uint8(1), "none of the type option<u8>"},
		{option(aU8), wit.Case{Index: 2}, "it is case 2, and the type option<u8> has 2"},
		{result(nil, aU8), wit.Case{Index: 1}, "case error has a payload of type u8, and the value has none"},
		{result(nil, aU8), wit.Case{Payload: uint8(1)}, "case ok has no payload"},
		{rights, uint32(4), "it has flags 0x4, and the type has 2, of at most 32"},
		{rights, 1, "none of the type rights"},
		{tooMany, uint32(0), "and the type has 33, of at most 32"},
		{aFile, nil, "none of the type file"},
		{of(99), 1, "none of the type kind 99"},
	} {
		if err := wit.Check(test.of, test.v); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v as %s: got %v, want %s", test.v, test.of, err, test.want)
		}
	}
	if err := wit.Check(list(aFile), []wit.Value{7, "any"}); err != nil {
		t.Errorf("handles: %v", err)
	}
}

// TestTheTextOfATypeIsBounded makes a type whose text is without end.
func TestTheTextOfATypeIsBounded(t *testing.T) {
	wide, deep := aU8, aU8
	for range 100 {
		wide, deep = tuple(wide, wide, wide), list(deep)
	}
	for _, endless := range []*wit.Type{wide, deep} {
		if text := endless.String(); len(text) > 1000 || !strings.Contains(text, "…") {
			t.Errorf("got %d bytes: %.100s", len(text), text)
		}
		d := &wit.Document{Packages: []*wit.Package{{Interfaces: []*wit.Interface{{Funcs: []*wit.FuncDecl{
			function("f", endless, wit.Param{Name: "x", Type: endless}),
		}}}}}}
		if text := d.String(); len(text) > 100_000 {
			t.Errorf("a document has %d bytes: %.100s", len(text), text)
		}
	}
}
