package wasm_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

func TestStartFunctionRunsWhenAsked(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		count := g.global(typeI32, opI32Const, int64(5))
		start := g.function("", nil, nil, nil, opGlobalGet, count, opI32Const, int64(1), opI32Add, opGlobalSet, count)
		g.function("count", nil, []byte{typeI32}, nil, opGlobalGet, count)
		g.start = code(start)
		in := load(t, e, g, wasm.InstanceConfig{})
		for want := uint64(5); want < 8; want++ {
			stack := make([]uint64, 1)
			if err := in.Call(context.Background(), "count", stack); err != nil || stack[0] != want {
				t.Errorf("got %d, %v, want %d", stack[0], err, want)
			}
			if err := in.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestModuleWithoutStartFunctionStartsAtOnce(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	in := load(t, e, spinner(), wasm.InstanceConfig{})
	if err := in.Start(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMemoryAndGlobalsAreTheStateOfAnInstance(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		g.memory(1, 4)
		a := g.global(typeI32, opI32Const, int64(1))
		b := g.global(typeI64, opI64Const, int64(-1))
		c := g.global(typeF64, opF64Const, []byte{1, 2, 3, 4, 5, 6, 7, 8})
		// step doubles both and counts in memory.
		g.function("step", nil, nil, nil,
			opGlobalGet, a, opGlobalGet, a, opI32Add, opGlobalSet, a,
			opGlobalGet, b, opGlobalGet, b, 0x7c, opGlobalSet, b,
			opI32Const, int64(8), opI32Const, int64(8), opI32Load, 2, 0, opI32Const, int64(1), opI32Add, opI32Store, 2, 0)
		g.function("read", nil, []byte{typeI32, typeI64, typeF64, typeI32}, nil,
			opGlobalGet, a, opGlobalGet, b, opGlobalGet, c, opI32Const, int64(8), opI32Load, 2, 0)
		m := compile(t, e, g.binary())
		one, two := instantiate(t, m, wasm.InstanceConfig{}), instantiate(t, m, wasm.InstanceConfig{})
		for range 3 {
			if err := call(one, "step"); err != nil {
				t.Fatal(err)
			}
		}
		copy(two.Memory(), one.Memory())
		if err := two.SetGlobals(one.Globals()); err != nil {
			t.Fatal(err)
		}
		for _, in := range []*wasm.Instance{one, two} {
			if err := call(in, "step"); err != nil {
				t.Fatal(err)
			}
			got := make([]uint64, 4)
			if err := in.Call(context.Background(), "read", got); err != nil {
				t.Fatal(err)
			}
			if want := []uint64{16, ^uint64(15), 0x0807060504030201, 4}; !slices.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		}
		if err := two.SetGlobals([]uint64{1}); err == nil {
			t.Error("accepted one global for many")
		}
	})
}

func TestCallThatDoesNotFitTheFunctionIsRefused(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g := &guest{}
	g.function("pair", []byte{typeV128}, []byte{typeI32, typeI32, typeI32}, nil, opI32Const, int64(1), opI32Const, int64(2), opI32Const, int64(3))
	g.function("reference", []byte{typeFuncRef}, nil, nil)
	in := load(t, e, g, wasm.InstanceConfig{})
	for n := range 3 {
		if err := in.Call(context.Background(), "pair", make([]uint64, n)); err == nil {
			t.Errorf("a stack of %d values was accepted", n)
		}
	}
	if err := in.Call(context.Background(), "pair", make([]uint64, 3)); err != nil {
		t.Error(err)
	}
	if err := call(in, "reference", 1); err == nil {
		t.Error("a number was taken for a reference")
	}
	if err := call(in, "absent"); err == nil {
		t.Error("called a function that is not there")
	}
	if err := call(in, "memory"); err == nil {
		t.Error("called a memory")
	}
}

func TestFinishedProposalsAreEnabled(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		g.memory(1, 1)
		const simd byte = 0xfd
		// i8x16.splat, i8x16.extract_lane_u
		g.function("simd", nil, []byte{typeI32}, nil, opI32Const, int64(42), simd, 15, simd, 22, 3)
		next := g.imported + len(g.funcs)
		g.function("tail calls", nil, []byte{typeI32}, nil, opI32Const, int64(1e6), opReturnCall, next+1)
		g.function("", []byte{typeI32}, []byte{typeI32}, nil,
			opLocalGet, 0, opI32Eqz, opIf, typeI32, opI32Const, int64(42), opElse,
			opLocalGet, 0, opI32Const, int64(1), opI32Sub, opReturnCall, next+1, opEnd)
		extended := g.global(typeI32, opI32Const, int64(40), opI32Const, int64(2), opI32Add)
		g.function("extended constants", nil, []byte{typeI32}, nil, opGlobalGet, extended)
		tag := g.functype([]byte{typeI32}, nil)
		g.tags = append(g.tags, code(0, tag))
		thrower := g.function("", nil, nil, nil, opI32Const, int64(42), opThrow, 0)
		g.function("exceptions", nil, []byte{typeI32}, nil,
			opBlock, typeI32, 0x1f, void, 1, 0, 0, 0, opCall, thrower, opEnd, opUnreachable, opEnd)
		g.function("sign extension", nil, []byte{typeI32}, nil, opI32Const, int64(0xff2a), byte(0xc0))
		g.function("saturating conversions", nil, []byte{typeI32}, nil,
			opF64Const, []byte{0, 0, 0, 0, 0, 0, 0x45, 0x40}, opPrefix, 2)
		in := load(t, e, g, wasm.InstanceConfig{})
		for _, x := range compile(t, e, g.binary()).Exports() {
			stack := make([]uint64, 1)
			if err := in.Call(context.Background(), x.Name, stack); err != nil || stack[0] != 42 {
				t.Errorf("%s: got %d, %v, want 42", x.Name, stack[0], err)
			}
		}
	})
}

func TestImportsAndExportsAreThoseOfTheSource(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g := &guest{}
	g.importFunc("", "f", []byte{typeI32, typeV128}, nil)
	g.importFunc("m", "g", nil, []byte{typeI64})
	g.memory(1, 1)
	start := g.function("out", []byte{typeI32}, []byte{typeFuncRef}, nil, opRefNull, typeFuncRef)
	g.start = code(g.function("", nil, nil, nil))
	g.export("again", 0, start)
	m := compile(t, e, g.binary())
	var got []string
	for _, i := range m.Imports() {
		got = append(got, i.Module+"."+i.Name, fmt.Sprint(i.Params, i.Results))
	}
	for _, x := range m.Exports() {
		got = append(got, x.Name, fmt.Sprint(x.Params, x.Results))
	}
	want := []string{".f", "[i32 v128] []", "m.g", "[] [i64]", "out", "[i32] [funcref]", "again", "[i32] [funcref]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHostsAreFoundUnderTheEmptyName(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		called := 0
		host, err := e.Host(wasm.HostModule{Funcs: []wasm.HostFunc{{Name: "f", Call: func(*wasm.Instance, []uint64) { called++ }}}})
		if err != nil {
			t.Fatal(err)
		}
		g := &guest{}
		f := g.importFunc("", "f", nil, nil)
		g.function("run", nil, nil, nil, opCall, f)
		in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{host}})
		if err := call(in, "run"); err != nil || called != 1 {
			t.Errorf("got %d calls, %v, want 1", called, err)
		}
	})
}

func TestInstancesOfOneModuleShareNothing(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	var states []string
	host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
		Name: "f", Call: func(in *wasm.Instance, _ []uint64) { states = append(states, in.State().(string)) },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{}
	f := g.importFunc("env", "f", nil, nil)
	g.memory(1, 1)
	g.function("run", nil, nil, nil, opCall, f)
	g.names(map[int]string{0: "f"})
	m := compile(t, e, g.binary())
	a := instantiate(t, m, wasm.InstanceConfig{Hosts: []*wasm.Host{host}, State: "a"})
	b := instantiate(t, m, wasm.InstanceConfig{Hosts: []*wasm.Host{host}, State: "b"})
	a.Memory()[0] = 1
	for _, in := range []*wasm.Instance{a, b, a} {
		if err := call(in, "run"); err != nil {
			t.Fatal(err)
		}
	}
	if b.Memory()[0] != 0 || !slices.Equal(states, []string{"a", "b", "a"}) {
		t.Errorf("got states %v and memory %d, want a b a and 0", states, b.Memory()[0])
	}
}

func TestHostCallAllocatesNothing(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	in, _ := hostCaller(t, e)
	stack := make([]uint64, 1)
	allocs := testing.AllocsPerRun(100, func() {
		stack[0] = 100
		if err := in.Call(context.Background(), "run", stack); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("100 host calls and the call around them took %v allocations, want none", allocs)
	}
}

// hostCaller is a guest that calls a host function n times.
func hostCaller(t testing.TB, e *wasm.Engine) (*wasm.Instance, *uint64) {
	t.Helper()
	calls := new(uint64)
	host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
		Name: "f", Params: []wasm.ValueType{wasm.I32}, Results: []wasm.ValueType{wasm.I32},
		Call: func(in *wasm.Instance, stack []uint64) {
			*in.State().(*uint64)++
			stack[0]++
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return load(t, e, hostCallerGuest(), wasm.InstanceConfig{Hosts: []*wasm.Host{host}, State: calls}), calls
}

func hostCallerGuest() *guest {
	g := &guest{}
	f := g.importFunc("env", "f", []byte{typeI32}, []byte{typeI32})
	g.function("run", []byte{typeI32}, nil, nil,
		opLoop, void, opLocalGet, 0, opCall, f, opDrop,
		opLocalGet, 0, opI32Const, int64(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd)
	return g
}
