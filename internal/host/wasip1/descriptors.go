package wasip1

import "github.com/waterbear-run/waterbear/internal/host/filesystem"

// file finds a descriptor of a file that grants need.
func (s *System) file(fd uint32, need rights) (*descriptor, errno) {
	d := s.table.Get(fd)
	switch {
	case d == nil:
		return nil, errBadFile
	case d.filetype == typeDirectory:
		return nil, errIsDirectory
	case d.isStream():
		return nil, errSeek
	case d.base&need != need:
		return nil, errNotCapable
	}
	return d, success
}

// granted finds a descriptor of any kind that grants need.
func (s *System) granted(fd uint32, need rights) (*descriptor, errno) {
	d := s.table.Get(fd)
	switch {
	case d == nil:
		return nil, errBadFile
	case d.base&need != need:
		return nil, errNotCapable
	}
	return d, success
}

func (s *System) fdClose(_ memory, p params) errno {
	d := s.table.Get(p.u32(0))
	if d == nil {
		return errBadFile
	}
	return s.close(p.u32(0), d)
}

func (s *System) close(fd uint32, d *descriptor) errno {
	var err error
	if !d.isStream() {
		err = s.fs.Release(d.inode)
	}
	s.table.Remove(fd)
	return errnoOf(err)
}

// fdRenumber makes one descriptor the other, which is closed. Both must be
// open, so that no program can take a number that is not its own.
func (s *System) fdRenumber(_ memory, p params) errno {
	from, to := s.table.Get(p.u32(0)), s.table.Get(p.u32(1))
	if from == nil || to == nil {
		return errBadFile
	}
	if from == to {
		return success
	}
	moved := *from
	var err error
	if !to.isStream() {
		err = s.fs.Release(to.inode)
	}
	s.table.Remove(p.u32(0))
	*to = moved
	return errnoOf(err)
}

func (s *System) fdAdvise(_ memory, p params) errno {
	_, e := s.file(p.u32(0), rightAdvise)
	switch {
	case e != success:
		return e
	case p.u32(3)&0xff > 5, int64(p.u64(1)) < 0, int64(p.u64(2)) < 0:
		return errInvalid
	}
	return success
}

func (s *System) fdAllocate(_ memory, p params) errno {
	d, e := s.file(p.u32(0), rightAllocate)
	if e != success {
		return e
	}
	check(s.clocks.Touch())
	return errnoOf(s.fs.Allocate(d.inode, p.u64(1), p.u64(2)))
}

func (s *System) fdDatasync(_ memory, p params) errno { return s.sync(p.u32(0), rightDatasync) }
func (s *System) fdSync(_ memory, p params) errno     { return s.sync(p.u32(0), rightSync) }

// sync has nothing to do: the file system is as durable as the worker.
func (s *System) sync(fd uint32, need rights) errno {
	if d := s.table.Get(fd); d != nil && d.isStream() {
		return errInvalid
	}
	_, e := s.granted(fd, need)
	return e
}

func (s *System) fdFdstatGet(m memory, p params) errno {
	d := s.table.Get(p.u32(0))
	if d == nil {
		return errBadFile
	}
	to := m.at(p.u32(1), sizeFdstat)
	if to == nil {
		return errFault
	}
	clear(to)
	to[0] = d.filetype
	put16(to[2:], d.flags)
	put64(to[8:], uint64(d.base))
	put64(to[16:], uint64(d.inheriting))
	return success
}

func (s *System) fdFdstatSetFlags(_ memory, p params) errno {
	d, e := s.granted(p.u32(0), rightSetFlags)
	switch {
	case e != success:
		return e
	case p.u16(1) > fdFlags:
		return errInvalid
	}
	d.flags = uint16(p.u16(1))
	return success
}

// fdFdstatSetRights takes rights away. None can be had back.
func (s *System) fdFdstatSetRights(_ memory, p params) errno {
	d := s.table.Get(p.u32(0))
	if d == nil {
		return errBadFile
	}
	base, inheriting := rights(p.u64(1)), rights(p.u64(2))
	if base&^d.base != 0 || inheriting&^d.inheriting != 0 {
		return errNotCapable
	}
	d.base, d.inheriting = base, inheriting
	return success
}

func (s *System) fdFilestatGet(m memory, p params) errno {
	d, e := s.granted(p.u32(0), rightStat)
	if e != success {
		return e
	}
	to := m.at(p.u32(1), sizeFilestat)
	switch {
	case to == nil:
		return errFault
	case d.isStream():
		clear(to)
		to[16] = d.filetype
		return success
	}
	return s.filestat(to, d.inode)
}

// filestat writes what is known of an inode.
func (s *System) filestat(to []byte, i filesystem.Inode) errno {
	stat, err := s.fs.Stat(i)
	if err != nil {
		return errnoOf(err)
	}
	clear(to)
	put64(to, device)
	put64(to[8:], uint64(stat.Inode))
	to[16] = typeOf(stat.Kind)
	put64(to[24:], stat.Links)
	put64(to[32:], stat.Size)
	put64(to[40:], stat.Atime)
	put64(to[48:], stat.Mtime)
	put64(to[56:], stat.Ctime)
	return success
}

func (s *System) fdFilestatSetSize(_ memory, p params) errno {
	d, e := s.file(p.u32(0), rightSetSize)
	if e != success {
		return e
	}
	if int64(p.u64(1)) < 0 {
		return errInvalid
	}
	check(s.clocks.Touch())
	return errnoOf(s.fs.Truncate(d.inode, p.u64(1)))
}

func (s *System) fdFilestatSetTimes(_ memory, p params) errno {
	d, e := s.granted(p.u32(0), rightSetTimes)
	if e != success {
		return e
	}
	return s.setTimes(d.inode, p.u64(1), p.u64(2), p.u16(3))
}

// setTimes sets the times that flags say, or refuses to.
func (s *System) setTimes(i filesystem.Inode, atime, mtime uint64, flags uint32) errno {
	const both, bothM = setAtime | setAtimeNow, setMtime | setMtimeNow
	if flags > setFlags || flags&both == both || flags&bothM == bothM {
		return errInvalid
	}
	check(s.clocks.Touch())
	var a, m *uint64
	if flags&(setAtimeNow|setMtimeNow) != 0 {
		now := s.fs.Now()
		a, m = &now, &now
	}
	if flags&setAtimeNow == 0 {
		a = nil
	}
	if flags&setMtimeNow == 0 {
		m = nil
	}
	if flags&setAtime != 0 {
		a = &atime
	}
	if flags&setMtime != 0 {
		m = &mtime
	}
	return errnoOf(s.fs.SetTimes(i, a, m))
}

// Whence of fd_seek.
const (
	seekSet = iota
	seekCurrent
	seekEnd
)

func (s *System) fdSeek(m memory, p params) errno {
	offset, whence := int64(p.u64(1)), p.u32(2)&0xff
	need := rightSeek
	if offset == 0 && whence == seekCurrent {
		need = 0 // fd_tell by another name: either right will do
	}
	d, e := s.file(p.u32(0), need)
	if e != success {
		return e
	}
	if need == 0 && d.base&(rightSeek|rightTell) == 0 {
		return errNotCapable
	}
	to := m.u64(p.u32(3))
	if to == nil {
		return errFault
	}
	from := uint64(0)
	switch whence {
	case seekSet:
	case seekCurrent:
		from = d.offset
	case seekEnd:
		size, err := s.fs.Size(d.inode)
		if err != nil {
			return errnoOf(err)
		}
		from = size
	default:
		return errInvalid
	}
	at := int64(from) + offset // from is never negative: an overflow is
	if at < 0 {
		return errInvalid
	}
	d.offset = uint64(at)
	put64(to, d.offset)
	return success
}

func (s *System) fdTell(m memory, p params) errno {
	d, e := s.file(p.u32(0), rightTell)
	if e != success {
		return e
	}
	to := m.u64(p.u32(1))
	if to == nil {
		return errFault
	}
	put64(to, d.offset)
	return success
}
