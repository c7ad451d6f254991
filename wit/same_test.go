package wit

import (
	"strings"
	"testing"
)

func TestFunctionsAreTheSameIfTheyTakeAndGiveTheSame(t *testing.T) {
	parse := func(types, signature string) *Func {
		t.Helper()
		d, err := Parser{}.Parse([]Source{{Text: "package a:b; interface i { resource r; " + types + " f: " + signature + "; }"}})
		if err != nil {
			t.Fatal(err)
		}
		return d.Packages[0].Interfaces[0].Func(FuncName{Name: "f"}).Type
	}
	const record = "record p { x: u32, y: option<string> } variant v { a, b(p) } enum e { one, two }"
	want := parse(record, "func(a: p, b: list<v>, c: e) -> result<p, string>")
	if err := SameFunc(want, parse(record, "func(other: p, b: list<v>, c: e) -> result<p, string>")); err != nil {
		t.Errorf("names of parameters matter: %v", err)
	}
	for _, c := range []struct{ types, signature, err string }{
		{record, "func(a: p, b: list<v>) -> result<p, string>", "one takes 3 parameters, the other 2"},
		{record, "func(a: p, b: list<v>, c: e)", "result: one of them is there"},
		{record, "func(a: p, b: list<p>, c: e) -> result<p, string>", "parameter b: one is a variant, the other a record"},
		{record, "func(a: p, b: list<v>, c: e) -> result<p, u8>", "result: one is a string, the other a u8"},
		{strings.Replace(record, "x: u32", "z: u32", 1), "func(a: p, b: list<v>, c: e) -> result<p, string>", "parameter a: a part of one record is x, of the other z"},
		{strings.Replace(record, "x: u32", "x: u64", 1), "func(a: p, b: list<v>, c: e) -> result<p, string>", "parameter a: x: one is a u32, the other a u64"},
		{strings.Replace(record, "one, two", "one", 1), "func(a: p, b: list<v>, c: e) -> result<p, string>", "parameter c: one enum has 2 parts, the other 1"},
	} {
		err := SameFunc(want, parse(c.types, c.signature))
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %s", c.signature, err, c.err)
		}
	}
	if parse(record, "func(a: p, b: list<v>)").HasHandle() || !parse(record, "func(a: list<option<borrow<r>>>)").HasHandle() || !parse(record, "func() -> r").HasHandle() {
		t.Error("handles are not found")
	}
	if handle := parse(record, "func() -> r"); SameFunc(handle, parse(record, "func() -> r")) == nil {
		t.Error("handles of two resource types are the same")
	}
}
