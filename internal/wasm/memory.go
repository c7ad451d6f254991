package wasm

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DefaultMaxMemory bounds an instance's memory if its configuration does not.
const DefaultMaxMemory = 1 << 30

// linearMemory is a guest's memory: a reservation of addresses, as long as the
// memory may ever become, of which a growing part is accessible. It never
// moves, costs nothing until it is touched, and is outside the Go heap.
type linearMemory struct {
	reserved []byte
	size     uint64
}

// reserve makes an empty memory that may grow to most bytes.
func reserve(most uint64) *linearMemory {
	if most == 0 {
		return &linearMemory{}
	}
	reserved, err := unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		Abort(fmt.Errorf("reserve %d bytes of addresses for a memory: %w", most, err))
	}
	return &linearMemory{reserved: reserved}
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
// or it would differ between a run and its replay. If the machine has nothing
// left the call is aborted.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.reserved)) {
		return nil
	}
	if size > m.size {
		if err := unix.Mprotect(m.reserved[m.size:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			Abort(fmt.Errorf("grow memory from %d to %d bytes: %w", m.size, size, err))
		}
		m.size = size
	}
	return m.bytes()
}

// Free gives the addresses back. Touching the memory afterwards kills the
// process.
func (m *linearMemory) Free() {
	if m == nil || m.reserved == nil {
		return
	}
	reserved := m.reserved
	m.reserved, m.size = nil, 0
	if err := unix.Munmap(reserved); err != nil {
		panic(fmt.Sprintf("unmap a memory of %d bytes: %v", len(reserved), err))
	}
}
