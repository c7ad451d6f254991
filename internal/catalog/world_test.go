package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

var (
	ctx    = context.Background()
	engine *wasm.Engine
	wasi   *wasm.Host
)

func TestMain(m *testing.M) {
	code, err := withEngine(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withEngine(m *testing.M) (int, error) {
	cache, err := os.MkdirTemp("", "waterbear-catalog-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(cache)
	if engine, err = wasm.New(ctx, wasm.Config{CacheDir: cache}); err != nil {
		return 0, err
	}
	defer engine.Close()
	if wasi, err = engine.Host(wasip1.Module()); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// world is a simulated machine whose store is in memory and fails as it is told.
type world struct {
	t     *testing.T
	sim   *sched.Simulation
	store *memory.Store
	// fault, if it is set, decides each call to the store.
	fault func(call string) storagetest.Fault
	calls map[string]int
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, sim: sched.NewSimulation(seed), store: memory.New(), calls: map[string]int{}}
}

func (w *world) plan(call string) storagetest.Fault {
	w.calls[call]++
	if w.fault == nil {
		return storagetest.None
	}
	return w.fault(call)
}

// open makes the catalog of a new process.
func (w *world) open() (*catalog.Catalog, error) {
	store := storagetest.Faulty(w.store.Reopen(), w.plan)
	return catalog.Open(ctx, catalog.Config{
		Sched: w.sim, Cells: store.Cells(), Blobs: store.Blobs(), Engine: engine, Hosts: []*wasm.Host{wasi}, Resident: 2,
	})
}

// process lets body run as a new process.
func (w *world) process(body func(c *catalog.Catalog)) {
	w.t.Helper()
	err := w.sim.Run(func() {
		c, err := w.open()
		if err != nil {
			w.t.Error(err)
			return
		}
		body(c)
		if err := c.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deploy(c *catalog.Catalog, name string, module []byte) api.Deployed {
	w.t.Helper()
	d, err := c.Deploy(ctx, name, module, nil)
	if err != nil {
		w.t.Errorf("deploy %s: %v", name, err)
	}
	return d
}

// blobs are the hashes of all blobs in the store.
func (w *world) blobs() (all []storage.Hash) {
	for h, err := range w.store.Reopen().Blobs().List(ctx) {
		if err != nil {
			w.t.Error(err)
		}
		all = append(all, h)
	}
	return all
}

// cells are the keys of all cells in the store.
func (w *world) cells() (all []string) {
	for key, err := range w.store.Reopen().Cells().List(ctx, "", "") {
		if err != nil {
			w.t.Error(err)
		}
		all = append(all, key)
	}
	return all
}

// codeOf is what kind of problem err is.
func codeOf(err error) api.Code {
	var p *api.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// The value types of functions in modules.
const (
	i32 = "\x7f"
	i64 = "\x7e"
	f32 = "\x7d"
	f64 = "\x7c"
	// v128 and externref cannot be passed.
	v128      = "\x7b"
	externref = "\x6f"
)

// function is one that a module of library exports.
type function struct{ name, params, results string }

// library is a module that exports functions, all of which trap.
func library(functions ...function) []byte {
	text := func(s string) []byte { return append(number(len(s)), s...) }
	section := func(id byte, items [][]byte) []byte {
		content := append(number(len(items)), slices.Concat(items...)...)
		return slices.Concat([]byte{id}, number(len(content)), content)
	}
	var types, funcs, exports, code [][]byte
	for i, f := range functions {
		types = append(types, slices.Concat([]byte{0x60}, text(f.params), text(f.results)))
		funcs = append(funcs, number(i))
		exports = append(exports, slices.Concat(text(f.name), []byte{0}, number(i)))
		code = append(code, []byte{3, 0, 0x00, 0x0b}) // no locals, unreachable, end
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types), section(3, funcs), section(7, exports), section(10, code))
}

// number is an unsigned number in LEB128.
func number(v int) []byte {
	var out []byte
	for ; v >= 0x80; v >>= 7 {
		out = append(out, byte(v)|0x80)
	}
	return append(out, byte(v))
}

// variant is a small module like others, but not the same.
func variant(i int) []byte { return library(function{fmt.Sprintf("f%d", i), i32, i64}) }
