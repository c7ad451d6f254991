package wit_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// The types of the examples.
var (
	aBool, aS8, aU8, aU16, aS64, aU64 = of(wit.Bool), of(wit.S8), of(wit.U8), of(wit.U16), of(wit.S64), of(wit.U64)
	anF32, anF64, aChar, aString      = of(wit.F32), of(wit.F64), of(wit.Char), of(wit.String)

	anItem = &wit.Type{Kind: wit.Record, Name: "item", Fields: []wit.Field{
		{Name: "sku", Type: aString}, {Name: "qty", Type: aU8}, {Name: "gift-note", Type: option(aString)},
	}}
	aShape = &wit.Type{Kind: wit.Variant, Name: "shape", Fields: []wit.Field{{Name: "dot"}, {Name: "circle", Type: anF64}}}
	aColor = &wit.Type{Kind: wit.Enum, Name: "color", Fields: []wit.Field{{Name: "red"}, {Name: "deep-blue"}}}
	rights = &wit.Type{Kind: wit.Flags, Name: "rights", Fields: []wit.Field{{Name: "read"}, {Name: "write"}}}
	aFile  = &wit.Type{Kind: wit.Own, Resource: &wit.Resource{Name: "file"}}
)

func of(kind wit.Kind) *wit.Type         { return &wit.Type{Kind: kind} }
func list(elem *wit.Type) *wit.Type      { return &wit.Type{Kind: wit.List, Elem: elem} }
func option(elem *wit.Type) *wit.Type    { return &wit.Type{Kind: wit.Option, Elem: elem} }
func result(ok, err *wit.Type) *wit.Type { return &wit.Type{Kind: wit.Result, Elem: ok, Err: err} }

func tuple(elems ...*wit.Type) *wit.Type {
	t := &wit.Type{Kind: wit.Tuple}
	for _, e := range elems {
		t.Fields = append(t.Fields, wit.Field{Type: e})
	}
	return t
}

func params(types ...*wit.Type) *wit.Func {
	f := &wit.Func{}
	for i, t := range types {
		f.Params = append(f.Params, wit.Param{Name: fmt.Sprintf("p%d", i+1), Type: t})
	}
	return f
}

func TestEachValueIsReadFromTheJSONThatItHas(t *testing.T) {
	none, some := wit.Case{}, func(v wit.Value) wit.Case { return wit.Case{Index: 1, Payload: v} }
	for _, test := range []struct {
		of   *wit.Type
		text string
		want wit.Value
	}{
		{aBool, "true", true},
		{aU8, " 255 ", uint8(255)},
		{aU8, "10e-1", uint8(1)},
		{aU8, "-0", uint8(0)},
		{aS8, "-128", int8(-128)},
		{aU64, "18446744073709551615", uint64(math.MaxUint64)},
		{aU64, `"18446744073709551615"`, uint64(math.MaxUint64)},
		{aS64, "-9223372036854775808", int64(math.MinInt64)},
		{aS64, `"-9.223372036854775808e18"`, int64(math.MinInt64)},
		{anF32, "16777217", float32(16777216)},
		{anF32, `"-Infinity"`, float32(math.Inf(-1))},
		{anF64, "-0", math.Copysign(0, -1)},
		{anF64, `"NaN"`, math.NaN()},
		{aChar, `"\ud83d\ude00"`, wit.Rune('😀')},
		{aChar, `"\u0000"`, wit.Rune(0)},
		{aString, `"a\"\\\/é"`, `a"\/é`},
		{list(aU8), "[0, 255]", []byte{0, 255}},
		{list(aU8), `"AP8="`, []byte{0, 255}},
		{list(aU8), `""`, []byte{}},
		{list(aU16), "[]", []wit.Value{}},
		{list(list(aU8)), "[[1], [ ] ]", []wit.Value{[]byte{1}, []byte{}}},
		{tuple(aU8, aString), `[1, "]"]`, []wit.Value{uint8(1), "]"}},
		{anItem, `{"qty": 2, "sku": "x"}`, []wit.Value{"x", uint8(2), none}},
		{anItem, `{"gift-note":"!","q\u0074y":2,"sku":"x"}`, []wit.Value{"x", uint8(2), some("!")}},
		{aShape, `"dot"`, wit.Case{}},
		{aShape, `{"circle":1.5}`, some(1.5)},
		{aColor, `"deep-blue"`, wit.Case{Index: 1}},
		{option(aU8), "null", none},
		{option(aU8), "7", some(uint8(7))},
		{option(option(aU8)), "null", none},
		{option(option(aU8)), `{"some":null}`, some(none)},
		{option(option(aU8)), `{"some":7}`, some(some(uint8(7)))},
		{option(option(option(aU8))), `{"some":{"some":7}}`, some(some(some(uint8(7))))},
		{result(aU8, aString), `{"ok":1}`, wit.Case{Payload: uint8(1)}},
		{result(aU8, aString), `{"error":"no"}`, some("no")},
		{result(nil, nil), `{"error":null}`, wit.Case{Index: 1}},
		{result(option(aU8), nil), `{"ok":null}`, wit.Case{Payload: none}},
		{rights, `["write", "read"]`, uint32(3)},
		{rights, "[]", uint32(0)},
	} {
		got, err := wit.FromJSON(test.of, json.RawMessage(test.text))
		if err != nil || !wittest.Equal(got, test.want) {
			t.Errorf("%s as %s: got %v, %v, want %v", test.text, test.of, got, err, test.want)
			continue
		}
		if err := wit.Check(test.of, got); err != nil {
			t.Errorf("%s as %s: %v", test.text, test.of, err)
		}
	}
}

func TestWhatIsWrongWithJSONIsSaidWithItsPlace(t *testing.T) {
	deep := option(aU8)
	for range wit.MaxDepth {
		deep = list(deep)
	}
	wide := &wit.Type{Kind: wit.Record}
	for i := range 1000 {
		wide.Fields = append(wide.Fields, wit.Field{Name: fmt.Sprintf("f%d", i), Type: option(aU8)})
	}
	manyFlags := &wit.Type{Kind: wit.Flags}
	for i := range 33 {
		manyFlags.Fields = append(manyFlags.Fields, wit.Field{Name: fmt.Sprintf("l%d", i)})
	}
	for _, test := range []struct {
		of         *wit.Func
		args, want string
	}{
		{params(aU8, anItem), `[1, {"sku":"x","qty":1.5}]`, "argument 2 (p2), field qty: 1.5 is not an integer"},
		{params(list(tuple(aU8, anItem))), `[[[1,{"sku":"x","qty":0}],[1,{"sku":"x","qty":300}]]]`, "argument 1 (p1), element 2, element 2, field qty: 300 is out of range: a u8 is from 0 to 255"},
		{params(aS8), "[-129]", "argument 1 (p1): -129 is out of range: an s8 is from -128 to 127"},
		{params(aU64), "[18446744073709551616]", "a u64 is from 0 to 18446744073709551615"},
		{params(aU64), "[-1]", "-1 is out of range"},
		{params(aS64), "[9223372036854775808]", "an s64 is from -9223372036854775808 to 9223372036854775807"},
		{params(aS64), `["x"]`, `it is the string "x", which is no number`},
		{params(aS64), `["\""]`, "which is no number"},
		{params(aS64), `["[1]"]`, `it is the string "[1]", which is no number`},
		{params(aU8), `["1"]`, `it is the string "1": write an integer`},
		{params(aU8), `[null]`, `it is null: write an integer`},
		{params(aU8), `[1e99999999999]`, "beyond what any type can hold"},
		{params(aBool), `[0]`, "it is the number 0: write true or false"},
		{params(anF32), `[3.5e38]`, "3.5e38 is out of range of an f32"},
		{params(anF64), `["nan"]`, `write a number, "NaN", "Infinity" or "-Infinity"`},
		{params(anF64), `[{"a":1}]`, `it is an object: write a number`},
		{params(aChar), `["ab"]`, `the string "ab" has 2 characters: write one`},
		{params(aChar), `[""]`, `the string "" has 0 characters: write one`},
		{params(aChar), `[97]`, "it is the number 97: write a string of one character"},
		{params(aString), `[{}]`, "it is an object: write a string"},
		{params(list(aU8)), `["AP8"]`, `the string "AP8" is no base64: write an array of numbers, or base64 with its padding`},
		{params(list(aU8)), `[[1,"AP8="]]`, "argument 1 (p1), element 2: it is the string"},
		{params(list(aU16)), `["AP8="]`, `it is the string "AP8=": write an array`},
		{params(tuple(aU8, aU8)), `[[1]]`, "it has 1 elements, and a tuple<u8, u8> has 2"},
		{params(tuple(aU8)), `[[1,[2,{"a":3}],"\\\""]]`, "it has 3 elements, and a tuple<u8> has 1"},
		{params(anItem), `[[]]`, "it is an array: write an object"},
		{params(anItem), `[{"sku":"x"}]`, "it lacks the field qty, of type u8"},
		{params(anItem), `{"sku":"x"}`, "argument 1 (p1): it lacks the field qty, of type u8"},
		{params(anItem), `[{"SKU":"x"}]`, `there is no field "SKU": there are sku, qty, gift-note`},
		{params(anItem), `[{"sku":"x","qty":1,"s\u006bu":"y"}]`, "it has two fields sku"},
		{params(wide), `[{"f":1}]`, `there is no field "f": there are f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11 and 988 more`},
		{params(aShape), `["circle"]`, `case circle has a payload of type f64: write {"circle": payload}`},
		{params(aShape), `[{"dot":null}]`, `case dot has no payload: write "dot"`},
		{params(aShape), `[{"circle":"x"}]`, "argument 1 (p1), case circle: it is the string"},
		{params(aShape), `[{}]`, "it is an object with other than one member"},
		{params(aShape), `[{"circle":1,"dot":null}]`, "it is an object with other than one member"},
		{params(aShape), `[{"square":1}]`, `there is no case "square": there are dot, circle`},
		{params(aShape), `[1]`, `write the name of a case as a string, or {"case": payload}`},
		{params(aColor), `[{"red":null}]`, "it is an object: write the name of a case as a string"},
		{params(aColor), `["blue"]`, `there is no case "blue": there are red, deep-blue`},
		{params(option(aU8)), `[{"some":1}]`, "it is an object: write an integer"},
		{params(option(option(aU8))), `[1]`, `it is the number 1: write null or {"some": value}`},
		{params(option(option(aU8))), `[{"none":1}]`, `it has a member "none": write null or {"some": value}`},
		{params(option(option(aU8))), `[{"some":-1}]`, "argument 1 (p1), case some: -1 is out of range"},
		{params(result(aU8, nil)), `["ok"]`, `write {"ok": value} or {"error": value}`},
		{params(result(aU8, nil)), `[{"err":1}]`, `it has a member "err": write {"ok": value} or {"error": value}`},
		{params(result(aU8, nil)), `[{"error":1}]`, "argument 1 (p1), case error: it is the number 1: write null, for there is no payload"},
		{params(rights), `[["read","read"]]`, "argument 1 (p1), element 2: flag read is there twice"},
		{params(rights), `[["exec"]]`, `there is no flag "exec": there are read, write`},
		{params(rights), `[[1]]`, "it is the number 1: write the name of a flag as a string"},
		{params(rights), `["read"]`, "write an array of names"},
		{params(aFile), `[1]`, "argument 1 (p1): it is a handle of a resource, which only a program can hold"},
		{params(aU8, aString), "[1]", "the function takes 2 arguments (p1: u8, p2: string), got 1"},
		{params(aU8), `[1,[2,{"x":[3]}],"]"]`, "the function takes 1 argument (p1: u8), got 3"},
		{params(), "[1]", "the function takes no arguments, got 1"},
		{params(aU8), "1", "the arguments are the number 1: put them into an array"},
		{params(aU8, anItem), `{"sku":"x"}`, "the arguments are an object: put them into an array"},
		{params(aU8), "[1] [2]", "the arguments are not valid JSON"},
		{params(aU8), "[", "the arguments are not valid JSON"},
		{params(aString), "[\"\xff\"]", "the arguments are not valid UTF-8"},
		{params(aString), `["\ud800"]`, "a string in the arguments has one half of a surrogate pair"},
		{params(aString), `["` + strings.Repeat("a", wit.MaxArgs) + `"]`, "the arguments have 524292 bytes, more than 524288"},
		{params(deep), strings.Repeat("[", wit.MaxDepth+1) + strings.Repeat("]", wit.MaxDepth+1), "element 1: arrays and objects are nested deeper than 64"},
		{params(list(wide), list(aU8)), "[[" + strings.Repeat("{},", 522) + "{}],[" + strings.Repeat("1,", 1000) + "1]]", "argument 2 (p2), element 764: there are more than 524288 values"},
		{params(manyFlags), `[["l32"]]`, "flag l32 is beyond the 32 that flags may have"},
		{params(list(wide)), "[[" + strings.Repeat("{},", 600) + "{}]]", "there are more than 524288 values, fields that are left out included"},
	} {
		got, err := wit.ArgsFromJSON(test.of, json.RawMessage(test.args))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80s: got %v, %v, want %s", test.args, got, err, test.want)
		}
	}
	if got, err := wit.FromJSON(aU8, nil); err == nil || err.Error() != "there is no value: write one as JSON" {
		t.Errorf("no text: got %v, %v", got, err)
	}
	if got, err := wit.FromJSON(aU8, json.RawMessage("x")); err == nil || !strings.Contains(err.Error(), "the value is not valid JSON") {
		t.Errorf("x: got %v, %v", got, err)
	}
}

func TestArgumentsAreAnArrayOrTheOneRecord(t *testing.T) {
	item := []wit.Value{"x", uint8(2), wit.Case{}}
	for _, test := range []struct {
		of   *wit.Func
		args string
		want []wit.Value
	}{
		{params(), "", nil},
		{params(), " [ ] ", nil},
		{params(aU8, aString), `[ 1 ,"x"]`, []wit.Value{uint8(1), "x"}},
		{params(anItem), `{"sku":"x","qty":2}`, []wit.Value{item}},
		{params(anItem), `[{"sku":"x","qty":2}]`, []wit.Value{item}},
	} {
		got, err := wit.ArgsFromJSON(test.of, json.RawMessage(test.args))
		if err != nil || !wittest.Equal(got, append([]wit.Value{}, test.want...)) {
			t.Errorf("%s: got %v, %v, want %v", test.args, got, err, test.want)
		}
	}
}

func TestValuesAreWrittenInOneForm(t *testing.T) {
	for _, test := range []struct {
		of   *wit.Type
		v    wit.Value
		want string
	}{
		{anItem, []wit.Value{"\u2028\x01", uint8(2), wit.Case{}}, "{\"sku\":\"\u2028\\u0001\",\"qty\":2,\"gift-note\":null}"},
		{tuple(anF32, anF64, anF64), []wit.Value{float32(0.1), 1e21, math.Inf(1)}, `[0.1,1e21,"Infinity"]`},
		{rights, uint32(3), `["read","write"]`},
		{rights, uint32(2), `["write"]`},
		{list(aU8), []byte{1, 2}, "[1,2]"},
		{list(aChar), []wit.Value{wit.Rune('"')}, `["\""]`},
		{result(nil, aString), wit.Case{}, `{"ok":null}`},
		{option(result(nil, aU8)), wit.Case{Index: 1, Payload: wit.Case{Index: 1, Payload: uint8(1)}}, `{"error":1}`},
		{aShape, wit.Case{Index: 1, Payload: 2.0}, `{"circle":2}`},
	} {
		got, err := wit.AppendJSON([]byte("x"), test.of, test.v)
		if err != nil || string(got) != "x"+test.want {
			t.Errorf("%v: got %s, %v, want %s", test.v, got, err, test.want)
		}
	}
	got, err := wit.AppendArgsJSON(nil, params(aU8, aString), []wit.Value{uint8(1), "x"})
	if err != nil || string(got) != `[1,"x"]` {
		t.Errorf("arguments: got %s, %v", got, err)
	}
}

func TestWhatHasNoJSONIsNotWritten(t *testing.T) {
	deep, v := list(aU8), wit.Value([]byte{})
	for range wit.MaxDepth {
		deep, v = list(deep), []wit.Value{v}
	}
	for _, test := range []struct {
		of   *wit.Type
		v    wit.Value
		want string
	}{
		{aFile, 7, "argument 1 (p1): it is a handle of a resource"},
		{tuple(aU8, list(aFile)), []wit.Value{uint8(1), []wit.Value{7}}, "argument 1 (p1), element 2, element 1: it is a handle"},
		{option(aFile), wit.Case{Index: 1, Payload: 7}, "it is a handle"},
		{&wit.Type{Kind: wit.Record, Fields: []wit.Field{{Name: "f", Type: aFile}}}, []wit.Value{7}, "argument 1 (p1), field f: it is a handle"},
		{result(aFile, nil), wit.Case{Payload: 7}, "case ok: it is a handle"},
		{aU8, 7, "argument 1 (p1): it is a Go value of type int, which is none of the type u8"},
		{deep, v, "element 1: arrays and objects are nested deeper than 64"},
	} {
		got, err := wit.AppendArgsJSON(nil, params(test.of), []wit.Value{test.v})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %.80s, %v, want %s", test.v, got, err, test.want)
		}
	}
	if got, err := wit.AppendArgsJSON(nil, params(aU8), nil); err == nil {
		t.Errorf("too few arguments: got %s", got)
	}
	if got, err := wit.AppendJSON(nil, aU8, "x"); err == nil {
		t.Errorf("a string for a u8: got %s", got)
	}
}

func TestAnyValueComesBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := wittest.Types().Draw(t, "type")
		want := wittest.Values(of).Draw(t, "value")
		text, err := wit.AppendJSON(nil, of, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wit.FromJSON(of, text)
		if err != nil || !wittest.Equal(got, want) {
			t.Fatalf("%v as %s is written as %s, which is read as %v, %v", want, of, text, got, err)
		}
	})
}

// fuzzed are types for fuzzing: each kind, and what is made of it.
var fuzzed = []*wit.Type{
	tuple(aBool, aS8, aU16, aS64, aU64, anF32, anF64, aChar, aString),
	list(tuple(anItem, option(aShape), aColor)), list(aU8), option(option(option(aS8))),
	result(option(aU8), list(aString)), result(nil, nil), tuple(rights, list(anF32)), aFile,
}

// FuzzJSON reads anything as values: what can be read is a value of its type,
// and is read again from the form that it is written in.
func FuzzJSON(f *testing.F) {
	for i, seed := range []string{
		`[true,-1,2,"-3",4,1e-3,"NaN","😀","\n"]`, `[[{"sku":"x","qty":1},{"circle":2},"red"]]`, `"AP8="`, `{"some":{"some":1}}`,
		`{"ok":null}`, `{"error":null}`, `[["write"],[1,2.5]]`, `null`,
	} {
		f.Add(uint8(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		of := fuzzed[int(which)%len(fuzzed)]
		v, err := wit.FromJSON(of, text)
		if err != nil {
			return
		}
		if err := wit.Check(of, v); err != nil {
			t.Fatalf("%s as %s is read as %v: %v", text, of, v, err)
		}
		written, err := wit.AppendJSON(nil, of, v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wit.FromJSON(of, written)
		if err != nil || !wittest.Equal(again, v) {
			t.Fatalf("%s as %s is read as %v, written as %s, and read as %v, %v", text, of, v, written, again, err)
		}
	})
}
