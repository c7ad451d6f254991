package oplog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Entry is an entry read back.
type Entry struct {
	Index Index
	At    Time // of the flush that made it durable
	Body  Body
}

// Read yields the entries from to to of a worker that are there when reading
// begins, in order; a to of 0 reads to the end. Entries that were truncated,
// before or meanwhile, are left out. Every other one is either yielded or in the range of a
// *storage.CorruptError, in its place, and reading goes on behind that if the
// consumer does.
func Read(ctx context.Context, logs storage.Logs, w id.Worker, from, to Index) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		first, last, err := logs.Bounds(ctx, w)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read the bounds of the oplog of %s: %w", w, err))
			return
		}
		if to == 0 || to > last {
			to = last
		}
		r := reading{ctx: ctx, logs: logs, worker: w, sum: workerSum(w), from: max(from, first), to: to, yield: yield}
		if r.next = r.from; r.next <= to {
			r.run(logs.Read(ctx, w, r.from, to))
		}
	}
}

// reading is one run of Read.
type reading struct {
	ctx    context.Context
	logs   storage.Logs
	worker id.Worker
	sum    uint32
	from   Index
	to     Index
	next   Index // everything before it is yielded or reported
	lost   bool  // an error was reported that did not say how far it reaches
	yield  func(Entry, error) bool

	chunk chunkReader
	coder coder
}

func (r *reading) run(chunks iter.Seq2[storage.Chunk, error]) {
	for chunk, err := range chunks {
		if err != nil {
			if !r.report(err) {
				return
			}
			continue
		}
		if !r.accountUntil(chunk.First) || r.next <= r.to && !r.read(chunk) {
			return
		}
	}
	r.accountUntil(r.to + 1)
}

// report yields err. Like all that yield here, it gives false when the consumer
// wants no more.
func (r *reading) report(err error) bool {
	var corrupt *storage.CorruptError
	if errors.As(err, &corrupt) && corrupt.To != 0 {
		r.next = max(r.next, corrupt.To+1)
	} else {
		r.lost = true
	}
	return r.yield(Entry{}, err)
}

// accountUntil reports the entries before index as missing if nothing else has
// been said of them.
func (r *reading) accountUntil(index Index) bool {
	index = min(index, r.to+1)
	if index <= r.next {
		return true
	}
	if r.lost {
		r.next, r.lost = index, false
		return true
	}
	first, _, err := r.logs.Bounds(r.ctx, r.worker)
	if err != nil {
		return r.report(fmt.Errorf("read the bounds of the oplog of %s: %w", r.worker, err))
	}
	if r.next = max(r.next, min(first, index)); r.next == index {
		return true // they were truncated meanwhile
	}
	return r.report(missing(r.worker, r.next, index-1))
}

func (r *reading) read(chunk storage.Chunk) bool {
	if err := r.chunk.open(r.worker, r.sum, r.next, chunk); err != nil {
		if r.chunk.index > r.next {
			r.next = r.chunk.index
			return r.yield(Entry{}, err)
		}
		return r.report(err)
	}
	if r.chunk.blank() {
		r.next = max(r.next, chunk.Last()+1) // as good as truncated
		return true
	}
	for {
		content, index, ok, err := r.chunk.next()
		switch {
		case index > r.to:
			return true
		case err != nil && r.chunk.index > r.from: // before, it concerns nobody
			if !r.report(err) {
				return false
			}
		case ok && index >= r.next:
			if !r.entry(content, index) {
				return false
			}
		}
		if !ok {
			return true
		}
	}
}

func (r *reading) entry(content []byte, index Index) bool {
	body, err := newBody(content[0])
	if err == nil {
		err = decode(&r.coder, content, body)
	}
	if err != nil {
		return r.report(r.chunk.corrupt(index, index, err))
	}
	r.next = index + 1
	return r.yield(Entry{index, r.chunk.at, body}, nil)
}
