package worker_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/guests"
	hostplatform "github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// platform is a node's workers over a store that outlives it.
type platform struct {
	*worker.Workers
	t testing.TB
	setup
	store     storage.Store
	committer *oplog.Committer
	agenda    *agenda.Agenda
	catalog   *catalog.Catalog
	engine    *wasm.Engine
	hosts     []*wasm.Host
	closed    bool
}

// setup is how a platform differs from the usual one.
type setup struct {
	change  func(*worker.Config)
	engine  wasm.Config
	open    func() storage.Store // the same contents each time
	options []oplog.Option
}

var shop = id.Worker{Component: "kit", Name: "alice"}

func newPlatform(t testing.TB, change func(*worker.Config)) *platform {
	t.Helper()
	return setup{change: change}.platform(t)
}

func (s setup) platform(t testing.TB) *platform {
	t.Helper()
	if !s.engine.Interpreter {
		s.engine.CacheDir = worker.CacheDir
	}
	engine, err := wasm.New(t.Context(), s.engine)
	must(t, err)
	if s.open == nil {
		store := memory.New()
		s.open = func() storage.Store { return store.Reopen() }
	}
	p := &platform{t: t, setup: s, engine: engine}
	p.hosts, err = engine.Hosts(append(hostplatform.Modules(), wasip1.Module())...)
	must(t, err)
	p.open()
	p.deploy("kit", guests.Wasm(t, "kit"))
	t.Cleanup(func() {
		p.close()
		must(t, p.store.Close())
		must(t, engine.Close()) // refused while there is an instance
	})
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *platform) open() {
	p.t.Helper()
	ctx, s := context.Background(), sched.NewGoroutines()
	var err error
	p.store = p.setup.open()
	p.committer, err = oplog.NewCommitter(ctx, s, p.store.Logs(), 0, p.options...)
	must(p.t, err)
	p.catalog, err = catalog.Open(ctx, catalog.Config{Sched: s, Cells: p.store.Cells(), Blobs: p.store.Blobs(), Engine: p.engine, Hosts: p.hosts, Interfaces: append(wasip2.Interfaces(), hostplatform.Interfaces()...)})
	must(p.t, err)
	p.agenda, err = agenda.Open(ctx, agenda.Config{Sched: s, Logs: p.store.Logs(), Committer: p.committer})
	must(p.t, err)
	c := worker.Config{
		Runtime: worker.Runtime{
			Sched: s, Store: p.store, Committer: p.committer, Engine: p.engine, Hosts: p.hosts,
			Entropy: func(b []byte) error { _, err := rand.Read(b); return err },
		},
		Catalog: p.catalog, Agenda: p.agenda,
		Defaults: api.Settings{
			Limits: api.Limits{Memory: 64 << 20, Storage: 16 << 20, Files: 64, CPUTime: api.Duration(time.Minute), LogRate: 1 << 20, OplogRate: 8 << 20, Queue: 100},
			Retry:  api.Retry{Attempts: 3, Initial: api.Duration(time.Millisecond), Max: api.Duration(time.Second), Factor: 2, Jitter: 0.5},
		},
		MaxInstances: 100, MaxRunning: 8, MaxResident: 10000, IdleAfter: time.Minute, SuspendAfter: time.Second, ImageAfter: 10 * time.Millisecond,
	}
	if p.change != nil {
		p.change(&c)
	}
	p.Workers = worker.NewWorkers(c)
	p.closed = false
}

func (p *platform) close() {
	if p.closed {
		return
	}
	p.closed = true
	now, cancel := context.WithCancel(context.Background())
	cancel()
	p.Workers.Close(now)
	p.agenda.Close()
	must(p.t, p.committer.Close())
	must(p.t, p.catalog.Close())
}

func (p *platform) restart() {
	p.close()
	must(p.t, p.store.Close())
	p.open()
}

func (p *platform) invoke(w id.Worker, function string, args ...any) (api.Invocation, error) {
	raw, err := json.Marshal(args)
	must(p.t, err)
	if args == nil {
		raw = nil
	}
	return p.Invoke(p.t.Context(), w, api.Call{Function: function, Args: raw})
}

func (p *platform) want(w id.Worker, result string, function string, args ...any) {
	p.t.Helper()
	v, err := p.invoke(w, function, args...)
	if err != nil {
		p.t.Fatalf("%s%v: %v", function, args, err)
	}
	if string(v.Result) != result {
		p.t.Fatalf("%s%v: got %s (%s %+v), want %s", function, args, v.Result, v.State, v.Failure, result)
	}
}

func code(err error) api.Code {
	var p *api.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

func (p *platform) deploy(name string, module []byte) {
	p.t.Helper()
	_, err := p.catalog.Deploy(p.t.Context(), name, module, nil)
	must(p.t, err)
}

// named is a worker of the kit.
func named(name string) id.Worker { return id.Worker{Component: "kit", Name: name} }

// create makes a worker.
func (p *platform) create(w id.Worker, n api.NewWorker) {
	p.t.Helper()
	_, err := p.Create(p.t.Context(), w, n)
	must(p.t, err)
}

// async begins an invocation under a key.
func (p *platform) async(w id.Worker, key, function string, args ...any) {
	p.t.Helper()
	raw, err := json.Marshal(append([]any{}, args...))
	must(p.t, err)
	v, err := p.Invoke(p.t.Context(), w, api.Call{Function: function, Args: raw, Key: key, Async: true})
	must(p.t, err)
	if v.Key != key {
		p.t.Fatalf("accepted under the key %q, want %q", v.Key, key)
	}
}

// ends waits for an invocation, and demands how it ends.
func (p *platform) ends(w id.Worker, key string, want api.InvocationState, result string) api.Invocation {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	v, err := p.Invocation(ctx, w, key, true)
	must(p.t, err)
	if v.State != want || string(v.Result) != result {
		p.t.Fatalf("%s %s: got %s %s (%+v), want %s %s", w, key, v.State, v.Result, v.Failure, want, result)
	}
	return v
}

// patience is how long a test waits for what is about to happen.
const patience = 20 * time.Second

// eventually waits until something is so.
func (p *platform) eventually(what string, so func() bool) {
	p.t.Helper()
	for began := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			p.t.Fatalf("it is not so after %v: %s", patience, what)
		}
	}
}

// becomes waits until a worker has a status.
func (p *platform) becomes(w id.Worker, want api.Status) (v api.WorkerDetail) {
	p.t.Helper()
	p.eventually(w.String()+" is "+string(want), func() bool {
		var err error
		v, err = p.Worker(p.t.Context(), w)
		must(p.t, err)
		return v.Status == want
	})
	return v
}

// refused demands the code of a problem.
func (p *platform) refused(err error, want api.Code) {
	p.t.Helper()
	if code(err) != want {
		p.t.Fatalf("got %v, want %s", err, want)
	}
}
