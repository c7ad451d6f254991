package wasm

import (
	"context"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// gauge reads how much memory a running function takes for its stack, which
// wazero keeps on the Go heap and does not tell. Nothing else bounds it well:
// at every try_table wazero copies the whole stack, so that a guest that
// recurses through try_table takes memory with the square of the depth, 17 GB
// at 20,000 calls. The places of the two fields are found by name when the
// engine is made; a wazero without them is refused there.
type gauge struct {
	stack, handlers uintptr // offsets of slices in wazero's callEngine
	known           bool    // false with the interpreter, which is bounded
}

const (
	// maxHandlerBytes bounds the copies of its stack that a guest holds.
	maxHandlerBytes = 128 << 20
	// keptStack is the longest stack that is kept for the next call.
	keptStack = 1 << 20
)

// probe is the module (func (export "f")).
const probe = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" +
	"\x07\x05\x01\x01f\x00\x00" + "\x0a\x04\x01\x02\x00\x0b"

// newGauge finds the fields in a function of the engine.
func newGauge(ctx context.Context, e *Engine) (gauge, error) {
	module, err := e.runtime.InstantiateWithConfig(ctx, []byte(probe), e.instantiation)
	if err != nil {
		return gauge{}, fmt.Errorf("probe the engine: %w", err)
	}
	defer module.Close(ctx)
	callEngine := reflect.TypeOf(module.ExportedFunction("f")).Elem()
	if callEngine.PkgPath() != "github.com/tetratelabs/wazero/internal/engine/wazevo" {
		return gauge{}, nil
	}
	stack, ok := callEngine.FieldByName("stack")
	handlers, alsoOK := callEngine.FieldByName("tryHandlers")
	if !ok || !alsoOK || stack.Type.Kind() != reflect.Slice || handlers.Type.Kind() != reflect.Slice {
		return gauge{}, fmt.Errorf("probe the engine: its %v has no stack or tryHandlers", callEngine)
	}
	return gauge{stack: stack.Offset, handlers: handlers.Offset, known: true}, nil
}

// stackOfCall is the stack of one function, as the gauge sees it.
type stackOfCall struct{ callEngine unsafe.Pointer }

func (g gauge) of(f api.Function) stackOfCall {
	if !g.known {
		return stackOfCall{}
	}
	return stackOfCall{reflect.ValueOf(f).UnsafePointer()}
}

// bytes is the stack's length.
func (g gauge) bytes(s stackOfCall) int {
	if s.callEngine == nil {
		return 0
	}
	return len(*(*[]byte)(unsafe.Add(s.callEngine, g.stack)))
}

// handlerBytes is the length of the copies of the stack, at most.
func (g gauge) handlerBytes(s stackOfCall) int {
	if s.callEngine == nil {
		return 0
	}
	// The items are of a type that is not ours to name; only their number is read.
	handlers := len(*(*[]struct{})(unsafe.Add(s.callEngine, g.handlers)))
	return handlers * g.bytes(s)
}
