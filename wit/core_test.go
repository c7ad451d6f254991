package wit_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/wit"
)

func bits32(v float32) uint64 { return uint64(math.Float32bits(v)) }

func TestArgumentsBecomeTheBitsOfTheirTypes(t *testing.T) {
	for _, c := range []struct {
		kind, arg string
		want      uint64
	}{
		{"i32", "0", 0},
		{"i32", "-0", 0},
		{"i32", "-1", 0xffffffff},
		{"i32", "2147483647", 0x7fffffff},
		{"i32", "4294967295", 0xffffffff},
		{"i32", "-2147483648", 0x80000000},
		{"i32", "7.0", 7},
		{"i32", "70e-1", 7},
		{"i32", "1.2e1", 12},
		{"i32", "0e999999999999999999999", 0},
		{"i64", "-1", math.MaxUint64},
		{"i64", "9007199254740993", 9007199254740993},
		{"i64", "9223372036854775807", math.MaxInt64},
		{"i64", "-9223372036854775808", 1 << 63},
		{"i64", "18446744073709551615", math.MaxUint64},
		{"i64", "1e19", 1e19},
		{"f32", "0.5", bits32(0.5)},
		{"f32", "-0", 0x80000000},
		{"f32", "-0.0e5", 0x80000000},
		{"f32", "16777217", bits32(16777216)},                 // half-way: to even
		{"f32", "16777217.000000000000001", bits32(16777218)}, // just above half-way, which an f64 cannot say
		{"f32", "1e-60", 0},                                   // below the least
		{"f32", "3.4028235677973365e38", 0x7f7fffff},          // rounds to the greatest
		{"f32", `"NaN"`, 0x7fc00000},
		{"f32", `"Infinity"`, 0x7f800000},
		{"f32", `"-Infinity"`, 0xff800000},
		{"f64", "0.1", math.Float64bits(0.1)},
		{"f64", "9007199254740993", math.Float64bits(9007199254740992)},
		{"f64", "5e-324", 1},
		{"f64", "1.7976931348623157e308", math.Float64bits(math.MaxFloat64)},
		{"f64", `"NaN"`, 0x7ff8000000000000},
		{"f64", `"Infinity"`, 0x7ff0000000000000},
		{"f64", `"-\u0049nfinity"`, 0xfff0000000000000},
	} {
		got, err := wit.LowerCore([]string{c.kind}, json.RawMessage("["+c.arg+"]"), nil)
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s %s: got %x, %v, want %x", c.kind, c.arg, got, err, c.want)
		}
	}
}

func TestArgumentsAreAppended(t *testing.T) {
	got, err := wit.LowerCore([]string{"i32", "f64"}, json.RawMessage(" [ 2 , 1 ]\n"), []uint64{7})
	if want := []uint64{7, 2, math.Float64bits(1)}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
}

func TestNoArgumentsAreAnEmptyArray(t *testing.T) {
	for _, args := range []string{"", " \n", "[]", " [ ] "} {
		got, err := wit.LowerCore(nil, json.RawMessage(args), nil)
		if err != nil || len(got) != 0 {
			t.Errorf("%q: got %v, %v", args, got, err)
		}
		if s, err := wit.Strings(json.RawMessage(args)); err != nil || s == nil || len(s) != 0 {
			t.Errorf("%q as strings: got %v, %v", args, s, err)
		}
		if c, err := wit.CanonicalArgs(json.RawMessage(args)); err != nil || string(c) != "[]" {
			t.Errorf("%q in canonical form: got %s, %v", args, c, err)
		}
	}
}

func TestWrongArgumentsAreNamedWithTypeAndReason(t *testing.T) {
	long := strings.Repeat("é", 100)
	for _, c := range []struct{ types, args, want string }{
		{"i32 i32", "[1, 1.5]", "argument 2 (i32): 1.5 is not an integer"},
		{"i32", "[4294967296]", "argument 1 (i32): 4294967296 is out of range: an i32 is from -2^31 to 2^32-1"},
		{"i32", "[-2147483649]", "argument 1 (i32): -2147483649 is out of range: an i32 is from -2^31 to 2^32-1"},
		{"i64", "[18446744073709551616]", "argument 1 (i64): 18446744073709551616 is out of range: an i64 is from -2^63 to 2^64-1"},
		{"i64", "[-9223372036854775809]", "argument 1 (i64): -9223372036854775809 is out of range: an i64 is from -2^63 to 2^64-1"},
		{"i64", "[1e20]", "argument 1 (i64): 1e20 is out of range: an i64 is from -2^63 to 2^64-1"},
		{"i64", "[1e-1]", "argument 1 (i64): 1e-1 is not an integer"},
		{"i64", "[1e1000001]", "argument 1 (i64): the exponent of 1e1000001 is beyond what any type can hold"},
		{"i64", `["5"]`, `argument 1 (i64): it is the string "5": write an integer`},
		{"i64", "[null]", "argument 1 (i64): it is null: write an integer"},
		{"i64", "[true]", "argument 1 (i64): it is true: write an integer"},
		{"i64", "[[1]]", "argument 1 (i64): it is an array: write an integer"},
		{"i64", `[{"a":[1,2]}]`, "argument 1 (i64): it is an object: write an integer"},
		{"f32", "[3.5e38]", `argument 1 (f32): 3.5e38 is out of range of an f32; "Infinity" and "-Infinity" are strings`},
		{"f64", "[1e309]", `argument 1 (f64): 1e309 is out of range of an f64; "Infinity" and "-Infinity" are strings`},
		{"f64", "[-1e99999999999999999999]", "argument 1 (f64): the exponent of -1e99999999999999999999 is beyond what any type can hold"},
		{"f64", `["nan"]`, `argument 1 (f64): it is the string "nan": write a number, "NaN", "Infinity" or "-Infinity"`},
		{"f64", "[false]", "argument 1 (f64): it is false: write a number"},
		{"f64", `["` + long + `"]`, `argument 1 (f64): it is the string "` + long[:46] + `…: write a number, "NaN", "Infinity" or "-Infinity"`},
		{"", "[1]", "the function takes no arguments, got 1"},
		{"i32", "", "the function takes 1 argument (i32), got 0"},
		{"i32 f64", "[1,2,3]", "the function takes 2 arguments (i32 f64), got 3"},
		{"i32 f64", "[1]", "the function takes 2 arguments (i32 f64), got 1"},
		{"i32 v128", "[1,2]", "values of type v128 cannot be passed, only i32, i64, f32 and f64"},
		{"i32", "[1] 2", "the arguments are not valid JSON: invalid character '2' after top-level value"},
		{"i32", "[01]", "the arguments are not valid JSON: invalid character '1' after array element"},
		{"i32", "[1,]", "the arguments are not valid JSON: invalid character ']' looking for beginning of value"},
		{"i32", "[NaN]", "the arguments are not valid JSON: invalid character 'N' looking for beginning of value"},
		{"i32", "[1", "the arguments are not valid JSON: unexpected end of JSON input"},
		{"i32", "1", "the arguments are the number 1: put them into an array, as in [1, 2]"},
		{"i32", " null ", "the arguments are null: put them into an array, as in [1, 2]"},
		{"i32", `{"a":1}`, "the arguments are an object: put them into an array, as in [1, 2]"},
		{"i32", "[\"\xff\"]", "the arguments are not valid UTF-8"},
		{"i32", `["\ud800\u0041"]`, `a string in the arguments has one half of a surrogate pair, such as "\ud800", which stands for no character`},
	} {
		got, err := wit.LowerCore(strings.Fields(c.types), json.RawMessage(c.args), nil)
		if err == nil || err.Error() != c.want {
			t.Errorf("(%s) %s: got %v, %v\nwant %s", c.types, c.args, got, err, c.want)
		}
	}
}

func TestArgumentsOverTheirBoundAreRefused(t *testing.T) {
	fits := "[" + strings.Repeat(" ", wit.MaxArgs-3) + "1]"
	if _, err := wit.LowerCore([]string{"i32"}, json.RawMessage(fits), nil); err != nil {
		t.Error(err)
	}
	over := json.RawMessage(" " + fits)
	const want = "the arguments have 524289 bytes, more than 524288"
	for name, read := range map[string]func() error{
		"LowerCore":     func() error { _, err := wit.LowerCore([]string{"i32"}, over, nil); return err },
		"Strings":       func() error { _, err := wit.Strings(over); return err },
		"CanonicalArgs": func() error { _, err := wit.CanonicalArgs(over); return err },
	} {
		if err := read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestResultsAreSignedIntegersAndShortestFloats(t *testing.T) {
	types := []string{"i32", "i32", "i64", "f32", "f32", "f32", "f64", "f64", "f64", "f64", "f64", "f64"}
	got, err := wit.LiftCore(types, []uint64{
		0xffffffff, 0xdead_0000_0005, // what a guest leaves in the upper half does not matter
		math.MaxUint64, bits32(0.1), bits32(float32(math.Inf(-1))), 0x7fc00001,
		math.Float64bits(1), math.Float64bits(math.Copysign(0, -1)), math.Float64bits(1e21),
		math.Float64bits(1e20), math.Float64bits(1.5e-7), math.Float64bits(0.000001), 99,
	})
	want := `[-1,5,-1,0.1,"-Infinity","NaN",1,-0,1e21,100000000000000000000,1.5e-7,0.000001]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if got, err := wit.LiftCore(nil, nil); err != nil || string(got) != "[]" {
		t.Errorf("no results: got %s, %v", got, err)
	}
}

func TestResultsThatCannotBeLiftedAreRefused(t *testing.T) {
	if got, err := wit.LiftCore([]string{"externref"}, []uint64{1}); err == nil {
		t.Errorf("a reference: got %s", got)
	}
	if got, err := wit.LiftCore([]string{"i32", "i32"}, []uint64{1}); err == nil {
		t.Errorf("a short stack: got %s", got)
	}
}

// TestLoweringUndoesLifting holds for all bits but those of NaNs, which become
// the canonical one.
func TestLoweringUndoesLifting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOf(rapid.SampledFrom([]string{"i32", "i64", "f32", "f64"})).Draw(t, "types")
		want := make([]uint64, len(types))
		for i, kind := range types {
			switch kind {
			case "i32":
				want[i] = uint64(rapid.Uint32().Draw(t, "i32"))
			case "i64":
				want[i] = rapid.Uint64().Draw(t, "i64")
			case "f32":
				bits := rapid.OneOf(rapid.Uint32(), rapid.Map(rapid.Float32(), math.Float32bits)).Draw(t, "f32")
				if v := math.Float32frombits(bits); v != v {
					bits = 0x7fc00000
				}
				want[i] = uint64(bits)
			case "f64":
				bits := rapid.OneOf(rapid.Uint64(), rapid.Map(rapid.Float64(), math.Float64bits)).Draw(t, "f64")
				if v := math.Float64frombits(bits); v != v {
					bits = 0x7ff8000000000000
				}
				want[i] = bits
			}
		}
		text, err := wit.LiftCore(types, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wit.LowerCore(types, text, nil)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v: %x is lifted to %s, which is lowered to %x, %v", types, want, text, got, err)
		}
		if c, err := wit.CanonicalArgs(text); err != nil || string(c) != string(text) {
			t.Fatalf("%s is not canonical: %s, %v", text, c, err)
		}
	})
}

func TestLiftedFloatsAreWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64().Filter(func(v float64) bool { return !math.IsInf(v, 0) && v == v }).Draw(t, "v")
		got, err := wit.LiftCore([]string{"f64"}, []uint64{math.Float64bits(v)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal([]float64{v})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(string(text), "e+", "e", 1); string(got) != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}
