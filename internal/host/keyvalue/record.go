package keyvalue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// record is what a cell has: a value, and who has written it lately.
type record struct {
	exists bool
	value  []byte
	at     oplog.Time // of the last write
	writes uint64     // how often it was written to
	// writers are the last writes of workers, one of each, the latest last;
	// forgot is the number of the latest that is not among them any more.
	writers []written
	forgot  uint64
}

// writer is one write of a worker: by the entry of its intent.
type writer struct {
	worker string
	index  oplog.Index
}

// written is a write that took place.
type written struct {
	writer
	number uint64 // which of the writes it was
	sum    int64  // what an increment has given
}

// maxWriters bounds the writers of a value that are remembered.
const maxWriters = 64

// read gives what a cell has and its version. What is not there is empty.
func (s *Store) read(ctx context.Context, cell string) (r record, version uint64, err error) {
	b, version, err := s.cells.Get(ctx, cell)
	if errors.Is(err, storage.ErrNotFound) {
		return record{}, 0, nil
	}
	if err == nil {
		r, err = decodeRecord(b)
	}
	if err != nil {
		return r, version, fmt.Errorf("read %s: %w", cell, err)
	}
	return r, version, nil
}

// apply makes a change that w has begun; if it is in doubt, only unless it has been
// made already.
func (s *Store) apply(ctx context.Context, cell string, c change, w writer, inDoubt bool) (outcome, error) {
	for {
		r, version, err := s.read(ctx, cell)
		if err != nil {
			return outcome{}, err
		}
		if inDoubt {
			if o, known := r.recall(c, w); known {
				return o, nil
			}
		}
		o := r.make(c)
		if !o.done {
			return o, nil
		}
		r.note(w, oplog.At(s.now()), o.sum)
		_, err = s.cells.Put(ctx, cell, version, r.append(nil))
		if !errors.Is(err, storage.ErrConflict) {
			return o, err
		}
	}
}

// recall finds out whether a change that is in doubt was made.
func (r *record) recall(c change, w writer) (o outcome, known bool) {
	for _, x := range r.writers {
		if x.writer == w && w.worker != "" {
			return outcome{done: true, sum: x.sum}, true
		}
	}
	// Of those that were written since the program looked all are known, unless
	// some were forgotten, or the value with all of them.
	if r.forgot <= c.seen && r.writes >= c.seen {
		return o, false
	}
	if c.action == setting || c.action == deleting {
		// Whether it was made or not, others came behind it: it was before them.
		return outcome{done: true}, true
	}
	return outcome{failure: "this is in doubt: so many others have written since that it cannot be told whether it was done"}, true
}

// make changes the record, if it can be.
func (r *record) make(c change) (o outcome) {
	switch c.action {
	case setting:
		r.exists, r.value = true, c.value
	case deleting:
		r.exists, r.value = false, nil
	case swapping:
		if r.writes != c.since {
			return o
		}
		r.exists, r.value = true, c.value
	case incrementing:
		n := int64(0)
		if r.exists {
			var err error
			if n, err = strconv.ParseInt(string(r.value), 10, 64); err != nil {
				o.failure = "the value is no number, so nothing can be added to it"
				return o
			}
		}
		if c.delta > 0 && n > math.MaxInt64-c.delta || c.delta < 0 && n < math.MinInt64-c.delta {
			o.failure = "the sum has more than 64 bits"
			return o
		}
		o.sum = n + c.delta
		r.exists, r.value = true, strconv.AppendInt(nil, o.sum, 10)
	}
	o.done = true
	return o
}

// note remembers a write. Of a worker's own the last is enough: no other of them
// can be in doubt.
func (r *record) note(w writer, at oplog.Time, sum int64) {
	r.at = at
	r.writes++
	if w.worker == "" {
		return
	}
	r.writers = slices.DeleteFunc(r.writers, func(x written) bool { return x.worker == w.worker })
	r.writers = append(r.writers, written{w, r.writes, sum})
	if over := len(r.writers) - maxWriters; over > 0 {
		r.forgot = r.writers[over-1].number
		r.writers = slices.Delete(r.writers, 0, over)
	}
}
