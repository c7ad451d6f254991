package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestWorkersThatTakeTurnsInOneInstanceShareNothing(t *testing.T) {
	for _, images := range []time.Duration{0, -1} {
		p := newPlatform(t, func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.ImageAfter = 1, 1, images })
		for round := range 4 {
			for n := range 5 {
				w := id.Worker{Component: "kit", Name: fmt.Sprint("w", n)}
				p.want(w, fmt.Sprintf("[%d]", (n+1)*(round+1)), "inc", n+1)
				p.want(w, fmt.Sprintf("[%d]", (n+1)*(round+1)), "file_inc", n+1)
				before := 0
				if round > 0 {
					before = round*100 + n
				}
				p.want(w, fmt.Sprintf("[%d]", before), "put", (round+1)*100+n)
			}
			_, err := p.invoke(id.Worker{Component: "kit", Name: "w0"}, "recurse", 1)
			must(t, err) // its instance is of no use to anybody
		}
	}
}

func TestWhoHasRestedLongestLeavesWhenMemoryRunsOut(t *testing.T) {
	p := setup{engine: wasm.Config{MaxMemory: 1 << 20}}.platform(t) // five of kit's
	for round := range 3 {
		for n := range 12 {
			p.want(id.Worker{Component: "kit", Name: fmt.Sprint("w", n)}, fmt.Sprintf("[%d]", round+1), "inc", 1)
		}
	}
	if s := p.Stats(); s.Evictions == 0 {
		t.Error("nobody was evicted")
	}
	// One that grows has room as well.
	p.want(id.Worker{Component: "kit", Name: "w0"}, "[13]", "grow", 10)
}

// TestWhereMemoryRunsOutInstancesAreTakenOver lets workers of one program come to
// where there is no memory for another instance, and then those of another program.
func TestWhereMemoryRunsOutInstancesAreTakenOver(t *testing.T) {
	most := func(c *worker.Config) { c.MaxInstances = 4096 } // so that it is memory that runs out
	p := setup{change: most, engine: wasm.Config{MaxMemory: 20 << 16}}.platform(t)
	p.deploy("turns", guests.Wasm(t, "components/turns")) // a page for each
	p.deploy("begins", guests.Wasm(t, "components/begins"))
	turns := func(n int) id.Worker { return id.Worker{Component: "turns", Name: fmt.Sprint("w", n)} }
	made := map[any]bool{}
	for n := range 200 {
		p.want(turns(n), "[1]", "add", 1)
		for _, g := range p.Guests() {
			made[g] = true
		}
	}
	if len(made) != 20 {
		t.Errorf("of 200 workers %d have had an instance made for them, want 20", len(made))
	}
	for n := range 30 {
		p.want(id.Worker{Component: "begins", Name: fmt.Sprint("w", n)}, "[243201]", "look", 0)
		p.want(turns(n), "[2]", "add", 1)
	}
}

func TestComponentsThatTakeTurnsInOneInstanceShareNothing(t *testing.T) {
	for _, c := range []struct {
		images time.Duration
		check  bool
	}{{0, true}, {0, false}, {-1, false}} {
		p := newPlatform(t, func(config *worker.Config) {
			if c.check {
				verified(t, config)
			}
			config.MaxInstances, config.MaxRunning, config.ImageAfter = 1, 1, c.images
		})
		p.deploy("turns", guests.Wasm(t, "components/turns"))
		for round := range 4 {
			for n := range 5 {
				w := id.Worker{Component: "turns", Name: fmt.Sprint("w", n)}
				p.want(w, fmt.Sprintf("[%d]", (n+1)*(round+1)), "add", n+1)
				kept := 0
				if round > 0 {
					kept = round*100 + n
				}
				p.want(w, fmt.Sprintf("[%d]", kept), "keep", (round+1)*100+n)
				if n == round {
					p.want(w, "[1]", "grow", 3)
				}
				if n == 3 { // it leaves the middle of a call
					p.fails(w, "trap")
				}
			}
			w := id.Worker{Component: "turns", Name: "w0"}
			p.fails(w, "recurse") // its instance is of no use to anybody
		}
		// A worker that has changed a table is the only one.
		p.want(id.Worker{Component: "turns", Name: "changed"}, "[0]", "set-table", 0)
		p.want(id.Worker{Component: "turns", Name: "w0"}, "[1]", "call-table", 0)
		p.want(id.Worker{Component: "turns", Name: "changed"}, "[2]", "call-table", 0)
		p.restart()
		p.want(id.Worker{Component: "turns", Name: "w2"}, "[15]", "add", 3)
		p.want(id.Worker{Component: "turns", Name: "changed"}, "[2]", "call-table", 0)
	}
}

// TestInstancesOfComponentsAreKeptIfTheyCanServeAnother counts those that nobody
// uses: after a trap one is left, after what another worker could see there is
// none.
func TestInstancesOfComponentsAreKeptIfTheyCanServeAnother(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter, c.IdleAfter = 0, 5*time.Millisecond })
	p.deploy("turns", guests.Wasm(t, "components/turns"))
	left := func(want int, what string) {
		t.Helper()
		p.eventually("there is no instance", func() bool { return p.Stats().Instances == 0 })
		if got, memory := p.Shells(); got != want || memory != uint64(want)<<16 {
			t.Errorf("%s leaves %d instances with %d bytes of memory, want %d with a page", what, got, memory, want)
		}
	}
	w, other := id.Worker{Component: "turns", Name: "a"}, id.Worker{Component: "turns", Name: "b"}
	p.want(w, "[1]", "add", 1)
	left(1, "a worker at rest")
	p.want(w, "[2]", "add", 1)
	left(1, "one that was back")
	p.want(w, "[1]", "grow", 2)
	left(1, "one that has grown")
	p.fails(w, "trap")
	left(1, "a trap")
	p.fails(w, "recurse")
	left(0, "an overflow of the stack")
	p.want(w, "[3]", "add", 1)
	left(1, "a worker at rest")
	p.want(w, "[0]", "set-table", 1)
	left(0, "a changed table")
	p.create(other, api.NewWorker{Ephemeral: true})
	p.want(other, "[1]", "add", 1)
	left(1, "an ephemeral worker")
	p.want(other, "[0]", "set-table", 1)
	left(0, "an ephemeral worker that has changed a table")
}

// TestInstancesThatNobodyUsesAreFew lets more workers leave than shells
// are kept.
func TestInstancesThatNobodyUsesAreFew(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.ImageAfter, c.IdleAfter = 0, 5*time.Millisecond })
	p.deploy("turns", guests.Wasm(t, "components/turns"))
	for round := range 2 {
		for n := range worker.MaxShells + 10 {
			p.async(id.Worker{Component: "turns", Name: fmt.Sprint("w", n)}, fmt.Sprint(round), "add", 1)
		}
		p.eventually("all have left", func() bool {
			s := p.Stats()
			return s.Instances == 0 && s.Finished == uint64((round+1)*(worker.MaxShells+10))
		})
		if got, _ := p.Shells(); got > worker.MaxShells || got == 0 {
			t.Errorf("there are %d instances that nobody uses, may be %d", got, worker.MaxShells)
		}
	}
}

// fails demands that a function ends in a trap.
func (p *platform) fails(w id.Worker, function string) {
	p.t.Helper()
	v, err := p.invoke(w, function, 0)
	must(p.t, err)
	if v.State != api.StateFailed || v.Failure.Code != api.FailedTrap {
		p.t.Fatalf("%s: got %s %s (%+v), want a trap", function, v.State, v.Result, v.Failure)
	}
}
