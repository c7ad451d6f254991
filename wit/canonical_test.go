package wit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/wit"
)

func TestCanonicalFormDependsOnTheValuesAlone(t *testing.T) {
	for want, forms := range map[string][]string{
		"[1]":                       {"[1.0]", "[ 1 ]", "[10e-1]", "[0.01e2]", "[1.000e+0]", "[1E0]"},
		"[-0]":                      {"[-0.00]", "[-0e7]"},
		"[0]":                       {"[0.0]", "[0e-7]", "[0E99999999999999999999]"},
		"[100]":                     {"[1e2]", "[100.00]", "[0.1e3]"},
		"[0.5]":                     {"[5e-1]", "[0.50]"},
		"[-12.5]":                   {"[-1.25e1]"},
		"[100000000000000000000]":   {"[1e20]"},
		"[1e21]":                    {"[1000000000000000000000]", "[0.1e22]"},
		"[1.5e-7]":                  {"[0.00000015]"},
		"[0.000001]":                {"[1e-6]"},
		"[18446744073709551615]":    {"[18446744073709551615.0]"},
		`["Aé/\n\"\\\u0001😀\b"]`:    {`[ "\u0041\u00E9\/\u000a\u0022\u005C\u0001\ud83D\uDE00\u0008" ]`},
		`[{"a":[],"b":{"c":null}}]`: {`[{"b" : {"c":null} , "\u0061" : [ ]}]`},
		"[[1,true],false]":          {"[[1.0, true],\tfalse]"},
	} {
		for _, form := range append(forms, want) {
			got, err := wit.CanonicalArgs(json.RawMessage(form))
			if err != nil || string(got) != want {
				t.Errorf("%s: got %s, %v, want %s", form, got, err, want)
			}
		}
	}
}

func TestWhatHasNoCanonicalFormIsRefused(t *testing.T) {
	// So small in characters that only its digits are over the bound.
	numbers := "[" + strings.Repeat("1e20,", wit.MaxArgs/10) + "0]"
	for args, want := range map[string]string{
		`[{"a":1,"b":2,"\u0061":1}]`: `an object in the arguments has two members named "a"`,
		"[1e1000001]":                "the exponent of 1e1000001 is beyond what any type can hold",
		"[1e-99999999999999999999]":  "is beyond what any type can hold",
		`"a"`:                        `the arguments are the string "a": put them into an array`,
		"[1][2]":                     "not valid JSON",
		`["\udc00"]`:                 "one half of a surrogate pair",
		numbers:                      "bytes once their numbers are written out, more than 524288",
		strings.Repeat("[", wit.MaxDepth+1) + strings.Repeat("]", wit.MaxDepth+1):              "nested deeper than 64",
		strings.Repeat(`[{"a":`, wit.MaxDepth/2) + "[]" + strings.Repeat("}]", wit.MaxDepth/2): "nested deeper than 64",
	} {
		got, err := wit.CanonicalArgs(json.RawMessage(args))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %.60s, %v, want %q", args, got, err, want)
		}
	}
	deepest := strings.Repeat("[", wit.MaxDepth) + strings.Repeat("]", wit.MaxDepth)
	if got, err := wit.CanonicalArgs(json.RawMessage(deepest)); err != nil || string(got) != deepest {
		t.Errorf("%d deep: got %s, %v", wit.MaxDepth, got, err)
	}
}

func TestStringsOfACommand(t *testing.T) {
	got, err := wit.Strings(json.RawMessage(`["", "a b", "\ud83d\ude00\n", "\ufffd", "[,]\"\\"]`))
	want := []string{"", "a b", "😀\n", "\ufffd", `[,]"\`}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for args, want := range map[string]string{
		`["a", 1]`:       "argument 2 is the number 1: the arguments of a command are strings",
		`[null]`:         "argument 1 is null: the arguments of a command are strings",
		`["a\u0000b"]`:   "argument 1 has a NUL character",
		`["\ud800"]`:     "one half of a surrogate pair",
		`["\ud800\n"]`:   "one half of a surrogate pair",
		`["\\", "\uDFFF`: "not valid JSON",
		`"a"`:            "put them into an array",
	} {
		got, err := wit.Strings(json.RawMessage(args))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want %q", args, got, err, want)
		}
	}
}

func TestThereIsABoundOnTheStringsOfACommand(t *testing.T) {
	array := func(n int) json.RawMessage {
		return json.RawMessage("[" + strings.TrimSuffix(strings.Repeat(`"",`, n), ",") + "]")
	}
	if got, err := wit.Strings(array(wit.MaxStrings)); err != nil || len(got) != wit.MaxStrings {
		t.Errorf("got %d strings, %v", len(got), err)
	}
	if got, err := wit.Strings(array(wit.MaxStrings + 1)); err == nil {
		t.Errorf("got %d strings", len(got))
	}
}

func TestAnyTextArrivesAtACommandUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 }))
		want := rapid.SliceOf(text).Draw(t, "strings")
		args, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := wit.CanonicalArgs(args)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []json.RawMessage{args, canonical} {
			got, err := wit.Strings(form)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: got %q, %v, want %q", form, got, err, want)
			}
		}
	})
}

// FuzzArgs reads anything as arguments: whatever can be read is read alike from
// its canonical form, and that form is its own.
func FuzzArgs(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[1,-2.5,"NaN"]`, `["a\u0041\ud83d\ude00"]`, `[1e20,{"a":[null,true]}]`, `[4294967295, 1e-320]`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	signatures := [][]string{{}, {"i32"}, {"i64"}, {"f32"}, {"f64"}, {"i32", "f64"}, {"f32", "i64", "f64"}}
	read := func(args json.RawMessage) (all []string) {
		strings, err := wit.Strings(args)
		all = append(all, fmt.Sprintf("%q %t", strings, err == nil))
		for _, types := range signatures {
			stack, err := wit.LowerCore(types, args, nil)
			all = append(all, fmt.Sprintf("%x %t", stack, err == nil))
		}
		return all
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		got := read(args)
		canonical, err := wit.CanonicalArgs(args)
		if err != nil {
			return
		}
		if want := read(canonical); !slices.Equal(got, want) {
			t.Errorf("%s is read as\n%q\nand its canonical form %s as\n%q", args, got, canonical, want)
		}
		again, err := wit.CanonicalArgs(canonical)
		if err != nil || string(again) != string(canonical) {
			t.Errorf("%s has the canonical form %s, and that has %s, %v", args, canonical, again, err)
		}
	})
}
