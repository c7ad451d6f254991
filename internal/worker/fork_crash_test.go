package worker_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// forkScript forks callers/a in the middle.
var forkScript = []string{"write /x 1", "sleep 20", "add 1", "key", "fork b", "sleep 20", "as b write /x 2", "read /x", "add 10"}

// forkedOnce demands that there are the two, and those other workers, each of the two
// with what it came to.
func (p *platform) forkedOnce(others ...string) {
	p.t.Helper()
	a, b := caller("a"), caller("b")
	mine, copied := p.result(a, "k"), p.result(b, "k")
	if mine[3] != copied[3] {
		p.t.Errorf("before the fork the one had %s, the other %s", mine[3], copied[3])
	}
	mine[3], copied[3] = "", ""
	equal(p.t, "the original", mine, []string{"", "", "6", "", "original of callers/b", "", "", "1", "16"})
	equal(p.t, "the copy", copied, []string{"", "", "6", "", "forked as callers/b", "", "", "2", "16"})
	p.want(a, "[16]", "add", 0)
	p.want(b, "[16]", "add", 0)
	page, err := p.List(p.t.Context(), api.WorkerFilter{Component: "callers"}, nil, "", 10)
	must(p.t, err)
	names := []string{}
	for _, w := range page.Items {
		names = append(names, w.Name)
	}
	equal(p.t, "the workers", names, append([]string{"a", "b"}, others...))
}

// TestACopyIsMadeOnceWhereverItsWorkersDie lets either of them go on behind each of
// its entries.
func TestACopyIsMadeOnceWhereverItsWorkersDie(t *testing.T) {
	for name, change := range map[string]func(*worker.Config){"in memory": nil, "out of memory": leaving} {
		t.Run(name, func(t *testing.T) {
			entries := func(c *worker.Config) { // a copy has all of its origin's
				if change != nil {
					change(c)
				}
				c.ImageAfter = -1
			}
			p := callers(t, entries)
			a := caller("a")
			p.want(a, "[5]", "add", 5)
			p.async(a, "k", "steps", forkScript)
			p.forkedOnce()
			p.close()
			var kept [2][]oplog.Body
			for i, w := range pairOf {
				for e, err := range oplog.Read(t.Context(), p.store.Logs(), w, 1, 0) {
					must(t, err)
					kept[i] = append(kept[i], e.Body)
				}
			}
			accepted := 1 + slices.IndexFunc(kept[0], func(b oplog.Body) bool {
				a, ok := b.(*oplog.InvocationAccepted)
				return ok && a.Key == "k"
			})
			intent := upTo[*oplog.Forked](kept[1]) - 1
			whole := intent + 2 // of the copy, at least
			tried := 0
			for n := accepted; n <= len(kept[0]); n++ {
				for m := 0; m <= len(kept[1]); m++ {
					switch {
					case m > 0 && m < whole: // it is durable as a whole
						continue
					case m == 0 && n > intent, m > 0 && n < intent: // there is none before the intent, and one behind its outcome
						continue
					case testing.Short() && (5*n+m)%7 != 0:
						continue
					}
					tried++
					made := pair{kinds: kept, logs: p.store.Logs()}
					q := made.resumed(t, entries, [2]int{n, m})
					q.forkedOnce()
					q.close()
					if t.Failed() {
						t.Fatalf("behind %d of %d and %d of %d entries", n, len(kept[0]), m, len(kept[1]))
					}
				}
			}
			t.Logf("%d ways", tried)
		})
	}
}

// TestACopyIsMadeOnceAtWhicheverWriteTheProcessEnds lets the two count elsewhere.
func TestACopyIsMadeOnceAtWhicheverWriteTheProcessEnds(t *testing.T) {
	script := slices.Clone(forkScript)
	script[1], script[5] = "invoke callers/n add [1]", "invoke callers/n add [1]"
	call := api.Call{Function: "steps", Key: "k", Existing: true}
	var err error
	call.Args, err = json.Marshal([][]string{script})
	must(t, err)
	step := 1
	if testing.Short() {
		step = 3
	}
	for _, behind := range []bool{false, true} {
		at := 1
		for done := false; !done && !t.Failed(); at += step {
			store, l := memory.New(), &life{behind: behind}
			l.left.Store(forever)
			s := setup{change: func(c *worker.Config) { leaving(c); c.ImageAfter = 0 }, open: func() storage.Store { return mortal{store.Reopen(), l} }}
			p := callersOn(t, s)
			a, b := caller("a"), caller("b")
			p.want(a, "[5]", "add", 5)
			l.left.Store(int64(at))
			call.Async = true
			if _, err := p.Invoke(t.Context(), a, call); err != nil && l.left.Load() > 0 {
				t.Fatalf("before write %d: %v", at, err)
			}
			p.eventually("both have ended, or the process has", func() bool {
				ended := func(w id.Worker) bool {
					v, err := p.Invocation(t.Context(), w, "k", false)
					return err == nil && v.State == api.StateFinished
				}
				done = l.left.Load() > 0 && ended(a) && ended(b)
				return done || l.left.Load() <= 0
			})
			l.left.Store(min(l.left.Load(), 1))
			now, cancel := context.WithCancel(t.Context())
			cancel()
			p.Workers.Close(now)
			p.agenda.Close()
			_ = p.committer.Close()
			must(t, p.catalog.Close())
			l.left.Store(forever)
			p.open()
			call.Async = false
			v, err := p.Invoke(t.Context(), a, call)
			must(t, err)
			if got := p.given(v, nil)[1]; got != "[1]" {
				t.Errorf("n told the original %s first", got)
			}
			p.eventually("the copy has ended", func() bool {
				v, err := p.Invocation(t.Context(), b, "k", true)
				return err == nil && v.State == api.StateFinished
			})
			p.want(caller("n"), "[3]", "add", 0)
			mine, copied := p.result(a, "k"), p.result(b, "k")
			if got := mine[5] + copied[5]; got != "[2][3]" && got != "[3][2]" {
				t.Errorf("n told the two %s", got)
			}
			if t.Failed() {
				t.Fatalf("the process ended at write %d, behind it: %t", at, behind)
			}
			p.close()
		}
		if at < 10 {
			t.Errorf("there were only %d writes", at)
		}
	}
}
