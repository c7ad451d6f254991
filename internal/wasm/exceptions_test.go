package wasm_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// Instructions and clauses of the exception proposal.
const (
	opThrowRef = 0x0a
	opTryTable = 0x1f
	onTag      = 0
	onAll      = 2
	onAllByRef = 3
	typeExnRef = 0x69
	// The tags of exceptions().
	tagOfNumber  = 0
	tagOfNothing = 1
)

// exceptions is a guest that can throw a number or nothing, and whose functions
// throw and catch come after an imported function that collects garbage.
func exceptions() (g *guest, collect, number, nothing int) {
	g = &guest{}
	collect = g.importFunc("env", "collect", nil, nil)
	g.tags = [][]byte{
		code(0, g.functype([]byte{typeI64}, nil)),
		code(0, g.functype(nil, nil)),
	}
	number = g.function("", []byte{typeI64}, nil, nil, opLocalGet, 0, opThrow, tagOfNumber)
	nothing = g.function("", nil, nil, nil, opThrow, tagOfNothing)
	return g, collect, number, nothing
}

// collector is a host that collects garbage, and overwrites what is free.
func collector(t *testing.T, e *wasm.Engine) *wasm.Host {
	t.Helper()
	type like struct {
		_      *int
		params []uint64
	}
	var junk []any
	host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
		Name: "collect", Call: func(*wasm.Instance, []uint64) {
			runtime.GC()
			junk = nil
			for range 20_000 {
				junk = append(junk, &like{}, &like{params: []uint64{77}}, []uint64{1, 2, 3, 4})
			}
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// thrown catches whatever the code throws by reference: [] -> [exnref].
func thrown(parts ...any) []byte {
	return code(opBlock, typeExnRef, opTryTable, void, 1, onAllByRef, 0, code(parts...), opEnd, opUnreachable, opEnd)
}

// numberIn throws what a local refers to and gives its number: [] -> [i64].
func numberIn(local int) []byte {
	return code(opBlock, typeI64, opTryTable, void, 1, onTag, tagOfNumber, 0, opLocalGet, local, opThrowRef, opEnd, opUnreachable, opEnd)
}

func TestExceptionsLiveAsLongAsTheGuestRefersToThem(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g, collect, number, nothing := exceptions()
	other := code(opBlock, void, opTryTable, void, 1, onAll, 0, opCall, nothing, opEnd, opUnreachable, opEnd)
	g.function("sum", nil, []byte{typeI64}, []byte{typeExnRef, typeExnRef},
		thrown(opI64Const, int64(40), opCall, number), opLocalSet, 0,
		other, opCall, collect,
		thrown(opI64Const, int64(2), opCall, number), opLocalSet, 1,
		other, other, opCall, collect, other, opCall, collect,
		numberIn(0), opCall, collect, numberIn(1), byte(0x7c))
	// deep holds one exception on each of many frames.
	deep := g.imported + len(g.funcs)
	g.function("deep", []byte{typeI64}, []byte{typeI64}, []byte{typeExnRef},
		opLocalGet, 0, byte(0x50), opIf, typeI64, other, opCall, collect, opI64Const, int64(0), opElse,
		thrown(opLocalGet, 0, opCall, number), opLocalSet, 1,
		opLocalGet, 0, opI64Const, int64(1), byte(0x7d), opCall, deep,
		numberIn(1), byte(0x7c), opEnd)
	in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{collector(t, e)}})
	stack := make([]uint64, 1)
	if err := in.Call(context.Background(), "sum", stack); err != nil || stack[0] != 42 {
		t.Errorf("got %d, %v, want 42", stack[0], err)
	}
	const frames = 300
	stack[0] = frames
	if err := in.Call(context.Background(), "deep", stack); err != nil || stack[0] != frames*(frames+1)/2 {
		t.Errorf("got %d, %v, want %d", stack[0], err, frames*(frames+1)/2)
	}
}

func TestExceptionsThatNothingRefersToAreFreed(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g, _, number, _ := exceptions()
	g.function("run", []byte{typeI32}, []byte{typeI64}, []byte{typeExnRef},
		thrown(opI64Const, int64(42), opCall, number), opLocalSet, 1,
		opLoop, void, thrown(opI64Const, int64(1), opCall, number), opDrop,
		opLocalGet, 0, opI32Const, int64(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd,
		numberIn(1))
	in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{collector(t, e)}})
	stack := []uint64{3000}
	if err := in.Call(context.Background(), "run", stack); err != nil || stack[0] != 42 {
		t.Errorf("got %d, %v, want 42", stack[0], err)
	}
}

func TestLeavingAHandlerByABranchForgetsIt(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		g.function("run", []byte{typeI32}, nil, nil,
			opBlock, void, opLoop, void,
			opTryTable, void, 1, onAll, 2,
			opLocalGet, 0, opI32Const, int64(1), opI32Sub, opLocalTee, 0, opBrIf, 1, opEnd, opEnd, opEnd)
		in := load(t, e, g, wasm.InstanceConfig{})
		if err := call(in, "run", 50_000); err != nil {
			t.Error(err)
		}
	})
}

func TestInterpreterRefusesExceptionsByReference(t *testing.T) {
	e := newEngine(t, wasm.Config{Interpreter: true})
	g, _, number, _ := exceptions()
	g.function("run", nil, nil, nil, thrown(opI64Const, int64(1), opCall, number), opDrop)
	if _, err := e.Compile(context.Background(), g.binary(), nil); err == nil || !strings.Contains(err.Error(), "by reference") {
		t.Errorf("got %v, want a refusal", err)
	}
}
