package wasm_test

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// trapOf calls an export that must trap.
func trapOf(t *testing.T, in *wasm.Instance, export string, stack ...uint64) *wasm.Trap {
	t.Helper()
	err := in.Call(context.Background(), export, stack)
	var trap *wasm.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("%s: got error %v, want a trap", export, err)
	}
	return trap
}

func TestTrapsSayWhatTheGuestDid(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		g.memory(1, 1)
		g.table(2, 2)
		g.elements = append(g.elements, code(0, opI32Const, int64(0), opEnd, 1, 0))
		thrown := g.functype(nil, nil)
		g.tags = append(g.tags, code(0, thrown))
		other := g.functype([]byte{typeI64}, nil)
		want := map[string]string{}
		trap := func(reason string, parts ...any) {
			name := strings.ReplaceAll(reason, " ", "-")
			g.function(name, nil, nil, nil, parts...)
			want[name] = reason
		}
		trap("unreachable executed", opUnreachable)
		trap("out of bounds memory access", opI32Const, int64(65536), opI32Load, 2, 0, opDrop)
		trap("integer divide by zero", opI32Const, int64(1), opI32Const, int64(0), opI32DivS, opDrop)
		trap("integer overflow", opI32Const, int64(-1<<31), opI32Const, int64(-1), opI32DivS, opDrop)
		trap("invalid conversion to integer", opF64Const, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, opI32TruncF64, opDrop)
		trap("table access out of bounds or to a null element", opI32Const, int64(1), opCallIndirect, thrown, 0)
		trap("indirect call of a function of another type", opI64Const, int64(0), opI32Const, int64(0), opCallIndirect, other, 0)
		trap("uncaught exception", opThrow, 0)
		in := load(t, e, g, wasm.InstanceConfig{})
		for export, reason := range want {
			for range 2 { // the instance survives
				if got := trapOf(t, in, export); got.Reason != reason || got.Overflow {
					t.Errorf("%s: got %+v, want %s", export, got, reason)
				}
			}
		}
	})
}

func TestTrapNamesTheGuestsFunctions(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		inner := g.function("", nil, nil, nil, opUnreachable)
		evil := g.function("", nil, nil, nil, opCall, inner)
		plain := g.function("", []byte{typeI32}, []byte{typeI32, typeI32}, nil, opCall, evil, opLocalGet, 0, opLocalGet, 0)
		outer := g.function("run", nil, nil, nil, opI32Const, int64(1), opCall, plain, opDrop, opDrop)
		long := strings.Repeat("x", 5000)
		g.names(map[int]string{inner: "ns::T<(int)>::f(int, char*)", evil: "a\n\tb.c()\x1b[31m", outer: long})
		in := load(t, e, g, wasm.InstanceConfig{})
		got := trapOf(t, in, "run").Stack
		if len(got) < 2 || got[0] != "ns::T<(int)>::f(int, char*)" {
			t.Fatalf("got %q, want the innermost function first", got)
		}
		if !slices.Contains(got, "$2") {
			t.Errorf("got %q, want the function without a name as $2", got)
		}
		for _, name := range got {
			if len(name) > 1010 || strings.ContainsAny(name, "\n\t\x1b") {
				t.Errorf("got the name %q, want one that is short and printable", name)
			}
		}
	})
}

// recursion is a guest that recurses n times, or for ever.
func recursion(frame int) *guest {
	g := &guest{}
	locals := slices.Repeat([]byte{typeI64}, frame)
	var keep []byte // the locals alive, so that they take room on the stack
	for i := range frame {
		keep = append(keep, code(opLocalGet, u32(uint32(1+i)), opDrop)...)
	}
	g.function("run", []byte{typeI32}, []byte{typeI32}, locals,
		opLocalGet, 0, opI32Eqz, opIf, void, opI32Const, int64(0), opReturn, opEnd,
		opLocalGet, 0, opI32Const, int64(1), opI32Sub, opCall, 0, opI32Const, int64(1), opI32Add, keep)
	return g
}

func TestInfiniteRecursionIsATrapAndTheInstanceSurvives(t *testing.T) {
	for _, frame := range []int{0, 1000} {
		engines(t, func(t *testing.T, e *wasm.Engine) {
			in := load(t, e, recursion(frame), wasm.InstanceConfig{})
			for range 3 {
				got := trapOf(t, in, "run", 0xffffffff)
				if !got.Overflow || !strings.HasPrefix(got.Reason, "stack overflow") {
					t.Fatalf("got %+v, want a stack overflow", got)
				}
				stack := []uint64{100}
				if err := in.Call(context.Background(), "run", stack); err != nil || stack[0] != 100 {
					t.Fatalf("after an overflow: got %d, %v, want 100", stack[0], err)
				}
			}
		})
	}
}

func TestStackIsBoundedAsConfigured(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, recursion(0).binary())
	deepest := func(most uint32) uint64 {
		in := instantiate(t, m, wasm.InstanceConfig{MaxStack: most})
		return uint64(sort.Search(1e6, func(n int) bool { return call(in, "run", uint64(n)) != nil }))
	}
	small, large, standard := deepest(64<<10), deepest(640<<10), deepest(0)
	if small < 100 || large < 9*small || large > 11*small || standard < 20*large {
		t.Errorf("64 KiB, 640 KiB and the default allow %d, %d and %d calls", small, large, standard)
	}
}

func TestRecursionThroughExceptionHandlersIsBounded(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		const tryTable, catchAll = 0x1f, 2
		g.function("run", []byte{typeI32}, nil, nil, opLocalGet, 0, opIf, void,
			opBlock, void, tryTable, void, 1, catchAll, 0,
			opLocalGet, 0, opI32Const, int64(1), opI32Sub, opCall, 0, opEnd, opEnd, opEnd)
		in := load(t, e, g, wasm.InstanceConfig{})
		if err := call(in, "run", 500); err != nil {
			t.Fatal(err)
		}
		if got := trapOf(t, in, "run", 1e9); !got.Overflow {
			t.Errorf("got %+v, want a stack overflow", got)
		}
		if err := call(in, "run", 500); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHostFunctionThatPanicsIsBlamedByName(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		own := errors.New("unreachable") // sounds like a trap
		host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{
			{Name: "index", Call: func(_ *wasm.Instance, stack []uint64) { _ = stack[len(stack)] }},
			{Name: "error", Call: func(*wasm.Instance, []uint64) { panic(own) }},
			{Name: "value", Call: func(*wasm.Instance, []uint64) { panic("wasm error: unreachable") }},
			{Name: "fine", Call: func(*wasm.Instance, []uint64) {}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		g := &guest{}
		names := []string{"index", "error", "value", "fine"}
		for _, name := range names {
			g.importFunc("env", name, nil, nil)
		}
		for i, name := range names {
			g.function(name, nil, nil, nil, opCall, i)
		}
		g.function("trap", nil, nil, nil, opCall, 3, opUnreachable)
		in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{host}})
		for _, name := range names[:3] {
			err := call(in, name)
			var blamed *wasm.HostError
			if !errors.As(err, &blamed) || blamed.Func != "env."+name {
				t.Errorf("%s: got %v, want a HostError that names it", name, err)
			}
			if name == "error" && !errors.Is(err, own) {
				t.Errorf("got %v, want it to wrap %v", err, own)
			}
		}
		if got := trapOf(t, in, "trap"); got.Reason != "unreachable executed" {
			t.Errorf("after a host function returned: got %+v, want the guest's own trap", got)
		}
	})
}
