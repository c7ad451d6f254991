package wasip1

// Bounds of one call. What is beyond is left for the next: programs loop, and
// a call cannot be stopped.
const (
	maxParts    = 1024      // parts of a scattered read or a gathered write
	maxTransfer = 256 << 20 // bytes
	maxGathered = 64 << 10  // bytes of output made one
)

// transfer moves bytes between a descriptor and one part of the program's
// buffers, at offset off of a file. Fewer than len(part) end the call.
type transfer func(s *System, d *descriptor, part []byte, off uint64) (int, errno)

// scatter calls move with each part of the buffers at iovs. An error after
// some bytes is left for the next call to meet again.
func (s *System) scatter(m memory, d *descriptor, iovs, count uint32, off uint64, move transfer) (done uint32, e errno) {
	vector := m.array(iovs, count, sizeIovec)
	if vector == nil {
		return 0, errFault
	}
	vector = vector[:min(len(vector), maxParts*sizeIovec)]
	for ; len(vector) > 0 && done < maxTransfer; vector = vector[sizeIovec:] {
		part := m.at(get32(vector), get32(vector[4:]))
		if part == nil {
			e = errFault
			break
		}
		part = part[:min(len(part), int(maxTransfer-done))]
		if len(part) == 0 {
			continue
		}
		var n int
		n, e = move(s, d, part, off+uint64(done))
		done += uint32(n)
		if n < len(part) {
			break
		}
	}
	if done > 0 {
		e = success
	}
	return done, e
}

func readFile(s *System, d *descriptor, part []byte, off uint64) (int, errno) {
	n, err := s.fs.ReadAt(d.inode, part, off)
	return n, errnoOf(err)
}

func writeFile(s *System, d *descriptor, part []byte, off uint64) (int, errno) {
	n, err := s.fs.WriteAt(d.inode, part, off)
	return n, errnoOf(err)
}

// reading finds a descriptor to read from. Like POSIX, reading what is only
// open for writing is a bad descriptor, not a lack of capabilities.
func (s *System) reading(fd uint32) (*descriptor, errno) { return s.moving(fd, rightRead) }

func (s *System) writing(fd uint32) (*descriptor, errno) { return s.moving(fd, rightWrite) }

func (s *System) moving(fd uint32, need rights) (*descriptor, errno) {
	d := s.table.Get(fd)
	switch {
	case d == nil:
		return nil, errBadFile
	case d.filetype == typeDirectory:
		return nil, errIsDirectory
	case d.base&need == 0:
		return nil, errBadFile
	}
	return d, success
}

func (s *System) fdRead(m memory, p params) errno {
	d, e := s.reading(p.u32(0))
	if e != success {
		return e
	}
	to := m.u32(p.u32(3))
	if to == nil {
		return errFault
	}
	var n uint32
	if d.isStream() {
		n, e = s.readInput(m, d, p.u32(1), p.u32(2))
	} else {
		n, e = s.scatter(m, d, p.u32(1), p.u32(2), d.offset, readFile)
		d.offset += uint64(n)
	}
	if e == success {
		put32(to, n)
	}
	return e
}

func (s *System) fdPread(m memory, p params) errno {
	d, e := s.reading(p.u32(0))
	if e != success {
		return e
	}
	return s.positioned(m, d, p, readFile)
}

func (s *System) fdPwrite(m memory, p params) errno {
	d, e := s.writing(p.u32(0))
	if e != success {
		return e
	}
	return s.positioned(m, d, p, writeFile)
}

// positioned reads or writes at an offset and leaves the descriptor's as it is.
func (s *System) positioned(m memory, d *descriptor, p params, move transfer) errno {
	switch {
	case d.isStream():
		return errSeek
	case d.base&rightSeek == 0:
		return errNotCapable
	case int64(p.u64(3)) < 0:
		return errInvalid
	}
	to := m.u32(p.u32(4))
	if to == nil {
		return errFault
	}
	n, e := s.scatter(m, d, p.u32(1), p.u32(2), p.u64(3), move)
	if e == success {
		put32(to, n)
	}
	return e
}

func (s *System) fdWrite(m memory, p params) errno {
	d, e := s.writing(p.u32(0))
	if e != success {
		return e
	}
	to := m.u32(p.u32(3))
	if to == nil {
		return errFault
	}
	n := uint32(0)
	if d.isStream() {
		n, e = s.writeOutput(m, d, p.u32(1), p.u32(2))
	} else {
		if d.flags&flagAppend != 0 {
			size, err := s.fs.Size(d.inode)
			if e = errnoOf(err); e != success {
				return e
			}
			d.offset = size
		}
		n, e = s.scatter(m, d, p.u32(1), p.u32(2), d.offset, writeFile)
		d.offset += uint64(n)
	}
	if e == success {
		put32(to, n)
	}
	return e
}
