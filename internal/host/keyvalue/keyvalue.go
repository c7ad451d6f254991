// Package keyvalue is the buckets of programs, recorded: values by keys that all
// workers of a component share and that outlive them. What a program reads is
// recorded as it has seen it; what it writes takes effect once, whatever happens,
// for each value knows who has written it lately (package once). It hides how a write
// that was in doubt is found out about.
package keyvalue

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Limits of a bucket's name, of a key and of a value, in bytes, and of the keys that
// one call gives or takes.
const (
	MaxBucket = 64
	MaxKey    = 256
	MaxValue  = 512 << 10
	MaxKeys   = 1000
)

// Store has the buckets of all components. It is for any number of tasks.
type Store struct {
	cells *once.Cells
	now   func() time.Time
}

// NewStore makes the store that cells have.
func NewStore(cells *once.Cells, now func() time.Time) *Store { return &Store{cells, now} }

// Config is what an instance's buckets are made of.
type Config struct {
	Session *durable.Session
	Store   *Store // nil: there are none
	Worker  id.Worker
	// Life tells the worker from others that had or will have its name.
	Life string
	// Forgets says that calls are not recorded: nothing is known of writes that
	// were under way when the process ended.
	Forgets bool
}

// Buckets are those of one instance. They are for one task at a time.
type Buckets struct{ Config }

// Error is why something cannot be done. The program may go on.
type Error struct {
	NoBucket bool
	Reason   string
}

// Error gives the reason.
func (e *Error) Error() string { return e.Reason }

func failf(format string, args ...any) error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// Check says why there can be no bucket of a name. The empty name is a bucket.
func (b *Buckets) Check(bucket string) error {
	switch {
	case b.Store == nil:
		return errNone
	case bucket == "":
		return nil
	case len(bucket) > MaxBucket:
		return &Error{NoBucket: true, Reason: fmt.Sprintf("the name of a bucket has at most %d bytes", MaxBucket)}
	}
	if err := id.CheckName(bucket); err != nil {
		return &Error{NoBucket: true, Reason: fmt.Sprintf("bucket: %v", err)}
	}
	return nil
}

var errNone = &Error{NoBucket: true, Reason: "there are no buckets here: they are for workers of a server"}

// usable says why a key cannot be used.
func (b *Buckets) usable(key string) error {
	if b.Store == nil {
		return errNone
	}
	if key == "" || len(key) > MaxKey || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return failf("a key has 1 to %d bytes, and no zero among them", MaxKey)
	}
	return nil
}

func checkValue(value []byte) error {
	if len(value) > MaxValue {
		return failf("a value has at most %d bytes, and this has %d", MaxValue, len(value))
	}
	return nil
}

// place is where a value is.
type place struct{ bucket, key string }

func (b *Buckets) prefix(bucket string) string { return prefixOf(b.Worker.Component, bucket) }

// prefixOf begins the cells of a bucket. Names have no slash, and keys may.
func prefixOf(component, bucket string) string {
	return once.Buckets + component + "/" + bucket + "/"
}

func (b *Buckets) cell(p place) string { return b.prefix(p.bucket) + p.key }

// Get gives the value of a key, and whether there is one.
func (b *Buckets) Get(bucket, key string) ([]byte, bool, error) {
	if err := b.usable(key); err != nil {
		return nil, false, err
	}
	v, err := durable.Run(b.Session, &get, place{bucket, key}, func(ctx context.Context, p place) (found, error) {
		r, _, err := once.Read(ctx, b.Store.cells, b.cell(p))
		return found{r.Exists, r.Value}, err
	})
	return v.value, v.exists, err
}

// Keys gives keys of a bucket in their order, those behind one: MaxKeys of them, or
// all that there are.
func (b *Buckets) Keys(bucket, behind string) ([]string, error) {
	if b.Store == nil {
		return nil, errNone
	}
	return durable.Run(b.Session, &keys, place{bucket, behind}, func(ctx context.Context, p place) (list []string, err error) {
		prefix := b.prefix(p.bucket)
		for cell, err := range once.Existing(ctx, b.Store.cells, prefix, prefix+p.key) {
			if err != nil {
				return nil, err
			}
			if list = append(list, strings.TrimPrefix(cell, prefix)); len(list) == MaxKeys {
				break
			}
		}
		return list, nil
	})
}

// Set gives a key a value.
func (b *Buckets) Set(bucket, key string, value []byte) error {
	if err := checkValue(value); err != nil {
		return err
	}
	_, err := b.write(change{place: place{bucket, key}, action: setting, value: value})
	return err
}

// Delete takes a key away, if it is there.
func (b *Buckets) Delete(bucket, key string) error {
	_, err := b.write(change{place: place{bucket, key}, action: deleting})
	return err
}

// Increment adds to the number that is a key's value, or to 0 where there is none,
// and gives the sum. Numbers are decimal text.
func (b *Buckets) Increment(bucket, key string, delta int64) (int64, error) {
	o, err := b.write(change{place: place{bucket, key}, action: incrementing, delta: delta})
	return o.sum, err
}

// Version names what a key's value was at a moment.
type Version = uint64

// Version gives the present one of a key.
func (b *Buckets) Version(bucket, key string) (Version, error) {
	if err := b.usable(key); err != nil {
		return 0, err
	}
	return b.look(place{bucket, key})
}

// Swap gives a key a value if it has not been written to since a version, and
// reports whether it did.
func (b *Buckets) Swap(bucket, key string, since Version, value []byte) (bool, error) {
	if err := checkValue(value); err != nil {
		return false, err
	}
	o, err := b.write(change{place: place{bucket, key}, action: swapping, value: value, since: since})
	return o.done, err
}

// look sees how often a value was written to.
func (b *Buckets) look(p place) (Version, error) {
	return durable.Run(b.Session, &look, p, func(ctx context.Context, p place) (Version, error) {
		r, _, err := once.Read(ctx, b.Store.cells, b.cell(p))
		return r.Writes, err
	})
}

// write makes a change, once.
func (b *Buckets) write(c change) (o outcome, err error) {
	if err := b.usable(c.key); err != nil {
		return o, err
	}
	if c.seen, err = b.look(c.place); err != nil {
		return o, err
	}
	started, err := durable.Start(b.Session, &write, c)
	if err != nil {
		return o, err
	}
	inDoubt := b.Session.Replaying() // the intent is of a process before
	o, err = durable.Finish(b.Session, &write, started, func(ctx context.Context) (outcome, error) {
		return b.Store.apply(ctx, b.cell(c.place), c, b.writer(started), inDoubt)
	})
	if err == nil && o.failure != "" {
		err = &Error{Reason: o.failure}
	}
	return o, err
}

// writer names a write of this worker.
func (b *Buckets) writer(index oplog.Index) once.Writer {
	if b.Forgets {
		return once.Writer{}
	}
	return once.Writer{Worker: b.Worker.Name + b.Life, Index: index}
}

// Forget forgets all that a component has kept.
func (s *Store) Forget(ctx context.Context, component string) error {
	for cell, err := range s.cells.List(ctx, once.Buckets+component+"/", "") {
		if err != nil {
			return err
		}
		if err := once.Remove(ctx, s.cells, cell); err != nil {
			return fmt.Errorf("forget what %s has kept: %w", component, err)
		}
	}
	return nil
}

// Tidy forgets keys that have been deleted for so long that no write to them can
// be in doubt any more.
func (s *Store) Tidy(ctx context.Context) error {
	for cell, err := range s.cells.List(ctx, once.Buckets, "") {
		if err != nil {
			return err
		}
		r, version, err := once.Read(ctx, s.cells, cell)
		if err != nil {
			continue // who reads it is told
		}
		if err := once.Bury(ctx, s.cells, cell, &r, version, s.now()); err != nil {
			return err
		}
	}
	return nil
}
