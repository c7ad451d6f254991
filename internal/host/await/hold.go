package await

import (
	"context"
	"math"
	"time"
)

// begin lets all that is waited for be under way.
func begin(list []Event) error {
	for _, e := range list {
		if e.Begin == nil {
			continue
		}
		if err := e.Begin(); err != nil {
			return err
		}
	}
	return nil
}

// again takes off what has come those events of which the program is not to be
// told, and reports whether nothing is left.
func (w *Waiter) again(list []Event, come []bool) (bool, error) {
	left, taken := false, false
	for i, e := range list {
		if come[i] && e.Again != nil {
			not, err := e.Again()
			if err != nil {
				return false, err
			}
			come[i], taken = !not, taken || not
		}
		left = left || come[i]
	}
	return taken && !left, nil
}

// once waits until something has come, or for the deadline, or until what pauses
// may begin.
func (w *Waiter) once(ctx context.Context, deadline uint64, stdin bool, list []Event, come func() bool) error {
	if names := promises(list); w.Long != nil && !stdin && len(names) == len(list) {
		return w.long(ctx, deadline, names, come)
	}
	pause, idle := time.Duration(0), len(list) > 0 && !stdin
	for _, e := range list {
		d := time.Duration(0)
		if e.Pause != nil {
			d = e.Pause()
		}
		idle = idle && d > 0
		if d > 0 && (pause == 0 || d < pause) {
			pause = d
		}
	}
	now := w.Clock.Live()
	if pause > 0 && (deadline == Forever || now+uint64(pause) < deadline) {
		deadline = now + uint64(pause)
	}
	if !idle || w.Nap == nil || come() || deadline <= now {
		return w.Await(ctx, deadline, come)
	}
	d := time.Duration(min(deadline-now, math.MaxInt64))
	return w.Nap(d, func() error { return w.Sched.Sleep(ctx, d) })
}

// Hold waits until one of the events has come, for who records that otherwise.
func (w *Waiter) Hold(ctx context.Context, list ...Event) error {
	come := make([]bool, len(list))
	any := func() (any bool) {
		for i, e := range list {
			come[i] = e.Come()
			any = any || come[i]
		}
		return any
	}
	for {
		if err := begin(list); err != nil {
			return err
		}
		if err := w.once(ctx, Forever, false, list, any); err != nil {
			return err
		}
		if !any() {
			continue // a pause is over
		}
		again, err := w.again(list, come)
		if err != nil || !again {
			return err
		}
	}
}
