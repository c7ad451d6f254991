package wasm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// buildGo compiles a Go program to WASI 0.1.
func buildGo(t testing.TB, source string, flags ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "main.wasm")
	args := append(append([]string{"build", "-o", out}, flags...), filepath.Join(dir, "main.go"))
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, text)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// exit is a guest's exit code on its way to Call.
type exit uint32

func (e exit) Error() string { return "exit" }

// preview1 is as much of WASI 0.1 as a Go program needs to print: everything
// else answers ENOSYS.
func preview1(t testing.TB, e *wasm.Engine, m *wasm.Module) *wasm.Host {
	t.Helper()
	const enosys, ebadf = 52, 8
	known := map[string]func(in *wasm.Instance, stack []uint64){
		"proc_exit": func(_ *wasm.Instance, stack []uint64) { wasm.Abort(exit(stack[0])) },
		"random_get": func(in *wasm.Instance, stack []uint64) {
			clear(in.Memory()[uint32(stack[0]) : uint32(stack[0])+uint32(stack[1])])
			stack[0] = 0
		},
		"clock_time_get": func(in *wasm.Instance, stack []uint64) {
			binary.LittleEndian.PutUint64(in.Memory()[uint32(stack[2]):], 1e18)
			stack[0] = 0
		},
		"args_sizes_get":      zeroPair,
		"environ_sizes_get":   zeroPair,
		"args_get":            func(_ *wasm.Instance, stack []uint64) { stack[0] = 0 },
		"environ_get":         func(_ *wasm.Instance, stack []uint64) { stack[0] = 0 },
		"fd_prestat_get":      func(_ *wasm.Instance, stack []uint64) { stack[0] = ebadf },
		"fd_fdstat_get":       func(_ *wasm.Instance, stack []uint64) { stack[0] = 0 },
		"fd_fdstat_set_flags": func(_ *wasm.Instance, stack []uint64) { stack[0] = 0 },
		"sched_yield":         func(_ *wasm.Instance, stack []uint64) { stack[0] = 0 },
		"fd_write": func(in *wasm.Instance, stack []uint64) {
			memory, total := in.Memory(), uint32(0)
			for i := range uint32(stack[2]) {
				iov := memory[uint32(stack[1])+8*i:]
				at, n := binary.LittleEndian.Uint32(iov), binary.LittleEndian.Uint32(iov[4:])
				if out, ok := in.State().(*bytes.Buffer); ok {
					out.Write(memory[at : at+n])
				}
				total += n
			}
			binary.LittleEndian.PutUint32(memory[uint32(stack[3]):], total)
			stack[0] = 0
		},
	}
	var funcs []wasm.HostFunc
	seen := make(map[string]bool)
	for _, imp := range m.Imports() {
		if seen[imp.Name] {
			continue // Go's runtime and its syscall package import fd_write each
		}
		seen[imp.Name] = true
		f := wasm.HostFunc{Name: imp.Name, Params: imp.Params, Results: imp.Results}
		if f.Call = known[imp.Name]; f.Call == nil {
			f.Call = func(_ *wasm.Instance, stack []uint64) { stack[0] = enosys }
		}
		f.Call = withinMemory(f.Call)
		funcs = append(funcs, f)
	}
	h, err := e.Host(wasm.HostModule{Name: "wasi_snapshot_preview1", Funcs: funcs})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var errFault = errors.New("an address beyond the memory")

// withinMemory has the guest answer for addresses that are beyond its memory.
func withinMemory(call func(*wasm.Instance, []uint64)) func(*wasm.Instance, []uint64) {
	return func(in *wasm.Instance, stack []uint64) {
		defer func() {
			switch r := recover().(type) {
			case nil:
			case runtime.Error:
				wasm.Abort(errFault)
			default:
				panic(r)
			}
		}()
		call(in, stack)
	}
}

func zeroPair(in *wasm.Instance, stack []uint64) {
	binary.LittleEndian.PutUint32(in.Memory()[uint32(stack[0]):], 0)
	binary.LittleEndian.PutUint32(in.Memory()[uint32(stack[1]):], 0)
	stack[0] = 0
}

const helloSource = `package main

import "fmt"

func main() {
	words := make(chan string)
	go func() {
		for _, w := range []string{"hello", "from", "Go"} {
			words <- w
		}
		close(words)
	}()
	for w := range words {
		fmt.Println(w)
	}
}
`

func TestGoProgramRunsToItsExit(t *testing.T) {
	source := buildGo(t, helloSource)
	engines(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, source)
		var out bytes.Buffer
		in := instantiate(t, m, wasm.InstanceConfig{Hosts: []*wasm.Host{preview1(t, e, m)}, State: &out})
		err := in.Call(context.Background(), "_start", nil)
		var code exit
		if !errors.As(err, &code) || code != 0 {
			t.Errorf("got error %v, want exit 0", err)
		}
		if got, want := out.String(), "hello\nfrom\nGo\n"; got != want {
			t.Errorf("the guest wrote %q, want %q", got, want)
		}
	})
}
