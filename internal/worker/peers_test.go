package worker_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// callers is a platform with the component callers.
func callers(t testing.TB, change func(*worker.Config)) *platform {
	t.Helper()
	return callersOn(t, setup{change: change})
}

func callersOn(t testing.TB, s setup) *platform {
	t.Helper()
	p := s.platform(t)
	p.deploy("callers", guests.Wasm(t, "components/callers"))
	return p
}

// caller is a worker of it.
func caller(name string) id.Worker { return id.Worker{Component: "callers", Name: name} }

// steps lets a worker call others, and gives what comes of each.
func (p *platform) steps(w id.Worker, script ...string) []string {
	p.t.Helper()
	return p.given(p.invoke(w, "steps", script))
}

func (p *platform) given(v api.Invocation, err error) (list []string) {
	p.t.Helper()
	must(p.t, err)
	if v.State != api.StateFinished {
		p.t.Fatalf("%s%s: %s %+v", v.Function, v.Args, v.State, v.Failure)
	}
	var all [][]string
	must(p.t, json.Unmarshal(v.Result, &all))
	return all[0]
}

// gives demands what comes of steps; one that ends with … begins so.
func (p *platform) gives(w id.Worker, want map[string]string, script ...string) {
	p.t.Helper()
	got := p.steps(w, script...)
	for i, step := range script {
		wanted, ok := want[step]
		if begin, is := strings.CutSuffix(wanted, "…"); is {
			ok = ok && strings.HasPrefix(got[i], begin)
		} else {
			ok = ok && got[i] == wanted
		}
		if !ok {
			p.t.Errorf("%s: got %q, want %q", step, got[i], wanted)
		}
	}
}

func TestAWorkerCallsAnother(t *testing.T) {
	p := callers(t, nil)
	p.deploy("kit", guests.Wasm(t, "kit"))
	p.gives(caller("a"), map[string]string{
		"invoke callers/b add [5]":            "[5]",
		"invoke callers/b add [6]":            "[11]",
		"invoke callers/b fail [\"no\"]":      "Failure::Failed: fail of callers/b failed: …",
		"invoke callers/b none []":            "Failure::NoFunction: …",
		"invoke callers/b add [\"x\"]":        "Failure::BadArguments: …",
		"invoke none/b add [1]":               "Failure::NoComponent: …",
		"invoke nothing add [1]":              "Failure::Invalid: …",
		"start callers/c add [1]":             "started 0",
		"await callers/c 0":                   "[1]",
		"poll callers/c 0":                    "[1]",
		"await-key callers/b none":            "Failure::NoInvocation: …",
		"await-key callers/none none":         "Failure::Deleted: …",
		"schedule callers/c add [1] 86400000": "started 1",
		"poll callers/c 1":                    "not yet",
		"cancel callers/c 1":                  "canceled",
		"await callers/c 1":                   "Failure::Canceled: …",
		"cancel callers/c 0":                  "Failure::Ended: …",
		"spawn callers/s A=1 {}":              "true",
		"spawn callers/s A=2 {}":              "Failure::Exists: …",
		"spawn callers/t A {}":                "Failure::Invalid: …",
		"spawn callers/t A=1 {\"limit\":1}":   "Failure::Invalid: …",
		"status callers/s":                    "callers/s revision 1 Idle queue 0",
		"status callers/t":                    "Failure::NoWorker: …",
		"large callers/b 530000":              "Failure::TooLarge: …",
		"invoke callers/a add [1]":            "Failure::Cycle: callers/a waits for callers/a: …",
	},
		"invoke callers/b add [5]", "invoke callers/b add [6]", "invoke callers/b fail [\"no\"]", "invoke callers/b none []",
		"invoke callers/b add [\"x\"]", "invoke none/b add [1]", "invoke nothing add [1]",
		"start callers/c add [1]", "await callers/c 0", "poll callers/c 0", "await-key callers/b none", "await-key callers/none none",
		"schedule callers/c add [1] 86400000", "poll callers/c 1", "cancel callers/c 1", "await callers/c 1", "cancel callers/c 0",
		"spawn callers/s A=1 {}", "spawn callers/s A=2 {}", "spawn callers/t A {}", "spawn callers/t A=1 {\"limit\":1}",
		"status callers/s", "status callers/t", "large callers/b 530000", "invoke callers/a add [1]")
	v, err := p.Worker(t.Context(), caller("b"))
	must(t, err)
	if v.Queue != 0 {
		t.Errorf("b has %d in its queue", v.Queue)
	}
	for _, kind := range []string{"callers", "nothing"} {
		list := p.steps(caller("a"), "list "+kind)
		want := 4
		if kind == "nothing" {
			want = 0
		}
		if n := strings.Count(list[0], "revision 1"); n != want {
			t.Errorf("the list of %s has %d, want %d:\n%s", kind, n, want, list[0])
		}
	}
}

func TestACalledInvocationSaysWhoHasCalled(t *testing.T) {
	p := callers(t, nil)
	p.async(caller("a"), "order-1", "steps", []string{"start callers/b add [1]"})
	p.ends(caller("a"), "order-1", api.StateFinished, `[["started 0"]]`)
	v, err := p.Worker(t.Context(), caller("b"))
	must(t, err)
	inv, err := p.Invocation(t.Context(), caller("b"), "i-2", true)
	must(t, err)
	if inv.Caller == nil || *inv.Caller != (api.Caller{Worker: "callers/a", Key: "order-1"}) {
		t.Errorf("called by %+v, want order-1 of callers/a; %+v", inv.Caller, v)
	}
}

func TestCallsInACircleAreRefused(t *testing.T) {
	p := callers(t, nil)
	for _, c := range []struct {
		path []string
		want string
	}{
		{[]string{"callers/a"}, "callers/a waits for callers/a:"},
		{[]string{"callers/b", "callers/a"}, "callers/b waits for callers/a waits for callers/b:"},
		{[]string{"callers/b", "callers/c", "callers/d", "callers/b"}, "callers/d waits for callers/b waits for callers/c waits for callers/d:"},
	} {
		v, err := p.invoke(caller("a"), "relay", c.path, 1)
		must(t, err)
		if !strings.Contains(string(v.Result), "Failure::Cycle: "+c.want) {
			t.Errorf("%v: got %s %+v, want %s", c.path, v.Result, v.Failure, c.want)
		}
	}
	// One that was started, and waits for the one who then waits for it.
	got := p.steps(caller("x"), `start callers/y relay [["callers/x"],1]`, "await callers/y 0")
	if !strings.Contains(fmt.Sprint(got), "Failure::Cycle") {
		t.Errorf("got %q", got)
	}
	// Nobody waits for what is only started: x gets to it when it is done.
	got = p.steps(caller("x"), `invoke callers/y steps [["start\u0020callers/x\u0020add\u0020[1]"]]`)
	if got[0] != `[["started 0"]]` {
		t.Errorf("got %q", got)
	}
	p.eventually("x has added", func() bool { return p.given(p.invoke(caller("x"), "steps", []string{"add 0"}))[0] == "1" })
}

// TestWhoeverWaitsIsToldWhatBecameOfIt lets a person act on a worker that another one
// waits for, in memory and out of it.
func TestWhoeverWaitsIsToldWhatBecameOfIt(t *testing.T) {
	for name, change := range map[string]func(*worker.Config){"in memory": nil, "out of memory": leaving} {
		for _, c := range []struct {
			what string
			act  func(p *platform)
			want string
		}{
			{"deleted", func(p *platform) { must(p.t, p.Delete(p.t.Context(), caller("b"))) }, "Failure::Deleted: "},
			{"canceled", func(p *platform) {
				v, err := p.Worker(p.t.Context(), caller("b"))
				must(p.t, err)
				_, err = p.Cancel(p.t.Context(), caller("b"), v.Pending[len(v.Pending)-1].Key)
				must(p.t, err)
			}, "Failure::Canceled: "},
			{"interrupted and resumed", func(p *platform) {
				must(p.t, p.Interrupt(p.t.Context(), caller("b"), ""))
				must(p.t, p.Resume(p.t.Context(), caller("b")))
				_, err := p.Cancel(p.t.Context(), caller("b"), "nap")
				must(p.t, err)
			}, "[1]"},
			{"restarted", func(p *platform) {
				p.restart()
				_, err := p.Cancel(p.t.Context(), caller("b"), "nap")
				must(p.t, err)
			}, "[1]"},
		} {
			t.Run(c.what+"/"+name, func(t *testing.T) {
				p := callers(t, change)
				p.async(caller("b"), "nap", "nap", 3_600_000)
				p.async(caller("a"), "k", "steps", []string{"invoke callers/b add [1]"})
				p.eventually("b was called", func() bool {
					v, err := p.Worker(t.Context(), caller("b"))
					must(t, err)
					return v.Queue == 2
				})
				if change != nil {
					p.becomes(caller("a"), api.Suspended)
				}
				waits, err := p.Invocation(t.Context(), caller("a"), "k", false)
				must(t, err)
				if waits.Waits == nil || waits.Waits.Worker != "callers/b" {
					t.Errorf("a waits for %+v", waits.Waits)
				}
				c.act(p)
				v, err := p.Invocation(t.Context(), caller("a"), "k", true)
				if got := p.given(v, err)[0]; !strings.HasPrefix(got, c.want) {
					t.Errorf("a was told %q, want %s", got, c.want)
				}
				if c.what == "deleted" {
					_, err := p.Worker(t.Context(), caller("b"))
					p.refused(err, api.CodeNoWorker) // or it was called anew
				}
			})
		}
	}
}

func TestAFullQueueIsWaitedForAWhile(t *testing.T) {
	p := callers(t, nil)
	p.create(caller("b"), api.NewWorker{Settings: api.Settings{Limits: api.Limits{Queue: 1}}})
	p.async(caller("b"), "nap", "nap", 300)
	p.gives(caller("a"), map[string]string{"invoke callers/b add [1]": "[1]"}, "invoke callers/b add [1]")
	if testing.Short() {
		return
	}
	p.async(caller("b"), "long", "nap", 3_600_000)
	p.gives(caller("a"), map[string]string{"invoke callers/b add [1]": "Failure::QueueFull: …"}, "invoke callers/b add [1]")
}

// TestARepeatedAttemptMakesTheSameCalls lets attempts fail that have called others.
func TestARepeatedAttemptMakesTheSameCalls(t *testing.T) {
	for _, ephemeral := range []bool{false, true} {
		p := callers(t, nil)
		p.create(caller("a"), api.NewWorker{Ephemeral: ephemeral})
		p.gives(caller("a"), map[string]string{
			"invoke callers/b add [5]": "[5]", "start callers/b add [7]": "started 0", "await callers/b 0": "[12]", "trap-before 3": "", "attempts callers/b": "[15]",
		}, "invoke callers/b add [5]", "start callers/b add [7]", "await callers/b 0", "trap-before 3", "attempts callers/b")
		// With another argument it is another call, and there can be none in its place.
		p.gives(caller("a"), map[string]string{
			"attempts callers/b": "Failure::KeyReused: …", "trap-before 2": "",
		}, "attempts callers/b", "trap-before 2")
	}
}

func TestAWorkerThatCannotGoOnIsWaitedForIfItHasAccepted(t *testing.T) {
	p := callers(t, leaving)
	p.async(caller("b"), "nap", "nap", 3_600_000)
	p.async(caller("a"), "k", "steps", []string{"invoke callers/b add [1]"})
	p.becomes(caller("a"), api.Suspended)
	p.close()
	p.append(caller("b"), &oplog.Stuck{Reason: "as a test wants it"})
	p.open()
	p.becomes(caller("b"), api.Failed)
	p.gives(caller("c"), map[string]string{"invoke callers/b add [1]": "Failure::Stopped: …"}, "invoke callers/b add [1]")
	p.becomes(caller("a"), api.Suspended)
	must(t, p.Delete(t.Context(), caller("b")))
	v, err := p.Invocation(t.Context(), caller("a"), "k", true)
	if got := p.given(v, err)[0]; !strings.HasPrefix(got, "Failure::Deleted") {
		t.Errorf("a was told %q", got)
	}
}

// append appends an entry to the oplog of a worker while the node is not there.
func (p *platform) append(w id.Worker, body oplog.Body) {
	p.t.Helper()
	_, last, err := p.store.Logs().Bounds(p.t.Context(), w)
	must(p.t, err)
	c, err := oplog.NewCommitter(p.t.Context(), sched.NewGoroutines(), p.store.Logs(), 0)
	must(p.t, err)
	writer := c.NewWriter(w, last)
	_, err = writer.Append(p.t.Context(), body)
	must(p.t, err)
	must(p.t, writer.Commit(p.t.Context()))
	must(p.t, c.Close())
}

// TestAChoiceWithoutALinkIsRefused, and does not fail the invocation.
func TestAChoiceWithoutALinkIsRefused(t *testing.T) {
	p := callers(t, nil)
	p.gives(caller("a"), map[string]string{
		"choose shop:pricing/api b":         "Failure::Invalid: callers calls the interface shop:pricing/api of another component, and nothing says of which…",
		"choose shop:pricing/api callers/b": "chosen",
	}, "choose shop:pricing/api b", "choose shop:pricing/api callers/b")
}

// TestFilesOfAWorkerThatCallsOthersAreSeen while it is in an invocation, and elsewhere
// than where it runs.
func TestFilesOfAWorkerThatCallsOthersAreSeen(t *testing.T) {
	p := callers(t, nil)
	a := caller("a")
	p.async(a, "k", "steps", []string{"invoke callers/b add [1]", "write /x here", "sleep 600"})
	p.eventually("the file is there", func() bool {
		files, err := p.Files(t.Context(), a)
		must(t, err)
		content, err := fs.ReadFile(files, "x")
		return err == nil && string(content) == "here"
	})
	p.result(a, "k")
}
