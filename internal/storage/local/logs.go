package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

type logs struct{ *Store }

func (s *Store) shard(number id.Shard) shardState {
	x := s.index.Load()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.shards[number]
}

func (l logs) Acquire(ctx context.Context, number id.Shard, epoch id.Epoch) (head uint64, err error) {
	if err := l.calls.begin(ctx); err != nil {
		return 0, err
	}
	defer l.calls.leave()
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.readOnly {
		return 0, l.refuse()
	}
	state := l.shard(number)
	if epoch < state.epoch {
		return 0, fmt.Errorf("acquire shard %d for epoch %d: %w (epoch %d)", number, epoch, storage.ErrFenced, state.epoch)
	}
	if epoch == state.epoch {
		return state.head, nil
	}
	state.epoch = epoch
	err = l.write([]record{shardRecord(number, state)})
	if err != nil {
		return 0, fmt.Errorf("acquire shard %d for epoch %d: %w", number, epoch, err)
	}
	return state.head, nil
}

func (l logs) Epoch(ctx context.Context, number id.Shard) (id.Epoch, error) {
	if err := l.calls.begin(ctx); err != nil {
		return 0, err
	}
	defer l.calls.leave()
	return l.shard(number).epoch, nil
}

func (l logs) Append(ctx context.Context, number id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	if err := storage.CheckSegment(segment); err != nil {
		return err
	}
	if err := l.calls.begin(ctx); err != nil {
		return err
	}
	defer l.calls.leave()
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.readOnly {
		return l.refuse()
	}
	state := l.shard(number)
	if state.epoch != epoch || epoch == 0 {
		return fmt.Errorf("append to shard %d: %w: the owner's epoch is %d, not %d", number, storage.ErrFenced, state.epoch, epoch)
	}
	records := append(l.records[:0], record{kind: kindSegment, shard: number, epoch: epoch, head: head})
	for _, c := range segment {
		records = append(records, record{kind: kindChunk, worker: c.Worker, first: c.First, count: c.Count, bytes: c.Bytes})
	}
	l.records = records
	if head+1 == state.head && epoch == state.segmentEpoch {
		l.tail.buffer = encodeFrame(l.tail.buffer, 0, 0, records)
		if records[0].digest == state.digest {
			return nil
		}
	}
	if head != state.head {
		return fmt.Errorf("append to shard %d: %w: the head is %d, not %d", number, storage.ErrFenced, state.head, head)
	}
	if err := l.continues(segment); err != nil {
		return err
	}
	if err := l.write(records); err != nil {
		return fmt.Errorf("append to shard %d: %w", number, err)
	}
	return nil
}

// continues says whether each chunk goes on where its worker's log ends. The
// caller has the turn.
func (l logs) continues(segment []storage.Chunk) error {
	x := l.index.Load()
	var ends map[id.Worker]uint64 // of those that have several chunks here
	for i, c := range segment {
		end, ok := ends[c.Worker]
		if !ok {
			s, err := x.worker(c.Worker)
			if err != nil {
				return l.spoiled(err)
			}
			end = s.last
		}
		if c.First != end+1 {
			return fmt.Errorf("append entry %d of %s after %d: %w", c.First, c.Worker, end, storage.ErrGap)
		}
		if len(segment) > 1 {
			if ends == nil {
				ends = make(map[id.Worker]uint64, len(segment)-i)
			}
			ends[c.Worker] = c.Last()
		}
	}
	return nil
}

// errMissing is the cause when the index knows of no chunk that has an entry.
var errMissing = errors.New("no frame of the log has them")

func (l logs) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return func(yield func(storage.Chunk, error) bool) {
		if err := l.calls.begin(ctx); err != nil {
			yield(storage.Chunk{}, err)
			return
		}
		defer l.calls.leave()
		if err := l.read(ctx, w, from, to, yield); err != nil {
			yield(storage.Chunk{}, l.spoiled(err))
		}
	}
}

func (l logs) read(ctx context.Context, w id.Worker, from, to uint64, yield func(storage.Chunk, error) bool) error {
	r, err := l.index.Load().read(w, from)
	if err != nil {
		return err
	}
	defer r.close()
	if from < r.below {
		c, ok, _, err := r.at(r.below)
		if err != nil {
			return err
		}
		// The chunk that has the first entry to be kept may begin before it.
		if from = max(from, c.first); !ok {
			from = r.below
		}
	}
	if to == 0 || to > r.last {
		to = r.last
	}
	b := bytesReader{store: l.Store}
	for i := from; i <= to; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, ok, next, err := r.at(i)
		if err != nil {
			return err
		}
		if !ok {
			last := to
			if next != 0 && next <= to {
				last = next - 1
			}
			if !yield(storage.Chunk{}, &storage.CorruptError{Worker: w, From: i, To: last, Where: l.logDir(), Cause: errMissing}) {
				return nil
			}
			i = last + 1
			continue
		}
		i = c.last() + 1
		bytes, err := l.chunkBytes(ctx, w, &c, &b)
		if errors.Is(err, errForgotten) {
			continue
		}
		if err != nil {
			err = l.corrupt(w, &c, err)
		}
		if !yield(storage.Chunk{Worker: w, First: c.first, Count: c.count, Bytes: bytes}, err) {
			return nil
		}
	}
	return nil
}

// errForgotten is for a chunk that was truncated or deleted meanwhile.
var errForgotten = errors.New("the entries are forgotten")

// chunkBytes reads c, which may have been moved or forgotten since it was
// looked up.
func (l logs) chunkBytes(ctx context.Context, w id.Worker, c *chunk, b *bytesReader) ([]byte, error) {
	bytes, err := b.read(c.location)
	if !errors.Is(err, fs.ErrNotExist) {
		return bytes, err
	}
	if l.readOnly {
		if err := l.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	r, readErr := l.index.Load().read(w, c.first)
	if readErr != nil {
		return nil, readErr
	}
	defer r.close()
	moved, ok, _, readErr := r.at(c.first)
	switch {
	case readErr != nil:
		return nil, readErr
	case !r.holds(c) || ok && moved.stamp != c.stamp:
		return nil, errForgotten
	case !ok || moved.location == c.location:
		return nil, err
	}
	return l.bytes(moved.location, nil)
}

// corrupt says which entries cannot be read because of err.
func (l logs) corrupt(w id.Worker, c *chunk, err error) error {
	return &storage.CorruptError{Worker: w, From: c.first, To: c.last(), Where: l.where(c.location), Cause: err}
}

func (l logs) Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error) {
	if err := l.calls.begin(ctx); err != nil {
		return 0, 0, err
	}
	defer l.calls.leave()
	x := l.index.Load()
	r, err := x.read(w, 1)
	if err != nil {
		return 0, 0, l.spoiled(err)
	}
	defer r.close()
	if c, ok, _, err := r.at(r.below); ok || err != nil {
		return c.first, r.last, l.spoiled(err)
	}
	return r.below, r.last, nil
}

func (l logs) Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	return l.forget(ctx, "truncate", shard, epoch, w, func(s workerState) (record, bool) {
		below = min(below, s.last+1)
		return record{kind: kindTruncate, worker: w, first: below}, below > s.below
	})
}

func (l logs) Delete(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker) error {
	return l.forget(ctx, "delete", shard, epoch, w, func(s workerState) (record, bool) {
		return record{kind: kindDelete, worker: w}, s.last > 0
	})
}

// forget writes the record that what makes of the worker's state, if need be.
func (l logs) forget(ctx context.Context, verb string, number id.Shard, epoch id.Epoch, w id.Worker, what func(workerState) (record, bool)) error {
	if err := w.Check(); err != nil {
		return err
	}
	if err := l.calls.begin(ctx); err != nil {
		return err
	}
	defer l.calls.leave()
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.readOnly {
		return l.refuse()
	}
	if state := l.shard(number); state.epoch != epoch || epoch == 0 {
		return fmt.Errorf("%s the oplog of %s: %w: the owner's epoch is %d, not %d", verb, w, storage.ErrFenced, state.epoch, epoch)
	}
	state, err := l.index.Load().worker(w)
	if err != nil {
		return l.spoiled(err)
	}
	r, need := what(state)
	if !need {
		return nil
	}
	if err := l.write([]record{r}); err != nil {
		return fmt.Errorf("%s the oplog of %s: %w", verb, w, err)
	}
	return nil
}

// listed is how many names are looked up at a time.
const listed = 256

func (l logs) Workers(ctx context.Context, after id.Worker) iter.Seq2[id.Worker, error] {
	return func(yield func(id.Worker, error) bool) {
		from := ""
		if after != (id.Worker{}) {
			from = string(workerKey(after))
		}
		l.list(ctx, string(keyWorker), from, func(key string, err error) bool {
			if err != nil {
				return yield(id.Worker{}, err)
			}
			w, err := workerOf([]byte(key))
			if err != nil {
				return yield(id.Worker{}, l.spoiled(err))
			}
			state, err := l.index.Load().worker(w)
			if err == nil && state.empty() {
				return true
			}
			return yield(w, l.spoiled(err))
		})
	}
}

// list yields the index's keys with a prefix.
func (s *Store) list(ctx context.Context, prefix, after string, yield func(string, error) bool) {
	if err := s.calls.begin(ctx); err != nil {
		yield("", err)
		return
	}
	defer s.calls.leave()
	for {
		keys, err := s.index.Load().keys(prefix, after, listed)
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield("", s.spoiled(err))
			return
		}
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
		if len(keys) < listed {
			return
		}
		after = keys[len(keys)-1]
	}
}
