// Package bench measures the budgets of the design. Every figure has its floor
// beside it in the same run: compare the two, not the machines. Results and how
// to repeat them are in docs/BENCHMARKS.md.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/waterbear-run/waterbear"
)

// build compiles a guest of this package once.
var build = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "waterbear-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all := map[string][]byte{}
	for _, name := range []string{"compute", "calls"} {
		file := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./guests/"+name)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		if all[name], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return all, nil
})

func guest(b *testing.B, name string) []byte {
	b.Helper()
	all, err := build()
	if err != nil {
		b.Fatal(err)
	}
	return all[name]
}

// plain runs a program on wazero as it is, with wazero's own WASI.
type plain struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

func newPlain(b *testing.B, program []byte) *plain {
	b.Helper()
	ctx := context.Background()
	p := &plain{runtime: wazero.NewRuntime(ctx)}
	b.Cleanup(func() { _ = p.runtime.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, p.runtime)
	var err error
	if p.module, err = p.runtime.CompileModule(ctx, program); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *plain) run(b *testing.B, args ...string) {
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{"guest"}, args...)...).WithStdout(io.Discard).
		WithSysNanotime().WithSysWalltime()
	m, err := p.runtime.InstantiateModule(context.Background(), p.module, config)
	if err != nil {
		b.Fatal(err)
	}
	_ = m.Close(context.Background())
}

// durable runs a program as a worker, each time a new one.
type durable struct {
	node    *waterbear.Node
	program []byte
	runs    int
}

func newDurable(b *testing.B, program []byte) *durable {
	b.Helper()
	return &durable{node: open(b, b.TempDir()), program: program}
}

func open(b *testing.B, dir string) *waterbear.Node {
	b.Helper()
	node, err := waterbear.Open(context.Background(), waterbear.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = node.Close() })
	return node
}

func (d *durable) run(b *testing.B, args ...string) waterbear.Exit {
	d.runs++
	exit, err := d.node.Run(context.Background(), waterbear.Command{
		Name: "guest" + strconv.Itoa(d.runs), Program: d.program, Args: append([]string{"guest"}, args...), Stdout: io.Discard,
	})
	if err != nil || exit.Code != 0 {
		b.Fatal(exit, err)
	}
	return exit
}

// compare measures a program on both.
func compare(b *testing.B, name, arg string, calls int) {
	program := guest(b, name)
	b.Run("engine=plain", func(b *testing.B) {
		p := newPlain(b, program)
		p.run(b, "2")
		b.ResetTimer()
		for range b.N {
			p.run(b, arg)
		}
		perCall(b, calls)
	})
	b.Run("engine=waterbear", func(b *testing.B) {
		d := newDurable(b, program)
		d.run(b, "2")
		b.ResetTimer()
		for range b.N {
			d.run(b, arg)
		}
		perCall(b, calls)
	})
}

func perCall(b *testing.B, calls int) {
	if calls > 0 {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(calls), "ns/call")
	}
}

// BenchmarkCompute has a budget: at most 15 % slower than plain wazero.
func BenchmarkCompute(b *testing.B) { compare(b, "compute", "60", 0) }

// BenchmarkCalls is the cost of a recorded call that nobody waits for.
func BenchmarkCalls(b *testing.B) { compare(b, "calls", "400000", 400_000) }

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}
