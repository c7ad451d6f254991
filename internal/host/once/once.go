// Package once is values in cells, each of which knows who has written it lately:
// so of a write that is in doubt it can be told, where it would be, whether it was
// made. It hides how much is remembered, how cells are changed, and how what a
// component has in them is counted and bounded.
package once

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// MaxWriters bounds the writers of a value that are remembered.
const MaxWriters = 64

// Graveyard is how long it is remembered that a value was deleted: until then no
// write to it is done twice.
const Graveyard = 7 * 24 * time.Hour

// Record is what a cell has: a value, and who has written it lately.
type Record struct {
	Exists bool
	Value  []byte
	At     oplog.Time // of the last write
	Writes uint64     // how often it was written to
	// writers are the last writes of workers, one of each, the latest last;
	// forgot is the number of the latest that is not among them any more.
	writers []written
	forgot  uint64
	size    int // of what it was read from
}

// Writer is one write of a worker: by the entry of its intent. The zero value is
// one that is not remembered.
type Writer struct {
	Worker string // and its life: a worker that is made anew begins again with its entries
	Index  oplog.Index
}

// written is a write that took place.
type written struct {
	Writer
	number uint64 // which of the writes it was
	result int64  // what has come of it
}

// Fate is what is known of a write in doubt.
type Fate int

const (
	// NotMade is that it was not made.
	NotMade Fate = iota
	// Made is that it was.
	Made
	// Forgotten is that too many others have written since: nobody knows.
	Forgotten
)

// Recall finds out what has become of a write in doubt, and what has come of it:
// the value had been written to seen times when its worker looked.
func (r *Record) Recall(w Writer, seen uint64) (result int64, fate Fate) {
	for _, x := range r.writers {
		if x.Writer == w && w.Worker != "" {
			return x.result, Made
		}
	}
	// Of those that were written since the program looked all are known, unless
	// some were forgotten, or the value with all of them.
	if r.forgot <= seen && r.Writes >= seen {
		return 0, NotMade
	}
	return 0, Forgotten
}

// Note remembers a write, which is made by changing Exists and Value, and what has
// come of it. Of a worker's own the last is enough: no other of them can be in
// doubt.
func (r *Record) Note(w Writer, at oplog.Time, result int64) {
	r.At = at
	r.Writes++
	if w.Worker == "" {
		return
	}
	r.writers = slices.DeleteFunc(r.writers, func(x written) bool { return x.Worker == w.Worker })
	r.writers = append(r.writers, written{w, r.Writes, result})
	if over := len(r.writers) - MaxWriters; over > 0 {
		r.forget(over)
	}
}

// forget forgets the writers that came first.
func (r *Record) forget(n int) {
	r.forgot = r.writers[n-1].number
	r.writers = slices.Delete(r.writers, 0, n)
}

// Read gives what a cell has and its version. What is not there is empty, and has
// version 0.
func Read(ctx context.Context, cells storage.Cells, cell string) (r Record, version uint64, err error) {
	b, version, err := cells.Get(ctx, cell)
	if errors.Is(err, storage.ErrNotFound) {
		return Record{}, 0, nil
	}
	if err == nil {
		r, err = decodeRecord(b)
	}
	if err != nil {
		return r, version, fmt.Errorf("read %s: %w", cell, err)
	}
	return r, version, nil
}

// Change lets change have the record of a cell, and writes it back unless change
// says that there is nothing to write. If others write meanwhile, change is called
// again with what there is then. A value that is deleted, or replaced by one that is
// no longer, is written though the component is full.
func Change(ctx context.Context, cells *Cells, cell string, change func(r *Record) bool) error {
	for {
		r, version, err := Read(ctx, cells, cell)
		existed, bytes := r.Exists, len(r.Value)
		if err != nil || !change(&r) {
			return err
		}
		_, err = cells.Put(ctx, cell, version, r.append(nil))
		if _, full := AsFull(err); full && existed && len(r.Value) <= bytes {
			err = replace(ctx, cells, cell, &r, version)
		}
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

// replace writes a record back whose value has not become longer, though there is no
// room for what is to be remembered: writers that came before make some.
func replace(ctx context.Context, cells *Cells, cell string, r *Record, version uint64) error {
	for len(r.writers) > 1 && len(r.append(nil)) > r.size {
		r.forget(1)
	}
	_, err := cells.Keep(ctx, cell, version, r.append(nil))
	return err
}

// Existing yields the cells below a prefix whose values exist, and their records,
// from behind a cell on ("" for all).
func Existing(ctx context.Context, cells storage.Cells, prefix, behind string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for cell, err := range cells.List(ctx, prefix, behind) {
			exists := err != nil
			if err == nil {
				var r Record
				r, _, err = Read(ctx, cells, cell)
				exists = r.Exists || err != nil
			}
			if exists && !yield(cell, err) {
				return
			}
		}
	}
}

// Below yields what the cells below a prefix have behind it, up to a slash, each
// once, from behind what Behind says on ("": all). What follows a slash never begins
// with a byte 255, for it is text.
func Below(ctx context.Context, cells storage.Cells, prefix, behind string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for more := true; more; {
			more = false
			for cell, err := range cells.List(ctx, prefix, behind) {
				name, _, _ := strings.Cut(strings.TrimPrefix(cell, prefix), "/")
				behind, more = Behind(prefix, name), err == nil
				if !yield(name, err) {
					return
				}
				break
			}
		}
	}
}

// Behind is behind all cells below a prefix that have name between it and a slash.
func Behind(prefix, name string) string { return prefix + name + "/\xff" }

// Remove takes a cell away, whatever it has.
func Remove(ctx context.Context, cells *Cells, cell string) error {
	_, version, err := cells.Get(ctx, cell)
	if version != 0 {
		err = cells.Delete(ctx, cell, version)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// Bury takes a cell away whose value was deleted so long ago that no write to it
// can be in doubt any more.
func Bury(ctx context.Context, cells *Cells, cell string, r *Record, version uint64, now time.Time) error {
	if r.Exists || now.Sub(r.At.Time()) <= Graveyard {
		return nil
	}
	err := cells.Delete(ctx, cell, version)
	if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// recordFormat is the version of what a cell has.
const recordFormat = 1

func (r *Record) append(b []byte) []byte {
	b = append(b, recordFormat, 0)
	if r.Exists {
		b[len(b)-1] = 1
	}
	b = binary.AppendUvarint(b, uint64(r.At))
	b = binary.AppendUvarint(b, r.Writes)
	b = binary.AppendUvarint(b, r.forgot)
	b = binary.AppendUvarint(b, uint64(len(r.writers)))
	for _, w := range r.writers {
		b = durable.AppendText(b, w.Worker)
		b = binary.AppendUvarint(b, uint64(w.Index))
		b = binary.AppendUvarint(b, w.number)
		b = binary.AppendUvarint(b, uint64(w.result))
	}
	return append(b, r.Value...)
}

func decodeRecord(b []byte) (r Record, err error) {
	d := &durable.Decoder{Rest: b}
	r.size = len(b)
	if format := d.Uint(); format > recordFormat {
		return r, fmt.Errorf("it has format %d, which is newer than this version knows", format)
	} else if format == 0 {
		d.Failed = true
	}
	r.Exists = d.Bool()
	r.At, r.Writes, r.forgot = oplog.Time(d.Uint()), d.Uint(), d.Uint()
	n := d.Uint()
	if n > MaxWriters {
		d.Failed = true
	}
	for range n {
		w := written{Writer: Writer{Worker: string(d.Text()), Index: oplog.Index(d.Uint())}}
		w.number, w.result = d.Uint(), int64(d.Uint())
		if r.writers = append(r.writers, w); d.Failed {
			break
		}
	}
	if !d.Failed {
		r.Value, d.Rest = slices.Clone(d.Rest), nil
	}
	if !d.Whole() || !r.Exists && len(r.Value) > 0 {
		return r, errDamaged
	}
	return r, nil
}

var errDamaged = errors.New("it is damaged")
