package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

type shard struct {
	epoch id.Epoch
	head  uint64
	// last is the newest segment, to know it again when it is appended again.
	last      []storage.Chunk
	lastEpoch id.Epoch
}

type workerLog struct {
	chunks []storage.Chunk
	below  uint64 // entries below it are truncated
	last   uint64
}

type logs struct{ store *Store }

func (l logs) Acquire(ctx context.Context, number id.Shard, epoch id.Epoch) (head uint64, err error) {
	err = l.store.use(ctx, func(c *contents) error {
		s := c.shards[number]
		if s == nil {
			s = &shard{}
			c.shards[number] = s
		}
		if epoch < s.epoch {
			return fmt.Errorf("acquire shard %d for epoch %d: %w (epoch %d)", number, epoch, storage.ErrFenced, s.epoch)
		}
		s.epoch, head = epoch, s.head
		return nil
	})
	return head, err
}

func (l logs) Epoch(ctx context.Context, number id.Shard) (epoch id.Epoch, err error) {
	err = l.store.use(ctx, func(c *contents) error {
		if s := c.shards[number]; s != nil {
			epoch = s.epoch
		}
		return nil
	})
	return epoch, err
}

func (l logs) Append(ctx context.Context, number id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	if err := storage.CheckSegment(segment); err != nil {
		return err
	}
	return l.store.use(ctx, func(c *contents) error {
		s := c.shards[number]
		if s == nil || s.epoch != epoch {
			return storage.ErrFenced
		}
		if head+1 == s.head && s.lastEpoch == epoch && slices.EqualFunc(s.last, segment, same) {
			return nil
		}
		if head != s.head {
			return fmt.Errorf("%w: the head is %d, not %d", storage.ErrFenced, s.head, head)
		}
		last := map[id.Worker]uint64{}
		for _, chunk := range segment {
			end, ok := last[chunk.Worker]
			if log := c.logs[chunk.Worker]; !ok && log != nil {
				end = log.last
			}
			if chunk.First != end+1 {
				return fmt.Errorf("entry %d of %s after %d: %w", chunk.First, chunk.Worker, end, storage.ErrGap)
			}
			last[chunk.Worker] = chunk.Last()
		}
		s.head++
		s.last, s.lastEpoch = nil, epoch
		for _, chunk := range segment {
			chunk.Bytes = bytes.Clone(chunk.Bytes)
			s.last = append(s.last, chunk)
			log := c.logs[chunk.Worker]
			if log == nil {
				log = &workerLog{below: 1}
				c.logs[chunk.Worker] = log
			}
			log.chunks = append(log.chunks, chunk)
			log.last = chunk.Last()
		}
		return nil
	})
}

func same(a, b storage.Chunk) bool {
	return a.Worker == b.Worker && a.First == b.First && a.Count == b.Count && bytes.Equal(a.Bytes, b.Bytes)
}

func (l logs) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return func(yield func(storage.Chunk, error) bool) {
		var chunks []storage.Chunk
		err := l.store.use(ctx, func(c *contents) error {
			if log := c.logs[w]; log != nil {
				chunks = slices.Clone(log.chunks)
			}
			return nil
		})
		if err != nil {
			yield(storage.Chunk{}, err)
			return
		}
		var buffer []byte
		for _, chunk := range chunks {
			if chunk.Last() < from {
				continue
			}
			if to != 0 && chunk.First > to {
				return
			}
			// One buffer for all, so that who keeps the bytes finds out here.
			buffer = append(buffer[:0], chunk.Bytes...)
			chunk.Bytes = buffer
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

func (l logs) Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error) {
	first = 1
	err = l.store.use(ctx, func(c *contents) error {
		log := c.logs[w]
		if log == nil {
			return nil
		}
		first, last = log.below, log.last
		if len(log.chunks) > 0 {
			first = log.chunks[0].First
		}
		return nil
	})
	return first, last, err
}

// own runs f if epoch owns the shard.
func (l logs) own(ctx context.Context, number id.Shard, epoch id.Epoch, f func(*contents)) error {
	return l.store.use(ctx, func(c *contents) error {
		if s := c.shards[number]; s == nil || s.epoch != epoch {
			return storage.ErrFenced
		}
		f(c)
		return nil
	})
}

func (l logs) Truncate(ctx context.Context, number id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	return l.own(ctx, number, epoch, func(c *contents) {
		log := c.logs[w]
		if log == nil {
			return
		}
		log.below = max(log.below, min(below, log.last+1))
		log.chunks = slices.DeleteFunc(log.chunks, func(c storage.Chunk) bool { return c.Last() < log.below })
	})
}

func (l logs) Delete(ctx context.Context, number id.Shard, epoch id.Epoch, w id.Worker) error {
	return l.own(ctx, number, epoch, func(c *contents) { delete(c.logs, w) })
}

func (l logs) Workers(ctx context.Context, after id.Worker) iter.Seq2[id.Worker, error] {
	return func(yield func(id.Worker, error) bool) {
		var workers []id.Worker
		err := l.store.use(ctx, func(c *contents) error {
			for w, log := range c.logs {
				if len(log.chunks) > 0 && compare(w, after) > 0 {
					workers = append(workers, w)
				}
			}
			return nil
		})
		if err != nil {
			yield(id.Worker{}, err)
			return
		}
		slices.SortFunc(workers, compare)
		for _, w := range workers {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func compare(a, b id.Worker) int {
	return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Name, b.Name))
}
