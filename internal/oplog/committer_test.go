package oplog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// durable notes what became durable, as the store sees it.
type durable struct {
	mu   sync.Mutex
	last map[id.Worker]Index
}

func (d *durable) note(segment []storage.Chunk) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = map[id.Worker]Index{}
	}
	for _, c := range segment {
		d.last[c.Worker] = c.Last()
	}
	return nil
}

func (d *durable) of(w id.Worker) Index {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last[w]
}

func TestCommittedEntriesAreDurableInOrderAndWithoutAGap(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		var d durable
		logs := newHooked()
		logs.before = func([]storage.Chunk) error { return s.Sleep(context.Background(), 10*time.Microsecond) }
		logs.after = d.note
		c := newCommitter(t, s, logs)
		const writers, entries = 8, 60
		var tasks []sched.Task
		var all []*Writer
		for i := range writers {
			w := c.NewWriter(worker(i), 0)
			all = append(all, w)
			tasks = append(tasks, s.Go(w.Worker().Name, func() {
				for range entries {
					index := mustAppend(t, w)
					switch index % 7 {
					case uint64(i):
						w.Request()
					case 3, 5:
						mustCommit(t, w)
						if got := d.of(w.Worker()); got < index {
							t.Errorf("Commit returned at entry %d, durable is %d", index, got)
						}
					}
					if committed, got := w.Committed(), d.of(w.Worker()); committed > got {
						t.Errorf("Committed() = %d, durable is %d", committed, got)
					}
				}
				mustCommit(t, w)
			}))
		}
		for _, task := range tasks {
			task.Wait()
		}
		mustClose(t, c)
		for _, w := range all {
			checkLines(t, logs, w.Worker(), 1, entries)
		}
	})
}

func TestACrashLosesNothingThatWasCommitted(t *testing.T) {
	steps := uint64(1)
	for seed, ended := uint64(1), false; !ended; seed++ {
		ended = crashAtStep(t, seed, steps)
		steps += 1 + steps/20
	}
	if steps < 100 {
		t.Fatalf("the last run ended before step %d, so hardly anything was tried", steps)
	}
}

// crashAtStep reports whether the run ended before that step.
func crashAtStep(t *testing.T, seed, step uint64) (ended bool) {
	s := sched.NewSimulation(seed)
	logs := newHooked()
	park := func([]storage.Chunk) error { return s.Sleep(context.Background(), 30*time.Microsecond) }
	logs.before, logs.after = park, park
	const writers, entries = 5, 30
	var acknowledged [writers]Index
	s.OnStep = func(next sched.Step) {
		if next.Number == step {
			s.Crash()
		}
	}
	err := s.Run(func() {
		c := newCommitter(t, s, logs)
		var tasks []sched.Task
		for i := range writers {
			tasks = append(tasks, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				for range entries {
					index := mustAppend(t, w)
					if index%3 == 0 {
						mustCommit(t, w)
						acknowledged[i] = index
					}
				}
			}))
		}
		for _, task := range tasks {
			task.Wait()
		}
		mustClose(t, c)
	})
	if err != nil && !errors.Is(err, sched.ErrCrashed) {
		t.Fatalf("seed %d, step %d: %v", seed, step, err)
	}
	ended = err == nil
	s.OnStep = nil
	if err := s.Run(func() { goOnAfterCrash(t, s, logs, acknowledged[:]) }); err != nil {
		t.Fatalf("seed %d, step %d, afterwards: %v", seed, step, err)
	}
	return ended
}

func goOnAfterCrash(t *testing.T, s sched.Scheduler, logs storage.Logs, acknowledged []Index) {
	c := newCommitter(t, s, logs)
	for i, want := range acknowledged {
		_, last, err := logs.Bounds(context.Background(), worker(i))
		if err != nil || last < want {
			t.Fatalf("%s has %d entries (%v), %d were acknowledged", worker(i), last, err, want)
		}
		w := c.NewWriter(worker(i), last)
		mustAppend(t, w)
		mustCommit(t, w)
		checkLines(t, logs, worker(i), 1, last+1)
	}
	mustClose(t, c)
}

func TestOneSeedIsOneTrace(t *testing.T) {
	trace := func(seed uint64) uint64 {
		s := sched.NewSimulation(seed)
		logs := newHooked()
		logs.before = func(segment []storage.Chunk) error {
			for _, c := range segment {
				s.Record(fmt.Sprint(c.Worker, c.First, c.Count))
			}
			return s.Sleep(context.Background(), 10*time.Microsecond)
		}
		err := s.Run(func() {
			c := newCommitter(t, s, logs)
			var tasks []sched.Task
			for i := range 4 {
				tasks = append(tasks, s.Go("writer", func() {
					w := c.NewWriter(worker(i), 0)
					for range 20 {
						mustAppend(t, w)
						mustCommit(t, w)
					}
				}))
			}
			for _, task := range tasks {
				task.Wait()
			}
			mustClose(t, c)
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return s.Trace()
	}
	if a, b := trace(1), trace(1); a != b {
		t.Errorf("seed 1 gave the traces %x and %x", a, b)
	}
	if a, b := trace(1), trace(2); a == b {
		t.Errorf("seeds 1 and 2 gave one trace, %x", a)
	}
}

// holding makes a committer whose first append is held at the gate, begun by
// the commit of a first writer's entry.
func holding(t *testing.T, s sched.Scheduler, logs *hooked) (*Committer, *gate, sched.Task) {
	g := newGate(s)
	before := logs.before
	logs.before = func(segment []storage.Chunk) error {
		g.pass()
		if before != nil {
			return before(segment)
		}
		return nil
	}
	c := newCommitter(t, s, logs)
	task := s.Go("first", func() {
		w := c.NewWriter(alice, 0)
		mustAppend(t, w)
		_ = w.Commit(context.Background())
	})
	until(t, s, "the first append is held", func() bool { return g.arrived() == 1 })
	return c, g, task
}

func (c *Committer) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.wanted)
}

func TestWritersThatWaitShareOneAppend(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c, g, first := holding(t, s, logs)
		const writers = 100
		tasks := []sched.Task{first}
		for i := range writers {
			tasks = append(tasks, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				mustAppend(t, w) // while the other append is under way
				mustCommit(t, w)
			}))
		}
		until(t, s, "all wait", func() bool { return c.waiting() == writers })
		g.open()
		for _, task := range tasks {
			task.Wait()
		}
		mustClose(t, c)
		if got := logs.begun(); got != 2 {
			t.Errorf("%d writers and the first took %d appends, want 2", writers, got)
		}
	})
}

func TestAppendWaitsWhenTheDiskIsFarBehind(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		logs := newHooked()
		c, g, first := holding(t, s, logs)
		const entries, size = 20, 700 << 10
		w := c.NewWriter(worker(0), 0)
		over := 0
		task := s.Go("writer", func() {
			for range entries {
				if err := w.AppendHostCall(context.Background(), 1, nil, make([]byte, size)); err != nil {
					t.Error(err)
				}
				w.mu.Lock()
				over = max(over, len(w.pending))
				w.mu.Unlock()
			}
			mustCommit(t, w)
		})
		until(t, s, "the writer is full", func() bool { return !w.Room() })
		if last := w.Last(); last >= entries {
			t.Errorf("all %d entries were appended while the disk did nothing", last)
		}

		// It waits in vain when it is told to stop, and nothing is appended.
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errDisk)
		last := w.Last()
		if _, err := w.Append(ctx, line(0)); !errors.Is(err, errDisk) {
			t.Errorf("Append with a cancelled context = %v, want its cause", err)
		}
		if w.Last() != last {
			t.Errorf("a refused append made entry %d", w.Last())
		}

		g.open()
		first.Wait()
		task.Wait()
		mustClose(t, c)
		// That it was full has been seen above; here it may be emptied between
		// an append and the look at it.
		if over > maxPending+MaxEntry {
			t.Errorf("the writer held up to %d bytes, more than %d", over, maxPending+MaxEntry)
		}
		n := 0
		for _, err := range Read(context.Background(), logs, w.Worker(), 1, 0) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != entries {
			t.Errorf("read %d entries, want %d", n, entries)
		}
	})
}

func TestAFullWriterGoesOnAsSoonAsItsChunkIsTaken(t *testing.T) {
	s := sched.NewGoroutines()
	logs := newHooked()
	second := newGate(s)
	c, g, first := holding(t, s, logs)
	held := logs.before
	logs.before = func(segment []storage.Chunk) error {
		if segment[0].Worker != alice {
			second.pass()
		}
		return held(segment)
	}
	w := c.NewWriter(worker(0), 0)
	task := s.Go("writer", func() {
		for range 8 {
			if err := w.AppendHostCall(context.Background(), 1, nil, make([]byte, MaxEntry-100)); err != nil {
				t.Error(err)
			}
		}
	})
	until(t, s, "the writer is full", func() bool { return !w.Room() })
	g.open()
	first.Wait()
	until(t, s, "the second append is held", func() bool { return second.arrived() == 1 })
	task.Wait() // although that append has not returned
	second.open()
	mustClose(t, c)
}

func TestASegmentStaysWithinItsLimits(t *testing.T) {
	if maxFlush+maxPending+MaxEntry > storage.MaxSegment {
		t.Error("a segment of maxFlush and one full writer is over storage.MaxSegment")
	}
	if maxPending+MaxEntry > storage.MaxChunk {
		t.Error("a full writer's chunk is over storage.MaxChunk")
	}
	if maxFlushChunks > storage.MaxChunks {
		t.Error("maxFlushChunks is over storage.MaxChunks")
	}
	s := sched.NewGoroutines()
	for _, test := range []struct{ writers, size, flushes int }{
		{maxFlushChunks + 1, 10, 2},
		{24, MaxEntry - 100, 2}, // 16 of them are maxFlush
	} {
		var bytes, flushes int
		logs := newHooked()
		logs.after = func(segment []storage.Chunk) error {
			flushes++
			total := 0
			for _, chunk := range segment {
				total += len(chunk.Bytes)
			}
			bytes = max(bytes, total)
			return nil
		}
		c, g, first := holding(t, s, logs)
		for i := range test.writers {
			w := c.NewWriter(worker(i), 0)
			if err := w.AppendHostCall(t.Context(), 1, nil, make([]byte, test.size)); err != nil {
				t.Fatal(err)
			}
			w.Request()
		}
		g.open()
		first.Wait()
		mustClose(t, c)
		if flushes != 1+test.flushes || bytes > maxFlush+MaxEntry {
			t.Errorf("%d writers of %d bytes took %d flushes of up to %d bytes, want %d", test.writers, test.size, flushes-1, bytes, test.flushes)
		}
	}
}
