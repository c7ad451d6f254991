package wasm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Saved is the state of an instance at rest, kept outside of it: its memory and
// its globals. Any instance of the module can be made to have it. It is for one
// task at a time.
type Saved struct {
	module  *Module
	size    uint64
	globals []uint64          // nil: those that an instance begins with
	pages   map[uint64][]byte // by offset, where the memory is not the base image
}

// Change is what has happened to an instance since its state was saved.
type Change struct {
	Size    uint64   // of the memory, bytes
	Globals []uint64 // all of them
	Runs    []Run    // of bytes that are others now, in ascending order
	Pages   int      // that have such bytes
}

// Run is bytes of a memory.
type Run struct {
	Offset uint64
	Bytes  []byte
}

// NewSaved gives the state of a fresh instance.
func (m *Module) NewSaved() *Saved {
	return &Saved{module: m, size: m.minMemory, pages: map[uint64][]byte{}}
}

// Close forgets the state. It may be called twice.
func (s *Saved) Close() error {
	s.pages = nil
	return nil
}

// Size is the length of the memory in bytes.
func (s *Saved) Size() uint64 { return s.size }

// Pages is how many pages differ from what a fresh instance has.
func (s *Saved) Pages() int { return len(s.pages) }

// Resize makes the memory longer. What is new is zero.
func (s *Saved) Resize(size uint64) error {
	if size < s.size || size%wasmPage != 0 || size > s.module.maxMemory {
		return fmt.Errorf("the memory has %d bytes, may have %d, and cannot have %d", s.size, s.module.maxMemory, size)
	}
	s.size = size
	return nil
}

// SetGlobals replaces the globals.
func (s *Saved) SetGlobals(values []uint64) error {
	if len(values) != len(s.module.globals) {
		return fmt.Errorf("the module has %d globals, not %d", len(s.module.globals), len(values))
	}
	s.globals = slices.Clone(values)
	return nil
}

// Write changes the memory.
func (s *Saved) Write(offset uint64, p []byte) error {
	if offset > s.size || uint64(len(p)) > s.size-offset {
		return fmt.Errorf("bytes %d to %d are outside a memory of %d", offset, offset+uint64(len(p)), s.size)
	}
	for len(p) > 0 {
		at := offset / PageSize * PageSize
		page, ok := s.pages[at]
		if !ok {
			page = slices.Clone(s.module.base.page(at))
			s.pages[at] = page
		}
		n := copy(page[offset-at:], p)
		offset, p = offset+uint64(n), p[n:]
	}
	return nil
}

// Apply makes the state what it was when the change was captured.
func (s *Saved) Apply(c *Change) error {
	if err := s.Resize(c.Size); err != nil {
		return err
	}
	for _, r := range c.Runs {
		if err := s.Write(r.Offset, r.Bytes); err != nil {
			return err
		}
	}
	return s.SetGlobals(c.Globals)
}

// Visit yields the pages that differ from those of a fresh instance, in
// ascending order. They are valid until the next one.
func (s *Saved) Visit(yield func(offset uint64, page []byte) bool) error {
	offsets := make([]uint64, 0, len(s.pages))
	for at := range s.pages {
		offsets = append(offsets, at)
	}
	slices.Sort(offsets)
	for _, at := range offsets {
		if !yield(at, s.pages[at]) {
			break
		}
	}
	return nil
}

// Capture finds how the instance differs from s, which it was restored to or
// fresh like, whatever was captured and applied since then. Neither changes. It
// must not be called during a call.
func (in *Instance) Capture(s *Saved) (*Change, error) {
	c := &Change{Size: uint64(len(in.memory.bytes())), Globals: in.Globals()}
	err := in.Changed(func(at uint64, page []byte) bool {
		c.compare(at, s.page(at), page)
		return true
	})
	for at := range s.pages { // a page that is again what the base has
		c.compare(at, s.page(at), in.memory.bytes()[at:][:PageSize])
	}
	slices.SortFunc(c.Runs, func(a, b Run) int { return int(int64(a.Offset) - int64(b.Offset)) })
	c.Runs = slices.CompactFunc(c.Runs, func(a, b Run) bool { return a.Offset == b.Offset })
	return c, err
}

func (s *Saved) page(at uint64) []byte {
	if p, ok := s.pages[at]; ok {
		return p
	}
	return s.module.base.page(at)
}

// compare adds the words in which a page differs.
func (c *Change) compare(at uint64, was, is []byte) {
	if bytes.Equal(was, is) {
		return
	}
	c.Pages++
	for i := 0; i < PageSize; {
		if binary.NativeEndian.Uint64(was[i:]) == binary.NativeEndian.Uint64(is[i:]) {
			i += 8
			continue
		}
		from := i
		for i < PageSize && binary.NativeEndian.Uint64(was[i:]) != binary.NativeEndian.Uint64(is[i:]) {
			i += 8
		}
		c.Runs = append(c.Runs, Run{at + uint64(from), slices.Clone(is[from:i])})
	}
}

// Restore gives a fresh instance the state s.
func (in *Instance) Restore(s *Saved) error {
	return in.RestoreChanged(s.size, s.globals, func(memory []byte) error {
		for at, p := range s.pages {
			copy(memory[at:], p)
		}
		return nil
	})
}
