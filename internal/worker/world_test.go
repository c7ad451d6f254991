package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

var alice = id.Worker{Component: "run", Name: "alice"}

// CacheDir keeps the compiled code of all tests.
var CacheDir string

var (
	engine *wasm.Engine
	hosts  []*wasm.Host
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
	cache, err := os.MkdirTemp("", "waterbear-worker-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(cache)
	CacheDir = cache
	if engine, err = wasm.New(context.Background(), wasm.Config{CacheDir: cache}); err != nil {
		return 0, err
	}
	defer engine.Close()
	if hosts, err = engine.Hosts(append(platform.Modules(), wasip1.Module())...); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// RunAlways has every worker of a component run its initialization.
func (ws *Workers) RunAlways(ctx context.Context, component string) error {
	p, err := ws.Catalog.Acquire(ctx, component, 0)
	if err != nil {
		return err
	}
	ws.origins.mu.Lock()
	if ws.origins.all == nil {
		ws.origins.all = map[code]*origin{}
	}
	ws.origins.all[codeOf(p)] = nil
	ws.origins.mu.Unlock()
	return p.Release()
}

// Begins is for how many programs it is known what they begin as.
func (ws *Workers) Begins() (n int) {
	ws.origins.mu.Lock()
	defer ws.origins.mu.Unlock()
	for _, s := range ws.origins.all {
		if s != nil {
			n++
		}
	}
	return n
}

// Guests are the instances that workers have.
func (ws *Workers) Guests() map[id.Worker]any {
	guests := map[id.Worker]any{}
	for _, r := range ws.all() {
		r.mu.Lock()
		if r.body != nil && r.body.guest != nil {
			guests[r.worker] = r.body.guest
		}
		r.mu.Unlock()
	}
	return guests
}

// MaxShells is how many instances are kept that nobody uses.
const MaxShells = maxShells

// Shells is how many there are, and the bytes of their linear memories.
func (ws *Workers) Shells() (n int, memory uint64) {
	ws.shells.mu.Lock()
	defer ws.shells.mu.Unlock()
	for _, s := range ws.shells.all {
		for _, core := range s.guest.cores() {
			memory += uint64(len(core.Memory()))
		}
	}
	return len(ws.shells.all), memory
}

// world is a simulated machine with the real file system.
type world struct {
	t     *testing.T
	sim   *sched.Simulation
	store *memory.Store
	hosts *watched
	stdin string
	shown oplog.Index // output up to here was seen in runs before
	out   strings.Builder
	err   strings.Builder
	// seen, if set, is asked at each piece of output.
	seen func(ctx context.Context, stop context.CancelCauseFunc, p []byte) error
}

// watched are the machine's directories, and what was changed in them.
type watched struct {
	live.Directories
	applied []string
}

func (w *watched) Apply(ctx context.Context, root string, changes []hostdir.Change) error {
	for _, c := range changes {
		what := "set"
		switch {
		case c.Remove:
			what = "remove"
		case c.Kind == hostdir.File && c.Content == nil:
			what = "touch"
		case c.Kind == hostdir.Directory:
			what = "mkdir"
		case c.Kind == hostdir.Symlink:
			what = "symlink"
		}
		w.applied = append(w.applied, what+" "+c.Path)
	}
	return w.Directories.Apply(ctx, root, changes)
}

func newWorld(t *testing.T) *world {
	return &world{t: t, sim: sched.NewSimulation(1), store: memory.New(), hosts: &watched{}}
}

// script is a launch of the Go guest that takes these steps.
func script(t *testing.T, steps ...string) Launch {
	t.Helper()
	return Launch{
		Worker: alice, Program: guests.Go(t, "internal/worker/testdata/guest"), Args: append([]string{"guest"}, steps...),
		Memory: 256 << 20, Storage: 16 << 20, Files: 64,
	}
}

// hostile is a launch of the C guest that misbehaves.
func hostile(t *testing.T, args ...string) Launch {
	l := script(t)
	l.Program, l.Args = guests.Wasm(t, "hostile"), append([]string{"hostile"}, args...)
	return l
}

// runtime is that of a new process. Its committer is to be closed.
func (w *world) runtime() *Runtime {
	c, err := oplog.NewCommitter(context.Background(), w.sim, w.store.Logs(), 0)
	if err != nil {
		w.t.Error(err)
	}
	return &Runtime{
		Sched: w.sim, Store: w.store, Committer: c, Engine: engine, Hosts: hosts, Interfaces: append(wasip2.Interfaces(), platform.Interfaces()...), Directories: w.hosts,
		Entropy: func(p []byte) error {
			p[0] = 42
			return nil
		},
	}
}

// process lets body run as a new process, which ends in order.
func (w *world) process(body func(rt *Runtime)) {
	w.t.Helper()
	err := w.sim.Run(func() {
		rt := w.runtime()
		body(rt)
		if err := rt.Committer.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// run launches a worker in a new process.
func (w *world) run(l Launch) (o *Outcome, err error) {
	w.t.Helper()
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	w.process(func(rt *Runtime) {
		input := live.NewInput(w.sim, strings.NewReader(w.stdin), false)
		l.Input, l.Shown = input, w.shown
		l.Show = func(index oplog.Index, stream oplog.Stream, p []byte) error {
			if w.seen != nil {
				if err := w.seen(ctx, stop, p); err != nil {
					return err
				}
			}
			w.shown = index
			if stream == oplog.Stderr {
				w.err.Write(p)
			} else {
				w.out.Write(p)
			}
			return nil
		}
		o, err = rt.Run(ctx, l)
		input.Close()
	})
	return o, err
}

// ends runs a worker that is to end by itself.
func (w *world) ends(l Launch) *Outcome {
	w.t.Helper()
	o, err := w.run(l)
	if err != nil {
		w.t.Fatalf("%v\nstdout: %s\nstderr: %s", err, w.out.String(), w.err.String())
	}
	return o
}

var errStop = errors.New("a person stopped it")

// stopAt interrupts the runs that follow when output contains text.
func (w *world) stopAt(text string) {
	w.seen = func(_ context.Context, stop context.CancelCauseFunc, p []byte) error {
		if strings.Contains(string(p), text) {
			stop(errStop)
		}
		return nil
	}
}

func (w *world) status() *oplog.Status {
	w.t.Helper()
	s, err := oplog.ReadStatus(context.Background(), w.store.Logs(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// files gives a worker's files, by what Files says of it.
func (w *world) files() map[string]string {
	w.t.Helper()
	var files map[string]string
	w.process(func(rt *Runtime) {
		view, err := rt.Files(context.Background(), w.status())
		if err != nil {
			w.t.Error(err)
			return
		}
		files = tree(w.t, view)
	})
	return files
}

// tree is everything in a file system.
func tree(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			all[name] = "(directory)"
		case e.Type() == fs.ModeSymlink:
			target, err := fs.ReadLink(files, name)
			all[name] = "-> " + target
			return err
		default:
			content, err := fs.ReadFile(files, name)
			all[name] = string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

// directory makes a directory of the host with these files.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
