package live

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// Which timeout has passed.
var (
	errConnectTimeout   = errors.New("no connection in time")
	errWriteTimeout     = errors.New("the request could not be written in time")
	errFirstByteTimeout = errors.New("no response in time")
	errBetweenBytes     = errors.New("the response stood still for too long")
)

// limits are timeouts with the defaults filled in.
type limits struct{ connect, firstByte, between time.Duration }

func timeouts(t exchange.Timeouts) limits {
	or := func(n uint64, otherwise time.Duration) time.Duration {
		return cmp.Or(time.Duration(min(n, math.MaxInt64)), otherwise)
	}
	return limits{or(t.Connect, connectTimeout), or(t.FirstByte, firstByteTimeout), or(t.BetweenBytes, betweenBytes)}
}

// part is how far a request is. It only goes on: what package http tells late is
// not heard.
type part int

const (
	connecting part = iota + 1
	writing
	awaiting
	receiving
	done
)

// watch ends a request that stands still. Its timer is a task, which goes on over
// the phases: most requests are over long before it looks for the first time.
type watch struct {
	sched sched.Scheduler
	end   context.CancelCauseFunc

	mu     sync.Mutex
	part   part
	limit  time.Duration
	why    error         // what ends the request if it stands still for limit
	since  time.Duration // when something last happened
	paused bool
	looks  time.Duration           // when the timer looks next
	over   context.CancelCauseFunc // of the timer
	task   sched.Task
}

// phase begins a part of the request, which ends with why if nothing
// happens in it for limit.
func (w *watch) phase(ctx context.Context, p part, limit time.Duration, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p <= w.part {
		return
	}
	w.part, w.limit, w.why = p, limit, why
	w.since, w.paused = w.sched.Monotonic(), false
	if w.over != nil {
		if w.since+limit >= w.looks {
			return
		}
		w.over(nil) // it would look too late
	}
	ctx, w.over = context.WithCancelCause(ctx)
	w.looks = w.since + limit
	w.task = w.sched.Go("http timer", func() {
		for {
			left, why := w.left(ctx)
			if why != nil {
				w.end(why)
			}
			if why != nil || w.sched.Sleep(ctx, left) != nil {
				return
			}
		}
	})
}

// left is how long the request may still stand still, and else why it ends.
func (w *watch) left(ctx context.Context) (left time.Duration, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.sched.Monotonic()
	switch {
	case ctx.Err() != nil: // of another timer
		return 0, nil
	case w.paused:
		left = w.limit
	default:
		left = w.since + w.limit - now
	}
	if left <= 0 {
		return 0, w.why
	}
	w.looks = now + left
	return left, nil
}

// progress says that something has happened, pause that nothing can until the
// next progress.
func (w *watch) progress() { w.note(false) }
func (w *watch) pause()    { w.note(true) }

// sent says that more of the body of the request has left.
func (w *watch) sent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = w.sched.Monotonic()
}

func (w *watch) note(paused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused, w.since = paused, w.sched.Monotonic()
}

// stop ends the watch, and waits for its timer.
func (w *watch) stop() {
	w.mu.Lock()
	w.part = done
	w.over(nil)
	task := w.task
	w.mu.Unlock()
	task.Wait()
}
