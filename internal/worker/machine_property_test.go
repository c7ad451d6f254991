package worker

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

func anyTraits(t *rapid.T) traits {
	return traits{
		initializes: rapid.Bool().Draw(t, "initializes"),
		ephemeral:   rapid.Bool().Draw(t, "ephemeral"),
		retry: api.Retry{
			Attempts: rapid.Uint64Range(1, 3).Draw(t, "attempts"),
			Initial:  api.Duration(time.Second), Max: api.Duration(5 * time.Second), Factor: 2,
		},
	}
}

func anyOutcome(t *rapid.T, g *rig) outcome {
	var o outcome
	code := uint32(1)
	switch rapid.SampledFrom([]string{"well", "well", "well", "trap", "trap", "final", "wait", "held", "fault", "broken", "exit", "back"}).Draw(t, "outcome") {
	case "well":
		o.result, o.alive = []byte("[]"), !g.m.ephemeral && rapid.Bool().Draw(t, "alive")
	case "trap":
		o.failure = &failure{code: api.FailedTrap, stuck: rapid.Bool().Draw(t, "stuck")}
	case "final":
		o.failure = &failure{code: api.FailedTrap, final: true}
	case "wait":
		if g.m.ephemeral {
			o.result = []byte("[]") // these wait in memory
			break
		}
		o.suspend = &suspendError{}
		kind := rapid.IntRange(1, 3).Draw(t, "for")
		if kind&1 != 0 {
			o.suspend.until = g.now + oplog.Time(rapid.Int64Range(0, 10).Draw(t, "until"))*oplog.Time(time.Second)
		}
		if kind&2 != 0 {
			o.suspend.what = "something"
			for _, p := range g.m.life.Promises {
				if rapid.Bool().Draw(t, "for "+p.Promise) {
					o.suspend.promises = append(o.suspend.promises, p.Promise)
				}
			}
		}
	case "held":
		if g.m.ephemeral {
			o.result = []byte("[]") // nothing of theirs is ever in doubt
			break
		}
		o.held = []oplog.Index{1}
		if rapid.Bool().Draw(t, "two") {
			o.held = append(o.held, 2)
		}
	case "fault":
		o.fault, o.lived = errors.New("fault"), rapid.Bool().Draw(t, "lived")
	case "back":
		if g.m.ephemeral {
			o.result = []byte("[]") // these cannot
			break
		}
		o.back = &durable.BackError{From: g.m.life.Begun + 1}
		if region := g.m.life.Region; region != 0 && rapid.Bool().Draw(t, "within") {
			o.back = &durable.BackError{From: region + 1, Region: region}
		}
	case "broken":
		o.broken = errors.New("broken")
	case "exit":
		o.exit = &code
	}
	return o
}

func TestWhateverHappensTheMachineKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newRig(anyTraits(t))
		accepted := 0
		some := func(t *rapid.T) oplog.Index {
			return rapid.OneOf(rapid.Uint64Range(0, g.m.life.Last), rapid.Just(g.attempted())).Draw(t, "index")
		}
		t.Repeat(map[string]func(*rapid.T){
			"accept": func(t *rapid.T) {
				var due oplog.Time
				if rapid.Bool().Draw(t, "later") {
					due = g.now + oplog.Time(rapid.Int64Range(-5, 20).Draw(t, "due"))*oplog.Time(time.Second)
				}
				accepted++
				g.accept(fmt.Sprint("k", accepted), due)
			},
			"pass": func(t *rapid.T) {
				g.now += oplog.Time(rapid.Int64Range(0, 8).Draw(t, "seconds")) * oplog.Time(time.Second)
				g.do(tick{})
			},
			"end": func(t *rapid.T) {
				if g.m.phase != busy {
					t.Skip("nothing is under way")
				}
				o := anyOutcome(t, g)
				if g.m.wishes.stop != nil && rapid.Bool().Draw(t, "heard") {
					o = outcome{halted: g.m.wishes.stop}
				}
				g.do(ended{o, rapid.Float64Range(0, 1).Draw(t, "chance")})
			},
			"promise": func(t *rapid.T) {
				if g.m.phase != busy || g.m.ephemeral {
					t.Skip("nobody makes one")
				}
				g.promise(rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "promise"))
			},
			"settle": func(t *rapid.T) { g.settle(rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "promise")) },
			"region": func(t *rapid.T) {
				if g.m.phase != busy || g.m.ephemeral {
					t.Skip("no program is under way that has regions")
				}
				g.enter(rapid.Bool().Draw(t, "begins"))
			},
			"interrupt": func(*rapid.T) { g.do(interrupted{"test"}) },
			"resume": func(t *rapid.T) {
				if g.m.phase == busy {
					t.Skip("it goes on")
				}
				g.do(resumed{})
			},
			"cancel":  func(t *rapid.T) { g.do(canceled{some(t)}) },
			"resolve": func(t *rapid.T) { g.resolve(oplog.Index(rapid.IntRange(1, 2).Draw(t, "call"))) },
			"evict":   func(*rapid.T) { g.do(evicted{}) },
			"wake":    func(*rapid.T) { g.do(woken{}) },
			"drain":   func(*rapid.T) { g.do(drained{&halt{"over"}}) },
			"close":   func(*rapid.T) { g.do(closed{&halt{"over"}}) },
			"restart": func(*rapid.T) { g.restart() },
			"": func(t *rapid.T) {
				if g.wrong != "" {
					t.Fatal(g.wrong)
				}
				checkWake(t, g)
			},
		})
		if g.m.life.Exited != nil {
			if len(g.m.life.Queue) > 0 {
				t.Fatalf("it has exited with %d in the queue", len(g.m.life.Queue))
			}
			return
		}
		// Left to itself, with people who help, it comes to an end of everything.
		g.restart()
		for range 1000 {
			switch {
			case g.m.life.Interrupted != nil || g.m.life.Stuck != nil:
				g.do(resumed{})
			case len(g.m.life.Held) > 0:
				g.resolve(g.m.life.Held[0])
			case g.m.phase == busy:
				g.do(ended{outcome: outcome{result: []byte("[]"), alive: true}})
			case g.m.wake(g.now) != 0:
				g.now = max(g.now, g.m.wake(g.now))
				g.do(tick{})
			case g.m.life.Suspended != nil && len(g.m.life.Suspended.Promises) > 0:
				g.settle(g.m.life.Suspended.Promises[0])
			case g.m.life.Suspended != nil:
				g.do(woken{})
			}
		}
		if g.wrong != "" || len(g.m.life.Queue) > 0 {
			t.Fatalf("left to itself it is %s %s", g.state(), g.wrong)
		}
	})
}

// attempted is the invocation under way, or 0.
func (g *rig) attempted() oplog.Index {
	if g.m.life.Begun == 0 {
		return 0
	}
	return g.m.life.Attempt.Accepted
}

// checkWake demands that a machine that is at rest has nothing to do before the
// time that it names, and something then.
func checkWake(t *rapid.T, g *rig) {
	at := g.m.wake(g.now)
	if (at == agenda.Never) != (g.m.over == nil && len(g.m.life.Held) > 0) {
		t.Fatalf("of %d calls that are held it wakes at %s", len(g.m.life.Held), since(at))
	}
	if at == agenda.Never {
		at = 0
	}
	if g.m.phase == busy {
		if at != soon {
			t.Fatalf("it is busy and wakes at %d", at)
		}
		return
	}
	if at != 0 && at <= g.now {
		t.Fatalf("it is at rest and wakes at %s, which has come", since(at))
	}
	for _, later := range []oplog.Time{g.now, g.now + 1, g.now + oplog.Time(time.Second), g.now + oplog.Time(3*time.Second), at - 1, g.now + oplog.Time(time.Hour)} {
		if later < g.now || at != 0 && later >= at {
			continue
		}
		c := g.copy()
		if actions := c.m.step(later, tick{}); len(actions) > 0 {
			t.Fatalf("it wakes at %s, and has something to do at %s", since(at), since(later))
		}
	}
	if at != 0 {
		c := g.copy()
		if actions := c.m.step(at, tick{}); len(actions) == 0 {
			t.Fatalf("it wakes at %s, and has nothing to do then", since(at))
		}
	}
}

// plan is a workload whose every attempt ends as it is planned, whenever it is
// run.
type plan struct {
	traits   traits
	dues     []oplog.Time
	outcomes map[string]outcome
}

func anyPlan(t *rapid.T) plan {
	p := plan{traits: anyTraits(t), outcomes: map[string]outcome{}}
	for i := range rapid.IntRange(1, 6).Draw(t, "invocations") {
		var due oplog.Time
		if rapid.Bool().Draw(t, "later") {
			due = epoch + oplog.Time(rapid.Int64Range(0, 20).Draw(t, "due"))*oplog.Time(time.Second)
		}
		p.dues = append(p.dues, due)
		for attempt := range 3 {
			o := outcome{result: []byte("[]"), alive: !p.traits.ephemeral}
			if rapid.Bool().Draw(t, "fails") {
				o = outcome{failure: &failure{code: api.FailedTrap, final: rapid.Bool().Draw(t, "final")}}
			}
			p.outcomes[fmt.Sprint("k", i, "/", attempt+1)] = o
		}
	}
	return p
}

// run gives how the invocations end if the process ends after each number of
// events in crashes.
func (p plan) run(t *rapid.T, crashes map[int]bool) map[string]string {
	g := newRig(p.traits)
	for i, due := range p.dues {
		g.accept(fmt.Sprint("k", i), due)
	}
	for n := range 300 {
		switch {
		case crashes[n]:
			g.restart()
		case g.m.phase == busy && g.attempted() == 0:
			g.do(ended{outcome: outcome{result: []byte("[]"), alive: true}})
		case g.m.phase == busy:
			g.do(ended{outcome: p.outcomes[fmt.Sprint(g.names[g.attempted()], "/", g.m.life.Attempt.Attempt)]})
		case g.m.wake(g.now) != 0:
			g.now = max(g.now, g.m.wake(g.now))
			g.do(tick{})
		}
		if g.wrong != "" {
			t.Fatal(g.wrong)
		}
	}
	ends := map[string]string{}
	for _, e := range g.entries {
		if accepted := endOf(e.Body); accepted != 0 {
			ends[g.names[accepted]] += oplog.Name(e.Body)
		}
	}
	return ends
}

func TestAProcessThatEndsAnywhereChangesNoEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPlan(t)
		crashes := map[int]bool{}
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 60), 1, 10).Draw(t, "crashes") {
			crashes[n] = true
		}
		want, got := p.run(t, nil), p.run(t, crashes)
		if len(want) != len(p.dues) || !maps.Equal(want, got) {
			t.Fatalf("without a crash %v, with some %v, of %d", want, got, len(p.dues))
		}
	})
}
