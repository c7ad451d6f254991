package wasm

import (
	"context"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// gauge looks into a running function of wazero's compiler, at what wazero
// keeps on the Go heap for it and does not tell. Without that, exceptions could
// not be offered to guests:
//
//   - At every try_table wazero copies the whole stack. A guest that recurses
//     through try_table takes memory with the square of the depth, 17 GB at
//     20,000 calls.
//   - References to exceptions are plain numbers on the guest's stack, which
//     the garbage collector does not see: an exception that is not the newest
//     is freed while the guest can still throw it again.
//   - Every exception that is caught leaves the guest on a stack 16 bytes longer,
//     and every later try_table copies one that long: 50,000 take seconds, and
//     four times as many sixteen times as long. See fit.
//
// The places of the fields are found by name when the engine is made; a wazero
// without them is refused there.
type gauge struct {
	known     bool // false with the interpreter, whose stack is short
	function  reflect.Type
	stack     uintptr // []byte
	top       uintptr // uintptr, where the guest's use of the stack begins
	handlers  uintptr // a slice of what handlerSize and handlerStack describe
	newest    uintptr // *Exception, the one that the garbage collector sees
	registers uintptr // savedRegisters

	handlerSize, handlerStack, handlerRegisters uintptr
}

// savedRegisters is where wazero saves registers when a guest calls out.
type savedRegisters = [64][2]uint64

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
	p := &prober{}
	handlers := p.field(callEngine, "tryHandlers", reflect.Slice)
	handler := handlers.Type.Elem()
	execution := p.field(callEngine, "execCtx", reflect.Struct)
	g := gauge{
		known:       true,
		function:    reflect.TypeOf(module.ExportedFunction("f")),
		stack:       p.field(callEngine, "stack", reflect.Slice).Offset,
		top:         p.field(callEngine, "stackTop", reflect.Uintptr).Offset,
		handlers:    handlers.Offset,
		newest:      p.field(callEngine, "pendingException", reflect.Pointer).Offset,
		registers:   execution.Offset + p.registers(execution.Type),
		handlerSize: handler.Size(), handlerStack: p.field(handler, "stack", reflect.Slice).Offset,
		handlerRegisters: p.registers(handler),
	}
	return g, p.err
}

// prober finds fields, and remembers the first that is not there.
type prober struct{ err error }

func (p *prober) field(t reflect.Type, name string, kind reflect.Kind) reflect.StructField {
	if t.Kind() == reflect.Struct {
		if f, ok := t.FieldByName(name); ok && f.Type.Kind() == kind {
			return f
		}
	}
	if p.err == nil {
		p.err = fmt.Errorf("probe the engine: its %v has no %v called %s", t, kind, name)
	}
	return reflect.StructField{Type: reflect.TypeFor[[]byte]()}
}

func (p *prober) registers(t reflect.Type) uintptr {
	f := p.field(t, "savedRegisters", reflect.Array)
	if p.err == nil && f.Type != reflect.TypeFor[savedRegisters]() {
		p.err = fmt.Errorf("probe the engine: its %v saves registers as %v", t, f.Type)
	}
	return f.Offset
}

// callStack is the stack of one function, as the gauge sees it. It is nil with
// the interpreter.
type callStack = unsafe.Pointer

func (g *gauge) of(f api.Function) callStack {
	// A function of a host that a module has exported again has no stack.
	if !g.known || reflect.TypeOf(f) != g.function {
		return nil
	}
	return reflect.ValueOf(f).UnsafePointer()
}

func (g *gauge) stackOf(c callStack) []byte {
	return *(*[]byte)(unsafe.Add(c, g.stack))
}

// fit makes wazero believe the stack ends where the guest's use of it begins,
// so that the copy that the next try_table makes is no longer than it was. It is
// to be called right before each try_table.
//
// A stack is used downwards from its top, the last address in it that is a
// multiple of 16, and its room is what lies between its first byte and the top.
// A copy is 16 bytes longer than the length of what it is made from, so that its
// room cannot be smaller wherever its own top falls: functions that have already
// seen to it that the room is enough for them go on in the copy. In n bytes the
// room is at least n-16, so a copy made from the room, and not from the length,
// has at least that room. It has no more if both begin at multiples of 16, as
// all Go gives out of that size does, which matters for speed only.
//
// Nothing else changes. The guest never sees the length: it compares its stack
// pointer to the first byte, which stays. wazero reads the length elsewhere only
// to double it and add more when the stack is to grow. The bytes that are left
// out are above the top, where nothing is kept, and the garbage collector goes
// by the pointer.
func (g *gauge) fit(c callStack) {
	if c == nil {
		return
	}
	stack := (*[]byte)(unsafe.Add(c, g.stack))
	top := *(*uintptr)(unsafe.Add(c, g.top))
	if room := top - uintptr(unsafe.Pointer(unsafe.SliceData(*stack))); room < uintptr(len(*stack)) {
		*stack = (*stack)[:room]
	}
}

// stackBytes is the stack's length.
func (g *gauge) stackBytes(c callStack) int {
	if c == nil {
		return 0
	}
	return len(g.stackOf(c))
}

// handlerBytes is the length of the copies of the stack, at most.
func (g *gauge) handlerBytes(c callStack) int {
	if c == nil {
		return 0
	}
	return g.handlerCount(c) * len(g.stackOf(c))
}

func (g *gauge) handlerCount(c callStack) int {
	// The items are of a type that is not ours to name; this reads the length.
	return len(*(*[]struct{})(unsafe.Add(c, g.handlers)))
}

// memory visits all that may hold a reference on a call's stack: the stack
// itself, its copies, and the registers saved with each.
func (g *gauge) memory(c callStack, visit func([]byte)) {
	visit(g.stackOf(c))
	visit(registersAt(unsafe.Add(c, g.registers)))
	first := *(*unsafe.Pointer)(unsafe.Add(c, g.handlers))
	for i := range g.handlerCount(c) {
		h := unsafe.Add(first, uintptr(i)*g.handlerSize)
		visit(*(*[]byte)(unsafe.Add(h, g.handlerStack)))
		visit(registersAt(unsafe.Add(h, g.handlerRegisters)))
	}
}

func registersAt(p unsafe.Pointer) []byte {
	return unsafe.Slice((*byte)(p), unsafe.Sizeof(savedRegisters{}))
}
