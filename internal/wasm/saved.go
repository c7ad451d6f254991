package wasm

import (
	"errors"
	"fmt"
	"slices"
)

// Saved is the state of an instance at rest, kept outside of it: its memory and
// its globals. Any instance of the module can be made to have it. It is a base
// image, which many states share, and the pages that are others, in files that
// nobody relies on beyond the process; what those have no room for is in memory.
// It is for one task at a time.
//
// An instance that was restored to a state stays what it is while the state is
// changed by what was captured of that instance. After any other change it has
// to be restored before it is used again.
type Saved struct {
	module  *Module
	base    *baseImage // nil once it is closed
	size    uint64
	globals []uint64 // nil: those that an instance begins with
	err     error    // why there is no state

	// A small state has its pages in slots. A large one has a file with the
	// whole memory, and knows which pages are not those of the base.
	slots []pageSlot // in ascending order of pages
	file  *stateFile // nil: it is small
	other bitmap
	// heap has the pages that no file had room for.
	heap map[uint32][]byte
	// tries is how many pages there have to be before a file is tried again.
	tries int

	// follower has compared its memory with the state, and changed are the pages
	// that are others since then.
	follower *watch
	changed  []uint32
}

// NewSaved gives the state of a fresh instance.
func (m *Module) NewSaved() *Saved {
	s := &Saved{module: m, base: m.base, size: m.minMemory}
	if !m.base.use() {
		s.base, s.err = nil, fmt.Errorf("module %w", ErrClosed)
	}
	return s
}

var errNoState = fmt.Errorf("state %w", ErrClosed)

// Close forgets the state. It may be called twice.
func (s *Saved) Close() error {
	if s.base == nil {
		return nil
	}
	s.err = errNoState
	err := errors.Join(s.forget(), s.base.release())
	s.base = nil
	return err
}

// Size is the length of the memory in bytes.
func (s *Saved) Size() uint64 { return s.size }

// Pages is how many pages differ from those of the base.
func (s *Saved) Pages() int {
	if s.file != nil {
		return s.other.count
	}
	return len(s.slots)
}

// Kept is about how many bytes are kept for it outside of the base.
func (s *Saved) Kept() uint64 {
	if s.file != nil {
		return s.file.reach
	}
	return uint64(len(s.slots)) * PageSize
}

// Resize makes the memory longer. What is new is zero.
func (s *Saved) Resize(size uint64) error {
	if s.err != nil {
		return s.err
	}
	if err := s.mayHave(size); err != nil {
		return err
	}
	s.size = size
	return nil
}

func (s *Saved) mayHave(size uint64) error {
	if size < s.size || size%wasmPage != 0 || size > s.module.maxMemory {
		return fmt.Errorf("the memory has %d bytes, may have %d, and cannot have %d", s.size, s.module.maxMemory, size)
	}
	return nil
}

// SetGlobals replaces the globals.
func (s *Saved) SetGlobals(values []uint64) error {
	if s.err != nil {
		return s.err
	}
	if len(values) != len(s.module.globals) {
		return fmt.Errorf("the module has %d globals, not %d", len(s.module.globals), len(values))
	}
	s.globals = slices.Clone(values)
	return nil
}

// Write changes the memory. After an error that is not about the offset there is
// no state any more.
func (s *Saved) Write(offset uint64, p []byte) error {
	return s.change(s.size, []Run{{Offset: offset, Bytes: p}})
}

// Apply makes the state what it was when the change was captured. A change that
// cannot be one of this state is refused as a whole; after any other error there
// is no state any more.
func (s *Saved) Apply(c *Change) error {
	if len(c.Globals) != len(s.module.globals) {
		return fmt.Errorf("the module has %d globals, not %d", len(s.module.globals), len(c.Globals))
	}
	if err := s.change(c.Size, c.Runs); err != nil {
		return err
	}
	if c.from != nil {
		c.from.state = s
	}
	return s.SetGlobals(c.Globals)
}

func (s *Saved) change(size uint64, runs []Run) error {
	if s.err != nil {
		return s.err
	}
	if err := s.mayHave(size); err != nil {
		return err
	}
	for _, r := range runs {
		if r.Offset > size || uint64(len(r.Bytes)) > size-r.Offset {
			return fmt.Errorf("%d bytes at %d are outside a memory of %d", len(r.Bytes), r.Offset, size)
		}
	}
	s.size = size
	if err := s.write(runs); err != nil {
		s.err = fmt.Errorf("the state is lost: %w", err)
		return s.err
	}
	return nil
}

// Visit yields the pages that differ from those of the base, in ascending order.
// They are valid until the next one.
func (s *Saved) Visit(yield func(offset uint64, page []byte) bool) error {
	if s.err != nil {
		return s.err
	}
	done := errors.New("that is enough")
	err := s.read(s.differing, func(page uint32, p []byte) error {
		if !yield(uint64(page)*PageSize, p) {
			return done
		}
		return nil
	})
	if err != nil && !errors.Is(err, done) {
		return fmt.Errorf("read a saved page: %w", err)
	}
	return nil
}
