package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/wit"
)

// directory finds the descriptor of a directory.
func (s *System) directory(v wit.Value) (filesystem.Inode, error) {
	d, err := get[*descriptor](s, v)
	switch {
	case err != nil:
		return 0, err
	case !d.directory:
		return 0, filesystem.ErrNotDirectory
	}
	return d.node, nil
}

// existing finds what a path leads to: a is a directory, path-flags and a path.
func (s *System) existing(a []wit.Value) (filesystem.Inode, error) {
	dir, err := s.directory(a[0])
	if err != nil {
		return 0, err
	}
	return s.fs.Lookup(dir, a[2].(string), a[1].(uint32)&pathFollow != 0)
}

// change does something to the name at a path: a is a directory and a path.
func (s *System) change(a []wit.Value, do func(filesystem.Inode, string) error) (wit.Value, error) {
	dir, err := s.directory(a[0])
	if err == nil {
		err = s.touched(func() error { return do(dir, a[1].(string)) })
	}
	return fileResult(nil, err)
}

func createDirectoryAt(s *System, a []wit.Value) (wit.Value, error) { return s.change(a, s.fs.Mkdir) }

func removeDirectoryAt(s *System, a []wit.Value) (wit.Value, error) { return s.change(a, s.fs.Rmdir) }

func unlinkFileAt(s *System, a []wit.Value) (wit.Value, error) { return s.change(a, s.fs.Unlink) }

func statAt(s *System, a []wit.Value) (wit.Value, error) {
	node, err := s.existing(a)
	if err != nil {
		return fileResult(nil, err)
	}
	return fileResult(s.stat(node))
}

func setTimesAt(s *System, a []wit.Value) (wit.Value, error) {
	node, err := s.existing(a)
	if err == nil {
		err = s.setTimes(node, a[3].(wit.Case), a[4].(wit.Case))
	}
	return fileResult(nil, err)
}

func hashMetadataAt(s *System, a []wit.Value) (wit.Value, error) {
	node, err := s.existing(a)
	return fileResult(hashOf(node), err)
}

func linkAt(s *System, a []wit.Value) (wit.Value, error) {
	from, err := s.directory(a[0])
	if err != nil {
		return fileResult(nil, err)
	}
	to, err := s.directory(a[3])
	if err == nil {
		err = s.touched(func() error {
			return s.fs.Link(from, a[2].(string), a[1].(uint32)&pathFollow != 0, to, a[4].(string))
		})
	}
	return fileResult(nil, err)
}

func renameAt(s *System, a []wit.Value) (wit.Value, error) {
	from, err := s.directory(a[0])
	if err != nil {
		return fileResult(nil, err)
	}
	to, err := s.directory(a[2])
	if err == nil {
		err = s.touched(func() error { return s.fs.Rename(from, a[1].(string), to, a[3].(string)) })
	}
	return fileResult(nil, err)
}

func symlinkAt(s *System, a []wit.Value) (wit.Value, error) {
	dir, err := s.directory(a[0])
	if err == nil {
		err = s.touched(func() error { return s.fs.Symlink(a[1].(string), dir, a[2].(string)) })
	}
	return fileResult(nil, err)
}

func readlinkAt(s *System, a []wit.Value) (wit.Value, error) {
	dir, err := s.directory(a[0])
	if err != nil {
		return fileResult(nil, err)
	}
	target, err := s.fs.Readlink(dir, a[1].(string))
	return fileResult(target, err)
}

// openAt opens a file or a directory. All that is below a directory can be
// changed through any descriptor of it, whether or not it has mutate-directory:
// libraries never ask for that.
func openAt(s *System, a []wit.Value) (wit.Value, error) {
	dir, err := s.directory(a[0])
	if err != nil {
		return fileResult(nil, err)
	}
	how, flags := a[3].(uint32), a[4].(uint32)
	o := filesystem.OpenOptions{
		Create: how&openCreate != 0, Exclusive: how&openExclusive != 0,
		Truncate: how&openTruncate != 0, Directory: how&openDirectory != 0,
		Follow:  a[1].(uint32)&pathFollow != 0,
		Content: flags&(flagRead|flagWrite) != 0, Write: flags&flagWrite != 0,
	}
	if o.Directory && (o.Create || o.Exclusive || o.Truncate) {
		return fileResult(nil, filesystem.ErrInvalid)
	}
	if err := s.room(); err != nil {
		return fileResult(nil, err)
	}
	var node filesystem.Inode
	open := func() error {
		node, err = s.fs.Open(dir, a[2].(string), o)
		return err
	}
	if o.Write || o.Create || o.Truncate {
		err = s.touched(open)
	} else {
		err = open()
	}
	if err != nil {
		return fileResult(nil, err)
	}
	return fileResult(s.addDescriptor(node, granted(o, flags)))
}

// granted are the flags that a descriptor gets: whoever makes or truncates a
// file may write it, and what is not open for writing is open for reading.
func granted(o filesystem.OpenOptions, flags uint32) uint32 {
	if flags&flagWrite == 0 {
		flags |= flagRead
	}
	if o.Create || o.Truncate {
		flags |= flagWrite
	}
	return flags
}
