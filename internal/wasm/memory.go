package wasm

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultMaxMemory bounds an instance's memory if its configuration does not.
const DefaultMaxMemory = 1 << 30

// ErrMemoryExhausted ends a call or an instantiation that would take the
// instances of an engine beyond Config.MaxMemory together. It says nothing
// about the guest: it can be tried again when others need less.
var ErrMemoryExhausted = errors.New("the memory for all guests is used up")

// memoryBudget is how much memory the instances of an engine take together.
type memoryBudget struct {
	used atomic.Uint64
	most uint64 // 0: no bound
}

// take accounts for n more bytes, or returns false.
func (b *memoryBudget) take(n uint64) bool {
	if used := b.used.Add(n); b.most > 0 && used > b.most {
		b.give(n)
		return false
	}
	return true
}

// give accounts for n bytes less.
func (b *memoryBudget) give(n uint64) { b.used.Add(-n) }

// linearMemory is a guest's memory: a reservation of addresses, as long as the
// memory may ever become, of which a growing part is accessible. It never
// moves, costs nothing until it is touched, and is outside the Go heap. It
// shows a base image, or the file of a large state, until it is written to:
// then it has pages of its own.
type linearMemory struct {
	reserved []byte
	size     uint64
	limit    uint64 // of the size, no more than what is reserved
	base     *baseImage
	file     *stateFile // nil: the memory shows base
	filed    uint64     // how much of the memory the file is
	budget   *memoryBudget
	sum      *memorySum // that it is part of, or nil
	// shown makes the next Reallocate give the memory as it is.
	shown   bool
	refused bool // it was to become longer than the limit
	// clean tells that it has what it shows.
	clean bool
	// tracker finds pages of its own, nil if nothing does.
	tracker pageTracker
	watch   *watch
	// broken tells that what the memory shows is unknown.
	broken bool
}

// reserve makes an empty memory that may grow to most bytes.
func reserve(most uint64, base *baseImage, budget *memoryBudget, tracker pageTracker) *linearMemory {
	m := &linearMemory{limit: most, base: base, budget: budget, tracker: tracker, watch: &watch{}}
	if most == 0 {
		return m
	}
	var err error
	m.reserved, err = unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		Abort(fmt.Errorf("reserve %d bytes of addresses for a memory: %w", most, err))
	}
	prepare(m.reserved)
	return m
}

// bytes is the memory as it is now.
func (m *linearMemory) bytes() []byte {
	if m == nil {
		return nil
	}
	return m.reserved[:m.size:m.size]
}

// Reallocate grows the memory, or returns nil if it may not. That depends on
// the limit alone: what the machine has left must not be visible to a guest,
// or it would differ between a run and its replay. If there is nothing left
// the call is aborted.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if m.shown {
		m.shown = false
		return m.bytes()
	}
	if size > m.limit || size > m.size && !m.sum.fits(size-m.size) {
		m.refused = true
		return nil
	}
	if size > m.size {
		m.grow(size)
	}
	return m.bytes()
}

func (m *linearMemory) grow(size uint64) {
	more := size - m.size
	if !m.budget.take(more) {
		Abort(fmt.Errorf("grow memory from %d to %d bytes: %w", m.size, size, ErrMemoryExhausted))
	}
	err := unix.Mprotect(m.reserved[m.size:size], unix.PROT_READ|unix.PROT_WRITE)
	if err == nil && m.size == 0 {
		err = m.base.put(m.reserved[:size])
	}
	if err != nil {
		m.budget.give(more)
		Abort(fmt.Errorf("grow memory from %d to %d bytes: %w", m.size, size, err))
	}
	m.sum.change(m.size, size)
	m.size = size
}

// content is the part of the memory where what it shows, or s has, may not be zero.
func (m *linearMemory) content(s *Saved) (from, to uint64) {
	switch {
	case m.file != nil || s.file != nil:
		return 0, m.size
	case len(s.slots) == 0:
		return m.base.from, m.base.to
	}
	first, last := uint64(s.slots[0].page), uint64(s.slots[len(s.slots)-1].page)
	from, to = first*PageSize, (last+1)*PageSize
	if m.base.from < m.base.to {
		from, to = min(from, m.base.from), max(to, m.base.to)
	}
	return from, to
}

// touch is to be called before anything writes to the memory.
func (m *linearMemory) touch() {
	if m != nil {
		m.clean = false
	}
}

// usable tells whether what the memory has is known.
func (m *linearMemory) usable() error {
	if m != nil && m.broken {
		return errBroken
	}
	return nil
}

// errBroken is why an instance can only be closed.
var errBroken = errors.New("the instance has lost its memory and is to be closed")

// become makes the memory one of size bytes that shows f or, if that is nil, b,
// and has nothing of its own. After an error it cannot be used any more.
func (m *linearMemory) become(size uint64, b *baseImage, f *stateFile) error {
	if size > m.size && !m.budget.take(size-m.size) {
		return fmt.Errorf("make a memory of %d bytes one of %d: %w", m.size, size, ErrMemoryExhausted)
	}
	if err := m.remap(size, b, f); err != nil {
		m.broken = true
		if size > m.size {
			m.budget.give(size - m.size)
		}
		return fmt.Errorf("make a memory of %d bytes one of %d: %w", m.size, size, err)
	}
	if size < m.size {
		m.budget.give(m.size - size)
	}
	m.sum.change(m.size, size)
	m.size, m.base, m.clean, m.watch = size, b, f == nil, &watch{different: m.watch.different[:0]}
	return nil
}

// remap does what become promises for the addresses.
func (m *linearMemory) remap(size uint64, b *baseImage, f *stateFile) (err error) {
	// Of what is watched each page faults by itself: that is mapped anew.
	if f == nil && m.file == nil && m.base == b && m.size > 0 && m.watch.watched == 0 {
		kept := m.clean || m.reset()
		if !kept {
			kept, err = m.discard()
		}
		if kept || err != nil {
			return errors.Join(err, m.open(size))
		}
	}
	m.file, m.filed = f, 0
	if f != nil {
		m.filed = min(size, f.reach)
		err = f.put(m.reserved[:m.filed])
	}
	if rest := m.reserved[m.filed:max(size, m.size)]; err == nil && len(rest) > 0 {
		err = mapZeros(rest)
	}
	if err == nil && f == nil {
		err = b.put(m.reserved[:size])
	}
	if err == nil && size < m.size {
		err = unix.Mprotect(m.reserved[size:m.size], unix.PROT_NONE)
	}
	return err
}

// Where a memory is small and has few pages of its own, these are kept and given
// the content of the base: the guest that comes next would fault in the same again.
const (
	resetMemory = 4 << 20 // in a larger one they take too long to find
	resetPages  = 16
)

// reset makes a memory that shows its base what that is, if that is little work, and
// tells whether it is.
func (m *linearMemory) reset() bool {
	if m.tracker == nil || m.size > resetMemory {
		return false
	}
	memory := m.reserved[:m.size]
	pages := make([]uint64, 0, resetPages)
	few := true
	err := m.tracker.written(memory, m.base.from, m.base.to, func(from, to uint64) bool {
		for ; from < to; from += PageSize {
			if few = len(pages) < resetPages; !few {
				return false
			}
			pages = append(pages, from)
		}
		return true
	})
	if err != nil || !few {
		return false
	}
	for _, at := range pages {
		copy(memory[at:], m.base.page(at))
	}
	return true
}

// open makes the first size bytes accessible, and no others.
func (m *linearMemory) open(size uint64) error {
	switch {
	case size > m.size:
		return unix.Mprotect(m.reserved[m.size:size], unix.PROT_READ|unix.PROT_WRITE)
	case size < m.size:
		return unix.Mprotect(m.reserved[size:m.size], unix.PROT_NONE)
	}
	return nil
}

// mapZeros makes memory accessible and zero, whatever was mapped there.
func mapZeros(memory []byte) error {
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(memory)), uintptr(len(memory)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err == nil {
		prepare(memory)
	}
	return err
}

// mapFile makes memory what the beginning of a file is, with its own copies of
// the pages that are written to.
func mapFile(file interface{ Fd() uintptr }, memory []byte) error {
	_, err := unix.MmapPtr(int(file.Fd()), 0, unsafe.Pointer(unsafe.SliceData(memory)), uintptr(len(memory)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return err
}

// Free gives the addresses back. Touching the memory afterwards kills the
// process.
func (m *linearMemory) Free() {
	if m == nil || m.reserved == nil {
		return
	}
	reserved := m.reserved
	m.budget.give(m.size)
	m.reserved, m.size = nil, 0
	if err := unix.Munmap(reserved); err != nil {
		panic(fmt.Sprintf("unmap a memory of %d bytes: %v", len(reserved), err))
	}
}
