package wasmbin

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// program is how a test runs a WASI program.
type program struct {
	args  []string
	stdin string
	files map[string][]byte
}

// runProgram runs a program with clocks and randomness that are the same each
// time, and gives all that is left of it.
func runProgram(t testing.TB, e *engine, c wazero.CompiledModule, r *Rewritten, p program) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithArgs(append([]string{"program"}, p.args...)...).
		WithStdin(strings.NewReader(p.stdin)).WithStdout(&stdout).WithStderr(&stderr).
		WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/")).
		WithRandSource(rand.New(rand.NewSource(1)))
	m, err := e.InstantiateModule(e.ctx, c, config)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(e.ctx)
	putBase(m, r)
	for _, f := range []string{r.Start, "_start"} {
		if f == "" {
			continue
		}
		if _, err = m.ExportedFunction(f).Call(e.ctx); err != nil {
			break
		}
	}
	if exit, ok := err.(*sys.ExitError); ok {
		fmt.Fprintf(&stderr, "exit code %d\n", exit.ExitCode())
	} else if err != nil {
		fmt.Fprintln(&stderr, outcome(nil, nil, err))
	}
	return stdout.String() + stderr.String() + filesIn(t, dir)
}

func filesIn(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		fmt.Fprintf(&b, "%s: %q\n", path, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestProgramsOfEveryLanguageRunTheSame runs the examples, which are written in
// Go, C, Rust, AssemblyScript and Lua, as they are and rewritten.
func TestProgramsOfEveryLanguageRunTheSame(t *testing.T) {
	e := newEngine(t)
	wasi_snapshot_preview1.MustInstantiate(e.ctx, e)
	for _, g := range programs(t) {
		t.Run(g.name, func(t *testing.T) {
			var results [2]string
			compiled, r := compileBoth(t, e, g)
			for i := range results {
				results[i] = runProgram(t, e, compiled[i], r[i], g.program)
			}
			if results[0] != results[1] {
				t.Errorf("as it is:\n%s\nrewritten:\n%s", results[0], results[1])
			}
			if len(results[0]) < 10 {
				t.Errorf("the program says only %q", results[0])
			}
		})
	}
}

// guest is a program with its binary.
type guest struct {
	name   string
	source []byte
	program
}

func programs(t testing.TB) []guest {
	all := []guest{{
		"tasks", guests.Go(t, "internal/wasmbin/testdata/gobench"), program{args: []string{"short"}},
	}}
	for _, x := range guests.Examples(t) {
		all = append(all, guest{x.Name, x.Program(t), program{x.Short, x.Stdin, x.Files}})
	}
	return all
}

// compileBoth compiles a program as it is and rewritten, and gives what is to be
// done before it runs.
func compileBoth(t testing.TB, e *engine, g guest) (compiled [2]wazero.CompiledModule, before [2]*Rewritten) {
	t.Helper()
	r, err := Rewrite(g.source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Reasons) > 0 {
		t.Errorf("it cannot be imaged: %q", r.Reasons)
	}
	for i, binary := range [][]byte{g.source, r.Module} {
		if compiled[i], err = e.CompileModule(e.ctx, binary); err != nil {
			t.Fatal(err)
		}
	}
	return compiled, [2]*Rewritten{{}, r}
}

// kernels builds the C kernels, or skips the test.
func kernels(t testing.TB) []byte {
	t.Helper()
	for _, clang := range []string{"clang", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14"} {
		path, err := exec.LookPath(clang)
		if err != nil {
			continue
		}
		out := filepath.Join(t.TempDir(), "kernels.wasm")
		build := exec.Command(path, "--target=wasm32", "-O2", "-nostdlib", "-mbulk-memory",
			"-Wl,--no-entry", "-o", out, "testdata/kernels.c")
		if text, err := build.CombinedOutput(); err != nil {
			t.Skipf("%s builds no WebAssembly: %v\n%s", clang, err, text)
		}
		source, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	t.Skip("there is no clang")
	return nil
}

// kernelSizes make each kernel run for 5 to 50 ms.
var kernelSizes = []struct {
	name string
	n    uint64
}{
	{"sieve", 4},
	{"matmul", 6},
	{"fib", 32},
	{"crc", 1_000_000},
	{"quicksort", 3},
	{"sha256", 10_000},
	{"strings", 3_000},
	{"interpreter", 500_000},
	{"tree", 100},
	{"calls", 3_000_000},
	{"copies", 1_000_000},
	{"nbody", 60_000},
}

func TestKernelsComputeTheSame(t *testing.T) {
	e := newEngine(t)
	source := kernels(t)
	raw, err := e.load(source, "raw")
	if err != nil {
		t.Fatal(err)
	}
	rewritten, _, err := e.loadRewritten(source, "rewritten")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kernelSizes {
		for range 5 {
			n := 1 + uint64(rand.Int63n(int64(k.n)/4+1))
			if k.name == "fib" {
				n = min(n, 24)
			}
			if got, want := e.call(rewritten, k.name, n), e.call(raw, k.name, n); got != want {
				t.Errorf("%s(%d) %s, as it is %s", k.name, n, got, want)
			}
		}
	}
}

// BenchmarkOverhead compares rewritten code with the code as it is. It reports
// the ratio of their fastest times, in percent above one, which is steadier
// than any time.
func BenchmarkOverhead(b *testing.B) {
	for _, k := range kernelSizes {
		b.Run(k.name, func(b *testing.B) {
			e := newEngine(b)
			source := kernels(b)
			raw, err := e.load(source, "raw")
			if err != nil {
				b.Fatal(err)
			}
			rewritten, _, err := e.loadRewritten(source, "rewritten")
			if err != nil {
				b.Fatal(err)
			}
			compare(b, func(i int) { e.call([]api.Module{raw, rewritten}[i], k.name, k.n) })
		})
	}
	for _, g := range programs(b) {
		b.Run(g.name, func(b *testing.B) {
			e := newEngine(b)
			wasi_snapshot_preview1.MustInstantiate(e.ctx, e)
			compiled, r := compileBoth(b, e, g)
			compare(b, func(i int) { runProgram(b, e, compiled[i], r[i], g.program) })
		})
	}
}

func compare(b *testing.B, run func(i int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var times [2][]time.Duration
	for b.Loop() {
		for i := range times {
			start := cpuTime()
			run(i)
			times[i] = append(times[i], cpuTime()-start)
		}
	}
	raw, rewritten := slices.Min(times[0]), slices.Min(times[1])
	b.ReportMetric(100*(float64(rewritten)/float64(raw)-1), "%over")
}
