package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/storage/local/table"
)

// freeze takes the overlay out of use so that it can be written as a table. The
// caller has the store's turn. It says whether there is something to write.
func (x *index) freeze() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.frozen != nil {
		return true // An earlier attempt to write it failed.
	}
	if x.position == x.written.Position {
		return false
	}
	x.frozen, x.active = x.active, newOverlay()
	x.frozenAt = manifest{Position: x.position, Files: x.summary(), Lost: slices.Clone(x.lost), Anew: x.anew}
	return true
}

// flush writes what is frozen. When it fails, the next flush tries again.
func (x *index) flush() error {
	x.mu.RLock()
	frozen, m, tables := x.frozen, x.frozenAt, x.tables.tables
	x.mu.RUnlock()
	number := x.number(&m)
	written, err := x.writeTable(number, func(w *table.Writer) error { return frozen.write(w) })
	if err != nil {
		return err
	}
	if written != nil {
		tables = append([]*numberedTable{written}, tables...)
	}
	if err := x.install(tables, m, true); err != nil {
		if written != nil {
			return errors.Join(err, written.Close())
		}
		return err
	}
	return nil
}

// number gives a table's number. None is used twice: after an error nobody
// knows whether the disk has a manifest that names it.
func (x *index) number(m *manifest) uint64 {
	n := x.next
	x.next++
	m.Next = x.next
	return n
}

// writeTable writes a table and opens it; it is nil if there is nothing in it.
func (x *index) writeTable(number uint64, write func(*table.Writer) error) (*numberedTable, error) {
	name := x.tableName(number)
	f, err := x.disk.Create(name)
	if err != nil {
		return nil, err
	}
	w := table.NewWriter(f)
	err = write(w)
	if err == nil {
		err = w.Finish()
	}
	err = errors.Join(err, f.Close())
	if err != nil || w.Pairs() == 0 {
		return nil, errors.Join(err, x.disk.Remove(name))
	}
	t, err := x.openTable(number)
	if err != nil {
		return nil, errors.Join(err, x.disk.Remove(name))
	}
	return t, nil
}

// mergeable is how many of the newest tables are worth merging; less than two
// is none. A table is merged when those newer than it are together half as
// large: so each key is written again as often as the logarithm of the size.
func (x *index) mergeable() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var sum int64
	worth := 0
	for i, t := range x.tables.tables {
		if i > 0 && t.Size() <= 2*sum {
			worth = i + 1
		}
		sum += t.Size()
	}
	return worth
}

// merge makes one table of the newest n. Other calls go on meanwhile, but no
// flush.
func (x *index) merge(ctx context.Context, n int) error {
	x.mu.RLock()
	v := x.use()
	m := x.written
	f := filter{index: x, full: n == len(v.tables), oldest: x.oldestSeq()}
	x.mu.RUnlock()
	defer v.release()

	var sources []table.Source
	for _, t := range v.tables[:n] {
		c := t.Cursor()
		if c.Seek(nil) {
			sources = append(sources, c)
		} else if err := c.Err(); err != nil {
			return err
		}
	}
	number := x.number(&m)
	merged, err := x.writeTable(number, func(w *table.Writer) error {
		return table.Merge(sources, func(key, value []byte) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			keep, err := f.keep(key, value)
			if err != nil || !keep {
				return err
			}
			return w.Add(key, value)
		})
	})
	if err != nil {
		return err
	}
	tables := slices.Clone(v.tables[n:])
	if merged != nil {
		tables = append([]*numberedTable{merged}, tables...)
	}
	if err := x.install(tables, m, false); err != nil {
		if merged != nil {
			return errors.Join(err, merged.Close())
		}
		return err
	}
	return nil
}

// oldestSeq is the least sequence number that a frame of the log can have. The
// caller holds the lock.
func (x *index) oldestSeq() uint64 {
	oldest := ^uint64(0)
	for _, f := range x.files {
		oldest = min(oldest, f.firstSeq)
	}
	return oldest
}

// filter leaves out of a merged table what nobody can need any more.
type filter struct {
	index  *index
	full   bool   // there is no older table
	oldest uint64 // nothing in the log is older

	prefix []byte // of the keys of the last worker's chunks
	state  workerState
}

func (f *filter) keep(key, value []byte) (bool, error) {
	switch key[0] {
	case keyBlob, keyCell:
		// That something is gone must be known as long as the log may have it.
		i, err := decodeItem(value)
		return !f.full || !i.deleted || i.stamp >= f.oldest, err
	case keyWorker:
		s, err := decodeWorker(value)
		return !f.full || s.last > 0 || s.deleted >= f.oldest, err
	case keyChunk:
		return f.keepChunk(key, value)
	}
	return true, nil
}

// keepChunk looks at the state of the worker as it is now: what is gone stays
// gone.
func (f *filter) keepChunk(key, value []byte) (bool, error) {
	n := len(key) - 8
	if n < 1 {
		return false, fmt.Errorf("%w: key %q", table.ErrCorrupt, key)
	}
	if !bytes.Equal(key[:n], f.prefix) {
		w, err := workerOf(key)
		if err != nil {
			return false, err
		}
		if f.state, err = f.index.worker(w); err != nil {
			return false, err
		}
		f.prefix = append(f.prefix[:0], key[:n]...)
	}
	c, err := decodeChunk(key[n:], value)
	return f.state.holds(&c), err
}
