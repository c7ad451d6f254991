package worker_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// platform is a node's workers over a store that outlives it.
type platform struct {
	*worker.Workers
	t         testing.TB
	store     *memory.Store
	committer *oplog.Committer
	agenda    *agenda.Agenda
	catalog   *catalog.Catalog
	engine    *wasm.Engine
	host      *wasm.Host
	change    func(*worker.Config)
	closed    bool
}

var shop = id.Worker{Component: "kit", Name: "alice"}

func newPlatform(t testing.TB, change func(*worker.Config)) *platform {
	t.Helper()
	engine, err := wasm.New(t.Context(), wasm.Config{CacheDir: t.TempDir()})
	must(t, err)
	host, err := engine.Host(wasip1.Module())
	must(t, err)
	p := &platform{t: t, store: memory.New(), engine: engine, host: host, change: change}
	p.open()
	_, err = p.catalog.Deploy(t.Context(), "kit", guests.Wasm(t, "kit"), nil)
	must(t, err)
	t.Cleanup(func() {
		p.close()
		must(t, engine.Close())
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
	p.committer, err = oplog.NewCommitter(ctx, s, p.store.Logs(), 0)
	must(p.t, err)
	p.catalog, err = catalog.Open(ctx, catalog.Config{Sched: s, Cells: p.store.Cells(), Blobs: p.store.Blobs(), Engine: p.engine, Hosts: []*wasm.Host{p.host}})
	must(p.t, err)
	p.agenda, err = agenda.Open(ctx, agenda.Config{Sched: s, Logs: p.store.Logs(), Committer: p.committer})
	must(p.t, err)
	c := worker.Config{
		Runtime: worker.Runtime{
			Sched: s, Store: p.store, Committer: p.committer, Engine: p.engine, WASI: p.host,
			Entropy: func(b []byte) error { _, err := rand.Read(b); return err },
		},
		Catalog: p.catalog, Agenda: p.agenda,
		Defaults: api.Settings{
			Limits: api.Limits{Memory: 64 << 20, Storage: 16 << 20, Files: 64, CPUTime: api.Duration(time.Minute), LogRate: 1 << 20, OplogRate: 8 << 20, Queue: 100},
			Retry:  api.Retry{Attempts: 3, Initial: api.Duration(time.Millisecond), Max: api.Duration(time.Second), Factor: 2, Jitter: 0.5},
		},
		MaxInstances: 100, MaxRunning: 8, MaxResident: 10000, IdleAfter: time.Minute, SuspendAfter: time.Second,
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

func TestWhatAFunctionLeavesInMemoryIsThereForTheNext(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[5]", "add", 2, 3)
	p.want(shop, "[2]", "inc", 2)
	p.want(shop, "[5]", "inc", 3)
	p.want(shop, "[7]", "file_inc", 7)
	bob := id.Worker{Component: "kit", Name: "bob"}
	p.want(bob, "[0]", "get")
	p.restart()
	p.want(shop, "[5]", "get")
	p.want(shop, "[8]", "file_inc", 1)
	p.want(bob, "[0]", "get")
}

func TestAFailedInvocationLeavesNothing(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[2]", "inc", 2)
	for range 2 {
		v, err := p.invoke(shop, "fail")
		must(t, err)
		if v.State != api.StateFailed || v.Failure.Code != api.FailedTrap || v.Attempts != 1 || !strings.Contains(v.Failure.Stderr, "about to fail") || len(v.Failure.Stack) == 0 {
			t.Errorf("got %+v %+v", v, v.Failure)
		}
		p.want(shop, "[2]", "get")
		p.restart()
		p.want(shop, "[2]", "get")
	}
	v, err := p.invoke(shop, "flaky", 1<<40)
	must(t, err)
	if v.State != api.StateFailed || v.Attempts != 3 {
		t.Errorf("got %s after %d attempts, want 3", v.State, v.Attempts)
	}
	p.want(shop, "[2]", "get")
}

func TestAKeyTakesEffectOnce(t *testing.T) {
	p := newPlatform(t, nil)
	call := api.Call{Function: "inc", Args: json.RawMessage("[5]"), Key: "once"}
	for i := range 4 {
		v, err := p.Invoke(t.Context(), shop, call)
		must(t, err)
		if string(v.Result) != "[5]" || v.Key != "once" {
			t.Fatalf("try %d: got %s", i, v.Result)
		}
		if i == 1 {
			p.restart()
		}
	}
	call.Args = json.RawMessage("[6]")
	if _, err := p.Invoke(t.Context(), shop, call); code(err) != api.CodeKeyReused {
		t.Errorf("got %v, want %s", err, api.CodeKeyReused)
	}
	p.want(shop, "[5]", "get")
	v, err := p.Invocation(t.Context(), shop, "once", true)
	must(t, err)
	if string(v.Result) != "[5]" || v.State != api.StateFinished {
		t.Errorf("got %+v", v)
	}
}

func TestALongSleepLeavesMemoryAndEndsOnTime(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.SuspendAfter = 100 * time.Millisecond })
	v, err := p.Invoke(t.Context(), shop, api.Call{Function: "nap", Args: json.RawMessage("[700]"), Async: true})
	must(t, err)
	for {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		if d.Status == api.Suspended && !d.Resident {
			break
		}
	}
	p.restart()
	v, err = p.Invocation(t.Context(), shop, v.Key, true)
	must(t, err)
	var ms []int64
	must(t, json.Unmarshal(v.Result, &ms))
	if ms[0] < 700 || ms[0] > 5000 {
		t.Errorf("it took %d ms", ms[0])
	}
}
