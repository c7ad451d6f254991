package oplog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// maxFlush is about how many bytes one flush takes; what is over waits for the
// next one. It stays well below storage.MaxSegment, since the writer that
// crosses it goes in whole.
const maxFlush = 16 << 20

// maxFlushChunks is how many writers' chunks one flush takes.
const maxFlushChunks = 1 << 13

// ErrClosed refuses appends and commits after Close.
var ErrClosed = errors.New("the oplog is closed")

// Committer makes the entries of all workers of a shard durable together: one
// flush at a time, and while one is syncing the next one forms.
type Committer struct {
	sched sched.Scheduler
	logs  storage.Logs
	shard id.Shard
	epoch id.Epoch

	work      sched.Condition // the task waits here
	committed sched.Condition // those who wait for a commit or for room, here
	task      sched.Task      // flushes what no commit does by itself

	// ended says why nothing more is made durable; it is set once. After a
	// failed append nobody knows what the storage has, so nothing may be
	// appended behind it by this owner.
	ended atomic.Pointer[error]

	mu       sync.Mutex
	wanted   []*Writer // writers whose entries somebody waits for, each once
	joined   []*Writer // writers whose entries go before those, each once
	closing  bool
	flushing bool // somebody is, and owns the following

	head    uint64
	taken   []*Writer // whose chunks are in segment; both are reused
	segment []storage.Chunk
}

// NewCommitter takes over shard for a new epoch and starts flushing.
func NewCommitter(ctx context.Context, s sched.Scheduler, logs storage.Logs, shard id.Shard) (*Committer, error) {
	last, err := logs.Epoch(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read the epoch of shard %d: %w", shard, err)
	}
	c := &Committer{
		sched: s, logs: logs, shard: shard, epoch: last + 1,
		work: s.NewCondition(), committed: s.NewCondition(),
	}
	if c.head, err = logs.Acquire(ctx, shard, c.epoch); err != nil {
		return nil, fmt.Errorf("take over shard %d: %w", shard, err)
	}
	c.task = s.Go("commit", c.run)
	return c, nil
}

// Epoch is the epoch that this committer owns the shard for.
func (c *Committer) Epoch() id.Epoch { return c.epoch }

// Shard is the shard it commits for.
func (c *Committer) Shard() id.Shard { return c.shard }

// Close finishes the flushes that were asked for, with what joined them, and
// stops. Appends and commits are refused from then on; entries that nobody
// asked to commit are lost, as they would be by a crash. It returns the error that ended the
// committer before, if one did.
func (c *Committer) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.work.Wake()
	c.task.Wait()
	if err := c.failure(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// failure is why nothing more is made durable, or nil.
func (c *Committer) failure() error {
	if p := c.ended.Load(); p != nil {
		return *p
	}
	return nil
}

// want asks the task to flush w.
func (c *Committer) want(w *Writer) {
	c.mu.Lock()
	c.enlist(w)
	c.mu.Unlock()
	c.work.Wake()
}

// commit asks for a flush of w, whose task will wait for it. If nobody is
// flushing it leads: it flushes by itself, which spares it the switch to the
// committer's task and back. If somebody is, that one sees to the next flush.
func (c *Committer) commit(w *Writer) {
	c.mu.Lock()
	c.enlist(w)
	leads := c.claim()
	c.mu.Unlock()
	if leads {
		c.flush()
	}
}

// join lets w go with the next flush.
func (c *Committer) join(w *Writer) {
	c.mu.Lock()
	if !w.joined && !c.closing {
		w.joined = true
		c.joined = append(c.joined, w)
	}
	c.mu.Unlock()
}

// enlist is called with c.mu held.
func (c *Committer) enlist(w *Writer) {
	if !w.wanted && !c.closing {
		w.wanted = true
		c.wanted = append(c.wanted, w)
	}
}

// claim gives its caller the right to flush, if it is free and of use. It is
// called with c.mu held.
func (c *Committer) claim() bool {
	if c.flushing || c.failure() != nil || len(c.wanted) == 0 && !c.closing {
		return false
	}
	c.flushing = true
	return true
}

func (c *Committer) run() {
	for ended := false; !ended; {
		_ = c.work.Wait(context.Background(), func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			ended = c.failure() != nil
			return ended || c.claim()
		})
		if !ended {
			c.flush()
		}
	}
}

// flush appends one segment with what the wanted writers hold. Its caller has
// claimed the right to.
func (c *Committer) flush() {
	c.gather()
	var err error
	if len(c.segment) > 0 {
		err = c.logs.Append(context.Background(), c.shard, c.epoch, c.head, c.segment)
		if err != nil {
			err = fmt.Errorf("append to the oplog of shard %d: %w", c.shard, err)
		} else {
			c.head++
		}
	}
	if err == nil {
		for _, w := range c.taken {
			w.flushed()
		}
	}
	clear(c.taken)
	clear(c.segment)

	c.mu.Lock()
	c.flushing = false
	if err == nil && c.closing && len(c.wanted)+len(c.joined) == 0 {
		err = ErrClosed
	}
	if err != nil {
		c.ended.Store(&err)
	}
	wakeTask := err != nil || len(c.wanted) > 0 || c.closing
	c.mu.Unlock()
	c.committed.Wake()
	if wakeTask {
		c.work.Wake()
	}
}

// gather moves wanted writers to taken and their chunks to segment. Those that
// joined go first, and the others only once all of those are in: so nothing
// that was appended behind a Join overtakes it, whatever the limits leave over.
func (c *Committer) gather() {
	g := gathering{c: c, now: c.sched.Now()}
	c.taken, c.segment = c.taken[:0], c.segment[:0]
	c.mu.Lock()
	n := g.take(c.joined)
	for _, w := range c.joined[:n] {
		w.joined = false
	}
	c.joined = slices.Delete(c.joined, 0, n)
	if len(c.joined) == 0 {
		n = g.take(c.wanted)
		for _, w := range c.wanted[:n] {
			w.wanted = false
		}
		c.wanted = slices.Delete(c.wanted, 0, n)
	}
	for _, w := range c.taken {
		w.aboard = false
	}
	c.mu.Unlock()
	if g.room {
		c.committed.Wake()
	}
}

// gathering is how far one flush has been gathered. It lives with c.mu held.
type gathering struct {
	c    *Committer
	now  time.Time
	size int
	room bool // an append may have been waiting for what was taken
}

// take takes the writers' chunks in order as far as one flush may, and returns
// how many of the writers have nothing left. A writer has one chunk in a flush.
func (g *gathering) take(writers []*Writer) int {
	c := g.c
	for i, w := range writers {
		if w.aboard {
			continue
		}
		if g.size >= maxFlush || len(c.segment) == maxFlushChunks {
			return i
		}
		chunk, rest, full := w.take(g.now)
		if chunk.Count > 0 {
			c.segment = append(c.segment, chunk)
			g.size += len(chunk.Bytes)
		}
		w.aboard = true
		c.taken = append(c.taken, w)
		g.room = g.room || full
		if rest {
			return i
		}
	}
	return len(writers)
}
