// Package wasm runs core WebAssembly modules. It is the only package that
// knows wazero, and it hides what running untrusted machine code in a Go
// process takes: rewriting for preemption, compiling once and keeping the
// result on disk, linear memory outside the Go heap, limits on everything a
// module can ask for, stopping a guest at any time, and telling a guest's
// failure (Trap) from the host's.
//
// An Engine compiles Modules; a Module is instantiated any number of times; an
// Instance runs one call at a time. A guest acts only through the functions of
// the Hosts it was instantiated with.
package wasm

import (
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// ValueType is a core value type, by its code in the binary format.
type ValueType byte

// The value types a function may take and return. A V128 takes two slots of a
// call's stack, every other type one.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// String is the type's name in the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return fmt.Sprintf("type 0x%02x", byte(t))
}

// Import is a function that a module needs.
type Import struct {
	Module, Name    string
	Params, Results []ValueType
}

// Export is a function that a module offers.
type Export struct {
	Name            string
	Params, Results []ValueType
}

// signature writes a function's type as people read it: (i32 i64) -> (i32).
func signature(params, results []ValueType) string {
	join := func(types []ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = t.String()
		}
		return "(" + strings.Join(names, " ") + ")"
	}
	return join(params) + " -> " + join(results)
}

// isReference tells references from numbers and vectors.
func (t ValueType) isReference() bool { return t < V128 }

// slots is how many values of a call's stack the types take.
func slots(types []ValueType) int {
	n := len(types)
	for _, t := range types {
		if t == V128 {
			n++
		}
	}
	return n
}

func toAPI(types []ValueType) []api.ValueType {
	out := make([]api.ValueType, len(types))
	for i, t := range types {
		out[i] = api.ValueType(t)
	}
	return out
}
