package oplog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Image says that the worker's whole state, as it was when entry Covers was the
// last, is in a blob: recovery may begin there.
type Image struct {
	At     Time         `json:"at"`
	Covers Index        `json:"covers"`
	Blob   storage.Hash `json:"blob"`
	Size   uint64       `json:"size"` // of the blob, bytes
}

func (*Image) kind() *kind { return kindImage }
func (e *Image) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Covers)
	c.fixed(e.Blob[:])
	c.uvarint(&e.Size)
}

// Delta is what has changed of the worker's whole state since an image or
// another delta: recovery may begin behind it, from that one and this.
type Delta struct {
	At     Time   `json:"at"`
	Covers Index  `json:"covers"`
	After  Index  `json:"after"` // the Image or Delta entry that it changes; 0: the worker's beginning
	State  Opaque `json:"state"` // image.Delta
}

func (*Delta) kind() *kind { return kindDelta }
func (e *Delta) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Covers)
	c.uvarint(&e.After)
	c.bytes((*[]byte)(&e.State))
}

// Opaque is bytes that tell people nothing. In JSON there is only how many.
type Opaque []byte

// MarshalJSON gives {"bytes": …}.
func (o Opaque) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Bytes int `json:"bytes"`
	}{len(o)})
}

// DeltaPlace is where a Delta entry is, and what it builds on.
type DeltaPlace struct{ Index, Covers, After, Bytes uint64 }

// DeltasBehind gives those of the deltas in l that make up the newest state
// there is from the entry after on, an Image or 0, each building on the one
// before.
func (l *Life) DeltasBehind(after Index) []DeltaPlace {
	var chain []DeltaPlace
	for _, d := range l.Deltas {
		if d.After == after {
			chain, after = append(chain, d), d.Index
		}
	}
	return chain
}

// CutDeltas leaves out the delta at index, and what builds on it with it.
func (l *Life) CutDeltas(index Index) {
	l.Deltas = slices.DeleteFunc(l.Deltas, func(d DeltaPlace) bool { return d.Index == index })
}

// FindImage gives the newest Image entry before entry before, or nil; 0 stands
// for the end. It reads backwards, so it is as cheap as the image is new.
func FindImage(ctx context.Context, logs storage.Logs, w id.Worker, before Index) (*Image, Index, error) {
	first, last, err := logs.Bounds(ctx, w)
	if err != nil {
		return nil, 0, fmt.Errorf("read the bounds of %s: %w", w, err)
	}
	if before != 0 {
		last = min(last, before-1)
	}
	for size := uint64(tailEntries); last >= first && last > 0; size *= 4 {
		from := first
		if last-first >= size {
			from = last - size + 1
		}
		var found *Image
		var at Index
		for entry, err := range Read(ctx, logs, w, from, last) {
			var corrupt *storage.CorruptError
			if errors.As(err, &corrupt) {
				continue // an image behind the damage makes it harmless
			}
			if err != nil {
				return nil, 0, err
			}
			if image, ok := entry.Body.(*Image); ok {
				found, at = image, entry.Index
			}
		}
		if found != nil {
			return found, at, nil
		}
		last = from - 1
	}
	return nil, 0, nil
}

// AppendLife encodes what l is while nothing is under way: what Image is to
// keep beside the instance's state.
func AppendLife(b []byte, l *Life) []byte {
	c := coder{b: b}
	l.fields(&c)
	return c.b
}

// DecodeLife reads what AppendLife wrote of worker w.
func DecodeLife(w id.Worker, b []byte) (*Life, error) {
	l := NewLife(w)
	c := coder{b: slices.Clone(b), reading: true}
	l.fields(&c)
	if c.err == nil && len(c.b) > 0 {
		c.err = errTrailing
	}
	if c.err != nil {
		return nil, fmt.Errorf("decode the state of %s: %w", w, c.err)
	}
	return l, nil
}

func (l *Life) fields(c *coder) {
	l.Create.fields(c)
	c.uvarint(&l.Last)
	c.time(&l.Changed)
	c.uvarint((*uint64)(&l.Epoch))
	c.uvarint(&l.Waiting)
	c.bool(&l.Initialized)
	c.uvarint(&l.Failures)
	list(c, &l.Queue, 8, func(p **Pending) {
		if c.reading {
			*p = &Pending{InvocationAccepted: &InvocationAccepted{}}
		}
		(*p).fields(c)
		c.uvarint(&(*p).Index)
		c.uvarint(&(*p).Failures)
		c.time(&(*p).Retry)
	})
	keys := slices.Sorted(maps.Keys(l.Keys))
	list(c, &keys, 3, func(key *string) {
		c.string(key)
		k := l.Keys[*key]
		c.uvarint(&k.Accepted)
		c.uvarint(&k.Ended)
		l.Keys[*key] = k
	})
	list(c, &l.Promises, 9, func(p **Promise) {
		if c.reading {
			*p = &Promise{}
		}
		(*p).fields(c)
	})
	l.Retained.fields(c)
	l.forkFields(c)
}

// forkFields has how a copy was made at the end, where it is not missed in the life
// of a worker that is none, or was written before there were copies.
func (l *Life) forkFields(c *coder) {
	if c.reading && c.err == nil && len(c.b) > 0 {
		l.Fork = &ForkedAt{}
	}
	if l.Fork != nil {
		l.Fork.fields(c)
	}
}

// Continue applies the entries behind those that l has, up to entry to; 0 stands for
// the end. If some of these are not there any more it is a *TruncatedError.
func (l *Life) Continue(ctx context.Context, logs storage.Logs, to Index) error {
	for entry, err := range Read(ctx, logs, l.Worker, l.Last+1, to) {
		if err == nil && entry.Index != l.Last+1 {
			err = &TruncatedError{l.Worker, l.Last + 1, entry.Index - 1}
		}
		if err != nil {
			return err
		}
		l.Apply(entry)
	}
	return nil
}
