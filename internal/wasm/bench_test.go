package wasm_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// The benchmarks named bare do the same with wazero alone: the floor.

func BenchmarkCallIntoGuest(b *testing.B) {
	e := newEngine(b, wasm.Config{})
	in := instantiate(b, compile(b, e, answer(7)), wasm.InstanceConfig{})
	ctx, stack := context.Background(), make([]uint64, 1)
	for b.Loop() {
		if err := in.Call(ctx, "answer", stack); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareCallIntoGuest(b *testing.B) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, answer(7))
	if err != nil {
		b.Fatal(err)
	}
	f, stack := m.ExportedFunction("answer"), make([]uint64, 1)
	for b.Loop() {
		if err := f.CallWithStack(ctx, stack); err != nil {
			b.Fatal(err)
		}
	}
}

const callsPerRun = 1000

func perCall(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/callsPerRun, "ns/hostcall")
}

func BenchmarkHostCall(b *testing.B) {
	e := newEngine(b, wasm.Config{})
	in, _ := hostCaller(b, e)
	ctx, stack := context.Background(), make([]uint64, 1)
	b.ReportAllocs()
	for b.Loop() {
		stack[0] = callsPerRun
		if err := in.Call(ctx, "run", stack); err != nil {
			b.Fatal(err)
		}
	}
	perCall(b)
}

func BenchmarkBareHostCall(b *testing.B) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	var calls uint64
	_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			calls++
			stack[0]++
		}), []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).
		Export("f").Instantiate(ctx)
	if err != nil {
		b.Fatal(err)
	}
	m, err := r.Instantiate(ctx, hostCallerGuest().binary())
	if err != nil {
		b.Fatal(err)
	}
	f, stack := m.ExportedFunction("run"), make([]uint64, 1)
	b.ReportAllocs()
	for b.Loop() {
		stack[0] = callsPerRun
		if err := f.CallWithStack(ctx, stack); err != nil {
			b.Fatal(err)
		}
	}
	perCall(b)
}

func BenchmarkInstantiateSmallGuest(b *testing.B) {
	e := newEngine(b, wasm.Config{})
	m := compile(b, e, grower(-1).binary())
	benchmarkInstantiate(b, m, wasm.InstanceConfig{})
}

func BenchmarkInstantiateGoGuest(b *testing.B) {
	e := newEngine(b, wasm.Config{})
	m := compile(b, e, buildGo(b, helloSource))
	benchmarkInstantiate(b, m, wasm.InstanceConfig{Hosts: []*wasm.Host{preview1(b, e, m)}})
}

func benchmarkInstantiate(b *testing.B, m *wasm.Module, c wasm.InstanceConfig) {
	b.ReportAllocs()
	for b.Loop() {
		in, err := m.Instantiate(context.Background(), c)
		if err != nil {
			b.Fatal(err)
		}
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileGoGuest(b *testing.B) {
	source := buildGo(b, helloSource)
	for name, cached := range map[string]bool{"cold": false, "cached": true} {
		b.Run(name, func(b *testing.B) {
			dir := ""
			if cached {
				dir = b.TempDir()
			}
			once := func() {
				e, err := wasm.New(context.Background(), wasm.Config{CacheDir: dir})
				if err != nil {
					b.Fatal(err)
				}
				compile(b, e, source)
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
			}
			if cached {
				once()
			}
			for b.Loop() {
				once()
			}
			b.SetBytes(int64(len(source)))
		})
	}
}

func BenchmarkMemoryGrow(b *testing.B) {
	e := newEngine(b, wasm.Config{})
	g := &guest{}
	g.memory(0, -1)
	g.function("grow", nil, []byte{typeI32}, nil, opI32Const, int64(1), opMemoryGrow, 0)
	m := compile(b, e, g.binary())
	const pages = 1000
	for b.Loop() {
		in, err := m.Instantiate(context.Background(), wasm.InstanceConfig{})
		if err != nil {
			b.Fatal(err)
		}
		for range pages {
			if err := call(in, "grow", 0); err != nil {
				b.Fatal(err)
			}
		}
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pages, "ns/grow")
}
