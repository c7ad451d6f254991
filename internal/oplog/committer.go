package oplog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// maxFlush is about how many bytes one flush takes; what is over waits for the
// next one. It stays well below storage.MaxSegment, since the writer that
// crosses it goes in whole.
const maxFlush = 16 << 20

// ErrClosed refuses appends and commits after Close.
var ErrClosed = errors.New("the oplog is closed")

// Committer makes the entries of all workers of a shard durable together: one
// flush at a time, and while one is syncing the next one forms.
type Committer struct {
	sched sched.Scheduler
	logs  storage.Logs
	shard id.Shard
	epoch id.Epoch

	work      sched.Condition // the flushing task waits here
	committed sched.Condition // those who wait for a commit, here
	task      sched.Task

	mu      sync.Mutex
	head    uint64
	wanted  []*Writer // writers whose entries somebody waits for, each once
	closing bool
	// failed ends the committer: after a failed append nobody knows what the
	// storage has, so nothing may be appended behind it by this owner.
	failed error
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

// Close finishes the flushes that were asked for and stops. Commits are
// refused from then on; entries that nobody asked to commit are lost, as they
// would be by a crash.
func (c *Committer) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.work.Wake()
	c.task.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.failed
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	c.failed = ErrClosed
	return err
}

// want asks for w to be flushed.
func (c *Committer) want(w *Writer) {
	c.mu.Lock()
	if !w.wanted {
		w.wanted = true
		c.wanted = append(c.wanted, w)
	}
	c.mu.Unlock()
	c.work.Wake()
}

func (c *Committer) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func (c *Committer) run() {
	for {
		_ = c.work.Wait(context.Background(), func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.closing || len(c.wanted) > 0
		})
		if done := c.flush(); done {
			return
		}
	}
}

// flush appends one segment with what the wanted writers hold. It reports
// whether the committer has ended.
func (c *Committer) flush() (done bool) {
	now := c.sched.Now()
	var segment []storage.Chunk
	c.mu.Lock()
	writers := c.wanted
	c.wanted = nil
	for i, size := 0, 0; i < len(writers); i++ {
		if size >= maxFlush {
			c.wanted = append(c.wanted, writers[i:]...)
			writers = writers[:i]
			break
		}
		writers[i].wanted = false
		chunk := writers[i].take(now)
		if chunk.Count > 0 {
			segment = append(segment, chunk)
			size += len(chunk.Bytes)
		}
	}
	ended := c.closing && len(c.wanted) == 0
	c.mu.Unlock()

	if len(segment) > 0 {
		err := c.logs.Append(context.Background(), c.shard, c.epoch, c.head, segment)
		if err != nil {
			c.mu.Lock()
			c.failed = fmt.Errorf("append to the oplog of shard %d: %w", c.shard, err)
			c.mu.Unlock()
			c.committed.Wake()
			return true
		}
		c.head++
		for _, w := range writers {
			w.flushed()
		}
		c.committed.Wake()
	}
	return ended
}
