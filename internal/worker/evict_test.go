package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestMoreWorkersThanInstancesTakeTurns(t *testing.T) {
	for _, images := range []time.Duration{-1, 0} {
		p := newPlatform(t, func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.ImageAfter = 2, 2, images })
		for round := range 5 {
			for i := range 6 {
				p.want(named(fmt.Sprint("w", i)), fmt.Sprintf("[%d]", (i+1)*(round+1)), "inc", i+1)
			}
		}
		s := p.Stats()
		if s.Instances > 2 || s.Evictions < 20 {
			t.Errorf("%d instances, %d evictions", s.Instances, s.Evictions)
		}
		p.close()
		if s := p.Stats(); s.Instances != 0 || s.Running != 0 || s.Waiting != 0 {
			t.Errorf("after Close: %+v", s)
		}
	}
}

func TestManyWorkersThatNapShareOneInstanceAndOneSlot(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.MaxInstances, c.MaxRunning = 1, 1 })
	const n = 8
	for i := range n {
		p.async(named(fmt.Sprint("w", i)), "a", "nap", 20+i)
	}
	for i := range n {
		p.finishes(named(fmt.Sprint("w", i)).Name, "a")
	}
}

// finishes demands that an invocation finishes, whatever its result.
func (p *platform) finishes(name, key string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	v, err := p.Invocation(ctx, named(name), key, true)
	must(p.t, err)
	if v.State != api.StateFinished {
		p.t.Fatalf("%s %s: %s %+v", name, key, v.State, v.Failure)
	}
}

// TestAWorkerThatMayNeverComeBackIsNotSaved: one that leaves for the first time
// after next to nothing. Computing takes long now and then on a machine that is
// busy, so it is most of them that are not.
func TestAWorkerThatMayNeverComeBackIsNotSaved(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.IdleAfter, c.ImageAfter = 5*time.Millisecond, time.Hour })
	const n = 20
	round := func(of, function string, args ...any) (saved uint64) {
		before := p.Stats().Images + p.Stats().Deltas
		for i := range n {
			_, err := p.invoke(named(fmt.Sprint(of, i)), function, args...)
			must(t, err)
		}
		p.eventually("they have left", func() bool { return p.Stats().Instances == 0 })
		return p.Stats().Images + p.Stats().Deltas - before
	}
	if saved := round("w", "inc", 1); saved > n/2 {
		t.Errorf("%d of %d were saved when they left for the first time", saved, n)
	}
	if saved := round("w", "inc", 1); saved < n {
		t.Errorf("%d of %d were saved when they left again", saved, n)
	}
	if saved := round("dear", "steps", 2000); saved < n {
		t.Errorf("%d of %d were saved whose replay is dear", saved, n)
	}
	p.restart()
	p.want(named("w7"), "[3]", "inc", 1)
}

// TestWhoIsAskedOnceMakesRoomForWhoIsAskedAgain keeps one worker busy while many
// others have one invocation each.
func TestWhoIsAskedOnceMakesRoomForWhoIsAskedAgain(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.MaxInstances, c.IdleAfter, c.ImageAfter = 64, time.Hour, time.Hour })
	const n = 50
	round := func(of string, want int) (back uint64) {
		t.Helper()
		before := p.Stats().Recoveries
		for i := range n {
			p.want(named(fmt.Sprint(of, i)), fmt.Sprintf("[%d]", want), "inc", 1)
		}
		return p.Stats().Recoveries - before
	}
	p.want(named("busy"), "[1]", "inc", 1)
	p.want(named("busy"), "[2]", "inc", 1)
	round("w", 1)
	before := p.Stats()
	p.want(named("busy"), "[3]", "inc", 1)
	if p.Stats().Recoveries != before.Recoveries {
		t.Error("the worker that is asked again and again has left")
	}
	// Computing takes long now and then, and who has done much stays.
	if back := round("w", 2); back < n/2 {
		t.Errorf("%d of %d that were asked once had left", back, n)
	}
	if saved := before.Images + before.Deltas; saved > n/2 {
		t.Errorf("%d of %d that were asked once were saved", saved, n)
	}
	round("x", 1)
	if back := round("w", 3); back != 0 {
		t.Errorf("%d of %d that were asked again had left as if they had not been", back, n)
	}
}

func TestWorkersWithNothingToDoLeaveMemory(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.IdleAfter = 20 * time.Millisecond })
	p.want(shop, "[1]", "inc", 1)
	p.async(named("sleeps"), "a", "nap", 100_000)
	_, err := p.Invoke(t.Context(), named("waits"), api.Call{Function: "get", Key: "k", Due: time.Now().Add(time.Hour)})
	must(t, err)
	p.eventually("nothing is in mind", func() bool {
		s := p.Stats()
		return s.Workers == 0 && s.Instances == 0 && s.Sleeping == 2
	})
	p.want(shop, "[2]", "inc", 1)
}

func TestRecordsAreForgottenWhenThereAreTooMany(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.MaxResident, c.MaxInstances, c.IdleAfter = 5, 4, time.Hour })
	for i := range 60 {
		w := named(fmt.Sprint("w", i))
		p.eventually("there is room", func() bool {
			_, err := p.Invoke(t.Context(), w, api.Call{Function: "nap", Args: []byte("[100000000]"), Key: "a", Async: true})
			if err != nil {
				p.refused(err, api.CodeOverloaded)
			}
			return err == nil
		})
	}
	p.eventually("all sleep", func() bool { return p.Stats().Sleeping == 60 && p.Stats().Workers <= 10 })
	p.restart()
	p.eventually("all sleep after a restart", func() bool {
		page, err := p.List(t.Context(), api.WorkerFilter{Status: api.Suspended}, nil, "", 100)
		must(t, err)
		return len(page.Items) == 60
	})
}
