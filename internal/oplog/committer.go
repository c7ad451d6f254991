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

// What a Committer with Retry waits before it tries a failed append again: as
// long as the first pause at first, and twice as long each time up to the last.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	// patience is the pause from which on those who rather know give up.
	patience = 4 * firstPause
)

// ErrClosed refuses appends and commits after Close.
var ErrClosed = errors.New("the oplog is closed")

// Where a flush was of at least crowd writers, as many are on their way to the next
// one by now: they are let go first, as far as turns turns of theirs reach. Who is
// alone waits for nobody.
const (
	crowd = 4
	turns = 4
)

// Option changes what a Committer does.
type Option uint8

// Retry lets a Committer survive a store that cannot append for a while, such
// as one on a full disk: it tries the same segment again until that works, and
// commits wait meanwhile. Without it the first failure is the end.
const Retry Option = 1

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
	// failed append nobody knows what the storage has, so nothing else may be
	// appended behind it by this owner.
	ended    atomic.Pointer[error]
	stalled  atomic.Pointer[error] // of the last append, if it failed
	hopeless atomic.Bool           // it has been refused for so long that some rather give up
	flushes  atomic.Uint64
	bytes    atomic.Uint64

	retries bool
	closed  context.Context // done once Close is called
	close   context.CancelFunc

	mu       sync.Mutex
	wanted   []*Writer // writers whose entries somebody waits for, each once
	joined   []*Writer // writers whose entries go before those, each once
	followed map[*Writer]*followed
	closing  bool
	flushing bool // somebody is, and owns the following
	handed   bool // that is the task, as of its next turn: the append is to be tried again

	head    uint64
	crowded bool      // the last flush was of many writers
	taken   []*Writer // whose chunks are in segment; both are reused
	segment []storage.Chunk
}

// NewCommitter takes over shard for a new epoch and starts flushing.
func NewCommitter(ctx context.Context, s sched.Scheduler, logs storage.Logs, shard id.Shard, options ...Option) (*Committer, error) {
	last, err := logs.Epoch(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read the epoch of shard %d: %w", shard, err)
	}
	c := &Committer{
		sched: s, logs: logs, shard: shard, epoch: last + 1,
		work: s.NewCondition(), committed: s.NewCondition(),
		retries: slices.Contains(options, Retry), followed: map[*Writer]*followed{},
	}
	if c.head, err = logs.Acquire(ctx, shard, c.epoch); err != nil {
		return nil, fmt.Errorf("take over shard %d: %w", shard, err)
	}
	c.closed, c.close = context.WithCancel(context.Background())
	c.task = s.Go("commit", c.run)
	return c, nil
}

// Epoch is the epoch that this committer owns the shard for.
func (c *Committer) Epoch() id.Epoch { return c.epoch }

// Shard is the shard it commits for.
func (c *Committer) Shard() id.Shard { return c.shard }

// Stalled is why the last append to the store failed, and nil if it did not. If
// the committer retries, commits wait until it is nil again; if it has ended by
// an error, this is the one.
func (c *Committer) Stalled() error {
	if p := c.stalled.Load(); p != nil {
		return *p
	}
	return nil
}

// Flushes is how many segments it has made durable.
func (c *Committer) Flushes() uint64 { return c.flushes.Load() }

// Bytes is how many bytes of entries those had, chunk headers included.
func (c *Committer) Bytes() uint64 { return c.bytes.Load() }

// Close finishes the flushes that were asked for, with what joined them, and
// stops. Appends and commits are refused from then on; entries that nobody
// asked to commit are lost, as they would be by a crash. It returns the error that ended the
// committer, if one did; an append that is retried is tried once more and then
// ends it.
func (c *Committer) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.close()
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
	for {
		var ended, handed bool
		_ = c.work.Wait(context.Background(), func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			ended, handed = c.failure() != nil, c.handed
			return ended || handed || c.claim()
		})
		switch {
		case ended:
			return
		case handed:
			c.retry()
		default:
			c.flush()
		}
	}
}

// flush appends one segment with what the wanted writers hold. Its caller has
// claimed the right to, and may be about to wait for something else than this
// flush, so what has to be tried again is left to the task.
func (c *Committer) flush() {
	if c.crowded {
		for range turns {
			c.sched.Yield()
		}
	}
	c.gather()
	err := c.append()
	if err == nil || !c.mayPass(err) {
		c.finish(err)
		return
	}
	c.mu.Lock()
	c.handed = true
	c.mu.Unlock()
	c.work.Wake()
}

// retry appends the segment again until that works or Close is called. Storage
// knows it again if it has it after all.
func (c *Committer) retry() {
	c.mu.Lock()
	c.handed = false
	c.mu.Unlock()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		last := c.sched.Sleep(c.closed, pause) != nil
		err := c.append()
		if pause >= patience {
			c.hopeless.Store(err != nil)
			c.committed.Wake()
		}
		if err == nil || last || !c.mayPass(err) {
			c.finish(err)
			return
		}
	}
}

// append gives the segment to the store once.
func (c *Committer) append() error {
	if len(c.segment) == 0 {
		return nil
	}
	err := c.logs.Append(context.Background(), c.shard, c.epoch, c.head, c.segment)
	if err != nil {
		stalled := fmt.Errorf("append to the oplog of shard %d: %w", c.shard, err)
		c.stalled.Store(&stalled)
		return stalled
	}
	c.stalled.Store(nil)
	c.hopeless.Store(false)
	c.head++
	c.flushes.Add(1)
	for _, chunk := range c.segment {
		c.bytes.Add(uint64(len(chunk.Bytes)))
	}
	return nil
}

// mayPass reports whether an append that failed with err is to be tried again.
func (c *Committer) mayPass(err error) bool {
	if !c.retries {
		return false
	}
	for _, lasting := range []error{storage.ErrFenced, storage.ErrClosed, storage.ErrGap, storage.ErrTooLarge} {
		if errors.Is(err, lasting) {
			return false
		}
	}
	return true
}

// finish ends a flush: with err nil its segment is durable, else the committer
// has ended.
func (c *Committer) finish(err error) {
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
		ended := err // a copy, so that only the end costs an allocation
		c.ended.Store(&ended)
		for _, f := range c.followed {
			f.moved.Wake()
		}
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
	c.crowded = len(c.taken) >= crowd
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
			c.segment = append(c.segment, w.blanks(g.now)...)
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
