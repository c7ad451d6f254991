package wit_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/wit"
	"github.com/waterbear-run/waterbear/wit/wittest"
)

// words is an enum of which every case is a keyword of WAVE, or looks like one.
var words = func() *wit.Type {
	t := &wit.Type{Kind: wit.Enum, Name: "words"}
	for _, name := range []string{"true", "false", "some", "none", "ok", "err", "nan", "inf", "error", "INF"} {
		t.Fields = append(t.Fields, wit.Field{Name: name})
	}
	return t
}()

func TestEachValueIsReadFromTheWAVEThatItHas(t *testing.T) {
	none, some := wit.Case{}, func(v wit.Value) wit.Case { return wit.Case{Index: 1, Payload: v} }
	optional := &wit.Type{Kind: wit.Record, Name: "optional", Fields: []wit.Field{{Name: "true", Type: option(aU8)}, {Name: "b", Type: option(aBool)}}}
	for _, test := range []struct {
		of   *wit.Type
		text string
		want wit.Value
	}{
		{aBool, "true", true},
		{aU8, " // a comment\n255 // another", uint8(255)},
		{aU8, "2.0e0", uint8(2)},
		{aS8, "-128", int8(-128)},
		{aU64, "18446744073709551615", uint64(math.MaxUint64)},
		{anF32, "16777217", float32(16777216)},
		{anF32, "-inf", float32(math.Inf(-1))},
		{anF64, "nan", math.NaN()},
		{anF64, "-0", math.Copysign(0, -1)},
		{anF64, "6.022e+23", 6.022e+23},
		{aChar, "'☃'", wit.Rune('☃')},
		{aChar, `'"'`, wit.Rune('"')},
		{aChar, `'\''`, wit.Rune('\'')},
		{aChar, `'\u{01F600}'`, wit.Rune('😀')},
		{aString, `"a'\"\\\t\n\r\u{0}é"`, "a'\"\\\t\n\r\x00é"},
		{aString, "\"\"\"\n\"\"\"", ""},
		{aString, "\"\"\"\r\n  a\r\n    \"b\\u{63}\r\n  \n  \"\"\"", "a\n  \"bc\n"},
		{aString, "\"\"\"\n\"\"\\\"\"\\r\n\"\"\"", "\"\"\"\"\r"},
		{list(aU8), "[ 0 , 255 , ]", []byte{0, 255}},
		{list(aU16), "[]", []wit.Value{}},
		{tuple(aU8, aString), `(1, ")",)`, []wit.Value{uint8(1), ")"}},
		{anItem, `{qty: 2, %sku: "x"}`, []wit.Value{"x", uint8(2), none}},
		{anItem, `{sku: "x", qty: 2, gift-note: "!",}`, []wit.Value{"x", uint8(2), some("!")}},
		{optional, "{:}", []wit.Value{none, none}},
		{optional, "{ : }", []wit.Value{none, none}},
		{optional, "{true: 1, b: none}", []wit.Value{some(uint8(1)), none}},
		{aShape, "dot", wit.Case{}},
		{aShape, "%circle ( 1.5 , )", some(1.5)},
		{aColor, "deep-blue", wit.Case{Index: 1}},
		{words, "%none", wit.Case{Index: 3}},
		{words, "error", wit.Case{Index: 8}},
		{words, "INF", wit.Case{Index: 9}},
		{option(aU8), "7", some(uint8(7))},
		{option(aU8), "some(7)", some(uint8(7))},
		{option(aU8), "none", none},
		{option(words), "none", none},
		{option(words), "%none", some(wit.Case{Index: 3})},
		{option(aBool), "true", some(true)},
		{option(option(aU8)), "some(none)", some(none)},
		{option(option(aU8)), "some(7)", some(some(uint8(7)))},
		{result(aU8, aString), "1", wit.Case{Payload: uint8(1)}},
		{result(aU8, aString), "ok(1)", wit.Case{Payload: uint8(1)}},
		{result(aU8, aString), `err("no")`, some("no")},
		{result(nil, aString), "ok", wit.Case{}},
		{result(nil, nil), "err", wit.Case{Index: 1}},
		{result(option(aU8), nil), "ok(none)", wit.Case{Payload: none}},
		{option(result(nil, nil)), "some(ok)", some(wit.Case{})},
		{rights, "{write, %read, }", uint32(3)},
		{rights, "{ }", uint32(0)},
	} {
		got, err := wit.FromWAVE(test.of, test.text)
		if err != nil || !wittest.Equal(got, test.want) {
			t.Errorf("%s as %s: got %v, %v, want %v", test.text, test.of, got, err, test.want)
			continue
		}
		if err := wit.Check(test.of, got); err != nil {
			t.Errorf("%s as %s: %v", test.text, test.of, err)
		}
	}
}

func TestWhatIsWrongWithWAVEIsSaidWithItsPlace(t *testing.T) {
	deep := option(aU8)
	for range wit.MaxDepth {
		deep = list(deep)
	}
	wide := &wit.Type{Kind: wit.Record}
	for range 1000 {
		wide.Fields = append(wide.Fields, wit.Field{Name: "f", Type: option(aU8)})
	}
	for _, test := range []struct {
		of         *wit.Func
		args, want string
	}{
		{params(aU8, anItem), `(1, {sku: "x", qty: 1.5})`, "argument 2 (p2), field qty: 1.5 is not an integer"},
		{params(list(tuple(aU8, anItem))), `([(1, {sku: "x", qty: 0}), (1, {sku: "x", qty: 300})])`, "argument 1 (p1), element 2, element 2, field qty: 300 is out of range: a u8 is from 0 to 255"},
		{params(aBool), "(1)", "here is 1: write true or false"},
		{params(aBool), "(%true)", "here is %true: write true or false"},
		{params(aU8), `("1")`, "here is a string: write an integer"},
		{params(aU8), "('1')", "here is a character: write an integer"},
		{params(aU8), "(01)", "the number 01 begins with a 0: remove it"},
		{params(aU8), "(+1)", "here is +: write an integer"},
		{params(aU8), "(1_000)", `a number or a keyword goes on with "_000": remove that`},
		{params(aU8), "(1.)", "a number has no digits behind its point or its exponent"},
		{params(aU8), "(1e)", "a number has no digits behind its point or its exponent"},
		{params(aU8), "(1e9999999)", "beyond what any type can hold"},
		{params(anF32), "(3.5e38)", "3.5e38 is out of range of an f32"},
		{params(anF64), "(%nan)", "here is %nan: write a number, nan, inf or -inf"},
		{params(anF64), "(-infinity)", `a number or a keyword goes on with "inity"`},
		{params(aChar), `("a")`, "here is a string: write a character, '...'"},
		{params(aChar), "('')", "there is no character between the quotes"},
		{params(aChar), "('ab')", "behind the character there is no quote"},
		{params(aChar), "('", "the text ends within quotes"},
		{params(aChar), `('\`, "the text ends within an escape"},
		{params(aChar), `('\u{d800}')`, `the escape \u{d800} stands for no character`},
		{params(aChar), `('\u{}')`, `the escape \u{} stands for no character`},
		{params(aChar), `('\x41')`, `there is no escape \x: there are`},
		{params(aString), "(a)", `here is a: write a string, "..."`},
		{params(aString), "(\"\n\")", `a line ends within quotes: write \n`},
		{params(aString), `("""a""")`, `behind the opening """ the line has to end`},
		{params(aString), "(\"\"\"\n  a\n b\n  \"\"\")", "line 2 of a string of several lines is indented less than its closing quotes: indent it by 2 spaces"},
		{params(aString), "(\"\"\"\na\"\"\")", `before the closing """ there may be only spaces`},
		{params(aString), `("""`, `a string of several lines has no end`},
		{params(aString), "(\"\"\"\na\\\n\"\"\")", "the text ends within an escape"},
		{params(list(aU8)), `("AP8=")`, "here is a string: write a list, [...]"},
		{params(list(aU8)), "([1 2])", "here is 2: write a comma or ]"},
		{params(list(aU8)), "([,])", "argument 1 (p1), element 1: here is ,: write an integer"},
		{params(list(aU8)), "([1", "here is the end: write a comma or ]"},
		{params(tuple(aU8, aU8)), "((1))", "it has 1 elements, and a tuple<u8, u8> has 2"},
		{params(tuple(aU8)), `((1, {a: [")"]}, ')'))`, "it has 3 elements, and a tuple<u8> has 1"},
		{params(tuple(aU8)), "(1)", "here is 1: write a tuple, (...)"},
		{params(anItem), "({sku: \"x\"})", "it lacks the field qty, of type u8"},
		{params(anItem), "({SKU: \"x\"})", `there is no field "SKU": there are sku, qty, gift-note`},
		{params(anItem), `({sku: "x", sku: "y"})`, "it has two fields sku"},
		{params(anItem), `({sku "x"})`, "field sku: here is a string: write a colon"},
		{params(anItem), `({"sku": "x"})`, "here is a string: write the name of a field"},
		{params(anItem), "([])", "here is [: write a record, {name: value, ...}"},
		{params(anItem), "({})", "it is {}, which is flags: write {:} for a record without fields"},
		{params(anItem), "({:})", "it lacks the field sku"},
		{params(aShape), "(circle)", "case circle has a payload of type f64: write circle(payload)"},
		{params(aShape), "(dot(1))", "case dot has no payload: write dot alone"},
		{params(aShape), "(circle())", "case circle has one payload, and here are 0"},
		{params(aShape), "(circle(1, 2))", "case circle has one payload, and here are 2"},
		{params(aShape), "(circle(x))", "argument 1 (p1), case circle: here is x: write a number"},
		{params(aShape), "(square)", `there is no case "square": there are dot, circle`},
		{params(aShape), "(1)", "here is 1: write the name of a case"},
		{params(words), "(none)", "it is the keyword none: write %none for a case of that name"},
		{params(option(option(aU8))), "(7)", "here is 7: write none or some(value)"},
		{params(option(result(nil, nil))), "(ok)", "here is ok: write none or some(value)"},
		{params(option(aU8)), "(some)", "case some has a payload of type u8"},
		{params(option(aU8)), "(some(-1))", "argument 1 (p1), case some: -1 is out of range"},
		{params(result(nil, aU8)), "(1)", "here is 1: write ok or err(value)"},
		{params(result(option(aU8), nil)), "(none)", "here is none: write ok(value) or err"},
		{params(result(nil, aU8)), "(ok(1))", "case ok has no payload"},
		{params(rights), "({read, read})", "argument 1 (p1), element 2: flag read is there twice"},
		{params(rights), "({exec})", `there is no flag "exec": there are read, write`},
		{params(rights), "({1})", "here is 1: write the name of a flag"},
		{params(rights), "(read)", "here is read: write flags, {name, ...}"},
		{params(aFile), "(1)", "argument 1 (p1): it is a handle of a resource"},
		{params(of(99)), "(1)", "values of kind 99 have no WAVE form"},
		{params(aU8, aString), "(1)", "the function takes 2 arguments (p1: u8, p2: string), got 1"},
		{params(option(aU8), aU8), "()", "the function takes 2 arguments (p1: option<u8>, p2: u8), got 0"},
		{params(aU8), `(1, {a: ')', b: [")"]}, 3)`, "the function takes 1 argument (p1: u8), got 3"},
		{params(aU8), `(1, "`, "the text ends within quotes"},
		{params(aU8), "(1, 'ab')", "behind the character there is no quote"},
		{params(aU8), "(1, [2", "here is the end: write the rest"},
		{params(), "(1)", "the function takes no arguments, got 1"},
		{params(aU8), "1", `the arguments are 1: put them into parentheses, as in (1, "x")`},
		{params(aU8), "(1) 2", "behind the value there is 2: remove it"},
		{params(aU8), "(1", "here is the end: write a comma or )"},
		{params(aString), "(\"\xff\")", "the arguments are not valid UTF-8"},
		{params(aString), `("` + strings.Repeat("a", wit.MaxArgs) + `")`, "the arguments have 524292 bytes, more than 524288"},
		{params(deep), "(" + strings.Repeat("[", wit.MaxDepth), "element 1: brackets are nested deeper than 64"},
		{params(list(wide), list(aU8)), "([" + strings.Repeat("{:},", 523) + "], [" + strings.Repeat("1,", 1000) + "])", "argument 2 (p2), element 764: there are more than 524288 values"},
		{params(list(wide)), "([" + strings.Repeat("{:},", 600) + "])", "there are more than 524288 values, fields that are left out included"},
	} {
		got, err := wit.ArgsFromWAVE(test.of, test.args)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80s: got %v, %v, want %s", test.args, got, err, test.want)
		}
	}
	for text, want := range map[string]string{
		"":                                     "here is the end: write an integer",
		"1 1":                                  "behind the value there is 1: remove it",
		strings.Repeat(" ", wit.MaxArgs) + "1": "the value has 524289 bytes, more than 524288",
	} {
		if got, err := wit.FromWAVE(aU8, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestArgumentsInWAVEAreInParentheses(t *testing.T) {
	for _, test := range []struct {
		of   *wit.Func
		args string
		want []wit.Value
	}{
		{params(), " // nothing", nil},
		{params(), " ( ) ", nil},
		{params(aU8, aString), `(1, "x",)`, []wit.Value{uint8(1), "x"}},
		{params(tuple(aU8, aU8)), "((1, 2))", []wit.Value{[]wit.Value{uint8(1), uint8(2)}}},
		{params(aU8, option(aU8), option(aU8)), "(1, 2)", []wit.Value{uint8(1), wit.Case{Index: 1, Payload: uint8(2)}, wit.Case{}}},
		{params(option(aU8)), "", []wit.Value{wit.Case{}}},
	} {
		got, err := wit.ArgsFromWAVE(test.of, test.args)
		if err != nil || !wittest.Equal(got, append([]wit.Value{}, test.want...)) {
			t.Errorf("%s: got %v, %v, want %v", test.args, got, err, test.want)
		}
	}
}

func TestACallIsTakenApart(t *testing.T) {
	function, args, err := wit.SplitWAVECall(" shop:cart/items@1.0.0#add-item ({sku: \"(\"})")
	if err != nil || function != "shop:cart/items@1.0.0#add-item" || args != `({sku: "("})` {
		t.Errorf("got %q, %q, %v", function, args, err)
	}
	for text, want := range map[string]string{
		"add": `"add" is no call: write the arguments in parentheses`,
		"(1)": `"(1)" calls nothing: write the name of a function`,
	} {
		if function, args, err := wit.SplitWAVECall(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %q, %v, want %s", text, function, args, err, want)
		}
	}
}

func TestValuesAreWrittenInOneFormOfWAVE(t *testing.T) {
	some := func(v wit.Value) wit.Case { return wit.Case{Index: 1, Payload: v} }
	for _, test := range []struct {
		of   *wit.Type
		v    wit.Value
		want string
	}{
		{tuple(aU8, anF32, anF64, anF64), []wit.Value{uint8(1), float32(0.1), 1e21, math.Inf(-1)}, "(1, 0.1, 1e21, -inf)"},
		{list(anF64), []wit.Value{math.NaN(), math.Inf(1)}, "[nan, inf]"},
		{tuple(aString, aChar, aChar), []wit.Value{"'\"\\\n\x01é", wit.Rune('\''), wit.Rune('"')}, `("'\"\\\n\u{1}é", '\'', '"')`},
		{anItem, []wit.Value{"x", uint8(2), wit.Case{}}, `{sku: "x", qty: 2}`},
		{anItem, []wit.Value{"x", uint8(2), some("!")}, `{sku: "x", qty: 2, gift-note: some("!")}`},
		{&wit.Type{Kind: wit.Record, Fields: anItem.Fields[2:]}, []wit.Value{wit.Case{}}, "{:}"},
		{words, wit.Case{Index: 7}, "%inf"},
		{words, wit.Case{Index: 8}, "error"},
		{aShape, some(2.0), "circle(2)"},
		{result(nil, aU8), some(uint8(1)), "err(1)"},
		{result(nil, aU8), wit.Case{}, "ok"},
		{option(option(aBool)), some(some(true)), "some(some(true))"},
		{rights, uint32(3), "{read, write}"},
		{rights, uint32(0), "{}"},
		{list(aU8), []byte{1, 2}, "[1, 2]"},
	} {
		got, err := wit.AppendWAVE([]byte("x"), test.of, test.v)
		if err != nil || string(got) != "x"+test.want {
			t.Errorf("%v: got %s, %v, want %s", test.v, got, err, test.want)
		}
	}
	got, err := wit.AppendArgsWAVE(nil, params(aU8, aString), []wit.Value{uint8(1), "x"})
	if err != nil || string(got) != `(1, "x")` {
		t.Errorf("arguments: got %s, %v", got, err)
	}
}

func TestWhatHasNoWAVEIsNotWritten(t *testing.T) {
	deep, v := list(aU8), wit.Value([]byte{})
	for range wit.MaxDepth {
		deep, v = list(deep), []wit.Value{v}
	}
	deepCases, c := option(aU8), wit.Case{}
	for range wit.MaxDepth {
		deepCases, c = option(deepCases), wit.Case{Index: 1, Payload: c}
	}
	for _, test := range []struct {
		of   *wit.Type
		v    wit.Value
		want string
	}{
		{aFile, 7, "argument 1 (p1): it is a handle of a resource"},
		{&wit.Type{Kind: wit.Record, Fields: []wit.Field{{Name: "f", Type: list(aFile)}}}, []wit.Value{[]wit.Value{7}}, "argument 1 (p1), field f, element 1: it is a handle"},
		{result(nil, aFile), wit.Case{Index: 1, Payload: 7}, "case err: it is a handle"},
		{aU8, 7, "argument 1 (p1): it is a Go value of type int, which is none of the type u8"},
		{deep, v, "element 1: brackets are nested deeper than 64"},
		{deepCases, c, "case some: brackets are nested deeper than 64"},
	} {
		got, err := wit.AppendArgsWAVE(nil, params(test.of), []wit.Value{test.v})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %.80s, %v, want %s", test.v, got, err, test.want)
		}
	}
	if got, err := wit.AppendArgsWAVE(nil, params(aU8), nil); err == nil {
		t.Errorf("too few arguments: got %s", got)
	}
	for _, v := range []wit.Value{"x", nil} {
		if got, err := wit.AppendWAVE(nil, aU8, v); err == nil || got != nil {
			t.Errorf("%v for a u8: got %s, %v", v, got, err)
		}
	}
	if got, err := wit.AppendWAVE(nil, list(aFile), []wit.Value{7}); err == nil || got != nil {
		t.Errorf("a handle: got %s, %v", got, err)
	}
}

func TestAnyValueComesBackFromWAVE(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := wittest.Types().Draw(t, "type")
		want := wittest.Values(of).Draw(t, "value")
		text, err := wit.AppendWAVE(nil, of, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wit.FromWAVE(of, string(text))
		if err != nil || !wittest.Equal(got, want) {
			t.Fatalf("%v as %s is written as %s, which is read as %v, %v", want, of, text, got, err)
		}
	})
}

// FuzzWAVE reads anything as values: what can be read is a value of its type,
// and is read again from the forms that it is written in.
func FuzzWAVE(f *testing.F) {
	for i, seed := range []string{
		`(true, -1, 2, 3, 4, 1e-3, nan, '😀', "\n")`, `[({sku: "x", qty: 1}, circle(2), red)]`, `[0, 255]`, `some(some(1))`,
		`ok(none)`, `err`, `({write}, [1, 2.5, -inf])`, "\"\"\"\n a\n \"\"\"",
	} {
		f.Add(uint8(i), seed)
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		of := fuzzed[int(which)%len(fuzzed)]
		v, err := wit.FromWAVE(of, text)
		if err != nil {
			return
		}
		if err := wit.Check(of, v); err != nil {
			t.Fatalf("%s as %s is read as %v: %v", text, of, v, err)
		}
		written, err := wit.AppendWAVE(nil, of, v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wit.FromWAVE(of, string(written))
		if err != nil || !wittest.Equal(again, v) {
			t.Fatalf("%s as %s is read as %v, written as %s, and read as %v, %v", text, of, v, written, again, err)
		}
		inJSON, err := wit.AppendJSON(nil, of, v)
		if err != nil {
			t.Fatal(err)
		}
		if again, err = wit.FromJSON(of, inJSON); err != nil || !wittest.Equal(again, v) {
			t.Fatalf("%s as %s is read as %v, written as %s, and read as %v, %v", text, of, v, inJSON, again, err)
		}
	})
}
