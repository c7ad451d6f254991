package oplog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

const shard = id.Shard(3)

var alice = id.Worker{Component: "shop", Name: "alice"}

func worker(n int) id.Worker { return id.Worker{Component: "shop", Name: fmt.Sprint("w", n)} }

// eachScheduler runs a test as a task of goroutines and of simulations.
func eachScheduler(t *testing.T, test func(t *testing.T, s sched.Scheduler)) {
	t.Run("goroutines", func(t *testing.T) { test(t, sched.NewGoroutines()) })
	seeds := uint64(20)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("simulation seed %d", seed), func(t *testing.T) {
			s := sched.NewSimulation(seed)
			if err := s.Run(func() { test(t, s) }); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		})
	}
}

// hooked is the logs of a memory store, where what is stored is durable. A test
// can look at, delay and fail appends, and change what is read.
type hooked struct {
	storage.Logs
	before, after func(segment []storage.Chunk) error // of Append
	mangle        func(storage.Chunk, func(storage.Chunk, error) bool) bool

	mu      sync.Mutex
	appends int // begun
	reads   int
}

func newHooked() *hooked { return &hooked{Logs: memory.New().Logs()} }

func (h *hooked) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	h.mu.Lock()
	h.appends++
	h.mu.Unlock()
	if h.before != nil {
		if err := h.before(segment); err != nil {
			return err
		}
	}
	err := h.Logs.Append(ctx, shard, epoch, head, segment)
	if err == nil && h.after != nil {
		err = h.after(segment)
	}
	return err
}

func (h *hooked) begun() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.appends
}

func (h *hooked) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	h.mu.Lock()
	h.reads++
	h.mu.Unlock()
	chunks := h.Logs.Read(ctx, w, from, to)
	if h.mangle == nil {
		return chunks
	}
	return func(yield func(storage.Chunk, error) bool) {
		for chunk, err := range chunks {
			if err != nil && !yield(chunk, err) || err == nil && !h.mangle(chunk, yield) {
				return
			}
		}
	}
}

// gate holds tasks until it is opened.
type gate struct {
	changed sched.Condition
	mu      sync.Mutex
	isOpen  bool
	held    int // tasks that have come so far
}

func newGate(s sched.Scheduler) *gate { return &gate{changed: s.NewCondition()} }

func (g *gate) pass() {
	g.mu.Lock()
	g.held++
	g.mu.Unlock()
	_ = g.changed.Wait(context.Background(), func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.isOpen
	})
}

func (g *gate) open() {
	g.mu.Lock()
	g.isOpen = true
	g.mu.Unlock()
	g.changed.Wake()
}

func (g *gate) arrived() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// until lets other tasks run until something is so.
func until(t *testing.T, s sched.Scheduler, what string, ready func() bool) {
	t.Helper()
	began := s.Monotonic()
	for !ready() {
		if s.Monotonic()-began > 20*time.Second {
			t.Fatalf("waited too long until %s", what)
		}
		s.Yield()
	}
}

func newCommitter(t testing.TB, s sched.Scheduler, logs storage.Logs) *Committer {
	t.Helper()
	c, err := NewCommitter(t.Context(), s, logs, shard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustClose(t testing.TB, c *Committer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
}

// mustAppend appends a Log entry that tells its index.
func mustAppend(t testing.TB, w *Writer) Index {
	t.Helper()
	want := w.Last() + 1
	index, err := w.Append(t.Context(), line(want))
	if err != nil || index != want {
		t.Fatalf("Append() = %d, %v, want %d", index, err, want)
	}
	return index
}

func line(index Index) *Log {
	return &Log{Stream: Stdout, Bytes: fmt.Appendf(nil, "entry %d", index)}
}

func mustCommit(t testing.TB, w *Writer) {
	t.Helper()
	last := w.Last()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit() = %v", err)
	}
	if got := w.Committed(); got < last {
		t.Fatalf("Committed() = %d after Commit of %d", got, last)
	}
}

// write makes an oplog of alice with these numbers of entries in its chunks.
func write(t testing.TB, logs storage.Logs, counts ...int) Index {
	t.Helper()
	c := newCommitter(t, sched.NewGoroutines(), logs)
	_, last, err := logs.Bounds(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	w := c.NewWriter(alice, last)
	for _, n := range counts {
		for range n {
			mustAppend(t, w)
		}
		mustCommit(t, w)
	}
	mustClose(t, c)
	return w.Last()
}

// checkLines demands that w has the entries from to to as mustAppend wrote them.
func checkLines(t testing.TB, logs storage.Logs, w id.Worker, from, to Index) {
	t.Helper()
	next := from
	for entry, err := range Read(t.Context(), logs, w, from, 0) {
		if err != nil {
			t.Fatalf("Read(%s) at %d: %v", w, next, err)
		}
		if err := checkLine(entry, next); err != nil {
			t.Fatalf("Read(%s): %v", w, err)
		}
		next++
	}
	if next != to+1 {
		t.Fatalf("Read(%s) ended before entry %d, want %d", w, next, to+1)
	}
}

func checkLine(entry Entry, index Index) error {
	log, ok := entry.Body.(*Log)
	if entry.Index != index || !ok || string(log.Bytes) != fmt.Sprintf("entry %d", index) {
		return fmt.Errorf("got entry %d, %+v, want %d", entry.Index, entry.Body, index)
	}
	return nil
}

var errDisk = errors.New("the disk is on fire")
