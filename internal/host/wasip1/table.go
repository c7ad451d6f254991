package wasip1

import (
	"math/bits"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// descriptor is an open file, directory or standard stream. It is plain data:
// all that a descriptor is.
type descriptor struct {
	inode      filesystem.Inode // 0 for a stream
	stream     int
	filetype   byte
	flags      uint16
	base       rights
	inheriting rights
	offset     uint64
	preopen    bool
	name       string // of a preopen
}

// newStream is the descriptor of a standard stream.
func newStream(stream int, terminal bool) descriptor {
	d := descriptor{stream: stream, filetype: typeUnknown, base: streamRights | rightWrite}
	if stream == 0 {
		d.base = streamRights | rightRead
	}
	if terminal {
		d.filetype = typeCharacterDevice
	}
	return d
}

func (d *descriptor) isStream() bool { return d.inode == 0 }

// table is the open descriptors by number. The lowest free number is given
// first.
type table struct {
	slots []descriptor
	used  []uint64 // a bit for each slot
	full  int      // words of used, from the first on, that have no free bit
	open  int
	limit int
}

// get finds an open descriptor. The pointer is valid until the next add.
func (t *table) get(fd uint32) *descriptor {
	if !t.has(fd) {
		return nil
	}
	return &t.slots[fd]
}

func (t *table) has(fd uint32) bool {
	return uint64(fd) < uint64(len(t.slots)) && t.used[fd/64]&(1<<(fd%64)) != 0
}

// room says whether another descriptor can be opened.
func (t *table) room() bool { return t.open < t.limit }

// lowest is the number the next descriptor gets.
func (t *table) lowest() uint32 {
	for t.full < len(t.used) && t.used[t.full] == ^uint64(0) {
		t.full++
	}
	if t.full == len(t.used) {
		t.used = append(t.used, 0)
	}
	return uint32(t.full*64 + bits.TrailingZeros64(^t.used[t.full]))
}

// add opens a descriptor at the lowest free number.
func (t *table) add(d descriptor) errno {
	if !t.room() {
		return errManyFiles
	}
	fd := t.lowest()
	if int(fd) == len(t.slots) {
		t.slots = append(t.slots, descriptor{})
	}
	t.slots[fd] = d
	t.used[fd/64] |= 1 << (fd % 64)
	t.open++
	return success
}

// remove closes a descriptor that is open.
func (t *table) remove(fd uint32) {
	t.slots[fd] = descriptor{}
	t.used[fd/64] &^= 1 << (fd % 64)
	t.full = min(t.full, int(fd/64))
	t.open--
}
