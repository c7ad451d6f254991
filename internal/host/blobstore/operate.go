package blobstore

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/once"
)

// What follows is for those who look after a node. Nothing of it is recorded.

// Entry is a container, or an object of one.
type Entry struct {
	Name    string
	Created time.Time
	Size    uint64 // of an object
}

// Containers yields the containers of a component, by name, from behind one on ("":
// all).
func (s *Store) Containers(ctx context.Context, component, behind string) iter.Seq2[Entry, error] {
	prefix := containerCell(component, "")
	return func(yield func(Entry, error) bool) {
		for cell, err := range once.Existing(ctx, s.cells, prefix, prefix+behind) {
			e := Entry{Name: strings.TrimPrefix(cell, prefix)}
			if err == nil {
				var b box
				b, _, err = s.box(ctx, component, e.Name)
				e.Created = b.created.Time()
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Objects yields the objects of a container, by name, from behind one on ("": all).
// Without the container that is an *Error.
func (s *Store) Objects(ctx context.Context, component, container, behind string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		b, r, err := s.box(ctx, component, container)
		if err == nil && !r.Exists {
			err = noContainer(container)
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		prefix := objectPrefix(component, b.id)
		for cell, err := range once.Existing(ctx, s.cells, prefix, prefix+behind) {
			e := Entry{Name: strings.TrimPrefix(cell, prefix)}
			if err == nil {
				var o object
				o, _, err = s.object(ctx, cell)
				e.Created, e.Size = o.created.Time(), o.size
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// OpenObject opens an object. If it is not there that is an *Error.
func (s *Store) OpenObject(ctx context.Context, component, container, name string) (Entry, io.Reader, error) {
	o, err := s.thereIs(ctx, component, place{container, name})
	if err != nil {
		return Entry{}, nil, err
	}
	r := &objectReader{ctx: ctx, store: s, component: component, part: o.part(0, MaxSize)}
	return Entry{name, o.created.Time(), o.size}, r, nil
}

// thereIs finds an object that is to be there.
func (s *Store) thereIs(ctx context.Context, component string, p place) (object, error) {
	b, r, err := s.box(ctx, component, p.container)
	if err == nil && !r.Exists {
		err = noContainer(p.container)
	}
	if err != nil {
		return object{}, err
	}
	o, r, err := s.object(ctx, objectPrefix(component, b.id)+p.object)
	if err == nil && !r.Exists {
		err = noObject(p)
	}
	return o, err
}

// objectReader reads an object, a chunk at a time.
type objectReader struct {
	ctx       context.Context
	store     *Store
	component string
	part      Reading
	chunk     []byte // what was not given of it
}

func (r *objectReader) Read(p []byte) (int, error) {
	switch chunked := r.part.inChunks(); {
	case r.part.Size() == 0:
		return 0, io.EOF
	case chunked == 0:
		n := copy(p, r.part.Tail[uint64(len(r.part.Tail))-r.part.Size():])
		r.part.At += uint64(n)
		return n, nil
	case len(r.chunk) == 0:
		chunk, err := r.store.chunk(r.ctx, r.component, r.part.ID, r.part.At/ChunkSize)
		if err != nil {
			return 0, err
		}
		if uint64(len(chunk)) < min(chunked, ChunkSize) {
			return 0, fmt.Errorf("read an object: %s", lost)
		}
		r.chunk = chunk
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	r.part.At += uint64(n)
	return n, nil
}

// DeleteObject deletes an object, and RemoveContainer a container with all that is in
// it. If it is not there that is an *Error.
func (s *Store) DeleteObject(ctx context.Context, component, container, name string) error {
	p := place{container, name}
	if _, err := s.thereIs(ctx, component, p); err != nil {
		return err
	}
	a := attempt{store: s, component: component, change: change{place: p, action: deleting}}
	return a.outcome(a.ofObject(ctx))
}

// RemoveContainer deletes a container: see DeleteObject.
func (s *Store) RemoveContainer(ctx context.Context, component, container string) error {
	_, r, err := s.box(ctx, component, container)
	if err == nil && !r.Exists {
		err = noContainer(container)
	}
	if err != nil {
		return err
	}
	a := attempt{store: s, component: component, change: change{place: place{container: container}, action: removing}}
	return a.outcome(a.ofContainer(ctx))
}

// outcome makes an error of a failure.
func (*attempt) outcome(o outcome, err error) error {
	if err == nil && o.failure != "" {
		err = &Error{Reason: o.failure}
	}
	return err
}
