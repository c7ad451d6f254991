package wasm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// engines runs a test by both engines.
func engines(t *testing.T, test func(t *testing.T, e *wasm.Engine)) {
	for name, interpreter := range map[string]bool{"compiler": false, "interpreter": true} {
		t.Run(name, func(t *testing.T) {
			test(t, newEngine(t, wasm.Config{Interpreter: interpreter}))
		})
	}
}

func newEngine(t testing.TB, c wasm.Config) *wasm.Engine {
	t.Helper()
	e, err := wasm.New(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func compile(t testing.TB, e *wasm.Engine, source []byte) *wasm.Module {
	t.Helper()
	m, err := e.Compile(context.Background(), source, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func instantiate(t testing.TB, m *wasm.Module, c wasm.InstanceConfig) *wasm.Instance {
	t.Helper()
	in, err := m.Instantiate(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

// load compiles and instantiates a guest.
func load(t testing.TB, e *wasm.Engine, g *guest, c wasm.InstanceConfig) *wasm.Instance {
	t.Helper()
	return instantiate(t, compile(t, e, g.binary()), c)
}

func call(in *wasm.Instance, export string, stack ...uint64) error {
	return in.Call(context.Background(), export, stack)
}

func TestHostFunctionReadsParametersAndWritesResults(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
			Name: "sub", Params: []wasm.ValueType{wasm.I32, wasm.I32}, Results: []wasm.ValueType{wasm.I32},
			Call: func(in *wasm.Instance, stack []uint64) {
				*in.State().(*int)++
				stack[0] = uint64(uint32(stack[0]) - uint32(stack[1]))
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		g := &guest{}
		sub := g.importFunc("env", "sub", []byte{typeI32, typeI32}, []byte{typeI32})
		g.function("run", []byte{typeI32, typeI32}, []byte{typeI32}, nil, opLocalGet, 0, opLocalGet, 1, opCall, sub)
		var calls int
		in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{host}, State: &calls})
		stack := []uint64{44, 2}
		if err := in.Call(context.Background(), "run", stack); err != nil {
			t.Fatal(err)
		}
		if stack[0] != 42 || calls != 1 {
			t.Errorf("got %d after %d calls, want 42 after 1", stack[0], calls)
		}
	})
}

func TestAbortReturnsItsErrorUnchanged(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		want := errors.New("that is enough")
		host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
			Name: "leave", Call: func(*wasm.Instance, []uint64) { wasm.Abort(want) },
		}}})
		if err != nil {
			t.Fatal(err)
		}
		g := &guest{}
		leave := g.importFunc("env", "leave", nil, nil)
		g.function("run", nil, nil, nil, opCall, leave)
		in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{host}})
		for range 3 {
			if err := call(in, "run"); err != want {
				t.Fatalf("got %v, want %v", err, want)
			}
		}
	})
}
