package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// leaving sends those out of memory who wait, at once, and keeps nothing there.
func leaving(c *worker.Config) {
	c.MaxInstances, c.MaxRunning, c.IdleAfter, c.SuspendAfter = 2, 2, 5*time.Millisecond, time.Nanosecond
}

// pair is what the oplogs of a caller and of the worker called have of one call.
type pair struct {
	logs   storage.Logs
	kinds  [2][]oplog.Body
	result string
}

var pairOf = [2]id.Worker{caller("a"), caller("b")}

// recordPair lets a call b, under the key k, with one step.
func recordPair(t *testing.T, change func(*worker.Config), script []string) pair {
	t.Helper()
	p := callers(t, change)
	p.async(pairOf[0], "k", "steps", script)
	v, err := p.Invocation(t.Context(), pairOf[0], "k", true)
	must(t, err)
	p.close()
	made := pair{logs: p.store.Logs(), result: string(v.Result)}
	for i, w := range pairOf {
		for e, err := range oplog.Read(t.Context(), made.logs, w, 1, 0) {
			must(t, err)
			made.kinds[i] = append(made.kinds[i], e.Body)
		}
	}
	return made
}

// upTo counts the entries up to the first of a kind.
func upTo[T oplog.Body](entries []oplog.Body) int {
	return 1 + slices.IndexFunc(entries, func(b oplog.Body) bool { _, ok := b.(T); return ok })
}

// resumed is a platform where both go on behind the first entries of each.
func (l pair) resumed(t *testing.T, change func(*worker.Config), lengths [2]int) *platform {
	t.Helper()
	p := callers(t, change)
	for i, w := range pairOf {
		if lengths[i] == 0 {
			continue
		}
		p.agenda.Hold(w) // as whoever has something to do
		writer := p.committer.NewWriter(w, 0)
		for e, err := range oplog.Read(t.Context(), l.logs, w, 1, oplog.Index(lengths[i])) {
			must(t, err)
			_, err := writer.Append(t.Context(), e.Body)
			must(t, err)
		}
		must(t, writer.Commit(t.Context()))
	}
	// What they have to do is found by the agenda alone, as after a crash.
	p.restart()
	return p
}

// resume gives what comes of that.
func (l pair) resume(t *testing.T, change func(*worker.Config), lengths [2]int) string {
	t.Helper()
	p := l.resumed(t, change, lengths)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v, err := p.Invocation(ctx, pairOf[0], "k", true)
	must(t, err)
	if v.State != api.StateFinished {
		t.Fatalf("after %v entries: %s %+v", lengths, v.State, v.Failure)
	}
	result := string(v.Result)
	b, err := p.invoke(pairOf[1], "add", 0)
	must(t, err)
	p.close()
	return result + string(b.Result)
}

func TestACallHappensOnceWhereverItsWorkersDie(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*worker.Config)
		script []string
	}{
		{"waiting in memory", nil, []string{"invoke callers/b add [1]"}},
		{"waiting out of memory", leaving, []string{"invoke callers/b add [1]"}},
		{"not waiting", nil, []string{"start callers/b add [1]"}},
		{"waiting later", leaving, []string{"start callers/b add [1]", "await callers/b 0"}},
		{"failing", nil, []string{"invoke callers/b fail [\"no\"]", "invoke callers/b add [1]"}},
		{"coming back", nil, []string{`invoke callers/b relay [["callers/a"],1]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := recordPair(t, c.change, c.script)
			want := first.result + first.resume(t, c.change, [2]int{len(first.kinds[0]), len(first.kinds[1])})[len(first.result):]
			a, b := first.kinds[0], first.kinds[1]
			intent, accepted, ended := upTo[*oplog.HostCallStarted](a), upTo[*oplog.InvocationAccepted](b), len(b)
			for n := upTo[*oplog.InvocationAccepted](a); n <= len(a); n++ {
				for m := 0; m <= len(b); m++ {
					// What was durable of b was so after the intent, and the outcome of the
					// last call after all that b did for it.
					finished := slices.ContainsFunc(a[:n], func(b oplog.Body) bool { _, ok := b.(*oplog.HostCallFinished); return ok })
					if m > 0 && n < intent || finished && m < ended && c.name != "not waiting" || finished && m < accepted {
						continue
					}
					if testing.Short() && (n*7+m)%3 != 0 {
						continue
					}
					if got := first.resume(t, c.change, [2]int{n, m}); got != want {
						t.Errorf("after %d of %d and %d of %d entries (%s, %s): got %s, want %s", n, len(a), m, len(b), oplog.Name(a[n-1]), nameOf(b, m), got, want)
					}
				}
			}
		})
	}
}

func nameOf(entries []oplog.Body, n int) string {
	if n == 0 {
		return "none"
	}
	return oplog.Name(entries[n-1])
}

// TestWhoeverWaitsNeedsNoInstance lets workers wait for one that is busy for long.
func TestWhoeverWaitsNeedsNoInstance(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 200
	}
	p := callers(t, func(c *worker.Config) {
		c.MaxInstances, c.SuspendAfter, c.IdleAfter = 20, 50*time.Millisecond, 50*time.Millisecond
		c.Defaults.Limits.Queue = 1 << 20
	})
	busy := caller("busy")
	p.async(busy, "nap", "nap", 3_600_000)
	for i := range n {
		p.async(caller(fmt.Sprint("w", i)), "k", "steps", []string{"invoke callers/busy add [1]"})
	}
	p.eventually("all wait", func() bool {
		v, err := p.Worker(t.Context(), busy)
		must(t, err)
		s := p.Stats()
		return v.Queue == uint64(n+1) && s.Instances == 0 && s.Workers <= 10
	})
	v := p.becomes(caller("w0"), api.Suspended)
	if want := "it waits for the end of "; v.Reason[:len(want)] != want {
		t.Errorf("the reason is %q", v.Reason)
	}
	p.restart()
	if _, err := p.Cancel(t.Context(), busy, "nap"); err != nil {
		t.Fatal(err)
	}
	var seen int64
	sum := int64(0)
	for i := range n {
		w := caller(fmt.Sprint("w", i))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		v, err := p.Invocation(ctx, w, "k", true)
		cancel()
		must(t, err)
		var got [][]string
		must(t, json.Unmarshal(v.Result, &got))
		_, err = fmt.Sscanf(got[0][0], "[%d]", &seen)
		must(t, err)
		sum += seen
	}
	if want := int64(n) * int64(n+1) / 2; sum != want {
		t.Errorf("the sum of what they were told is %d, want %d", sum, want)
	}
}

func TestWhoHasCalledIsSaidAfterACrashToo(t *testing.T) {
	first := recordPair(t, nil, []string{"invoke callers/b add [1]"})
	for n := upTo[*oplog.InvocationAccepted](first.kinds[0]); n <= upTo[*oplog.HostCallStarted](first.kinds[0]); n++ {
		p := first.resumed(t, nil, [2]int{n, 0})
		p.ends(pairOf[0], "k", api.StateFinished, first.result)
		v, err := p.Invocation(t.Context(), pairOf[1], first.kinds[1][1].(*oplog.InvocationAccepted).Key, false)
		if err != nil {
			// Of another life the seed is another.
			t.Fatal(err)
		}
		if v.Caller == nil || v.Caller.Key != "k" {
			t.Errorf("after %d entries b is called by %+v", n, v.Caller)
		}
		p.close()
	}
}
