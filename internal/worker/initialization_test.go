package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

var initialLimits = api.Limits{Memory: 64 << 20, Storage: 1 << 20, Files: 8, CPUTime: api.Duration(time.Minute)}

// initialized initializes a program for all workers.
func (w *world) initialized(rt *Runtime, c code, l api.Limits) *initialization {
	w.t.Helper()
	n, err := rt.initializationOf(context.Background(), c, l)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// compiled makes a module that the test closes.
func compiled(t *testing.T, source []byte) code {
	t.Helper()
	m, err := engine.Compile(context.Background(), source, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return code{module: m}
}

func TestInitializationThatObservesNothingIsThatOfEveryWorker(t *testing.T) {
	creates := []*oplog.Create{
		{At: 1, Memory: 64 << 20},
		{
			At: oplog.At(time.Now()), Args: []string{"a", "b"}, Env: []string{"c=d"}, Seed: [32]byte{1, 2, 3},
			Memory: 128 << 20, Storage: 1 << 20, Files: 4,
		},
	}
	for _, name := range []string{"kit", "tables", "sieve", "components/begins", "components/turns", "components/keeper", "kit/c", "kit/rust", "kit/quickjs"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.process(func(rt *Runtime) {
				programs, err := catalog.Open(context.Background(), catalog.Config{
					Sched: rt.Sched, Cells: rt.Store.Cells(), Blobs: rt.Store.Blobs(), Engine: engine, Hosts: hosts, Interfaces: rt.Interfaces,
				})
				must(t, err)
				_, err = programs.Deploy(context.Background(), "it", guests.Wasm(t, name), nil)
				must(t, err)
				for _, create := range creates {
					program, err := programs.Acquire(context.Background(), "it", 1)
					must(t, err)
					n := w.initialized(rt, codeOf(program), initialLimits)
					if len(n.observed) > 0 || len(n.guest.unimageable()) > 0 {
						t.Errorf("it has observed %q, and is unimageable: %q", n.observed, n.guest.unimageable())
					}
					b, err := rt.newBody(context.Background(), bodyConfig{
						program: program, create: create, meter: newMeter(rt.Sched, api.Limits{}), shells: &shells{},
						session: durable.Config{Worker: alice, Unrecorded: true},
					})
					must(t, err)
					clocks := b.clocks.State()
					must(t, b.initialize())
					if err := sameInstance(n, b); err != nil {
						t.Errorf("for %+v: %v", create, err)
					}
					if b.session.Calls()+b.random.Position() > 0 || b.clocks.State() != clocks {
						t.Errorf("for %+v: %d calls, %d random bytes, clocks %v", create, b.session.Calls(), b.random.Position(), b.clocks.State())
					}
					n.close()
					b.close()
				}
				must(t, programs.Close())
			})
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sameInstance says how what all workers may share differs from a worker's.
func sameInstance(n *initialization, b *body) error {
	for i, core := range n.guest.cores() {
		other := b.guest.cores()[i]
		if !slices.Equal(core.Globals(), other.Globals()) {
			return fmt.Errorf("core %d has globals %x, the worker's %x", i, core.Globals(), other.Globals())
		}
		if !bytes.Equal(core.Memory(), other.Memory()) {
			return fmt.Errorf("the memories of core %d differ", i)
		}
	}
	open, others := []byte(nil), []byte(nil)
	var err error
	if n.system != nil {
		open, others = n.system.AppendOpen(nil), b.system.preview1.AppendOpen(nil)
	} else if open, err = n.guest.component.AppendHandles(nil); err == nil {
		others, err = b.guest.component.AppendHandles(nil)
	}
	if err == nil && !bytes.Equal(open, others) {
		err = fmt.Errorf("descriptors or handles %x, the worker's %x", open, others)
	}
	return err
}

func TestInitializationOfAGoLibraryObservesTheWorld(t *testing.T) {
	m := compiled(t, guests.GoLibrary(t, "internal/worker/testdata/library"))
	w := newWorld(t)
	w.process(func(rt *Runtime) {
		n := w.initialized(rt, m, initialLimits)
		defer n.close()
		for _, want := range []string{"random_get", "clock_time_get", "args_sizes_get", "environ_sizes_get"} {
			if !slices.Contains(n.observed, want) {
				t.Errorf("it has observed %q, and not %s", n.observed, want)
			}
		}
		sum := []uint64{5}
		if err := n.guest.module.Call(context.Background(), "add", sum); err != nil || sum[0] != 5 {
			t.Errorf("after its initialization it gives %d, %v", sum[0], err)
		}
	})
}

// TestInitializationIsAlwaysTheSame: even one that observes something.
func TestInitializationIsAlwaysTheSame(t *testing.T) {
	m := compiled(t, guests.GoLibrary(t, "internal/worker/testdata/library"))
	w := newWorld(t)
	w.process(func(rt *Runtime) {
		one, other := w.initialized(rt, m, initialLimits), w.initialized(rt, m, initialLimits)
		defer one.close()
		defer other.close()
		if !bytes.Equal(one.guest.module.Memory(), other.guest.module.Memory()) || !slices.Equal(one.observed, other.observed) {
			t.Errorf("two initializations differ: observed %q and %q", one.observed, other.observed)
		}
	})
}

// TestWholeProgramsAreObserved runs what other tests run as programs, of C, Rust
// and AssemblyScript, in the same world, for a while.
func TestWholeProgramsAreObserved(t *testing.T) {
	short := initialLimits
	short.CPUTime = api.Duration(200 * time.Millisecond)
	for name, want := range map[string][]string{
		"primes":    {"args_sizes_get", "args_get"},
		"clocks":    {"args_sizes_get", "args_get", "path_open", "clock_time_get", "random_get", "fd_write"},
		"ledger":    {"args_sizes_get", "args_get", "path_create_directory", "path_open"},
		"countdown": {"args_sizes_get", "args_get", "fd_write", "clock_time_get", "poll_oneoff"},
	} {
		m := compiled(t, guests.Wasm(t, name))
		rt := &Runtime{Sched: sched.NewGoroutines(), Hosts: hosts}
		n, err := rt.initializationOf(context.Background(), m, short)
		must(t, err)
		if len(n.observed) > 0 {
			t.Errorf("%s has observed %q before its start", name, n.observed)
		}
		_ = n.guest.module.Call(context.Background(), entryPoint, nil) // it ends somehow
		if len(n.observed) < len(want) || !slices.Equal(n.observed[:len(want)], want) {
			t.Errorf("%s has observed %q, which does not begin with %q", name, n.observed, want)
		}
		n.close()
	}
}

// beginner assembles a library that does this in its start section. It imports
// a function of WASI 0.1 by name, with so many parameters, as function 0.
func beginner(name string, params int, code ...byte) []byte {
	section := func(id byte, body ...byte) string { return string(append([]byte{id, byte(len(body))}, body...)) }
	const module = "wasi_snapshot_preview1"
	types := append([]byte{2, 0x60, byte(params)}, bytes.Repeat([]byte{0x7f}, params)...)
	types = append(types, 1, 0x7f, 0x60, 0, 0)
	imports := append([]byte{1, byte(len(module))}, module...)
	imports = append(append(imports, byte(len(name))), name...)
	body := append(append([]byte{0}, code...), 0x0b)
	return []byte("\x00asm\x01\x00\x00\x00" +
		section(1, types...) + section(2, append(imports, 0, 0)...) + section(3, 1, 1) + section(5, 1, 0, 1) +
		section(8, 1) + section(10, append([]byte{1, byte(len(body))}, body...)...))
}

func TestInitializationThatDoesNotEndInOrderIsObserved(t *testing.T) {
	const constant, call, drop, grow, loop, br, end, unreachable = 0x41, 0x10, 0x1a, 0x40, 0x03, 0x0c, 0x0b, 0x00
	short := initialLimits
	short.CPUTime = api.Duration(10 * time.Millisecond)
	for _, c := range []struct {
		name   string
		source []byte
		limits api.Limits
		want   []string // the beginnings
		ended  bool
	}{
		{"a trap", beginner("sched_yield", 0, unreachable), initialLimits, []string{"unreachable"}, true},
		{"a signal", beginner("proc_raise", 1, constant, 9, call, 0, drop), initialLimits, []string{"program exited with code 137"}, true},
		{"no end", beginner("sched_yield", 0, loop, 0x40, br, 0, end), short, []string{"limit exceeded: cpuTime"}, true},
		{"memory for all", beginner("sched_yield", 0, constant, 1, grow, 0, drop), initialLimits, nil, false},
		{"memory for few", beginner("sched_yield", 0, constant, 0xff, 0xff, 0, grow, 0, drop), initialLimits, []string{"memory.grow"}, false},
		{
			"memory and a trap", beginner("sched_yield", 0, constant, 0xff, 0xff, 0, grow, 0, drop, unreachable), initialLimits,
			[]string{"memory.grow", "unreachable"},
			true,
		},
		{"an argument", beginner("args_get", 2, constant, 0, constant, 0, call, 0, drop), initialLimits, []string{"args_get"}, false},
		{"nothing", beginner("sched_yield", 0, call, 0, drop), initialLimits, nil, false},
		// Memory is zero: one subscription to a clock, which is over at once.
		{
			"a wait", beginner("poll_oneoff", 4, constant, 0, constant, 0, constant, 1, constant, 8, call, 0, drop), initialLimits,
			[]string{"poll_oneoff"},
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := compiled(t, c.source)
			// Computing takes time, which that of the simulation does not.
			rt := &Runtime{Sched: sched.NewGoroutines(), Hosts: hosts}
			n, err := rt.initializationOf(context.Background(), m, c.limits)
			must(t, err)
			defer n.close()
			if !slices.EqualFunc(n.observed, c.want, strings.HasPrefix) {
				t.Errorf("observed %q, want %q", n.observed, c.want)
			}
			if (n.guest == nil) != c.ended {
				t.Errorf("there is an instance: %t", n.guest != nil)
			}
		})
	}
}

func TestInitializationOfAComponentThatAsksTheHostIsItsOwn(t *testing.T) {
	for _, name := range []string{"asks", "steps"} {
		w := newWorld(t)
		w.process(func(rt *Runtime) {
			compiled, err := catalog.Compile(context.Background(), engine, rt.Interfaces, guests.Wasm(t, "components/"+name), nil)
			must(t, err)
			n := w.initialized(rt, code{component: compiled.Component}, initialLimits)
			if !slices.Contains(n.observed, "wasi 0.2") || n.guest != nil {
				t.Errorf("%s has observed %q, and there is an instance: %t", name, n.observed, n.guest != nil)
			}
			n.close()
			must(t, compiled.Close())
		})
	}
}

func TestInitializationEndsWithItsContext(t *testing.T) {
	m := compiled(t, guests.Wasm(t, "odd/start-spin"))
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errStop)
	w := newWorld(t)
	w.process(func(rt *Runtime) {
		if n, err := rt.initializationOf(ctx, m, initialLimits); !errors.Is(err, errStop) || n != nil {
			t.Errorf("got %v, %v", n, err)
		}
	})
}
