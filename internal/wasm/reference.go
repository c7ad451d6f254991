package wasm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// MaxReference bounds the pages of a Reference that are not zero, in bytes. What
// needs more is not what a program begins with.
const MaxReference = 64 << 20

// Reference is what an instance was at one time: as a rule, after it was
// initialized. States that are kept relative to it are as small as what has
// happened since; instances map it. It never changes, and can be used by any
// number of tasks. Its memory goes with the last state on it.
type Reference struct {
	module  *Module
	image   *baseImage
	size    uint64
	globals []uint64
	hash    [sha256.Size]byte
	closed  atomic.Bool
}

// Reference makes one of what the instance is now. It must not be called during
// a call.
func (in *Instance) Reference() (*Reference, error) {
	s := in.module.NewSaved()
	err := in.save(s, MaxReference/PageSize)
	var r *Reference
	if err == nil {
		r, err = s.reference()
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, fmt.Errorf("make a reference of an instance: %w", err)
	}
	return r, nil
}

// NewSavedOn gives the state that r is. It is kept relative to r: its base is r.
func (m *Module) NewSavedOn(r *Reference) *Saved {
	s := m.savedOn(r.image, r.size, slices.Clone(r.globals))
	if s.err == nil && r.module != m {
		s.err = errors.New("the reference is one of another module")
	}
	return s
}

// Hash names what the reference is: those with equal hashes are equal.
func (r *Reference) Hash() [sha256.Size]byte { return r.hash }

// Close ends the use of the reference but by states on it. It may be called
// twice.
func (r *Reference) Close() error {
	if !r.closed.CompareAndSwap(false, true) {
		return nil
	}
	return errors.Join(r.image.release(), r.module.base.release())
}

// reference makes one of the state.
func (s *Saved) reference() (*Reference, error) {
	pages, err := s.occupied()
	if err != nil {
		return nil, err
	}
	if pages.count > MaxReference/PageSize {
		return nil, fmt.Errorf("it has %d pages that are not zero, and a reference may have %d", pages.count, MaxReference/PageSize)
	}
	h := sha256.New()
	h.Write(s.module.base.hash[:])
	for _, v := range append([]uint64{s.size}, s.globals...) {
		h.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
	b := &baseImage{}
	b.users.Store(1)
	if pages.count > 0 {
		first, last := pages.bounds()
		b.cover(uint64(first)*PageSize, uint64(last+1)*PageSize)
		err = b.fill(s.module.engine.images, func(write func(uint64, []byte) error) error {
			return s.read(pages.each, func(page uint32, p []byte) error {
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(page)*PageSize))
				h.Write(p)
				b.occupy(uint64(page)*PageSize, uint64(page+1)*PageSize)
				return write(uint64(page)*PageSize, p)
			})
		})
	}
	if err != nil {
		return nil, err
	}
	h.Sum(b.hash[:0])
	if !s.module.base.use() {
		return nil, errors.Join(fmt.Errorf("module %w", ErrClosed), b.release())
	}
	return &Reference{module: s.module, image: b, size: s.size, globals: slices.Clone(s.globals), hash: b.hash}, nil
}

// occupied are the pages of the memory that are not zero.
func (s *Saved) occupied() (*bitmap, error) {
	pages := occupied(s.base)
	return pages, s.read(s.differing, func(page uint32, p []byte) error {
		pages.set(page, !bytes.Equal(p, zeros[:]))
		return nil
	})
}

// occupied are the pages in which one of the images has something.
func occupied(images ...*baseImage) *bitmap {
	pages := &bitmap{}
	for _, b := range images {
		for _, r := range b.occupied {
			for at := r.from; at < r.to; at += PageSize {
				pages.set(uint32(at/PageSize), true)
			}
		}
	}
	return pages
}
