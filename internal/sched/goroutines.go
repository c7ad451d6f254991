package sched

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// Goroutines is the Scheduler of real runs: every task is a goroutine, and
// time is the machine's.
type Goroutines struct {
	start  time.Time
	labels sync.Map // of what tasks are called to a context with the label
}

// NewGoroutines makes a Scheduler of goroutines, whose Monotonic begins at 0.
func NewGoroutines() *Goroutines {
	return &Goroutines{start: time.Now()}
}

// Go starts f on a goroutine that profiles show under name.
func (g *Goroutines) Go(name string, f func()) Task {
	t := &goroutine{done: make(chan struct{})}
	go func() {
		// Deferred, so that Wait also returns after runtime.Goexit.
		defer close(t.done)
		pprof.SetGoroutineLabels(g.labeled(name))
		f()
	}()
	return t
}

// labeled is a context for tasks of that name. It is kept: names are few, and the
// tasks of one name may be many.
func (g *Goroutines) labeled(name string) context.Context {
	ctx, known := g.labels.Load(name)
	if !known {
		ctx, _ = g.labels.LoadOrStore(name, pprof.WithLabels(context.Background(), pprof.Labels("task", name)))
	}
	return ctx.(context.Context)
}

// Now is the machine's wall clock, without Go's hidden monotonic reading: two
// results differ by what the wall clock says, jumps included.
func (g *Goroutines) Now() time.Time { return time.Now().Round(0) }

// Monotonic is the time since NewGoroutines.
func (g *Goroutines) Monotonic() time.Duration { return time.Since(g.start) }

// Sleep parks the calling goroutine; it never returns nil before d has passed.
func (g *Goroutines) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Yield lets other goroutines go first.
func (g *Goroutines) Yield() { runtime.Gosched() }

// NewCondition makes a place where goroutines wait.
func (g *Goroutines) NewCondition() Condition { return new(condition) }

// goroutine is a task of Goroutines.
type goroutine struct {
	done chan struct{}
}

func (t *goroutine) Wait() { <-t.done }

// condition is a Condition for goroutines. A waiter first counts itself, then
// takes the channel that the next Wake closes, and only then looks at the
// caller's state. A Wake that sees no waiter therefore comes before the
// waiter's look, which sees the change; and one that sees a waiter closes the
// channel it holds, or comes before it takes one, which again is before the
// look.
type condition struct {
	waiting atomic.Int64 // tasks inside the slow part of Wait
	mu      sync.Mutex
	woken   chan struct{} // closed by the next Wake; nil until a waiter needs it
}

func (c *condition) Wait(ctx context.Context, ready func() bool) error {
	if ready() {
		return nil
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	for {
		woken := c.next()
		if ready() {
			return nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			// The condition may have become true at the same moment; a caller
			// that is told so need not be told that it was cancelled.
			if ready() {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

// next gives the channel that the next Wake closes.
func (c *condition) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken == nil {
		c.woken = make(chan struct{})
	}
	return c.woken
}

func (c *condition) Wake() {
	if c.waiting.Load() == 0 {
		return
	}
	c.mu.Lock()
	woken := c.woken
	c.woken = nil
	c.mu.Unlock()
	if woken != nil {
		close(woken)
	}
}
