package oplog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

func newRetrying(t testing.TB, s sched.Scheduler, logs storage.Logs) *Committer {
	t.Helper()
	c, err := NewCommitter(t.Context(), s, logs, shard, Retry)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inSimulations runs a test in simulations alone: it is about time.
func inSimulations(t *testing.T, test func(t *testing.T, s *sched.Simulation, seed uint64)) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := sched.NewSimulation(seed)
			if err := s.Run(func() { test(t, s, seed) }); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		})
	}
}

func TestWhatIsCommittedOverAFullDiskIsThereOnceAndInOrder(t *testing.T) {
	inSimulations(t, func(t *testing.T, s *sched.Simulation, seed uint64) {
		disk := vfs.NewMemory(seed)
		open := func() *local.Store {
			store, err := local.Open(t.Context(), disk, "state", local.Options{
				FileBytes: 64 << 10, AllocateBytes: 16 << 10, FlushWeight: 16, FlushBytes: 16 << 10,
			})
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		store := open()
		// Besides, an append may fail that has become durable after all.
		faults := storagetest.Alternate(storagetest.None, storagetest.After, storagetest.None, storagetest.None, storagetest.Before)
		c := newRetrying(t, s, storagetest.Faulty(store, func(call string) storagetest.Fault {
			if call != "Append" {
				return storagetest.None
			}
			return faults(call)
		}).Logs())
		var acknowledged [5]Index
		var writers []sched.Task
		for i := range acknowledged {
			writers = append(writers, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				for range 40 {
					_ = s.Sleep(context.Background(), 20*time.Millisecond)
					index := mustAppend(t, w)
					mustCommit(t, w)
					acknowledged[i] = index
				}
			}))
		}
		full := 0
		ctx, stop := context.WithCancel(context.Background())
		space := s.Go("space", func() {
			for ctx.Err() == nil {
				_ = s.Sleep(ctx, 100*time.Millisecond)
				disk.SetCapacity(disk.Used()) // what is allocated is left
				_ = s.Sleep(ctx, 2*time.Second)
				if errors.Is(c.Stalled(), storage.ErrFull) {
					full++
				}
				disk.SetCapacity(0)
			}
		})
		for _, w := range writers {
			w.Wait()
		}
		stop()
		space.Wait()
		if err := c.Stalled(); err != nil {
			t.Errorf("Stalled() = %v although the last commit succeeded", err)
		}
		if full == 0 {
			t.Error("the disk was never found full")
		}
		mustClose(t, c)
		disk = disk.Crash(nil)
		store = open()
		for i, last := range acknowledged {
			checkLines(t, store.Logs(), worker(i), 1, last)
		}
	})
}

func TestAFailedAppendIsTriedAgainAfterGrowingPauses(t *testing.T) {
	s := sched.NewSimulation(1)
	err := s.Run(func() {
		logs := newHooked()
		var at []time.Duration
		var segments []string
		logs.before = func(segment []storage.Chunk) error {
			at = append(at, s.Monotonic())
			segments = append(segments, fmt.Sprint(segment))
			if len(at) < 9 {
				return errDisk
			}
			return nil
		}
		c := newRetrying(t, s, logs)
		if c.Stalled() != nil {
			t.Errorf("Stalled() = %v at the beginning", c.Stalled())
		}
		w := c.NewWriter(alice, 0)
		mustAppend(t, w)
		task := s.Go("commit", func() { mustCommit(t, w) })
		until(t, s, "it stalls", func() bool { return c.Stalled() != nil })
		if err := c.Stalled(); !errors.Is(err, errDisk) {
			t.Errorf("Stalled() = %v, want the disk's error", err)
		}
		mustAppend(t, w) // goes with a later flush
		task.Wait()
		mustCommit(t, w)
		if c.Stalled() != nil || c.Flushes() != 2 {
			t.Errorf("Stalled() = %v after %d flushes", c.Stalled(), c.Flushes())
		}
		mustClose(t, c)
		checkLines(t, logs, alice, 1, 2)
		for _, segment := range segments[:9] {
			if segment != segments[0] {
				t.Errorf("another segment was tried again: %s, not %s", segment, segments[0])
			}
		}
		var pauses []time.Duration
		for i := range 8 {
			pauses = append(pauses, (at[i+1] - at[i]).Round(10*time.Millisecond))
		}
		ms := time.Millisecond
		if want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second, time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("the pauses are %v, want %v", pauses, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestACommitOverAStalledDiskStopsWaitingWhenToldTo(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		g := newGate(s)
		logs.before = func([]storage.Chunk) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if !g.isOpen {
				return errDisk
			}
			return nil
		}
		c := newRetrying(t, s, logs)
		w := c.NewWriter(alice, 0)
		mustAppend(t, w)
		ctx, cancel := context.WithCancelCause(context.Background())
		task := s.Go("commit", func() {
			if err := w.Commit(ctx); !errors.Is(err, errDone) {
				t.Errorf("Commit() = %v, want the cause", err)
			}
		})
		until(t, s, "it stalls", func() bool { return c.Stalled() != nil })
		cancel(errDone)
		task.Wait()
		g.open()
		mustAppend(t, w)
		mustCommit(t, w)
		mustClose(t, c)
		checkLines(t, logs, alice, 1, 2)
	})
}

var errDone = errors.New("nobody waits any longer")

func TestCloseEndsAStalledCommitterWithTheDisksError(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		logs.before = func([]storage.Chunk) error { return errDisk }
		c := newRetrying(t, s, logs)
		var appended atomic.Int32
		var tasks []sched.Task
		for i := range 3 {
			tasks = append(tasks, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				mustAppend(t, w)
				appended.Add(1)
				if err := w.Commit(context.Background()); !errors.Is(err, errDisk) && !errors.Is(err, ErrClosed) {
					t.Errorf("Commit() = %v, want the disk's error", err)
				}
			}))
		}
		until(t, s, "all wait or are about to", func() bool { return c.Stalled() != nil && appended.Load() == 3 })
		for range 2 {
			if err := c.Close(); !errors.Is(err, errDisk) {
				t.Errorf("Close() = %v, want the disk's error", err)
			}
		}
		for _, task := range tasks {
			task.Wait()
		}
		if err := c.Stalled(); !errors.Is(err, errDisk) {
			t.Errorf("Stalled() = %v after the end, want the disk's error", err)
		}
		if _, err := c.NewWriter(alice, 0).Offer(line(1)); !errors.Is(err, errDisk) {
			t.Errorf("Offer() = %v, want the disk's error", err)
		}
		if c.Flushes() != 0 || c.Bytes() != 0 {
			t.Errorf("%d flushes of %d bytes are counted", c.Flushes(), c.Bytes())
		}
	})
}

func TestCloseTriesOnceMore(t *testing.T) {
	inSimulations(t, func(t *testing.T, s *sched.Simulation, _ uint64) {
		logs := newHooked()
		failing := true
		logs.before = func([]storage.Chunk) error {
			if failing {
				return errDisk
			}
			return nil
		}
		c := newRetrying(t, s, logs)
		w := c.NewWriter(alice, 0)
		mustAppend(t, w)
		w.Request()
		_ = s.Sleep(context.Background(), 10*time.Second)
		failing = false
		began := s.Monotonic()
		mustClose(t, c)
		if took := s.Monotonic() - began; took > time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		checkLines(t, logs, alice, 1, 1)
	})
}

func TestAppendingGoesOnOverAStalledDiskUntilMuchIsPending(t *testing.T) {
	inSimulations(t, func(t *testing.T, s *sched.Simulation, _ uint64) {
		logs := newHooked()
		failing := true
		logs.before = func([]storage.Chunk) error {
			if failing {
				return errDisk
			}
			return nil
		}
		c := newRetrying(t, s, logs)
		w := c.NewWriter(alice, 0)
		const entries, size = 3 * maxPending / (64 << 10), 64 << 10
		task := s.Go("writer", func() {
			for range entries {
				if err := w.AppendHostCall(context.Background(), 1, nil, make([]byte, size)); err != nil {
					t.Error(err)
				}
			}
			mustCommit(t, w)
		})
		_ = s.Sleep(context.Background(), time.Minute)
		if last := w.Last(); w.Room() || last*size < maxPending || last == entries {
			t.Errorf("%d entries of %d bytes were appended while nothing could be written", last, size)
		}
		failing = false
		task.Wait()
		mustClose(t, c)
		if w.Committed() != entries {
			t.Errorf("%d of %d entries are durable", w.Committed(), entries)
		}
	})
}

func TestWhatCannotPassIsNotTriedAgain(t *testing.T) {
	for _, lasting := range []error{storage.ErrFenced, storage.ErrClosed, storage.ErrGap, storage.ErrTooLarge} {
		s := sched.NewGoroutines()
		logs := newHooked()
		logs.before = func([]storage.Chunk) error { return fmt.Errorf("append: %w", lasting) }
		c := newRetrying(t, s, logs)
		w := c.NewWriter(alice, 0)
		mustAppend(t, w)
		if err := w.Commit(t.Context()); !errors.Is(err, lasting) {
			t.Errorf("Commit() = %v, want %v", err, lasting)
		}
		if err := c.Stalled(); !errors.Is(err, lasting) {
			t.Errorf("Stalled() = %v, want %v", err, lasting)
		}
		if err := c.Close(); !errors.Is(err, lasting) || logs.begun() != 1 {
			t.Errorf("Close() = %v after %d appends, want %v after 1", err, logs.begun(), lasting)
		}
	}
}

func TestACommitterCountsWhatItFlushes(t *testing.T) {
	s := sched.NewGoroutines()
	logs := newHooked()
	bytes := 0
	logs.after = func(segment []storage.Chunk) error {
		for _, chunk := range segment {
			bytes += len(chunk.Bytes)
		}
		return nil
	}
	c := newCommitter(t, s, logs)
	w := c.NewWriter(alice, 0)
	for range 3 {
		mustAppend(t, w)
		mustCommit(t, w)
	}
	w.Request() // an empty flush is none
	mustClose(t, c)
	if c.Flushes() != 3 || c.Bytes() != uint64(bytes) || bytes == 0 {
		t.Errorf("Flushes() = %d and Bytes() = %d, want 3 and %d", c.Flushes(), c.Bytes(), bytes)
	}
}
