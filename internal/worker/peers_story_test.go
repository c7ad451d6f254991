package worker_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// story is what a worker's oplog has of its calls and its invocations.
func (p *platform) story(w id.Worker) (list []string) {
	p.t.Helper()
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		switch b := e.Body.(type) {
		case *oplog.InvocationAccepted:
			from := "a client"
			if b.Caller.Worker != "" {
				from = b.Caller.Worker
			}
			list = append(list, fmt.Sprintf("accepted %s of %s", b.Function, from))
		case *oplog.InvocationFailed:
			list = append(list, fmt.Sprintf("attempt %d failed", b.Attempt))
		case *oplog.InvocationStarted:
			if b.Accepted != 0 {
				list = append(list, fmt.Sprintf("attempt %d", b.Attempt))
			}
		case *oplog.InvocationFinished:
			if b.Accepted != 0 {
				list = append(list, "finished")
			}
		case *oplog.HostCallStarted:
			list = append(list, "calls")
		case *oplog.HostCallFinished:
			list = append(list, "is answered")
		case *oplog.Suspended:
			list = append(list, "leaves memory")
		}
	}
	return list
}

// TestASleepingCallerOfAFailingWorkerIsToldAndGoesOn is a story: what is called fails,
// is tried again, and fails for good, while the caller is out of memory and the node
// is restarted.
func TestASleepingCallerOfAFailingWorkerIsToldAndGoesOn(t *testing.T) {
	p := callers(t, leaving)
	p.create(caller("b"), api.NewWorker{Settings: api.Settings{Retry: api.Retry{Attempts: 3, Initial: api.Duration(150 * time.Millisecond), Max: api.Duration(150 * time.Millisecond)}}})
	// With a clock reading in it a failed attempt is worth another.
	p.async(caller("a"), "k", "steps", []string{`invoke callers/b steps [["sleep\u00201","trap-before\u00209"]]`, "invoke callers/b add [1]"})
	p.becomes(caller("b"), api.Retrying)
	p.becomes(caller("a"), api.Suspended)
	p.restart()
	v, err := p.Invocation(t.Context(), caller("a"), "k", true)
	if got := p.given(v, err); !strings.HasPrefix(got[0], "Failure::Failed: steps of callers/b failed: ") || got[1] != "[1]" {
		t.Errorf("a was told %q", got)
	}
	if v.Attempts != 1 {
		t.Errorf("a has made %d attempts", v.Attempts)
	}
	p.close()
	calls := p.story(caller("a"))
	if !slices.Contains(calls, "leaves memory") {
		t.Error("a has not left memory")
	}
	// How often that is, and whether for a call that is over soon, is a matter of time.
	calls = slices.DeleteFunc(calls, func(s string) bool { return s == "leaves memory" })
	for _, c := range []struct {
		got  []string
		want []string
	}{
		{calls, []string{"accepted steps of a client", "attempt 1", "calls", "is answered", "calls", "is answered", "finished"}},
		{slices.DeleteFunc(p.story(caller("b")), func(s string) bool { return s == "leaves memory" || s == "calls" || s == "is answered" }), []string{
			"accepted steps of callers/a", "attempt 1", "attempt 1 failed", "attempt 2", "attempt 2 failed", "attempt 3", "attempt 3 failed",
			"accepted add of callers/a", "attempt 1", "finished",
		}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("the trace is\n%s\nwant\n%s", strings.Join(c.got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	p.open()
}

// TestAQueueOfCallsIsWorkedOffOverRestarts lets several workers wait for one that is
// busy, in the order in which they called.
func TestAQueueOfCallsIsWorkedOffOverRestarts(t *testing.T) {
	p := callers(t, leaving)
	b := caller("b")
	p.async(b, "nap", "nap", 3_600_000)
	const n = 6
	for i := range n {
		w := caller(fmt.Sprint("w", i))
		p.async(w, "k", "steps", []string{"invoke callers/b add [1]"})
		p.eventually("it has called", func() bool {
			v, err := p.Worker(t.Context(), b)
			must(t, err)
			return v.Queue == uint64(i+2)
		})
	}
	p.restart()
	_, err := p.Cancel(t.Context(), b, "nap")
	must(t, err)
	p.restart()
	for i := range n {
		p.ends(caller(fmt.Sprint("w", i)), "k", api.StateFinished, fmt.Sprintf(`[["[%d]"]]`, i+1))
	}
}

// calling runs a workload that follows from a seed, of workers that call each other,
// and gives every answer.
func (p *platform) calling(seed uint64, between func()) string {
	random := rand.New(rand.NewPCG(seed, 2))
	var said strings.Builder
	name := func() string { return fmt.Sprint("callers/w", random.IntN(4)) }
	for i := range 30 {
		between()
		w := caller(fmt.Sprint("w", random.IntN(4)))
		path := []string{name(), name(), name()}[:1+random.IntN(3)]
		function, args := "", []any{}
		switch random.IntN(5) {
		case 0:
			function, args = "relay", []any{path, random.IntN(9)}
		case 1:
			function, args = "pay", []any{path, random.IntN(9)}
		case 2:
			function, args = "steps", []any{[]string{"start callers/v add [1]", "start callers/u add [2]", "await callers/v 0", "await callers/u 1"}}
			w = caller(fmt.Sprint("fresh", i))
		case 3:
			function, args = "steps", []any{[]string{"invoke callers/v fail [\"x\"]", "invoke callers/u add [1]", "trap-before 2", "print done"}}
		case 4:
			function, args = "steps", []any{[]string{"invoke callers/v nap [2]", "invoke none/x add [1]", "invoke callers/u none []"}}
		}
		raw, err := json.Marshal(args)
		must(p.t, err)
		v := p.patiently(w, api.Call{Function: function, Args: raw})
		fmt.Fprintf(&said, "%d %s %s%s: %s %s", i, w, function, raw, v.State, v.Result)
		if v.Failure != nil {
			said.WriteString(" " + v.Failure.Reason)
		}
		said.WriteString("\n")
	}
	for _, w := range []string{"w0", "w1", "w2", "w3", "u", "v"} {
		v := p.patiently(caller(w), api.Call{Function: "add", Args: json.RawMessage("[0]")})
		fmt.Fprintln(&said, w, string(v.Result))
	}
	return said.String()
}

// patiently invokes a function, and does so again as long as there are so many
// workers in mind that nothing is accepted.
func (p *platform) patiently(w id.Worker, call api.Call) api.Invocation {
	p.t.Helper()
	for {
		v, err := p.Invoke(p.t.Context(), w, call)
		if code(err) != api.CodeOverloaded {
			must(p.t, err)
			return v
		}
		must(p.t, p.Sched.Sleep(p.t.Context(), time.Millisecond))
	}
}

// TestNobodyCanTellHowWorkersThatCallEachOtherAreKept gives workers little or much
// room, memory and life: their answers are the same.
func TestNobodyCanTellHowWorkersThatCallEachOtherAreKept(t *testing.T) {
	for seed := range uint64(2) {
		want := ""
		for _, way := range []struct {
			name    string
			change  func(*worker.Config)
			restart int
		}{
			{"in memory", nil, 0},
			{"out of memory at once", leaving, 0},
			{"with one instance", func(c *worker.Config) { leaving(c); c.MaxInstances, c.MaxRunning, c.SuspendAfter = 1, 1, time.Hour }, 0},
			{"imaged after each call", func(c *worker.Config) { leaving(c); c.ImageAfter = 0 }, 7},
			{"never imaged", func(c *worker.Config) { leaving(c); c.ImageAfter = -1 }, 11},
			{"restarted", nil, 3},
			{"with few records", func(c *worker.Config) { leaving(c); c.MaxResident = 4 }, 0},
		} {
			t.Run(fmt.Sprintf("%d/%s", seed, way.name), func(t *testing.T) {
				p := newPlatform(t, way.change)
				p.deploy("callers", guests.Wasm(t, "components/callers"))
				n := 0
				got := p.calling(seed, func() {
					if n++; way.restart > 0 && n%way.restart == 0 {
						p.restart()
					}
				})
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("the answers differ:\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}
