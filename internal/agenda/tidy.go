package agenda

import (
	"context"
	"fmt"
	"time"
)

// limits say when the log is rewritten, and how.
type limits struct {
	// The log is rewritten when it has more than crowd entries for each worker
	// on the agenda and spare besides.
	crowd, spare uint64
	// batch is how many entries are written at once, with the agenda locked,
	// before they are committed.
	batch int
}

var defaultLimits = limits{crowd: 4, spare: 10_000, batch: 2048}

// again is how long a rewriting that failed waits for the next.
const again = 10 * time.Second

// overdue tells whether the task is to rewrite the log. It is called with a.mu
// held.
func (a *Agenda) overdue() bool {
	if a.untouched || a.rewriting {
		return false
	}
	return a.pressing || a.last+1-a.first > a.limits.crowd*uint64(a.calendar.size())+a.limits.spare
}

// Failure is why the log could not be rewritten the last time, or nil. It is
// longer than it need be then, and is tried again.
func (a *Agenda) Failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failure
}

// tidy rewrites the log whenever that is due.
func (a *Agenda) tidy() {
	for a.work.Wait(a.closed, a.beginRewriting) == nil {
		err := a.rewrite(a.closed)
		if a.closed.Err() != nil {
			return // and if that is why it failed, it has not
		}
		a.mu.Lock()
		a.rewriting, a.failure = false, err
		a.mu.Unlock()
		if err != nil && a.Sched.Sleep(a.closed, again) != nil {
			return
		}
	}
}

func (a *Agenda) beginRewriting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rewriting = a.overdue()
	return a.rewriting
}

// rewrite writes all that is on the agenda again and truncates what is before.
// Others go on meanwhile: what they Set is behind the beginning, too, and what
// they Set before a worker's turn is written twice, which does no harm. Only a
// suffix of the log is ever there, so no entry that a later one took back can
// outlive that one.
func (a *Agenda) rewrite(ctx context.Context) error {
	a.mu.Lock()
	from := a.last + 1
	a.mu.Unlock()
	for place, more := 0, true; more; {
		var err error
		if place, more, err = a.rewriteBatch(place); err != nil {
			return fmt.Errorf("rewrite the agenda: %w", err)
		}
		if err := a.writer.Commit(ctx); err != nil {
			return fmt.Errorf("rewrite the agenda: %w", err)
		}
	}
	err := a.Logs.Truncate(ctx, a.Committer.Shard(), a.Committer.Epoch(), Worker, from)
	if err != nil {
		return fmt.Errorf("truncate the agenda: %w", err)
	}
	a.mu.Lock()
	a.first, a.pressing = from, false
	a.mu.Unlock()
	return nil
}

// rewriteBatch writes the items from place on and says where to go on.
func (a *Agenda) rewriteBatch(place int) (next int, more bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	end := min(place+a.limits.batch, len(a.calendar.items))
	for ; place < end; place++ {
		it := &a.calendar.items[place]
		if it.name == "" {
			continue
		}
		if err := a.write(it.worker(), it.at); err != nil {
			return place, false, err
		}
	}
	return place, place < len(a.calendar.items), nil
}
