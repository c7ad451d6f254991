package oplog

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	// flushAt is how many bytes a writer holds before it asks for a flush
	// that nobody waits for.
	flushAt = 256 << 10
	// maxPending is how many it holds before appending waits for the disk.
	maxPending = 4 << 20
	// maxTake is how many one flush takes of a writer: more than that is there
	// only if Offer went on without room.
	maxTake = maxPending + MaxEntry
	// maxIdleBuffer is how large a buffer a writer keeps whose chunks are much
	// smaller at present.
	maxIdleBuffer = 64 << 10
	// firstBuffer is the size of a writer's first buffers.
	firstBuffer = 512
)

// Writer appends to one worker's oplog. Entries are buffered and ordered;
// Commit makes them durable. All of it may be used by several tasks at once:
// each entry is added as a whole, and the indexes tell in which order.
type Writer struct {
	c      *Committer
	worker id.Worker
	sum    uint32 // workerSum of worker
	whole  bool   // nothing is flushed before Commit, and all of it at once
	absent Index  // before it there are so many entries of which nothing is written

	committed atomic.Uint64                   // the last durable index
	moved     atomic.Pointer[sched.Condition] // where followers wait, if there are any

	mu      sync.Mutex
	coder   coder
	pending []byte // the forming chunk, room for its header first
	count   uint32
	next    Index
	flying  []byte // the chunk being flushed, reused for the one after the next
	flown   Index  // its last index
	bytes   uint64 // of all entries appended

	// Guarded by c.mu.
	wanted bool // in c.wanted
	joined bool // in c.joined
	aboard bool // taken already by the flush that is being gathered
}

// NewWriter opens the oplog of worker for appending behind its last entry.
func (c *Committer) NewWriter(worker id.Worker, last Index) *Writer {
	w := &Writer{c: c, worker: worker, sum: workerSum(worker), next: last + 1, flown: last, pending: newChunk()}
	w.committed.Store(last)
	return w
}

// NewWhole opens the oplog of a new worker for what becomes durable as a whole: by
// the first Commit, in one chunk. More than MaxWhole bytes are refused. Its first
// entry follows on so many that are as good as truncated: blank chunks stand for
// them until they are.
func (c *Committer) NewWhole(worker id.Worker, absent Index) *Writer {
	w := c.NewWriter(worker, absent)
	w.whole, w.absent = true, absent
	return w
}

// blanks are the chunks for what is absent.
func (w *Writer) blanks(now time.Time) (chunks []storage.Chunk) {
	for first := Index(1); first <= w.absent; {
		chunk := storage.Chunk{Worker: w.worker, First: first, Count: uint32(min(w.absent-first+1, math.MaxUint32)), Bytes: append(newChunk(), blankMark)}
		putChunkHeader(chunk.Bytes, w.sum, first, now)
		chunks = append(chunks, chunk)
		first = chunk.Last() + 1
	}
	w.absent = 0
	return chunks
}

// MaxWhole is how many bytes of entries NewWhole's writer takes. What else goes with
// the same flush has room beside it.
const MaxWhole = storage.MaxChunk - MaxEntry

func newChunk() []byte { return make([]byte, chunkHeader, firstBuffer) }

// Worker is whose oplog it is.
func (w *Writer) Worker() id.Worker { return w.worker }

// Append adds an entry and returns its index. It waits only when the disk is
// far behind. After an error the entry has not been added.
func (w *Writer) Append(ctx context.Context, body Body) (Index, error) {
	if err := w.lock(ctx); err != nil {
		return 0, err
	}
	return w.add(appendEntry(&w.coder, w.pending, w.next, body), body.kind())
}

// AppendHostCall is Append for a *HostCall whose request and response are
// already encoded, without an allocation: it is by far the most frequent.
func (w *Writer) AppendHostCall(ctx context.Context, function uint64, request, response []byte) error {
	if err := w.lock(ctx); err != nil {
		return err
	}
	body := HostCall{Func: function, Request: request, Response: response}
	c := coder{b: beginEntry(w.pending, kindHostCall)}
	body.fields(&c)
	_, err := w.add(sealEntry(c.b, len(w.pending), w.next), kindHostCall)
	return err
}

// Offer is Append for callers that hold a lock: it never waits, neither for the
// disk nor for room. It fails only if the committer has ended or the entry is
// too large. What bounds the memory is that callers look at Room before they
// accept work that leads to entries.
func (w *Writer) Offer(body Body) (Index, error) {
	if err := w.c.failure(); err != nil {
		return 0, err
	}
	w.mu.Lock()
	return w.add(appendEntry(&w.coder, w.pending, w.next, body), body.kind())
}

// Room tells whether the disk keeps up: whether Append would not wait.
func (w *Writer) Room() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) < maxPending
}

// lock locks w.mu as soon as there is room for an entry.
func (w *Writer) lock(ctx context.Context) error {
	for {
		if err := w.c.failure(); err != nil {
			return err
		}
		w.mu.Lock()
		if len(w.pending) < maxPending {
			return nil
		}
		w.mu.Unlock()
		if err := w.c.committed.Wait(ctx, func() bool { return w.Room() || w.c.failure() != nil }); err != nil {
			return err
		}
	}
}

// add makes grown, which is pending and one entry more, the pending chunk. It
// is called with w.mu held and releases it.
func (w *Writer) add(grown []byte, k *kind) (Index, error) {
	before, size := len(w.pending), len(grown)
	if size-before > MaxEntry {
		w.mu.Unlock()
		return 0, fmt.Errorf("append %s to the oplog of %s: the entry has %d bytes, more than %d: %w", k.name, w.worker, size-before, MaxEntry, storage.ErrTooLarge)
	}
	if w.whole && size > MaxWhole {
		w.mu.Unlock()
		return 0, fmt.Errorf("append to the oplog of %s, which is written as a whole: it has more than %d bytes: %w", w.worker, MaxWhole, storage.ErrTooLarge)
	}
	index := w.next
	w.pending = grown
	w.next++
	w.count++
	w.bytes += uint64(size - before)
	w.mu.Unlock()
	if before < flushAt && size >= flushAt && !w.whole { // at the crossing alone: it stays wanted
		w.c.want(w)
	}
	return index, nil
}

// Last is the index of the last entry appended.
func (w *Writer) Last() Index {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next - 1
}

// Bytes is how many bytes the entries had that were appended.
func (w *Writer) Bytes() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// Committed is the index of the last durable entry.
func (w *Writer) Committed() Index { return w.committed.Load() }

// Request asks for everything appended so far to become durable soon.
func (w *Writer) Request() { w.c.want(w) }

// Join lets everything appended so far go with the next flush, without causing
// one. What is appended afterwards to a writer that is committed is durable no
// earlier: it is in the same segment or in a later one, also when a flush takes
// only some of what waits for it. All that joined is in one segment, unless it
// is more than one flush takes.
func (w *Writer) Join() { w.c.join(w) }

// Commit returns when everything appended so far is durable, or ctx is done.
// It may flush by itself, and then it does so to the end.
func (w *Writer) Commit(ctx context.Context) error { return w.CommitTo(ctx, w.Last()) }

// CommitTo is Commit of what was appended up to index, and asks for no flush if
// that is in one already.
func (w *Writer) CommitTo(ctx context.Context, index Index) error {
	if w.committed.Load() >= index {
		return nil
	}
	w.mu.Lock()
	flying := w.flown >= index
	w.mu.Unlock()
	if !flying {
		w.c.commit(w)
	}
	return w.WaitCommitted(ctx, index)
}

// CommitSoon is Commit for those who rather know that the store refuses to take
// anything: it then gives up with the store's error. What was appended is made
// durable all the same once that works.
func (w *Writer) CommitSoon(ctx context.Context) error {
	last := w.Last()
	if w.committed.Load() >= last {
		return nil
	}
	w.c.commit(w)
	var stalled error
	err := w.c.committed.Wait(ctx, func() bool {
		if w.c.hopeless.Load() {
			stalled = w.c.Stalled()
		}
		return w.committed.Load() >= last || stalled != nil || w.c.failure() != nil
	})
	switch {
	case err != nil || w.committed.Load() >= last:
		return err
	case stalled != nil:
		return stalled
	}
	return w.c.failure()
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

// take hands the forming chunk to a flush and starts a new one, with what is
// over maxTake. It reports whether there is such a rest, and whether an append
// may be waiting for room.
func (w *Writer) take(now time.Time) (chunk storage.Chunk, rest, full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == 0 {
		return chunk, false, false
	}
	end, count := len(w.pending), w.count
	if full = end >= maxPending; end > maxTake && !w.whole {
		end, count = cutPending(w.pending)
	}
	first := w.next - uint64(w.count)
	chunk = storage.Chunk{Worker: w.worker, First: first, Count: count, Bytes: w.pending[:end:end]}
	putChunkHeader(chunk.Bytes, w.sum, first, now)
	if size := cap(w.flying); size == 0 || size > maxIdleBuffer && len(w.pending) < maxIdleBuffer/4 {
		w.flying = newChunk()
	}
	w.pending, w.flying = append(w.flying[:chunkHeader], w.pending[end:]...), w.pending
	w.count -= count
	w.flown = chunk.Last()
	return chunk, w.count > 0, full
}

// cutPending finds how many of the entries in pending have at most maxTake
// bytes together with the header, and where the last of them ends.
func cutPending(pending []byte) (end int, count uint32) {
	end = chunkHeader
	for {
		n, width := uvarint(pending[end:])
		next := end + width + int(n) + 4
		if next > maxTake {
			return end, count
		}
		end, count = next, count+1
	}
}

// flushed is called when what take gave is durable.
func (w *Writer) flushed() {
	w.mu.Lock()
	last := w.flown
	w.mu.Unlock()
	w.committed.Store(last)
	w.Poke()
}
