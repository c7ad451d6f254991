package worker_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/guests"
	hostplatform "github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// TestProgramsAreTakenBackAsTheirStoriesTell runs the scripts of testdata/regions:
// lines are steps of the component control, up to "----"; behind that is what the
// worker records, without what it observes. Lines that begin with "#" are for
// people.
func TestProgramsAreTakenBackAsTheirStoriesTell(t *testing.T) {
	files, err := filepath.Glob("testdata/regions/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no stories: %v", err)
	}
	p := durablePlatform(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			p.t = t
			text, err := os.ReadFile(file)
			must(t, err)
			head, _, _ := strings.Cut(string(text), "----\n")
			w := id.Worker{Component: "control", Name: name}
			p.async(w, "story", "steps", script(head))
			ends(p, w, "story")
			if got := head + "----\n" + p.trace(w); got != string(text) {
				if flag.Lookup("update").Value.String() == "true" {
					must(t, os.WriteFile(file, []byte(got), 0o644))
					return
				}
				t.Errorf("the story is now another; rewrite it with -update if it is better:\n%s", got)
			}
			p.exact(w)
		})
	}
}

// script gives the steps of a story.
func script(text string) (steps []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			steps = append(steps, line)
		}
	}
	return steps
}

// ends waits for an invocation, however it ends.
func ends(p *platform, w id.Worker, key string) {
	p.t.Helper()
	v, err := p.Invocation(p.t.Context(), w, key, true)
	must(p.t, err)
	if !v.State.Done() {
		p.t.Fatalf("%s %s is %s", w, key, v.State)
	}
}

// trace tells what a worker has recorded, a line each, without what it observes.
// Waypoints are numbered.
func (p *platform) trace(w id.Worker) string {
	p.t.Helper()
	var b strings.Builder
	places, effect := map[oplog.Index]int{0: 0}, map[oplog.Index]bool{}
	effects := map[uint64]durable.Declared{}
	for _, f := range hostplatform.Funcs() {
		if code, name, _ := f.Declaration(); name == "effects.read" || name == "effects.write" {
			effects[code] = f
		}
	}
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		switch body := e.Body.(type) {
		case *oplog.Log:
			if body.Stream == oplog.Stdout {
				fmt.Fprintf(&b, "print %s", body.Bytes)
			}
		case *oplog.Waypoint:
			places[e.Index] = len(places)
			fmt.Fprintf(&b, "waypoint %d%s\n", places[e.Index], map[bool]string{true: ", a region begins"}[body.Atomic])
		case *oplog.HostCallStarted:
			if f := effects[body.Func]; f != nil {
				effect[e.Index] = true
				fmt.Fprintf(&b, "intent of %s\n", f.ShowRequest(body.Request))
			}
		case *oplog.HostCallFinished:
			if effect[body.Started] {
				fmt.Fprintf(&b, "outcome %s\n", body.Response)
			}
		case *oplog.AtomicEnd:
			fmt.Fprintf(&b, "region %d ends\n", places[body.Begin])
		case *oplog.Jump:
			fmt.Fprintf(&b, "back to %d in region %d, %s%s\n", places[body.From-1], places[body.Region], body.Code, map[bool]string{true: ", after a pause"}[body.Retry != 0])
		case *oplog.InvocationStarted:
			if body.Accepted != 0 {
				fmt.Fprintf(&b, "attempt %d\n", body.Attempt)
			}
		case *oplog.InvocationFailed:
			reason, _, _ := strings.Cut(body.Reason, ": ")
			fmt.Fprintf(&b, "failed%s: %s\n", map[bool]string{true: ", after a pause again"}[body.Retry != 0], reason)
		case *oplog.InvocationFinished:
			if body.Accepted != 0 {
				fmt.Fprintf(&b, "finished: %s\n", body.Result)
			}
		case *oplog.Suspended:
			b.WriteString("suspended\n")
		case *oplog.InvocationCanceled, *oplog.Interrupted, *oplog.Resumed:
			fmt.Fprintf(&b, "%s\n", oplog.Name(body))
		}
	}
	return b.String()
}

// exact demands that the worker's memory is what its oplog comes to: a new process
// replays it, and it goes on counting.
func (p *platform) exact(w id.Worker) {
	p.t.Helper()
	before, err := p.Invoke(p.t.Context(), w, api.Call{Function: "steps", Args: json.RawMessage(`[[]]`)})
	must(p.t, err)
	p.restart()
	after, err := p.Invoke(p.t.Context(), w, api.Call{Function: "steps", Args: json.RawMessage(`[[]]`)})
	must(p.t, err)
	if after.State != api.StateFinished || string(after.Result) != string(before.Result) {
		p.t.Errorf("it has counted %s, and replayed %s %s %+v", before.Result, after.State, after.Result, after.Failure)
	}
}

// kept is what a worker has printed and was not taken back.
func (p *platform) kept(w id.Worker) (lines []string) {
	p.t.Helper()
	life, err := oplog.ReadLife(p.t.Context(), p.store.Logs(), w)
	must(p.t, err)
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		log, ok := e.Body.(*oplog.Log)
		undone := slices.ContainsFunc(life.Undone, func(s oplog.Span) bool { return s.From <= e.Index && e.Index <= s.To })
		if ok && !undone && log.Stream == oplog.Stdout {
			lines = append(lines, strings.TrimSuffix(string(log.Bytes), "\n"))
		}
	}
	return lines
}

// TestARegionIsRepeatedAfterACrashAlone lets the process end while the program is
// suspended in a region, is interrupted in one, and runs in one.
func TestARegionIsRepeatedAfterACrashAlone(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *platform, w id.Worker)
		want int // how often the program does what is in the region
	}{
		"suspended": {func(p *platform, w id.Worker) {
			p.becomes(w, api.Suspended)
			p.restart()
		}, 1},
		"interrupted": {func(p *platform, w id.Worker) {
			must(p.t, p.Interrupt(p.t.Context(), w, "a test"))
			p.becomes(w, api.Interrupted)
			p.restart()
			must(p.t, p.Resume(p.t.Context(), w))
		}, 1},
		"running": {func(p *platform, w id.Worker) { p.restart() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := durablePlatform(t)
			p.change = func(c *worker.Config) {
				c.SuspendAfter = time.Hour
				if name == "suspended" {
					c.SuspendAfter = time.Millisecond
				}
			}
			p.restart()
			w := id.Worker{Component: "control", Name: "alice"}
			p.async(w, "k", "steps", []string{"say before", "begin r", "say within", "sleep 1500", "end", "say after"})
			p.eventually("it is in the region", func() bool { return slices.Contains(p.lines(w), "within") })
			c.end(p, w)
			p.ends(w, "k", api.StateFinished, "[6]")
			counts := map[string]int{}
			for _, line := range p.lines(w) {
				counts[line]++
			}
			if counts["before"] != 1 || counts["within"] != c.want || counts["after"] != 1 {
				t.Errorf("it has printed %v, want what is in the region %d times", counts, c.want)
			}
			if got := strings.Join(p.kept(w), " "); got != "before within after" {
				t.Errorf("what it has printed in the end is %q", got)
			}
			p.exact(w)
		})
	}
}

func TestARegionThatPausesCanBeCanceledAndLetGoOn(t *testing.T) {
	p := durablePlatform(t)
	p.change = func(c *worker.Config) {
		c.Defaults.Retry.Initial = api.Duration(time.Hour)
		c.Defaults.Retry.Max = c.Defaults.Retry.Initial
	}
	p.restart()
	steps := []string{"begin r", "trap-until 1 r", "end", "say done"}
	w := id.Worker{Component: "control", Name: "alice"}
	p.async(w, "a", "steps", steps)
	v := p.becomes(w, api.Retrying)
	if !strings.Contains(v.Reason, "an atomic region failed") || v.Wake == nil {
		t.Errorf("it is %s because %q, and wakes %v", v.Status, v.Reason, v.Wake)
	}
	p.restart()
	p.becomes(w, api.Retrying)
	must(t, p.Retry(t.Context(), w))
	p.ends(w, "a", api.StateFinished, "[4]")
	p.async(w, "b", "steps", steps)
	p.becomes(w, api.Retrying)
	_, err := p.Cancel(t.Context(), w, "b")
	must(t, err)
	p.async(w, "c", "steps", []string{"say more"})
	p.ends(w, "c", api.StateFinished, "[5]")
	if got := strings.Join(p.kept(w), " "); got != "done more" {
		t.Errorf("it has printed %q, want nothing of the canceled one", got)
	}
	p.exact(w)
}

func TestAnEphemeralWorkerHasRegionsAndCannotGoBack(t *testing.T) {
	p := durablePlatform(t)
	w := id.Worker{Component: "control", Name: "alice"}
	p.create(w, api.NewWorker{Ephemeral: true})
	p.want(w, "[3]", "steps", []string{"begin r", "say within", "end"})
	v, err := p.invoke(w, "steps", []string{"waypoint w", "back-until 1 w"})
	must(t, err)
	if v.Failure == nil || !strings.Contains(v.Failure.Reason, "ephemeral") {
		t.Errorf("going back ended with %+v", v.Failure)
	}
	p.async(w, "k", "steps", []string{"begin r", "trap-until 1 r", "end"})
	got, err := p.Invocation(t.Context(), w, "k", true)
	must(t, err)
	if got.State != api.StateFailed || got.Attempts != 3 {
		t.Errorf("a region that fails is %s after %d attempts, want as without it: failed after 3", got.State, got.Attempts)
	}
}

// TestACommandGoesBack is about a module of WASI 0.1 that is started anew by each
// invocation.
func TestACommandGoesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("to compile a Go program takes half a minute under the race detector")
	}
	p := durablePlatform(t)
	p.deploy("command", guests.Go(t, "internal/worker/testdata/durable"))
	w := id.Worker{Component: "command", Name: "alice"}
	p.want(w, "[0]", "run", "say a", "waypoint w", "say b", "back-until 2 w", "say c")
	if got := strings.Join(p.lines(w), " "); got != "a b b b c" {
		t.Errorf("it has printed %q", got)
	}
	p.want(w, "[3]", "run", "begin r", "say exits", "exit")
}
