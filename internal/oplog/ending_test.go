package oplog

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func TestAFailedAppendReachesEveryWaiterAndStays(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		logs.before = func(segment []storage.Chunk) error {
			if segment[0].Worker != alice {
				return errDisk
			}
			return nil
		}
		c, g, first := holding(t, s, logs)
		const writers = 10
		var tasks []sched.Task
		for i := range writers {
			tasks = append(tasks, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				index := mustAppend(t, w)
				waiter := s.Go("waiter", func() {
					if err := w.WaitCommitted(context.Background(), index); !errors.Is(err, errDisk) {
						t.Errorf("WaitCommitted() = %v, want the disk's error", err)
					}
				})
				if err := w.Commit(context.Background()); !errors.Is(err, errDisk) {
					t.Errorf("Commit() = %v, want the disk's error", err)
				}
				waiter.Wait()
				if err := w.Commit(context.Background()); !errors.Is(err, errDisk) {
					t.Errorf("a later Commit() = %v, want the disk's error", err)
				}
				if _, err := w.Append(context.Background(), line(0)); !errors.Is(err, errDisk) {
					t.Errorf("a later Append() = %v, want the disk's error", err)
				}
				if w.Committed() != 0 {
					t.Errorf("Committed() = %d, want 0", w.Committed())
				}
			}))
		}
		full := c.NewWriter(worker(writers), 0)
		tasks = append(tasks, s.Go("full", func() {
			var err error
			for n := 0; err == nil && n < 30; n++ {
				err = full.AppendHostCall(context.Background(), 1, nil, make([]byte, MaxEntry-100))
			}
			if !errors.Is(err, errDisk) {
				t.Errorf("an append that waited for room = %v, want the disk's error", err)
			}
		}))
		until(t, s, "all wait", func() bool { return c.waiting() == writers+1 && !full.Room() })
		g.open()
		first.Wait()
		for _, task := range tasks {
			task.Wait()
		}
		for range 2 {
			if err := c.Close(); !errors.Is(err, errDisk) {
				t.Errorf("Close() = %v, want the disk's error", err)
			}
		}
		if got := logs.begun(); got != 2 {
			t.Errorf("%d appends were begun, want none after the failed second", got)
		}
		checkLines(t, logs, alice, 1, 1)
	})
}

func TestAnOldOwnerIsFenced(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		old := newCommitter(t, s, logs)
		w := old.NewWriter(alice, 0)
		mustAppend(t, w)
		mustCommit(t, w)
		owner := newCommitter(t, s, logs)
		if owner.Epoch() != old.Epoch()+1 {
			t.Errorf("the epochs are %d and %d", old.Epoch(), owner.Epoch())
		}
		mustAppend(t, w)
		if err := w.Commit(context.Background()); !errors.Is(err, storage.ErrFenced) {
			t.Errorf("the old owner's Commit() = %v, want ErrFenced", err)
		}
		if err := old.Close(); !errors.Is(err, storage.ErrFenced) {
			t.Errorf("the old owner's Close() = %v, want ErrFenced", err)
		}
		w = owner.NewWriter(alice, 1)
		mustAppend(t, w)
		mustCommit(t, w)
		mustClose(t, owner)
		checkLines(t, logs, alice, 1, 2)
	})
}

func TestCloseFinishesWhatWasAskedForAndRefusesTheRest(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c, g, first := holding(t, s, logs)
		asked, unasked := c.NewWriter(worker(0), 0), c.NewWriter(worker(1), 0)
		mustAppend(t, asked)
		asked.Request()
		index := mustAppend(t, unasked)
		waiter := s.Go("waiter", func() {
			if err := unasked.WaitCommitted(context.Background(), index); !errors.Is(err, ErrClosed) {
				t.Errorf("WaitCommitted() of what nobody asked for = %v, want ErrClosed", err)
			}
		})
		closer := s.Go("closer", func() { mustClose(t, c) })
		until(t, s, "it is closing", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.closing
		})
		late := s.Go("late", func() {
			w := c.NewWriter(worker(2), 0)
			_, err := w.Append(context.Background(), line(1))
			if err == nil {
				err = w.Commit(context.Background())
			}
			if !errors.Is(err, ErrClosed) {
				t.Errorf("a commit after Close = %v, want ErrClosed", err)
			}
		})
		g.open()
		for _, task := range []sched.Task{first, waiter, closer, late} {
			task.Wait()
		}
		mustClose(t, c)
		if _, err := asked.Append(context.Background(), line(2)); !errors.Is(err, ErrClosed) {
			t.Errorf("an append after Close = %v, want ErrClosed", err)
		}
		if err := asked.Commit(context.Background()); err != nil {
			t.Errorf("Commit() of what is durable = %v after Close, want nil", err)
		}
		checkLines(t, logs, alice, 1, 1)
		checkLines(t, logs, worker(0), 1, 1)
		checkLines(t, logs, worker(1), 1, 0)
		checkLines(t, logs, worker(2), 1, 0)
	})
}

func TestCloseEndsAlthoughWritersNeverStopCommitting(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c := newCommitter(t, s, logs)
		var tasks []sched.Task
		for i := range 4 {
			tasks = append(tasks, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				var err error
				for err == nil {
					if _, err = w.Append(context.Background(), line(w.Last()+1)); err == nil {
						err = w.Commit(context.Background())
					}
				}
				if !errors.Is(err, ErrClosed) {
					t.Errorf("the writer ended with %v, want ErrClosed", err)
				}
				checkLines(t, logs, w.Worker(), 1, w.Committed())
			}))
		}
		until(t, s, "some commits are done", func() bool { return logs.begun() > 10 })
		mustClose(t, c)
		for _, task := range tasks {
			task.Wait()
		}
	})
}

func TestACommitterThatCannotTakeOverSaysWhy(t *testing.T) {
	for _, logs := range []storage.Logs{
		&unowned{Logs: newHooked(), epoch: errDisk},
		&unowned{Logs: newHooked(), acquire: storage.ErrFenced},
	} {
		_, err := NewCommitter(t.Context(), sched.NewGoroutines(), logs, shard)
		if !errors.Is(err, errDisk) && !errors.Is(err, storage.ErrFenced) {
			t.Errorf("NewCommitter() = %v, want the store's error", err)
		}
	}
}

// unowned refuses to be taken over.
type unowned struct {
	storage.Logs
	epoch, acquire error
}

func (u *unowned) Epoch(context.Context, id.Shard) (id.Epoch, error) { return 7, u.epoch }

func (u *unowned) Acquire(context.Context, id.Shard, id.Epoch) (uint64, error) { return 0, u.acquire }
