package worker_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// count is how many entries of a worker's oplog are chosen.
func (p *platform) count(w id.Worker, chosen func(oplog.Body) bool) (n int) {
	p.t.Helper()
	for entry, err := range oplog.Read(context.Background(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		if chosen(entry.Body) {
			n++
		}
	}
	return n
}

func TestEachInvocationOfAnEphemeralWorkerBeginsWithNothing(t *testing.T) {
	p := newPlatform(t, nil)
	p.create(shop, api.NewWorker{Ephemeral: true})
	drawn := map[string]bool{}
	for range 4 {
		p.want(shop, "[2]", "inc", 2)
		p.want(shop, "[7]", "file_inc", 7)
		v, err := p.invoke(shop, "roll")
		must(t, err)
		if drawn[string(v.Result)] {
			t.Errorf("%s is drawn twice", v.Result)
		}
		drawn[string(v.Result)] = true
		if _, err := p.invoke(shop, "print", 3); err != nil {
			t.Error(err)
		}
		if d := p.becomes(shop, api.Idle); d.Resident || !d.Ephemeral {
			t.Errorf("got %+v", d)
		}
		p.restart()
	}
	if n := p.count(shop, func(b oplog.Body) bool { _, ok := b.(*oplog.Log); return ok }); n < 4*2 {
		t.Errorf("%d entries of its log, want 8 at least", n)
	}
	if n := p.count(shop, func(b oplog.Body) bool { _, ok := b.(*oplog.HostCall); return ok }); n != 0 {
		t.Errorf("%d calls are recorded, want none", n)
	}
}

func TestAnEphemeralInvocationBeginsAnewAfterARestart(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.SuspendAfter = 1 })
	p.create(shop, api.NewWorker{Ephemeral: true})
	p.async(shop, "a", "nap", 200)
	p.becomes(shop, api.Running)
	p.restart()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := p.Invocation(ctx, shop, "a", true)
	must(t, err)
	var ms []int64
	must(t, json.Unmarshal(v.Result, &ms))
	if v.Attempts != 1 || ms[0] < 200 {
		t.Errorf("got %s after %d attempts", v.Result, v.Attempts)
	}
	if v, err = p.invoke(shop, "flaky", 1<<40); err != nil || v.Attempts != 3 {
		t.Errorf("%d attempts (%v), want 3", v.Attempts, err)
	}
	v, err = p.invoke(shop, "leave", 3)
	must(t, err)
	if v.State != api.StateFailed {
		t.Errorf("got %+v", v)
	}
	p.becomes(shop, api.Exited)
}

func TestACommandRunsWithItsArgumentsOverTheWorkersFiles(t *testing.T) {
	p := newPlatform(t, nil)
	p.deploy("ledger", guests.Wasm(t, "ledger"))
	w := id.Worker{Component: "ledger", Name: "x"}
	run := func(args ...any) string {
		v, err := p.invoke(w, "run", args...)
		must(t, err)
		return string(v.Result)
	}
	said := []string{run("no-such-command"), run("no-such-command"), run()}
	p.restart()
	if again := run("no-such-command"); again != said[0] {
		t.Errorf("got %s and after a restart %s", said[0], again)
	}
	_, err := p.invoke(w, "run", 3)
	p.refused(err, api.CodeBadArguments)
	_, err = p.invoke(w, "other")
	p.refused(err, api.CodeNoFunction)
}

func TestAWorkerBeginsWithWhatItWasGiven(t *testing.T) {
	p := newPlatform(t, nil)
	n := api.NewWorker{
		Args: []string{"a", "b"}, Env: []string{"K=V", "L=W", "M=X"},
		Files: map[string]string{"/counter": "KgAAAAAAAAA=", "/deep/er/file": ""}, // 42
	}
	p.create(shop, n)
	for range 2 {
		p.want(shop, "[303]", "count")
		p.restart()
	}
	p.want(shop, "[43]", "file_inc", 1)
	p.restart()
	p.want(shop, "[44]", "file_inc", 1)
	// Creating it alike changes nothing; otherwise it is refused.
	if created, err := p.Create(t.Context(), shop, n); created || err != nil {
		t.Errorf("created: %t, %v", created, err)
	}
	for _, change := range []func(*api.NewWorker){
		func(n *api.NewWorker) { n.Args = []string{"a"} },
		func(n *api.NewWorker) { n.Env = nil },
		func(n *api.NewWorker) { n.Ephemeral = true },
		func(n *api.NewWorker) { n.Files = map[string]string{"/counter": "KwAAAAAAAAA="} },
		func(n *api.NewWorker) { n.Files = nil },
		func(n *api.NewWorker) { n.Settings.Limits.Queue = 3 },
	} {
		other := n
		change(&other)
		_, err := p.Create(t.Context(), shop, other)
		p.refused(err, api.CodeWorkerExists)
	}
	for _, bad := range []api.NewWorker{
		{Args: []string{"a\x00"}},
		{Env: []string{"novalue"}},
		{Env: []string{"=v"}},
		{Files: map[string]string{"relative": ""}},
		{Files: map[string]string{"/a/../b": ""}},
		{Files: map[string]string{"/a": "!"}},
		{Files: map[string]string{"/": ""}},
		{Files: map[string]string{"/a": "", "/a/b": ""}},
	} {
		_, err := p.Create(t.Context(), named("bad"), bad)
		p.refused(err, api.CodeInvalid)
	}
	_, err := p.Create(t.Context(), named("bad"), api.NewWorker{Revision: 9})
	p.refused(err, api.CodeNoRevision)
	_, err = p.Create(t.Context(), named("bad"), api.NewWorker{Args: []string{string(make([]byte, 300<<10))}})
	if err == nil {
		t.Error("arguments without end are taken")
	}
}
