package binary_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// Core functions of tests: 0 takes and gives nothing, 1 is a realloc, 2 gives a
// pointer, 3 takes one.
var helpers = coreFuncs(0, coreFn(nil, nil), coreFn([]int{tI32, tI32, tI32, tI32}, []int{tI32}), coreFn(nil, []int{tI32}), coreFn([]int{tI32}, nil))

// lifted is a component that lifts core function f as a function type, which may
// name the types before it.
func lifted(f int, options [][]byte, defs ...[]byte) []byte {
	return component(helpers, types(defs...), canons(lift(f, options, len(defs)-1)))
}

// lowered is a component that lowers an import of a function type, which is the
// last of the types. Each other one is given a name, and is number 2n+1.
func lowered(options [][]byte, defs ...[]byte) []byte {
	n := len(defs) - 1
	var named []byte
	for i, def := range defs[:n] {
		named = cat(named, types(def), imports(imported(fmt.Sprint("t", i), eq(2*i))))
	}
	return component(helpers, named, types(defs[n]), imports(imported("f", ofFunc(2*n))), canons(lower(0, options...)))
}

func TestRulesOfCanonicalOptions(t *testing.T) {
	opts := func(all ...[]byte) [][]byte { return all }
	text := fn([][]byte{param("a", tString)})
	checkRules(t, map[string]broken{
		"two encodings":       {lifted(0, opts([]byte{0}, []byte{1}), noFn), "canonical encoding option `utf8` conflicts with option `utf16`"},
		"memory twice":        {lifted(0, opts(memory(0), memory(0)), noFn), "canonical option `memory` is specified more than once"},
		"realloc twice":       {lifted(0, opts(memory(0), realloc(1), realloc(1)), noFn), "canonical option `realloc` is specified more than once"},
		"post-return twice":   {lifted(0, opts(postReturn(0), postReturn(0)), noFn), "canonical option `post-return` is specified more than once"},
		"no such memory":      {lifted(0, opts(memory(9)), noFn), "unknown memory 9: memory index out of bounds"},
		"no such realloc":     {lifted(0, opts(memory(0), realloc(9)), noFn), "unknown core function 9"},
		"realloc alone":       {lifted(0, opts(realloc(1)), noFn), "canonical option `realloc` requires `memory` to also be specified"},
		"realloc's type":      {lifted(0, opts(memory(0), realloc(0)), noFn), "canonical option `realloc` uses a core function with an incorrect signature"},
		"post-return's type":  {lifted(0, opts(postReturn(3)), noFn), "canonical option `post-return` uses a core function with an incorrect signature"},
		"post-return gives":   {lifted(0, opts(postReturn(2)), noFn), "canonical option `post-return` uses a core function with an incorrect signature"},
		"lower post-return":   {lowered(opts(postReturn(0)), noFn), "canonical option `post-return` cannot be specified for lowerings"},
		"lift of no func":     {lifted(0, nil, cat(tU8)), "type index 0 is not a function type"},
		"no such core func":   {lifted(9, nil, noFn), "unknown core function 9: function index out of bounds"},
		"no such func":        {component(canons(lower(0))), "unknown function 0: function index out of bounds"},
		"parameters":          {lifted(0, nil, fn([][]byte{param("a", tU8)})), "lowered parameter types `[I32]` do not match parameter types `[]` of core function 0"},
		"result":              {lifted(2, nil, fn(noParams, tF64)), "lowered result types `[F64]` do not match result types `[I32]` of core function 2"},
		"lift of a string":    {lifted(0, nil, text), "canonical option `memory` is required"},
		"lift with memory":    {lifted(0, opts(memory(0)), text), "canonical option `realloc` is required"},
		"lift gives string":   {lifted(2, nil, fn(noParams, tString)), "canonical option `memory` is required"},
		"lower of a string":   {lowered(nil, text), "canonical option `memory` is required"},
		"lower gets string":   {lowered(opts(memory(0)), fn(noParams, tString)), "canonical option `realloc` is required"},
		"many results":        {lifted(2, nil, tuple(cat(tU8), cat(tU8)), fn(noParams, 0)), "canonical option `memory` is required"},
		"many parameters":     {lowered(nil, tuple(slices.Repeat([][]byte{cat(tU8)}, 17)...), fn([][]byte{param("a", 1)})), "canonical option `memory` is required"},
		"lift of many":        {lifted(3, opts(memory(0)), tuple(slices.Repeat([][]byte{cat(tU8)}, 17)...), fn([][]byte{param("a", 0)})), "canonical option `realloc` is required"},
		"new of an import":    {component(imports(imported("r", sub)), canons(cat(2, 0))), "type is not a local resource"},
		"rep of an import":    {component(imports(imported("r", sub)), canons(cat(4, 0))), "type is not a local resource"},
		"drop of no resource": {component(types(cat(tU8)), canons(cat(3, 0))), "type index 0 is not a resource type"},
	})
}

// TestFunctionsBecomeCoreFunctions checks the core types of functions that are
// lowered (CanonicalABI.md, "Flattening").
func TestFunctionsBecomeCoreFunctions(t *testing.T) {
	const i32, i64, f32, f64 = wasmbin.I32, wasmbin.I64, wasmbin.F32, wasmbin.F64
	type types = []wasmbin.ValueType
	sixteen := slices.Repeat([][]byte{cat(tF32)}, 16)
	for name, c := range map[string]struct {
		defs    [][]byte // the last but one is that of a parameter, and the last of a result
		params  types
		results types
	}{
		"scalars":  {[][]byte{tuple(cat(tBool), cat(tU64), cat(tF32), cat(tF64), cat(0x74)), cat(tU64)}, types{i32, i64, f32, f64, i32}, types{i64}},
		"string":   {[][]byte{cat(tString), cat(tF32)}, types{i32, i32}, types{f32}},
		"list":     {[][]byte{list(tU64), list(tU8)}, types{i32, i32, i32}, nil}, // the last points to the result
		"labels":   {[][]byte{enum(cat("x")), tuple(cat(1)), flags(cat("a"), cat("b"))}, types{i32}, types{i32}},
		"variant":  {[][]byte{variant(caseOf("a", tU32), caseOf("b", tF32), cat("c", 0, 0)), enum(cat("a"))}, types{i32, i32}, types{i32}},
		"wider":    {[][]byte{variant(caseOf("a", tF32), caseOf("b", tF64)), cat(tF64)}, types{i32, i64}, types{f64}},
		"floats":   {[][]byte{variant(caseOf("a", tF32), caseOf("b", tF32)), cat(tBool)}, types{i32, f32}, types{i32}},
		"strings":  {[][]byte{variant(caseOf("a", tString), caseOf("b", tU64)), cat(tBool)}, types{i32, i64, i32}, types{i32}},
		"option":   {[][]byte{option(tU64), option(tU8)}, types{i32, i64, i32}, nil},
		"result":   {[][]byte{cat(0x6a, 1, tF64, 1, tU8), cat(0x6a, 0, 0)}, types{i32, i64}, types{i32}},
		"sixteen":  {[][]byte{tuple(sixteen...), cat(tBool)}, slices.Repeat(types{f32}, 16), types{i32}},
		"too many": {[][]byte{tuple(append(sixteen, cat(tU8))...), cat(tBool)}, types{i32}, types{i32}},
	} {
		result := 2*len(c.defs) - 1
		defs := append(slices.Clone(c.defs), fn([][]byte{param("a", result-2)}, result))
		decoded := mustDecode(t, name, lowered([][]byte{memory(0), realloc(1)}, defs...))
		got := decoded.Defs[len(decoded.Defs)-1].(*binary.Lower).Core
		if !slices.Equal(got.Params, c.params) || !slices.Equal(got.Results, c.results) {
			t.Errorf("%s: got %v, want %v and %v", name, got, c.params, c.results)
		}
	}
}

func TestOptionsAreKept(t *testing.T) {
	options := [][]byte{{2}, memory(0), realloc(1), postReturn(3)}
	c := mustDecode(t, "lift", lifted(2, options, fn(noParams, tString)))
	l := c.Defs[len(c.Defs)-1].(*binary.Lift)
	want := binary.Options{Encoding: binary.Latin1OrUTF16, Memory: 0, Realloc: 1, PostReturn: 3}
	if l.Options != want || l.CoreFunc != 2 {
		t.Errorf("got %+v of %d, want %+v of 2", l.Options, l.CoreFunc, want)
	}
	c = mustDecode(t, "no options", lifted(0, nil, noFn))
	want = binary.Options{Memory: -1, Realloc: -1, PostReturn: -1}
	if l := c.Defs[len(c.Defs)-1].(*binary.Lift); l.Options != want {
		t.Errorf("got %+v, want %+v", l.Options, want)
	}
}
