package wasip1

import "github.com/waterbear-run/waterbear/internal/host/filesystem"

// place is a path below an open directory.
type place struct {
	dir  filesystem.Inode
	path string
}

// place reads a path of the program, below a directory that grants need.
func (s *System) place(m memory, fd, pointer, length uint32, need rights) (place, errno) {
	d, e := s.directory(fd, need)
	if e != success {
		return place{}, e
	}
	path, e := m.path(pointer, length)
	return place{d.inode, path}, e
}

// change does something to the name at a place.
func (s *System) change(m memory, p params, need rights, do func(filesystem.Inode, string) error) errno {
	at, e := s.place(m, p.u32(0), p.u32(1), p.u32(2), need)
	if e != success {
		return e
	}
	check(s.clocks.Touch())
	return errnoOf(do(at.dir, at.path))
}

func (s *System) pathCreateDirectory(m memory, p params) errno {
	return s.change(m, p, rightCreateDirectory, s.fs.Mkdir)
}

func (s *System) pathRemoveDirectory(m memory, p params) errno {
	return s.change(m, p, rightRemoveDirectory, s.fs.Rmdir)
}

func (s *System) pathUnlinkFile(m memory, p params) errno {
	return s.change(m, p, rightUnlink, s.fs.Unlink)
}

// existing finds the inode at a place; flags say whether to follow links.
func (s *System) existing(m memory, p params, need rights) (filesystem.Inode, errno) {
	at, e := s.place(m, p.u32(0), p.u32(2), p.u32(3), need)
	if e != success {
		return 0, e
	}
	if p.u32(1) > lookupFlags {
		return 0, errInvalid
	}
	i, err := s.fs.Lookup(at.dir, at.path, p.u32(1)&lookupFollow != 0)
	return i, errnoOf(err)
}

func (s *System) pathFilestatGet(m memory, p params) errno {
	to := m.at(p.u32(4), sizeFilestat)
	if to == nil {
		return errFault
	}
	i, e := s.existing(m, p, rightPathStat)
	if e != success {
		return e
	}
	return s.filestat(to, i)
}

func (s *System) pathFilestatSetTimes(m memory, p params) errno {
	i, e := s.existing(m, p, rightPathSetTimes)
	if e != success {
		return e
	}
	return s.setTimes(i, p.u64(4), p.u64(5), p.u16(6))
}

func (s *System) pathLink(m memory, p params) errno {
	from, e := s.place(m, p.u32(0), p.u32(2), p.u32(3), rightLinkSource)
	if e != success {
		return e
	}
	to, e := s.place(m, p.u32(4), p.u32(5), p.u32(6), rightLinkTarget)
	if e != success {
		return e
	}
	if p.u32(1) > lookupFlags {
		return errInvalid
	}
	check(s.clocks.Touch())
	return errnoOf(s.fs.Link(from.dir, from.path, p.u32(1)&lookupFollow != 0, to.dir, to.path))
}

func (s *System) pathRename(m memory, p params) errno {
	from, e := s.place(m, p.u32(0), p.u32(1), p.u32(2), rightRenameSource)
	if e != success {
		return e
	}
	to, e := s.place(m, p.u32(3), p.u32(4), p.u32(5), rightRenameTarget)
	if e != success {
		return e
	}
	check(s.clocks.Touch())
	return errnoOf(s.fs.Rename(from.dir, from.path, to.dir, to.path))
}

func (s *System) pathSymlink(m memory, p params) errno {
	target, e := m.path(p.u32(0), p.u32(1))
	if e != success {
		return e
	}
	at, e := s.place(m, p.u32(2), p.u32(3), p.u32(4), rightSymlink)
	if e != success {
		return e
	}
	check(s.clocks.Touch())
	return errnoOf(s.fs.Symlink(target, at.dir, at.path))
}

// pathReadlink gives as much of a link's target as the buffer holds.
func (s *System) pathReadlink(m memory, p params) errno {
	at, e := s.place(m, p.u32(0), p.u32(1), p.u32(2), rightReadlink)
	if e != success {
		return e
	}
	buffer, used := m.at(p.u32(3), p.u32(4)), m.u32(p.u32(5))
	if buffer == nil || used == nil {
		return errFault
	}
	target, err := s.fs.Readlink(at.dir, at.path)
	if err != nil {
		return errnoOf(err)
	}
	put32(used, uint32(copy(buffer, target)))
	return success
}

// pathOpen opens what is at a place. The new descriptor grants what is asked
// for, as far as it means something for what is opened; asking for more than
// the directory passes on is refused.
func (s *System) pathOpen(m memory, p params) errno {
	flags, base, inheriting, fdflags := p.u16(4), rights(p.u64(5)), rights(p.u64(6)), p.u16(7)
	need := rightOpen
	if flags&openCreate != 0 {
		need |= rightCreateFile
	}
	at, e := s.place(m, p.u32(0), p.u32(2), p.u32(3), need)
	if e != success {
		return e
	}
	dir, to := s.table.Get(p.u32(0)), m.u32(p.u32(8))
	switch passed := dir.inheriting; {
	case to == nil:
		return errFault
	case flags&openTruncate != 0 && dir.base&rightPathSetSize == 0 && passed&rightSetSize == 0:
		// Passing on the right to do the same to an open file is as good: Go's
		// os.Root keeps no other.
		return errNotCapable
	case p.u32(1) > lookupFlags, flags > openFlags, fdflags > fdFlags,
		flags&openCreate != 0 && flags&openDirectory != 0:
		return errInvalid
	case (base|inheriting)&allRights&^passed != 0:
		return errNotCapable
	case !s.table.room():
		return errManyFiles
	}
	d, e := s.open(at, p.u32(1), flags, base)
	if e != success {
		return e
	}
	d.flags, d.inheriting = uint16(fdflags), inheriting&d.inheriting
	put32(to, s.table.Lowest())
	return s.table.add(d)
}

// open makes the descriptor of what is at a place.
func (s *System) open(at place, lookup, flags uint32, base rights) (descriptor, errno) {
	o := filesystem.OpenOptions{
		Create: flags&openCreate != 0, Exclusive: flags&openExclusive != 0,
		Truncate: flags&openTruncate != 0, Directory: flags&openDirectory != 0,
		Follow:  lookup&lookupFollow != 0,
		Content: base&(rightRead|rightWrite) != 0, Write: base&rightWrite != 0,
	}
	if o.Write || o.Create || o.Truncate {
		check(s.clocks.Touch())
	}
	i, err := s.fs.Open(at.dir, at.path, o)
	if err != nil {
		return descriptor{}, errnoOf(err)
	}
	stat, err := s.fs.Stat(i)
	check(err)
	d := descriptor{inode: i, filetype: typeOf(stat.Kind), base: base & fileRights}
	if stat.Kind == filesystem.Directory {
		d.base, d.inheriting = base&directoryRights, allRights
	}
	return d, success
}
