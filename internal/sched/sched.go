// Package sched is how everything below the server starts tasks, waits and
// tells time. Real runs use goroutines and the machine's clocks (Goroutines);
// simulation runs every task as a coroutine of one seeded scheduler with
// virtual time, so that a seed is one exact trace. Code that waits only
// through this package behaves the same in both.
package sched

import (
	"context"
	"time"
)

// Scheduler starts tasks, parks them and tells time.
type Scheduler interface {
	// Go starts f as a task. The caller owns the task and waits for it. Names are
	// of kinds of tasks, and few.
	Go(name string, f func()) Task
	// Now is the wall clock.
	Now() time.Time
	// Monotonic never goes backwards; its zero is arbitrary.
	Monotonic() time.Duration
	// Sleep parks the calling task for d, or until ctx is done, whose cause
	// it then returns.
	Sleep(ctx context.Context, d time.Duration) error
	// Yield lets tasks go first that could, and returns soon.
	Yield()
	// NewCondition makes a place to wait at.
	NewCondition() Condition
}

// Task is a started task.
type Task interface {
	// Wait returns when the task has returned. It may be called more than once.
	Wait()
}

// Condition lets tasks wait until something is so. The state that ready reads
// is the caller's, under the caller's own lock; a Wake that follows a change
// of it is never lost.
type Condition interface {
	// Wait returns nil as soon as ready returns true, which it checks at once
	// and after every Wake, or the cause of ctx when that is done first.
	Wait(ctx context.Context, ready func() bool) error
	// Wake makes every waiting task check again. It never blocks, and costs a
	// few nanoseconds when nobody waits.
	Wake()
}
