package wasm

import (
	"errors"
	"io"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Bounds of a slab.
const (
	// maxSlots is how many pages a slab has room for: 64 GiB.
	maxSlots = 1 << 24
	// punchedSlots is how many free slots are worth giving their space back.
	punchedSlots = 4 << 10
	// vectorPages is how many pages are read at once.
	vectorPages = 256
)

// errNoRoom is returned for a page that has to be kept elsewhere.
var errNoRoom = errors.New("there is no room for a page in the file of states")

// slab keeps the pages of many small states in slots of one file without a
// name. Nobody relies on it beyond the process: it is never flushed. Any number
// of tasks may use it, each its own slots.
type slab struct {
	file stateDisk // nil: there is no room at all

	mu    sync.Mutex
	next  uint32   // the first slot that was never used
	free  []uint32 // with space on the disk
	empty []uint32 // without
	used  int
}

// openSlab makes a slab in a new file. It has no room if there can be none.
func openSlab(open func() (stateDisk, error)) *slab {
	file, err := open()
	if err != nil {
		return &slab{}
	}
	return &slab{file: file}
}

func (b *slab) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// take gives a slot that nobody has. Those that are taken one after the other
// are often neighbours.
func (b *slab) take() (slot uint32, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.file == nil:
		return 0, false
	case len(b.free) > 0:
		slot, b.free = pop(b.free)
	case len(b.empty) > 0:
		slot, b.empty = pop(b.empty)
	case b.next < maxSlots:
		slot = b.next
		b.next++
	default:
		return 0, false
	}
	b.used++
	return slot, true
}

func pop(slots []uint32) (uint32, []uint32) {
	last := len(slots) - 1
	return slots[last], slots[:last]
}

// give makes slots free. If that is many, their space goes back to the disk.
func (b *slab) give(slots ...uint32) {
	b.mu.Lock()
	b.used -= len(slots)
	b.free = append(b.free, slots...)
	var unused []uint32
	if len(b.free) >= max(punchedSlots, b.used) {
		unused, b.free = b.free, nil
	}
	b.mu.Unlock()
	if unused == nil {
		return
	}
	slices.Sort(unused)
	for from := 0; from < len(unused); {
		to := from + 1
		for to < len(unused) && unused[to] == unused[to-1]+1 {
			to++
		}
		// What cannot be given back is used again all the same.
		_ = punch(b.file, int64(unused[from])*PageSize, int64(to-from)*PageSize)
		from = to
	}
	slices.Reverse(unused) // the first is taken first
	b.mu.Lock()
	defer b.mu.Unlock()
	b.empty = append(b.empty, unused...)
}

// write fills a slot. Without room on the disk that is an error.
func (b *slab) write(slot uint32, page []byte) error {
	_, err := b.file.WriteAt(page, int64(slot)*PageSize)
	return err
}

// read fills pages, no more than vectorPages, with slots from the one given on.
func (b *slab) read(slot uint32, pages ...[]byte) error {
	n, err := unix.Preadv(int(b.file.Fd()), pages, int64(slot)*PageSize)
	if err != nil {
		return err
	}
	if n == len(pages)*PageSize {
		return nil
	}
	// The kernel may give less at any time. What it does not give once more is
	// not there.
	for i := n / PageSize; i < len(pages); i++ {
		if _, err := b.file.ReadAt(pages[i], int64(slot+uint32(i))*PageSize); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
