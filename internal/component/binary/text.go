package binary

import (
	"strings"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// maxExcerpt bounds what an error repeats of a name, in bytes: names are long at
// will, and the way to a mismatch repeats many.
const maxExcerpt = 200

// brief cuts the names among what an error is made of.
func brief(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && len(s) > maxExcerpt {
			args[i] = strings.ToValidUTF8(s[:maxExcerpt], "") + "…"
		}
	}
	return args
}

// How errors call things.
var (
	externNames = [Sorts]string{
		CoreModuleSort: "module", Func: "func", Type: "type", ComponentSort: "component", InstanceSort: "instance",
	}
	sortNames = [Sorts]string{
		Func: "a function", ComponentSort: "a component", InstanceSort: "an instance",
	}
	coreKindNames  = [...]string{"func", "table", "memory", "global", "tag"}
	coreSpaceNames = [...]string{"function", "table", "memory", "global", "tag"}
	coreSorts      = [...]Sort{CoreFunc, CoreTable, CoreMemory, CoreGlobal, CoreTag}
)

var coreValueNames = map[wasmbin.ValueType]string{
	wasmbin.I32: "i32", wasmbin.I64: "i64", wasmbin.F32: "f32", wasmbin.F64: "f64", wasmbin.V128: "v128",
	wasmbin.FuncRef: "funcref", wasmbin.ExternRef: "externref", wasmbin.ExnRef: "exnref",
}

// coreFuncText is a core function type in the text format.
func coreFuncText(t *CoreType) string {
	f := "(func" + typeList(" (param", t.Func.Params) + typeList(" (result", t.Func.Results) + ")"
	if t.open {
		return "(sub " + f + ")"
	}
	return f
}

func typeList(head string, types []wasmbin.ValueType) string {
	if len(types) == 0 {
		return ""
	}
	return head + " " + strings.Join(valueTypeNames(types), " ") + ")"
}

func valueTypeNames(types []wasmbin.ValueType) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = coreValueNames[t]
	}
	return names
}

// typesText is a list of types as errors about signatures have it.
func typesText(types []wasmbin.ValueType) string {
	return "[" + strings.ToUpper(strings.Join(valueTypeNames(types), ", ")) + "]"
}
