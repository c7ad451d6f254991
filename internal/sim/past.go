package sim

import (
	"bytes"
	"context"
	"iter"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// past remembers what was truncated, for those who want to judge all of it.
type past struct {
	machine *machine
	times   int                           // that something was truncated
	chunks  map[id.Worker][]storage.Chunk // from the first entry on, without a gap
}

func newPast(m *machine) *past {
	return &past{machine: m, chunks: map[id.Worker][]storage.Chunk{}}
}

// over is a store whose truncated entries are remembered.
func (p *past) over(s storage.Store) storage.Store { return pastStore{s, p} }

type pastStore struct {
	storage.Store
	past *past
}

func (s pastStore) Logs() storage.Logs { return pastLogs{s.Store.Logs(), s.past} }

type pastLogs struct {
	storage.Logs
	past *past
}

func (l pastLogs) Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	err := l.past.machine.judge(func() error { return l.past.remember(context.WithoutCancel(ctx), l.Logs, w, below) })
	if err != nil {
		return err
	}
	return l.Logs.Truncate(ctx, shard, epoch, w, below)
}

// remember takes the chunks that are about to go. Of what is there already
// nobody knows whether it has gone.
func (p *past) remember(ctx context.Context, logs storage.Logs, w id.Worker, below uint64) error {
	first, _, err := logs.Bounds(ctx, w)
	if err != nil {
		return err
	}
	known := p.before(w, first)
	for c, err := range logs.Read(ctx, w, first, 0) {
		if err != nil {
			return err
		}
		if c.Last() >= below {
			break
		}
		c.Bytes = bytes.Clone(c.Bytes)
		known = append(known, c)
	}
	if len(known) > len(p.before(w, first)) {
		p.times++
	}
	p.chunks[w] = known
	return nil
}

// before are the chunks that are remembered of a worker from before its first
// entry. Those of one that was deleted before it are none of it.
func (p *past) before(w id.Worker, first uint64) (known []storage.Chunk) {
	for _, c := range p.chunks[w] {
		if c.Last() < first {
			known = append(known, c)
		}
	}
	return known
}

// complete gives logs as they would be if nothing had been truncated.
func (p *past) complete(logs storage.Logs) storage.Logs { return completeLogs{logs, p} }

type completeLogs struct {
	storage.Logs
	past *past
}

func (l completeLogs) Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error) {
	first, last, err = l.Logs.Bounds(ctx, w)
	if known := l.past.before(w, first); len(known) > 0 {
		first = known[0].First
	}
	return first, last, err
}

func (l completeLogs) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return func(yield func(storage.Chunk, error) bool) {
		first, _, err := l.Logs.Bounds(ctx, w)
		if err != nil {
			yield(storage.Chunk{}, err)
			return
		}
		for _, c := range l.past.before(w, first) {
			if c.Last() >= from && (to == 0 || c.First <= to) && !yield(c, nil) {
				return
			}
		}
		if to != 0 && to < first {
			return
		}
		for c, err := range l.Logs.Read(ctx, w, max(from, first), to) {
			if !yield(c, err) {
				return
			}
		}
	}
}
