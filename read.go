package waterbear

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// followEvery is how often a follower looks for more.
const followEvery = 50 * time.Millisecond

// Logs yields what a worker has printed. A damaged part of its oplog yields a
// *storage.CorruptError; the consumer may go on behind it.
func (n *Node) Logs(ctx context.Context, name string, o ReadOptions) iter.Seq2[LogChunk, error] {
	return func(yield func(LogChunk, error) bool) {
		for entry, err := range n.entries(ctx, name, o) {
			var c LogChunk
			if err == nil {
				log, ok := entry.Body.(*oplog.Log)
				if !ok {
					continue
				}
				c = LogChunk{Index: entry.Index, At: entry.At.Time(), Stream: log.Stream.String(), Bytes: log.Bytes}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// Oplog yields a worker's entries. Damage is as in Logs.
func (n *Node) Oplog(ctx context.Context, name string, o ReadOptions) iter.Seq2[OplogEntry, error] {
	return func(yield func(OplogEntry, error) bool) {
		r := newReader()
		for entry, err := range n.entries(ctx, name, o) {
			var v OplogEntry
			if err == nil {
				n.recall(ctx, id.Worker{Component: runComponent, Name: name}, r, entry)
				v, err = r.entry(entry)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// recall lets r know the intent of an outcome that it has not seen because
// reading began behind it. One that cannot be read stays unknown.
func (n *Node) recall(ctx context.Context, w id.Worker, r *reader, e oplog.Entry) {
	finished, ok := e.Body.(*oplog.HostCallFinished)
	if !ok || r.knows(finished.Started) {
		return
	}
	for intent, err := range oplog.Read(ctx, n.store.Logs(), w, finished.Started, finished.Started) {
		if err == nil {
			r.note(intent)
		}
	}
}

// entries yields the entries that o chooses, and waits for more if it says so.
func (n *Node) entries(ctx context.Context, name string, o ReadOptions) iter.Seq2[oplog.Entry, error] {
	return func(yield func(oplog.Entry, error) bool) {
		s, err := n.status(ctx, name)
		if damaged(err) {
			// Nobody can go on with it, but what is around the damage is readable.
			s, err = n.extent(ctx, name)
			o.Follow = false
		}
		if err != nil {
			yield(oplog.Entry{}, err)
			return
		}
		for next := max(o.From, 1); ; {
			last := s.Last
			if o.To != 0 {
				last = min(last, o.To)
			}
			if next <= last {
				for entry, err := range oplog.Read(ctx, n.store.Logs(), s.Worker, next, last) {
					if !yield(entry, err) {
						return
					}
				}
				next = last + 1
			}
			if !o.Follow || s.Ended() || o.To != 0 && next > o.To {
				return
			}
			if s, err = n.later(ctx, name); err != nil {
				yield(oplog.Entry{}, err)
				return
			}
		}
	}
}

// later waits a little and reads the status again.
func (n *Node) later(ctx context.Context, name string) (*oplog.Status, error) {
	if err := n.sched.Sleep(ctx, followEvery); err != nil {
		return nil, err
	}
	if err := n.refresh(ctx); err != nil {
		return nil, err
	}
	return n.status(ctx, name)
}

// Files gives a worker's files as they are now. If its program has not ended,
// it is replayed for that, which takes as long as the program has computed.
// The files are not to be used after Close.
func (n *Node) Files(ctx context.Context, name string) (fs.FS, error) {
	s, err := n.status(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := n.engine(ctx); err != nil {
		return nil, err
	}
	return n.runtime.Files(ctx, s)
}

// describe tells of one worker what its whole oplog says.
func (n *Node) describe(ctx context.Context, s *oplog.Status, v *Worker) error {
	for chunk, err := range n.store.Logs().Read(ctx, s.Worker, 1, 0) {
		if err != nil && !damaged(err) {
			return err
		}
		v.Bytes += uint64(len(chunk.Bytes))
	}
	for entry, err := range oplog.Read(ctx, n.store.Logs(), s.Worker, 1, 0) {
		if err != nil {
			if !damaged(err) {
				return err
			}
			v.Reason += "; " + err.Error()
			continue
		}
		switch b := entry.Body.(type) {
		case *oplog.Recovered:
			v.Resumes++
		case *oplog.Log:
			if b.Stream == oplog.Stderr {
				v.Stderr += uint64(len(b.Bytes))
			} else {
				v.Stdout += uint64(len(b.Bytes))
			}
		}
	}
	return nil
}

func damaged(err error) bool {
	var corrupt *storage.CorruptError
	return errors.As(err, &corrupt)
}
