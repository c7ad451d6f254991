package keyvalue

import (
	"context"
	"math"
	"strconv"

	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// apply makes a change that w has begun; if it is in doubt, only unless it has been
// made already.
func (s *Store) apply(ctx context.Context, cell string, c change, w once.Writer, inDoubt bool) (o outcome, err error) {
	err = once.Change(ctx, s.cells, cell, func(r *once.Record) bool {
		if inDoubt {
			known := false
			if o, known = recall(r, c, w); known {
				return false
			}
		}
		if c.action == deleting && !r.Exists {
			o = outcome{done: true}
			return false
		}
		if o = c.make(r); o.done {
			r.Note(w, oplog.At(s.now()), o.sum)
		}
		return o.done
	})
	if reason, full := once.AsFull(err); full {
		return outcome{failure: reason}, nil
	}
	return o, err
}

// recall finds out whether a change that is in doubt was made.
func recall(r *once.Record, c change, w once.Writer) (o outcome, known bool) {
	sum, fate := r.Recall(w, c.seen)
	switch {
	case fate == once.NotMade:
		return o, false
	case fate == once.Made:
		return outcome{done: true, sum: sum}, true
	case c.action == setting || c.action == deleting:
		// Whether it was made or not, others came behind it: it was before them.
		return outcome{done: true}, true
	}
	return outcome{failure: "this is in doubt: so many others have written since that it cannot be told whether it was done"}, true
}

// make changes the record, if it can be.
func (c change) make(r *once.Record) (o outcome) {
	switch c.action {
	case setting:
		r.Exists, r.Value = true, c.value
	case deleting:
		r.Exists, r.Value = false, nil
	case swapping:
		if r.Writes != c.since {
			return o
		}
		r.Exists, r.Value = true, c.value
	case incrementing:
		n := int64(0)
		if r.Exists {
			var err error
			if n, err = strconv.ParseInt(string(r.Value), 10, 64); err != nil {
				o.failure = "the value is no number, so nothing can be added to it"
				return o
			}
		}
		if c.delta > 0 && n > math.MaxInt64-c.delta || c.delta < 0 && n < math.MinInt64-c.delta {
			o.failure = "the sum has more than 64 bits"
			return o
		}
		o.sum = n + c.delta
		r.Exists, r.Value = true, strconv.AppendInt(nil, o.sum, 10)
	}
	o.done = true
	return o
}
