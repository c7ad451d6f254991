package wasip1

import (
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
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

// table is the open descriptors by number.
type table struct {
	wasi.Table[descriptor]
	limit int
}

// room says whether another descriptor can be opened.
func (t *table) room() bool { return t.Len() < t.limit }

// add opens a descriptor at the lowest free number.
func (t *table) add(d descriptor) errno {
	if !t.room() {
		return errManyFiles
	}
	t.Add(d)
	return success
}
