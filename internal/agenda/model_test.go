package agenda

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// model is an agenda as simple as can be.
type model struct {
	at  map[id.Worker]oplog.Time
	out map[id.Worker]bool // handed out
}

// due gives the workers that may be handed out at a time: those that are due
// first.
func (m *model) due(now oplog.Time) (list []id.Worker) {
	for w, at := range m.at {
		switch {
		case m.out[w] || at > now:
		case len(list) == 0 || at < m.at[list[0]]:
			list = []id.Worker{w}
		case at == m.at[list[0]]:
			list = append(list, w)
		}
	}
	return list
}

// step is something done to an agenda and to its model.
type step struct {
	do      string
	worker  int
	seconds int // from now
}

func steps() *rapid.Generator[[]step] {
	do := rapid.SampledFrom([]string{"set", "set", "set", "forget", "hold", "next", "next", "sleep", "jump", "restart"})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{do.Draw(t, "do"), rapid.IntRange(0, 9).Draw(t, "worker"), rapid.IntRange(-3, 9).Draw(t, "seconds")}
	}), 40, 150)
}

func TestAnAgendaIsWhatASimpleOneWouldBe(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := sched.NewSimulation(rapid.Uint64().Draw(r, "seed"))
		c := comparison{
			t: t, s: s, logs: memory.New().Logs(), model: model{map[id.Worker]oplog.Time{}, map[id.Worker]bool{}},
			limits: limits{crowd: 1, spare: 3, batch: rapid.IntRange(1, 5).Draw(r, "batch")},
		}
		list := steps().Draw(r, "steps")
		var wrong error
		if err := errors.Join(s.Run(func() { wrong = c.run(list) }), wrong); err != nil {
			r.Fatal(err)
		}
	})
}

// comparison does the same to an agenda and to a model.
type comparison struct {
	model
	t      *testing.T
	s      *sched.Simulation
	logs   storage.Logs
	limits limits
	p      *process
}

func (c *comparison) run(list []step) error {
	c.p = start(c.t, c.s, c.logs, c.limits)
	var err error
	for _, step := range append(list, step{do: "restart"}) {
		if err = c.take(step); err == nil {
			err = c.check()
		}
		if err != nil {
			break
		}
	}
	c.p.stop()
	return errors.Join(err, c.p.Failure())
}

func (c *comparison) take(step step) error {
	w, d := worker(step.worker), time.Duration(step.seconds)*time.Second
	switch step.do {
	case "set":
		c.p.Set(w, in(c.s, d))
		c.at[w], c.out[w] = in(c.s, d), false
	case "forget":
		c.p.Forget(w)
		delete(c.at, w)
	case "hold":
		c.p.Hold(w)
		c.at[w], c.out[w] = held, true
	case "next":
		want := c.due(in(c.s, 0))
		if len(want) == 0 {
			return nil
		}
		w, err := c.p.Next(context.Background())
		if err != nil || !slices.Contains(want, w) {
			return fmt.Errorf("Next() = %s, %w, want one of %v", w, err, want)
		}
		c.out[w] = true
	case "sleep":
		return c.s.Sleep(context.Background(), max(d, time.Millisecond))
	case "jump":
		c.s.JumpWall(d)
	case "restart":
		c.p.stop()
		c.p = start(c.t, c.s, c.logs, c.limits)
		clear(c.out)
		return errors.Join(c.p.Failure(), c.p.Damaged())
	}
	return nil
}

func (c *comparison) check() error {
	if got := c.p.Len(); got != len(c.at) {
		return fmt.Errorf("Len() = %d, want %d", got, len(c.at))
	}
	waiting := 0
	for w := range c.at {
		if !c.out[w] {
			waiting++
		}
	}
	if got := c.p.Waiting(); got != waiting {
		return fmt.Errorf("Waiting() = %d, want %d", got, waiting)
	}
	for n := range 10 {
		want, ok := c.at[worker(n)]
		if got, found := c.p.Due(worker(n)); found != ok || got != want {
			return fmt.Errorf("Due(%d) = %d, %v, want %d, %v", n, got, found, want, ok)
		}
	}
	return nil
}
