package oplog

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// entryOf makes a response that gives a host call's entry exactly size bytes.
func entryOf(size int) []byte {
	c := coder{}
	empty := len(appendEntry(&c, nil, 1, &HostCall{Func: 1, Response: make([]byte, size-100)})) - (size - 100)
	return make([]byte, size-empty)
}

func TestAnEntryOverMaxEntryIsRefusedAndHarmsNothing(t *testing.T) {
	for name, appendCall := range map[string]func(*Writer, []byte) error{
		"Append": func(w *Writer, p []byte) error {
			_, err := w.Append(t.Context(), &HostCall{Func: 1, Response: p})
			return err
		},
		"AppendHostCall": func(w *Writer, p []byte) error { return w.AppendHostCall(t.Context(), 1, nil, p) },
	} {
		t.Run(name, func(t *testing.T) {
			logs := newHooked()
			c := newCommitter(t, sched.NewGoroutines(), logs)
			w := c.NewWriter(alice, 0)
			largest := entryOf(MaxEntry)
			for _, p := range [][]byte{{1}, largest, append(largest, 0), make([]byte, 20<<20), {2}} {
				err := appendCall(w, p)
				if tooLarge := len(p) > len(largest); errors.Is(err, storage.ErrTooLarge) != tooLarge || !tooLarge && err != nil {
					t.Fatalf("appending %d bytes, of at most %d: %v", len(p), len(largest), err)
				}
			}
			if got := cap(w.pending); got > 2*maxPending {
				t.Errorf("a refused entry leaves a buffer of %d bytes", got)
			}
			mustCommit(t, w)
			mustClose(t, c)
			var sizes []int
			for entry, err := range Read(t.Context(), logs, alice, 1, 0) {
				if err != nil {
					t.Fatal(err)
				}
				sizes = append(sizes, len(entry.Body.(*HostCall).Response))
			}
			if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != len(largest) || sizes[2] != 1 {
				t.Errorf("read responses of %v bytes, want 1, %d and 1", sizes, len(largest))
			}
		})
	}
}

func TestAppendHostCallWritesWhatAppendDoes(t *testing.T) {
	c := newCommitter(t, sched.NewGoroutines(), newHooked())
	a, b := c.NewWriter(alice, 0), c.NewWriter(alice, 0)
	for _, size := range []int{0, 1, 100, 117, 118, 119, 120, 121, 127, 128, 1000, 16_373, 16_384, 70_000} {
		call := HostCall{Func: uint64(size) << 20, Request: make([]byte, size/3), Response: bytes.Repeat([]byte{7}, size-size/3)}
		if _, err := a.Append(t.Context(), &call); err != nil {
			t.Fatal(err)
		}
		if err := b.AppendHostCall(t.Context(), call.Func, call.Request, call.Response); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.pending, b.pending) || a.count != b.count {
		t.Error("they differ")
	}
	mustClose(t, c)
}

func TestAppendHostCallDoesNotAllocate(t *testing.T) {
	c := newCommitter(t, sched.NewGoroutines(), newHooked())
	w := c.NewWriter(alice, 0)
	w.pending = append(make([]byte, 0, flushAt), w.pending...)
	request, response := make([]byte, 4), make([]byte, 200)
	allocations := testing.AllocsPerRun(500, func() {
		if err := w.AppendHostCall(t.Context(), 1, request, response); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("a host call takes %v allocations", allocations)
	}
	mustClose(t, c)
}

func TestAWriterAsksForAFlushWhenItHoldsMuch(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c := newCommitter(t, s, logs)
		w := c.NewWriter(alice, 0)
		const entries = flushAt/1000 + 1
		for range entries {
			if err := w.AppendHostCall(context.Background(), 1, nil, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		// The flush may begin before the last of them are appended.
		until(t, s, "most entries are durable", func() bool { return w.Committed() > entries*9/10 })
		mustClose(t, c)
	})
}

func TestARequestOfAWriterWithoutNewEntriesChangesNothing(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		write(t, logs, 9)
		c := newCommitter(t, s, logs)
		idle, busy := c.NewWriter(alice, 9), c.NewWriter(worker(0), 0)
		mustAppend(t, busy)
		idle.Request()
		mustCommit(t, busy)
		if idle.Committed() != 9 || idle.Last() != 9 {
			t.Errorf("Committed() = %d and Last() = %d, want 9", idle.Committed(), idle.Last())
		}
		mustCommit(t, idle)
		mustClose(t, c)
		checkLines(t, logs, alice, 1, 9)
	})
}

func TestACancelledCommitStopsWaiting(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c, g, first := holding(t, s, logs)
		ctx, cancel := context.WithCancelCause(context.Background())
		w := c.NewWriter(worker(0), 0)
		waiter := s.Go("waiter", func() {
			mustAppend(t, w)
			if err := w.Commit(ctx); !errors.Is(err, errDisk) {
				t.Errorf("Commit() = %v, want the cause", err)
			}
		})
		until(t, s, "it waits", func() bool { return c.waiting() == 1 })
		cancel(errDisk)
		waiter.Wait()
		g.open()
		first.Wait()
		mustClose(t, c)
		checkLines(t, logs, w.Worker(), 1, 1) // it had been asked for
	})
}

func TestAChunkTellsWhenItWasFlushed(t *testing.T) {
	s := sched.NewSimulation(1)
	err := s.Run(func() {
		logs := newHooked()
		c := newCommitter(t, s, logs)
		w := c.NewWriter(alice, 0)
		var before, after [3]time.Time
		for i := range before {
			before[i] = s.Now()
			mustAppend(t, w)
			mustCommit(t, w)
			after[i] = s.Now()
			_ = s.Sleep(context.Background(), time.Hour)
		}
		mustClose(t, c)
		for entry, err := range Read(context.Background(), logs, alice, 1, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if i, at := entry.Index-1, entry.At.Time(); at.Before(before[i]) || at.After(after[i]) {
				t.Errorf("entry %d was flushed at %v, want between %v and %v", entry.Index, at, before[i], after[i])
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAWriterGivesBackALargeBufferThatItNoLongerFills(t *testing.T) {
	c := newCommitter(t, sched.NewGoroutines(), newHooked())
	w := c.NewWriter(alice, 0)
	for range 3 {
		if err := w.AppendHostCall(t.Context(), 1, nil, make([]byte, MaxEntry-100)); err != nil {
			t.Fatal(err)
		}
	}
	mustCommit(t, w)
	for range 3 {
		mustAppend(t, w)
		mustCommit(t, w)
	}
	if got := cap(w.pending) + cap(w.flying); got > 2*maxIdleBuffer {
		t.Errorf("it still holds buffers of %d bytes", got)
	}
	mustClose(t, c)
}
