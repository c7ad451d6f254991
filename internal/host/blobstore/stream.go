package blobstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// lost is why bytes cannot be read, or written, any more.
var lost = fmt.Sprintf("these bytes are not there any more: no object has had them, and nobody has read or written them, for %d hours", int(Keep.Hours()))

// Writing is a value that is being written. It is plain data.
type Writing struct {
	ID     ID     // of its chunks, if there are any
	Chunks uint64 // that are stored
	Rest   []byte // what is behind them
}

// Size is how many bytes were written.
func (w *Writing) Size() uint64 { return w.Chunks*ChunkSize + uint64(len(w.Rest)) }

// Write appends to a value. What fills a chunk is stored, where nobody sees it.
func (c *Containers) Write(w *Writing, p []byte) error {
	if w.Size()+uint64(len(p)) > MaxSize {
		return failf("an object has at most %d bytes", MaxSize)
	}
	for len(p) > 0 {
		n := min(len(p), ChunkSize-len(w.Rest))
		w.Rest, p = append(w.Rest, p[:n]...), p[n:]
		if len(w.Rest) < ChunkSize {
			break
		}
		if err := c.store(w, w.Rest); err != nil {
			return err
		}
		w.Chunks++
		w.Rest = w.Rest[:0]
	}
	return nil
}

// store keeps the next chunk of a value.
func (c *Containers) store(w *Writing, p []byte) (err error) {
	if w.Chunks == 0 {
		if w.ID, err = durable.Run(c.Session, &begin, durable.None{}, func(context.Context, durable.None) (ID, error) {
			return c.Store.newID()
		}); err != nil {
			return err
		}
	}
	req := chunk{w.ID, w.Chunks, uint64(len(p)), sha256.Sum256(p)}
	o, err := durable.Run(c.Session, &put, req, func(ctx context.Context, req chunk) (outcome, error) {
		if err := c.charge(ctx, len(p)); err != nil {
			return outcome{}, err
		}
		return refusal(c.Store.put(ctx, c.Worker, req, p))
	})
	if err == nil && o.failure != "" {
		err = &Error{Reason: o.failure}
	}
	return err
}

func (c *Containers) pace(ctx context.Context, n int) error {
	if c.Pace == nil {
		return nil
	}
	return c.Pace(ctx, n)
}

// charge is asked before bytes are stored that are not recorded.
func (c *Containers) charge(ctx context.Context, n int) error {
	err := c.pace(ctx, n)
	if err == nil && c.Session.Charge != nil {
		err = c.Session.Charge(false, n)
	}
	return err
}

// put keeps a chunk; another one may be in its place, of a process that ended before
// it was recorded.
func (s *Store) put(ctx context.Context, w id.Worker, at chunk, p []byte) (outcome, error) {
	begins := ""
	if at.number == 0 {
		begins = w.Name
	}
	by, there, err := s.touched(ctx, w.Component, at.id, begins)
	switch {
	case err != nil:
		return outcome{}, err
	case !there:
		return outcome{lost}, nil
	case by != w.Name:
		return outcome{"this value was begun by the worker " + by + ", of which this one is a fork: it has to be written anew"}, nil
	}
	cell := chunkCell(w.Component, at.id, at.number)
	for {
		_, version, err := s.cells.Get(ctx, cell)
		if err != nil && version == 0 && !errors.Is(err, storage.ErrNotFound) {
			return outcome{}, err
		}
		if _, err = s.cells.Put(ctx, cell, version, append([]byte{chunkFormat}, p...)); !errors.Is(err, storage.ErrConflict) {
			return outcome{}, err
		}
	}
}

// chunkFormat is the version of a chunk's cell, whose first byte it is.
const chunkFormat = 1

// Finish gives what was written to an object, once and as a whole.
func (c *Containers) Finish(w *Writing, container, name string) error {
	if err := c.check(place{container, name}, true); err != nil {
		return err
	}
	size, tail := w.Size(), w.Rest
	if len(tail) > MaxTail {
		if err := c.store(w, tail); err != nil {
			return err
		}
		tail = nil
	}
	return c.write(change{
		place: place{container, name}, action: writing, content: content{id: w.ID, size: size}, hash: sha256.Sum256(tail),
	}, tail)
}

// Reading is a part of an object that is being read. It is plain data.
type Reading struct {
	ID      ID     // of the object's chunks, if the part has any
	At, End uint64 // where what is left begins and ends
	Tail    []byte // what is before the end and in no chunk
}

// Size is how many bytes are left.
func (r *Reading) Size() uint64 { return r.End - r.At }

// Open begins to read an object from byte start to byte end, both of which are read,
// or to the object's end if that comes first. Whatever becomes of the object, that
// is what it has now, as long as somebody reads it, and for Keep.
func (c *Containers) Open(container, name string, start, end uint64) (Reading, error) {
	p := place{container, name}
	if err := c.check(p, true); err != nil {
		return Reading{}, err
	}
	if start > end {
		return Reading{}, failf("a part of an object begins at %d and ends before that, at %d", start, end)
	}
	o, err := durable.Run(c.Session, &open, opening{p, start, end}, func(ctx context.Context, req opening) (opened, error) {
		return c.Store.open(ctx, c.Worker.Component, req)
	})
	if err == nil && o.failure != "" {
		err = &Error{Reason: o.failure}
	}
	return o.Reading, err
}

// open finds the part of an object.
func (s *Store) open(ctx context.Context, component string, req opening) (opened, error) {
	fails := func(err error) (opened, error) { return opened{outcome: outcome{err.Error()}}, nil }
	b, r, err := s.box(ctx, component, req.container)
	if err != nil {
		return opened{}, err
	}
	if !r.Exists {
		return fails(noContainer(req.container))
	}
	o, r, err := s.object(ctx, objectPrefix(component, b.id)+req.object)
	switch {
	case err != nil:
		return opened{}, err
	case !r.Exists:
		return fails(noObject(req.place))
	case req.start > o.size:
		return fails(failf("%s has %d bytes, and a part of it is to begin at %d", req.place, o.size, req.start))
	}
	return opened{Reading: o.part(req.start, req.end)}, nil
}

// part is what an object has from byte start, which is not behind its end, to byte
// end.
func (o *object) part(start, end uint64) Reading {
	r := Reading{At: start, End: o.size}
	if end < o.size {
		r.End = end + 1
	}
	if chunked := o.chunked(); r.End > chunked {
		r.Tail = o.tail[max(r.At, chunked)-chunked : r.End-chunked]
	}
	if r.inChunks() > 0 {
		r.ID = o.id
	}
	return r
}

// inChunks is how many of the bytes that are left are in chunks.
func (r *Reading) inChunks() uint64 {
	return r.Size() - min(r.Size(), uint64(len(r.Tail)))
}

// Read gives up to limit bytes, which is not 0, and none at the end.
func (c *Containers) Read(r *Reading, limit int) ([]byte, error) {
	chunked := r.inChunks()
	if chunked == 0 {
		p := r.Tail[uint64(len(r.Tail))-r.Size():]
		p = p[:min(limit, len(p))]
		r.At += uint64(len(p))
		return bytes.Clone(p), nil
	}
	req := reading{r.ID, r.At, min(uint64(limit), chunked, ChunkSize-r.At%ChunkSize)}
	p, err := durable.Run(c.Session, &read, req, c.read)
	if err != nil {
		return nil, err
	}
	if p.failure != "" {
		return nil, &Error{Reason: p.failure}
	}
	r.At += uint64(len(p.bytes))
	return bytes.Clone(p.bytes), nil
}

func (c *Containers) read(ctx context.Context, req reading) (piece, error) {
	if err := c.pace(ctx, int(req.limit)); err != nil {
		return piece{}, err
	}
	n, from := req.at/ChunkSize, req.at%ChunkSize
	if c.last.bytes == nil || c.last.id != req.id || c.last.n != n {
		p, err := c.Store.chunk(ctx, c.Worker.Component, req.id, n)
		if err != nil {
			return piece{}, err
		}
		if uint64(len(p)) < from+req.limit {
			return piece{outcome: outcome{lost}}, nil
		}
		c.last.id, c.last.n, c.last.bytes = req.id, n, p
	}
	p := c.last.bytes[from : from+req.limit]
	if from+req.limit == uint64(len(c.last.bytes)) {
		c.last.bytes = nil
	}
	return piece{bytes: p}, nil
}

// chunk reads a chunk of an object, or nothing if it is not there any more.
func (s *Store) chunk(ctx context.Context, component string, i ID, n uint64) ([]byte, error) {
	if _, there, err := s.touch(ctx, component, i); err != nil || !there {
		return nil, err
	}
	cell := chunkCell(component, i, n)
	p, _, err := s.cells.Get(ctx, cell)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case len(p) == 0 || p[0] != chunkFormat:
		return nil, fmt.Errorf("read %s: %w", cell, errDamaged)
	}
	return p[1:], nil
}
