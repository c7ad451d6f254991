package oplog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	// flushAt is how many bytes a writer holds before it asks for a flush
	// that nobody waits for.
	flushAt = 256 << 10
	// maxPending is how many it holds before appending waits for the disk.
	maxPending = 4 << 20
)

// Writer appends to one worker's oplog. Entries are buffered and ordered;
// Commit makes them durable. It is for one task at a time, Committed and
// WaitCommitted for any.
type Writer struct {
	c      *Committer
	worker id.Worker

	committed atomic.Uint64 // the last durable index

	mu      sync.Mutex
	pending []byte // the forming chunk, room for its header first
	count   uint32
	next    Index
	flying  []byte // the chunk being flushed, reused for the one after the next
	flown   Index  // its last index

	wanted bool // guarded by c.mu
}

// NewWriter opens the oplog of worker for appending behind its last entry.
func (c *Committer) NewWriter(worker id.Worker, last Index) *Writer {
	w := &Writer{c: c, worker: worker, next: last + 1, pending: make([]byte, chunkHeader, 4<<10)}
	w.committed.Store(last)
	return w
}

// Worker is whose oplog it is.
func (w *Writer) Worker() id.Worker { return w.worker }

// Append adds an entry and returns its index. It waits only when the disk is
// far behind.
func (w *Writer) Append(ctx context.Context, body Body) (Index, error) {
	w.mu.Lock()
	before := len(w.pending)
	grown := appendEntry(w.pending, w.next, body)
	if len(grown)-before > MaxEntry {
		w.mu.Unlock()
		return 0, fmt.Errorf("append %s to the oplog of %s: the entry has %d bytes, more than %d", Name(body), w.worker, len(grown)-before, MaxEntry)
	}
	return w.appended(ctx, grown)
}

// AppendHostCall is Append for a *HostCall whose request and response are
// already encoded, without an allocation: it is by far the most frequent.
func (w *Writer) AppendHostCall(ctx context.Context, function uint64, request, response []byte) error {
	body := HostCall{Func: function, Request: request, Response: response}
	w.mu.Lock()
	c := coder{b: append(w.pending, 0, kindHostCall.number)}
	body.fields(&c)
	_, err := w.appended(ctx, sealEntry(c.b, len(w.pending), w.next))
	return err
}

// appended takes the grown buffer; it is called with w.mu held and releases it.
func (w *Writer) appended(ctx context.Context, grown []byte) (Index, error) {
	w.pending = grown
	index := w.next
	w.next++
	w.count++
	size := len(w.pending)
	w.mu.Unlock()
	if size < flushAt {
		return index, nil
	}
	w.c.want(w)
	if size < maxPending {
		return index, nil
	}
	err := w.c.committed.Wait(ctx, func() bool {
		w.mu.Lock()
		drained := len(w.pending) < maxPending
		w.mu.Unlock()
		return drained || w.c.failure() != nil
	})
	if err == nil {
		err = w.c.failure()
	}
	return index, err
}

// Last is the index of the last entry appended.
func (w *Writer) Last() Index {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next - 1
}

// Committed is the index of the last durable entry.
func (w *Writer) Committed() Index { return w.committed.Load() }

// Request asks for everything appended so far to become durable soon.
func (w *Writer) Request() { w.c.want(w) }

// Commit returns when everything appended so far is durable.
func (w *Writer) Commit(ctx context.Context) error {
	last := w.Last()
	if w.committed.Load() >= last {
		return nil
	}
	w.c.want(w)
	return w.WaitCommitted(ctx, last)
}

// WaitCommitted returns when entry index is durable. It does not ask for it.
func (w *Writer) WaitCommitted(ctx context.Context, index Index) error {
	done := func() bool { return w.committed.Load() >= index || w.c.failure() != nil }
	if err := w.c.committed.Wait(ctx, done); err != nil {
		return err
	}
	if w.committed.Load() >= index {
		return nil
	}
	return w.c.failure()
}

// take hands the forming chunk to a flush and starts a new one.
func (w *Writer) take(now time.Time) storage.Chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == 0 {
		return storage.Chunk{}
	}
	chunk := storage.Chunk{Worker: w.worker, First: w.next - uint64(w.count), Count: w.count, Bytes: w.pending}
	putChunkHeader(chunk.Bytes, now)
	if cap(w.flying) < chunkHeader {
		w.flying = make([]byte, chunkHeader, cap(w.pending))
	}
	w.pending, w.flying, w.count = w.flying[:chunkHeader], w.pending, 0
	w.flown = w.next - 1
	return chunk
}

// flushed is called when what take gave is durable.
func (w *Writer) flushed() {
	w.mu.Lock()
	last := w.flown
	w.mu.Unlock()
	w.committed.Store(last)
}
