package wasip1

import "github.com/waterbear-run/waterbear/internal/host/filesystem"

// directory finds a descriptor of a directory that grants need.
func (s *System) directory(fd uint32, need rights) (*descriptor, errno) {
	d := s.table.Get(fd)
	switch {
	case d == nil:
		return nil, errBadFile
	case d.filetype != typeDirectory:
		return nil, errNotDir
	case d.base&need != need:
		return nil, errNotCapable
	}
	return d, success
}

// fdPrestatGet tells programs which descriptors they were given: they ask from
// 3 on until one is a bad descriptor.
func (s *System) fdPrestatGet(m memory, p params) errno {
	d := s.table.Get(p.u32(0))
	if d == nil || !d.preopen {
		return errBadFile
	}
	to := m.at(p.u32(1), sizePrestat)
	if to == nil {
		return errFault
	}
	clear(to)
	put32(to[4:], uint32(len(d.name)))
	return success
}

func (s *System) fdPrestatDirName(m memory, p params) errno {
	d := s.table.Get(p.u32(0))
	if d == nil || !d.preopen {
		return errBadFile
	}
	if uint64(p.u32(2)) < uint64(len(d.name)) {
		return errNameTooLong
	}
	to := m.at(p.u32(1), uint32(len(d.name)))
	if to == nil {
		return errFault
	}
	copy(to, d.name)
	return success
}

// fdReaddir fills a buffer with entries. The last may be cut off, which tells
// the program that there are more.
func (s *System) fdReaddir(m memory, p params) errno {
	d, e := s.directory(p.u32(0), rightReaddir)
	if e != success {
		return e
	}
	buffer, used := m.at(p.u32(1), p.u32(2)), m.u32(p.u32(4))
	if buffer == nil || used == nil {
		return errFault
	}
	entries, err := s.fs.ReadDir(d.inode, p.u64(3))
	if err != nil {
		return errnoOf(err)
	}
	at := 0
	if len(buffer) > 0 {
		for entry := range entries {
			at += dirent(buffer[at:], entry)
			if at == len(buffer) {
				break
			}
		}
	}
	put32(used, uint32(at))
	return success
}

// dirent writes as much of an entry as fits.
func dirent(to []byte, e filesystem.Entry) int {
	var header [sizeDirent]byte
	put64(header[:], e.Cookie)
	put64(header[8:], uint64(e.Inode))
	put32(header[16:], uint32(len(e.Name)))
	header[20] = typeOf(e.Kind)
	n := copy(to, header[:])
	return n + copy(to[n:], e.Name)
}
