package bench

import (
	"context"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// counterSource is a library in Go that counts, and takes memory.
const counterSource = `package main

import (
	"fmt"
	"strings"
)

var (
	count int64
	held  []byte
	words = map[string][]string{}
)

//go:wasmexport inc
func inc(n int64) int64 { count += n; return count }

//go:wasmexport grow
func grow(pages int32) int32 { held = make([]byte, int(pages)<<16); return int32(len(held) >> 16) }

//go:wasmexport work
func work(n int64) int64 {
	count++
	key := fmt.Sprint("key", (count*n)%500)
	words[key] = append(words[key][:len(words[key])/8], strings.Fields(strings.Repeat("some words ", 5))...)
	return int64(len(words))
}

//go:wasmexport populate
func populate() {
	for i := 0; i < len(held); i += 4096 {
		held[i] = byte(i>>12) | 1
	}
}

//go:wasmexport churn
func churn(n int64) int64 {
	for i := 0; i < len(held); i += 4096 {
		held[i]++
	}
	return n
}

//go:wasmexport fill
func fill(n int64) int64 {
	count++
	for i := range held {
		held[i] = byte(int(count)*i) ^ byte(i>>8)
	}
	return n
}

func main() {}
`

// shell is an instance of a guest that exports inc and grow.
type shell struct {
	name   string
	module *wasm.Module
	config wasm.InstanceConfig
}

func newShell(b *testing.B, name string, program []byte) *shell {
	b.Helper()
	e, err := wasm.New(context.Background(), wasm.Config{CacheDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	m, err := e.Compile(context.Background(), program, nil)
	if err != nil {
		b.Fatal(err)
	}
	h, err := e.Host(silence(m))
	if err != nil {
		b.Fatal(err)
	}
	return &shell{name, m, wasm.InstanceConfig{Hosts: []*wasm.Host{h}, MaxMemory: 1 << 30}}
}

// silence is as much of WASI 0.1 as the guests need: most functions do nothing,
// and succeed.
func silence(m *wasm.Module) wasm.HostModule {
	zeros := func(in *wasm.Instance, stack []uint64) {
		clear(in.Memory()[uint32(stack[0]):][:4])
		clear(in.Memory()[uint32(stack[1]):][:4])
		stack[0] = 0
	}
	known := map[string]func(*wasm.Instance, []uint64){
		"args_sizes_get": zeros, "environ_sizes_get": zeros,
		"fd_prestat_get": func(_ *wasm.Instance, stack []uint64) { stack[0] = 8 },
		"clock_time_get": func(in *wasm.Instance, stack []uint64) {
			in.Memory()[uint32(stack[2])+6] = 1
			stack[0] = 0
		},
	}
	all, seen := wasm.HostModule{Name: "wasi_snapshot_preview1"}, map[string]bool{}
	for _, i := range m.Imports() {
		if seen[i.Name] {
			continue
		}
		seen[i.Name] = true
		f := wasm.HostFunc{Name: i.Name, Params: i.Params, Results: i.Results, Call: known[i.Name]}
		if f.Call == nil {
			f.Call = func(_ *wasm.Instance, stack []uint64) { stack[0] = 0 }
		}
		all.Funcs = append(all.Funcs, f)
	}
	return all
}

func (s *shell) instance(b *testing.B) *wasm.Instance {
	b.Helper()
	in, err := s.module.Instantiate(context.Background(), s.config)
	if err != nil {
		b.Fatal(err)
	}
	return in
}

func callGuest(b *testing.B, in *wasm.Instance, function string, argument uint64) {
	stack := [1]uint64{argument}
	if err := in.Call(context.Background(), function, stack[:]); err != nil {
		b.Fatal(err)
	}
}

// shells runs a benchmark for a guest in C and for one in Go.
func shells(b *testing.B, run func(b *testing.B, s *shell)) {
	b.Run("guest=c", func(b *testing.B) { run(b, newShell(b, "c", guests.Wasm(b, "kit"))) })
	b.Run("guest=go", func(b *testing.B) { run(b, newShell(b, "go", goCounter(b))) })
}

// BenchmarkInstance is what an instance costs before its first call: a new one,
// and one that is used again.
func BenchmarkInstance(b *testing.B) {
	shells(b, func(b *testing.B, s *shell) {
		b.Run("from=new", func(b *testing.B) {
			for b.Loop() {
				if err := s.instance(b).Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("from=recycled", func(b *testing.B) {
			in := s.instance(b)
			defer in.Close()
			for b.Loop() {
				if err := in.Recycle(s.config); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("from=recycled-and-initialized", func(b *testing.B) {
			in := s.instance(b)
			defer in.Close()
			for b.Loop() {
				if err := in.Recycle(s.config); err != nil {
					b.Fatal(err)
				}
				callGuest(b, in, "_initialize", 0)
			}
		})
		b.Run("from=recycled-and-called", func(b *testing.B) {
			in := s.instance(b)
			defer in.Close()
			for b.Loop() {
				if err := in.Recycle(s.config); err != nil {
					b.Fatal(err)
				}
				callGuest(b, in, "_initialize", 0)
				callGuest(b, in, "inc", 1)
			}
		})
	})
}
