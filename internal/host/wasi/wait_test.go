package wasi

import (
	"errors"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
)

// clock shows a time that waiting alone moves.
type clock struct {
	Clocks
	now   uint64
	reads int
	waits []uint64
	input bool
	early int // waits that end before their time
	fail  error
}

func (c *clock) Monotonic() (uint64, error) {
	c.reads++
	return c.now, c.fail
}

func (c *clock) Wait(deadline uint64, stdin bool) (ambient.Readiness, error) {
	c.waits = append(c.waits, deadline)
	switch {
	case stdin && c.input:
		return ambient.Readiness{Now: c.now, Stdin: true}, c.fail
	case c.early > 0:
		c.early--
		c.now++
	default:
		c.now = max(c.now, deadline)
	}
	return ambient.Readiness{Now: c.now}, c.fail
}

func TestWaitIsForTheFirstEvent(t *testing.T) {
	const forever = ambient.Forever
	for name, c := range map[string]struct {
		clock clock
		prep  func(w *Wait)
		want  ambient.Readiness
		reads int
		waits []uint64
	}{
		"nothing at all is for ever": {
			clock{}, func(*Wait) {}, ambient.Readiness{Now: forever}, 0, []uint64{forever},
		},
		"the earliest of timers": {
			clock{}, func(w *Wait) { w.Until(9); w.Until(7); w.Until(8) }, ambient.Readiness{Now: 7}, 0, []uint64{7},
		},
		"a wait that ends early goes on": {
			clock{early: 2}, func(w *Wait) { w.Until(9) }, ambient.Readiness{Now: 9}, 0, []uint64{9, 9, 9},
		},
		"what is ready needs no clock": {
			clock{now: 5}, func(w *Wait) { w.Ready = true }, ambient.Readiness{}, 0, nil,
		},
		"nor does a timer that has come": {
			clock{now: 5}, func(w *Wait) { w.Until(9); w.Until(0) }, ambient.Readiness{}, 0, nil,
		},
		"a timer beside what is ready is looked at": {
			clock{now: 5}, func(w *Wait) { w.Ready = true; w.Until(4) }, ambient.Readiness{Now: 5}, 1, nil,
		},
		"but not one that never comes": {
			clock{now: 5}, func(w *Wait) { w.Ready = true; w.Until(forever) }, ambient.Readiness{}, 0, nil,
		},
		"input beside what is ready is looked for": {
			clock{now: 5}, func(w *Wait) { w.Ready, w.Stdin = true, true }, ambient.Readiness{Now: 5}, 0, []uint64{0},
		},
		"input comes before a timer": {
			clock{now: 5, input: true}, func(w *Wait) { w.Stdin = true; w.Until(9) }, ambient.Readiness{Now: 5, Stdin: true}, 0, []uint64{9},
		},
		"the clock that was read is not read again": {
			clock{now: 5},
			func(w *Wait) {
				if now, err := w.Now(); now != 5 || err != nil {
					t.Errorf("now: got %d, %v", now, err)
				}
				w.Ready = true
				w.Until(Later(5, 3))
			},
			ambient.Readiness{Now: 5},
			1, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWait(&c.clock)
			c.prep(w)
			got, err := w.Run()
			if got != c.want || err != nil {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
			if c.clock.reads != c.reads || !slices.Equal(c.clock.waits, c.waits) {
				t.Errorf("got %d readings and the waits %d, want %d and %d", c.clock.reads, c.clock.waits, c.reads, c.waits)
			}
		})
	}
}

func TestFailureOfTheClockEndsAWait(t *testing.T) {
	broken := errors.New("the clock is broken")
	for _, prep := range []func(w *Wait){
		func(w *Wait) { w.Until(9) },
		func(w *Wait) { w.Ready = true; w.Until(9) },
	} {
		w := NewWait(&clock{fail: broken})
		prep(w)
		if _, err := w.Run(); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

func TestLaterEndsBeforeForever(t *testing.T) {
	const last = ambient.Forever - 1
	for _, c := range [][3]uint64{{1, 2, 3}, {0, 0, 0}, {1, last, last}, {last, 0, last}, {last, last, last}, {5, ambient.Forever, last}} {
		if got := Later(c[0], c[1]); got != c[2] {
			t.Errorf("%d + %d: got %d, want %d", c[0], c[1], got, c[2])
		}
	}
}
