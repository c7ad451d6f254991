package wasm

import (
	"errors"
	"fmt"
	"sync/atomic"

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
// begins with what the base image has.
type linearMemory struct {
	reserved []byte
	size     uint64
	limit    uint64 // of the size, no more than what is reserved
	base     *baseImage
	budget   *memoryBudget
	sum      *memorySum // that it is part of, or nil
	// shown makes the next Reallocate give the memory as it is.
	shown bool
}

// reserve makes an empty memory that may grow to most bytes.
func reserve(most uint64, base *baseImage, budget *memoryBudget) *linearMemory {
	m := &linearMemory{limit: most, base: base, budget: budget}
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
	m.sum.add(more)
	m.size = size
}

// reset makes the memory what it was when it had its first size bytes, which it
// has again.
func (m *linearMemory) reset(size uint64) error {
	if m.size == 0 {
		return nil
	}
	based, err := m.discard()
	if err == nil && size < m.size {
		err = unix.Mprotect(m.reserved[size:m.size], unix.PROT_NONE)
	}
	if err == nil && !based {
		err = m.base.put(m.reserved[:size])
	}
	if err != nil {
		return fmt.Errorf("make a memory of %d bytes anew: %w", m.size, err)
	}
	m.budget.give(m.size - size)
	m.size = size
	return nil
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
