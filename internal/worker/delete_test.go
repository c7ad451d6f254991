package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestAWorkerCanBeDeletedInEveryState(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.Defaults.Retry.Initial = api.Duration(time.Hour) })
	p.deploy("trapping", trapping)
	states := map[api.Status]func(w id.Worker){
		api.Idle:      func(w id.Worker) { p.want(w, "[1]", "inc", 1) },
		api.Running:   func(w id.Worker) { p.async(w, "a", "spin") },
		api.Suspended: func(w id.Worker) { p.async(w, "a", "nap", 1_000_000) },
		api.Interrupted: func(w id.Worker) {
			p.async(w, "a", "spin")
			must(t, p.Interrupt(t.Context(), w, ""))
		},
		api.Retrying: func(w id.Worker) { p.async(w, "a", "flaky", 1<<40) },
		api.Exited:   func(w id.Worker) { p.async(w, "a", "leave", 1) },
		api.Failed: func(w id.Worker) {
			_, err := p.invoke(w, "f")
			p.refused(err, api.CodeWorkerFailed)
		},
	}
	for _, status := range api.Statuses() {
		t.Run(string(status), func(t *testing.T) {
			w := named("w")
			if status == api.Failed {
				w.Component = "trapping"
			}
			for _, restart := range []bool{false, true} {
				states[status](w)
				p.becomes(w, status)
				if restart {
					p.restart()
				}
				must(t, p.Delete(t.Context(), w))
				_, err := p.Worker(t.Context(), w)
				p.refused(err, api.CodeNoWorker)
				p.refused(p.Delete(t.Context(), w), api.CodeNoWorker)
				if status != api.Failed {
					p.want(w, "[1]", "inc", 1) // at once, and anew
					must(t, p.Delete(t.Context(), w))
				}
			}
		})
	}
	if n := p.agenda.Len(); n != 0 {
		t.Errorf("the agenda still has %d", n)
	}
}

func TestWhoWaitsForAWorkerThatIsDeletedIsTold(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[0]", "get")
	errs := make(chan error)
	for _, key := range []string{"a", "b"} {
		go func() { // a client
			_, err := p.Invoke(t.Context(), shop, api.Call{Function: "spin", Key: key})
			errs <- err
		}()
	}
	p.eventually("both wait", func() bool {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		return d.Queue == 2
	})
	must(t, p.Delete(t.Context(), shop))
	for range 2 {
		if err := <-errs; code(err) != api.CodeNoWorker {
			t.Errorf("got %v", err)
		}
	}
}

func TestDeletingAndCreatingAtOnceLosesNobody(t *testing.T) {
	p := newPlatform(t, nil)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for n := range 15 {
				if i == 0 {
					if err := p.Delete(t.Context(), shop); err != nil && code(err) != api.CodeNoWorker {
						t.Error(err)
					}
					continue
				}
				v, err := p.Invoke(t.Context(), shop, api.Call{Function: "add", Args: fmt.Appendf(nil, "[%d,%d]", i, n)})
				if c := code(err); err != nil && c != api.CodeNoWorker && c != api.CodeWorkerBusy && c != api.CodeStopping {
					t.Error(err)
				}
				if err == nil && string(v.Result) != fmt.Sprintf("[%d]", i+n) {
					t.Errorf("got %+v", v)
				}
			}
		})
	}
	wait.Wait()
	p.restart()
	if _, err := p.invoke(shop, "inc", 1); err != nil {
		t.Error(err)
	}
}

func TestAListHasWhatTheFilterChooses(t *testing.T) {
	p := newPlatform(t, nil)
	p.deploy("other", []byte(strings.Replace(string(trapping), "\x08\x01\x00", "", 1)))
	for i := range 7 {
		p.create(named(fmt.Sprint("w", i)), api.NewWorker{Env: []string{fmt.Sprint("N=", i), "ALL=x"}})
	}
	p.create(id.Worker{Component: "other", Name: "w0"}, api.NewWorker{})
	must(t, p.Interrupt(t.Context(), named("w3"), "r"))
	middle := func() time.Time {
		d, err := p.Worker(t.Context(), named("w4"))
		must(t, err)
		return d.Created
	}()
	for what, c := range map[string]struct {
		filter api.WorkerFilter
		want   string
	}{
		"all":       {api.WorkerFilter{}, "kit/w0 kit/w1 kit/w2 kit/w3 kit/w4 kit/w5 kit/w6 other/w0"},
		"component": {api.WorkerFilter{Component: "other"}, "other/w0"},
		"none":      {api.WorkerFilter{Component: "oth"}, ""},
		"name":      {api.WorkerFilter{Name: "w[12]"}, "kit/w1 kit/w2"},
		"status":    {api.WorkerFilter{Status: api.Interrupted}, "kit/w3"},
		"variable":  {api.WorkerFilter{Env: "ALL", Name: "w?"}, "kit/w0 kit/w1 kit/w2 kit/w3 kit/w4 kit/w5 kit/w6"},
		"value":     {api.WorkerFilter{Env: "N=5"}, "kit/w5"},
		"revision":  {api.WorkerFilter{Revision: 2}, ""},
		"after":     {api.WorkerFilter{Component: "kit", CreatedAfter: middle}, "kit/w5 kit/w6"},
		"before":    {api.WorkerFilter{CreatedBefore: middle, Name: "w3"}, "kit/w3"},
	} {
		for _, limit := range []int{1, 3, 100} {
			var names []string
			cursor := ""
			for range 20 {
				page, err := p.List(t.Context(), c.filter, func(string) bool { return false }, cursor, limit)
				must(t, err)
				if len(page.Items) > limit {
					t.Fatalf("%s: a page of %d, and the limit is %d", what, len(page.Items), limit)
				}
				for _, w := range page.Items {
					names = append(names, w.Component+"/"+w.Name)
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s, %d at a time: got %q, want %q", what, limit, got, c.want)
			}
		}
	}
	page, err := p.List(t.Context(), api.WorkerFilter{}, func(c string) bool { return c == "kit" }, "", 100)
	must(t, err)
	if len(page.Items) != 1 {
		t.Errorf("got %d of those that may be seen", len(page.Items))
	}
	for _, bad := range []string{"x", "/", "a/b/c", "A B/c"} {
		_, err = p.List(t.Context(), api.WorkerFilter{}, func(string) bool { return false }, bad, 1)
		p.refused(err, api.CodeInvalid)
	}
	_, err = p.List(t.Context(), api.WorkerFilter{Name: "["}, func(string) bool { return false }, "", 1)
	p.refused(err, api.CodeInvalid)
}

func TestAListTellsOfWorkersOutOfMindWhatTheyTellThemselves(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.Defaults.Retry.Initial = api.Duration(time.Hour) })
	p.async(named("retrying"), "a", "flaky", 1<<40)
	p.async(named("suspended"), "a", "nap", 1_000_000)
	p.async(named("interrupted"), "a", "nap", 1_000_000)
	must(t, p.Interrupt(t.Context(), named("interrupted"), "r"))
	p.async(named("exited"), "a", "leave", 1)
	_, err := p.Invoke(t.Context(), named("scheduled"), api.Call{Function: "get", Key: "a", Due: time.Now().Add(time.Hour)})
	must(t, err)
	p.want(named("idle"), "[1]", "inc", 1)
	names := []string{"retrying", "suspended", "interrupted", "exited", "scheduled", "idle"}
	statuses := []api.Status{api.Retrying, api.Suspended, api.Interrupted, api.Exited, api.Idle, api.Idle}
	look := func() map[string]api.Worker {
		page, err := p.List(t.Context(), api.WorkerFilter{}, nil, "", 100)
		must(t, err)
		all := map[string]api.Worker{}
		for _, w := range page.Items {
			w.Changed = time.Time{}
			all[w.Name] = w
		}
		return all
	}
	for i, name := range names {
		p.becomes(named(name), statuses[i])
	}
	inMind := look()
	p.restart()
	outOfMind := look()
	for _, name := range slices.Sorted(slices.Values(names)) {
		a, b := inMind[name], outOfMind[name]
		if fmt.Sprint(a.Status, a.Reason, a.Queue, a.Entries) != fmt.Sprint(b.Status, b.Reason, b.Queue, b.Entries) || (a.Wake == nil) != (b.Wake == nil) {
			t.Errorf("%s: in mind %+v, out of mind %+v", name, a, b)
		}
	}
}

func TestWhoStopsWaitingIsToldThatTheNodeStops(t *testing.T) {
	p := newPlatform(t, nil)
	p.want(shop, "[1]", "inc", 1)
	errs := make(chan error)
	for _, key := range []string{"a", "b"} {
		go func() { // a client
			_, err := p.Invoke(context.Background(), shop, api.Call{Function: "spin", Key: key})
			errs <- err
		}()
	}
	p.eventually("both wait", func() bool {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		return d.Queue == 2
	})
	p.close()
	for range 2 {
		if err := <-errs; code(err) != api.CodeStopping {
			t.Errorf("got %v", err)
		}
	}
	_, err := p.invoke(shop, "get")
	p.refused(err, api.CodeStopping)
	p.open()
	if d := p.becomes(shop, api.Running); d.Queue != 2 {
		t.Errorf("a queue of %d", d.Queue)
	}
}

func TestANodeThatStopsLetsInvocationsEndForAWhile(t *testing.T) {
	p := newPlatform(t, nil)
	p.async(shop, "a", "nap", 300)
	p.async(shop, "b", "inc", 1)
	p.async(named("spins"), "a", "spin")
	p.eventually("the nap has begun", func() bool {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		return d.Pending[0].State == api.StateStarted
	})
	grace, cancel := context.WithTimeoutCause(t.Context(), 600*time.Millisecond, errors.New("the grace is over"))
	defer cancel()
	p.Workers.Close(grace)
	p.Workers.Close(grace) // twice is as once
	ends := 0
	p.agenda.Close()
	must(t, p.committer.Close())
	p.restart()
	for _, key := range []string{"a", "b"} {
		v, err := p.Invocation(t.Context(), shop, key, false)
		must(t, err)
		if v.State.Done() {
			ends++
		}
	}
	if ends == 0 {
		t.Error("no invocation has ended in the time that there was")
	}
	p.ends(shop, "b", api.StateFinished, "[1]")
	p.becomes(named("spins"), api.Running)
}
