package vfs

import (
	"errors"
	"maps"
	"slices"
)

// OpKind is what is done to a Memory.
type OpKind uint8

// The kinds of operations. Those from OpCreate on change the disk.
const (
	OpOpen OpKind = iota
	OpRead
	OpList
	OpStat
	OpCreate
	OpWrite
	OpAllocate
	OpTruncate
	OpSync
	OpSyncDir
	OpRemove
	OpRename
	OpMkdir
)

// Op is one operation on a Memory.
type Op struct {
	Kind  OpKind
	Name  string
	Bytes int // for OpWrite and OpAllocate
	// Change counts the operations that change the disk, from 0; -1 for others.
	Change int
}

// ErrPowerOff is what every operation gives on a disk without power.
var ErrPowerOff = errors.New("the power is off")

// SetFault makes fault decide, before each operation, whether it fails; nil
// ends that. A change that fails is not made, and a failed sync loses what it
// was to write (see File.Sync). The fault must not use the disk.
func (m *Memory) SetFault(fault func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
	m.ops = 0
}

// SetCapacity bounds the disk; 0 removes the bound.
func (m *Memory) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Used is how many bytes the files take, in whole pages.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Flip changes the bits of mask in the byte at offset, as rot would: synced
// and unsynced alike. It says whether the file is that long.
func (m *Memory) Flip(name string, offset int64, mask byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("flip", name)
	if err != nil || offset >= int64(len(n.live)) {
		return false
	}
	n.live[offset] ^= mask
	if offset < int64(len(n.durable)) {
		n.durable[offset] ^= mask
	}
	return true
}

// PowerOffAt makes the power fail during change number k: what it writes is
// in flight, a sync has not finished, and every operation from then on gives
// ErrPowerOff. Take what is left with Crash.
func (m *Memory) PowerOffAt(k int) {
	m.SetFault(func(op Op) error {
		if op.Change == k {
			return ErrPowerOff
		}
		return nil
	})
}

// Changes is how many changes were tried since SetFault or PowerOffAt.
func (m *Memory) Changes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// check asks the fault about an operation that changes nothing.
func (m *Memory) check(op Op) error {
	if m.off {
		return ErrPowerOff
	}
	op.Change = -1
	if m.fault != nil {
		return m.fault(op)
	}
	return nil
}

// change asks the fault about a change and makes it.
func (m *Memory) change(op Op, apply func() error) error {
	if m.off {
		return ErrPowerOff
	}
	op.Change = m.ops
	m.ops++
	if m.fault == nil {
		return apply()
	}
	err := m.fault(op)
	if err == nil {
		return apply()
	}
	if errors.Is(err, ErrPowerOff) {
		// What was being done may get to the disk in part: it is done but not
		// synced. A sync has done nothing yet.
		if op.Kind != OpSync && op.Kind != OpSyncDir {
			_ = apply()
		}
		m.off = true
	}
	return err
}

// Crash gives the disk that a power failure at this moment leaves behind: all
// that was synced, and of each sector and each directory entry that was not
// what keep says when it is asked; a nil keep keeps nothing. The original
// stays as it is.
func (m *Memory) Crash(keep func() bool) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if keep == nil {
		keep = func() bool { return false }
	}
	c := &Memory{locked: map[string]bool{}, capacity: m.capacity, random: ^m.random}
	c.root = m.root.crash(keep, map[*node]*node{})
	c.used = c.root.size()
	return c
}

func (n *node) crash(keep func() bool, seen map[*node]*node) *node {
	if c := seen[n]; c != nil {
		return c
	}
	if n.entries == nil {
		c := newFile()
		c.durable = n.leftBehind(keep)
		c.live = slices.Clone(c.durable)
		seen[n] = c
		return c
	}
	c := newDir()
	seen[n] = c
	names := maps.Clone(n.entries)
	maps.Copy(names, n.synced)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		left := n.synced[name]
		if live := n.entries[name]; live != left && keep() {
			left = live
		}
		if left != nil {
			c.entries[name] = left.crash(keep, seen)
		}
	}
	c.synced = maps.Clone(c.entries)
	return c
}

// leftBehind is what a power failure leaves of a file's content.
func (n *node) leftBehind(keep func() bool) []byte {
	left := slices.Clone(n.durable)
	if n.resized && keep() {
		left = resize(left, len(n.live))
	}
	for _, page := range slices.Sorted(maps.Keys(n.dirty)) {
		for at := page * pageSize; at < min((page+1)*pageSize, int64(len(n.live))); at += SectorSize {
			if !keep() {
				continue
			}
			sector := n.live[at:min(at+SectorSize, int64(len(n.live)))]
			if end := int(at) + len(sector); end > len(left) {
				left = resize(left, end)
			}
			copy(left[at:], sector)
		}
	}
	return left
}

func (n *node) size() int64 {
	total := pages(len(n.live))
	for _, child := range n.entries {
		total += child.size()
	}
	return total
}
