package keyvalue

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// What follows is for those who look after a node. Nothing of it is recorded.

// Buckets yields the buckets of a component that have keys, by name, from behind one
// on if there is one.
func (s *Store) Buckets(ctx context.Context, component string, behind *string) iter.Seq2[string, error] {
	prefix, from := once.Buckets+component+"/", ""
	if behind != nil {
		from = once.Behind(prefix, *behind)
	}
	return func(yield func(string, error) bool) {
		for bucket, err := range once.Below(ctx, s.cells, prefix, from) {
			empty := err == nil
			for _, err = range once.Existing(ctx, s.cells, prefixOf(component, bucket), "") {
				empty = false
				break
			}
			if !empty && !yield(bucket, err) {
				return
			}
		}
	}
}

// Entry is a key that has a value.
type Entry struct {
	Key     string
	Size    int
	Written time.Time
}

// Entries yields the keys of a bucket, in order, from behind one on ("": all).
func (s *Store) Entries(ctx context.Context, component, bucket, behind string) iter.Seq2[Entry, error] {
	prefix := prefixOf(component, bucket)
	return func(yield func(Entry, error) bool) {
		for cell, err := range once.Existing(ctx, s.cells, prefix, prefix+behind) {
			e := Entry{Key: strings.TrimPrefix(cell, prefix)}
			if err == nil {
				var r once.Record
				r, _, err = once.Read(ctx, s.cells, cell)
				e.Size, e.Written = len(r.Value), r.At.Time()
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Value gives the value of a key, and whether there is one.
func (s *Store) Value(ctx context.Context, component, bucket, key string) ([]byte, bool, error) {
	r, _, err := once.Read(ctx, s.cells, prefixOf(component, bucket)+key)
	return r.Value, r.Exists, err
}

// Delete takes a key away, and says whether it was there.
func (s *Store) Delete(ctx context.Context, component, bucket, key string) (there bool, err error) {
	err = once.Change(ctx, s.cells, prefixOf(component, bucket)+key, func(r *once.Record) bool {
		there = r.Exists
		r.Exists, r.Value = false, nil
		r.Note(once.Writer{}, oplog.At(s.now()), 0)
		return there
	})
	return there, err
}
