package wasip2

import (
	"errors"
	"math"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// descriptor is an open file or directory.
type descriptor struct {
	node      filesystem.Inode
	flags     uint32
	directory bool // what node is
}

func (*descriptor) kind() kind { return kindDescriptor }

func (d *descriptor) inode() filesystem.Inode { return d.node }

func (d *descriptor) code(c *wasi.Coder) {
	wasi.Uint(c, &d.node, 1<<63-1)
	wasi.Uint(c, &d.flags, allFlags)
}

// addDescriptor makes a descriptor of what is retained for it, which is let go
// of if that fails.
func (s *System) addDescriptor(node filesystem.Inode, flags uint32) (rep wit.Value, err error) {
	d := &descriptor{node: node, flags: flags}
	if err = s.examine(d); err == nil {
		rep, err = s.add(d, 0)
	}
	if err != nil {
		return nil, errors.Join(err, s.fs.Release(node))
	}
	s.files++
	return rep, nil
}

// examine finds out what a descriptor leads to.
func (s *System) examine(d *descriptor) error {
	stat, err := s.fs.Stat(d.node)
	d.directory = stat.Kind == filesystem.Directory
	if !d.directory {
		d.flags &^= flagMutate
	}
	return err
}

// room refuses one more open file.
func (s *System) room() error {
	if s.files >= s.maxFiles {
		return errTooManyOpen
	}
	return nil
}

// file finds the descriptor of a file that was opened with flags.
func (s *System) file(v wit.Value, flags uint32) (*descriptor, error) {
	d, err := get[*descriptor](s, v)
	switch {
	case err != nil:
		return nil, err
	case d.directory || d.flags&flags != flags:
		return nil, errBadDescriptor
	}
	return d, nil
}

// position refuses an offset that no file can have.
func position(offset uint64) error {
	if offset > math.MaxInt64 {
		return filesystem.ErrInvalid
	}
	return nil
}

func advise(s *System, a []wit.Value) (wit.Value, error) {
	_, err := s.file(a[0], 0)
	if err == nil && (a[1].(uint64) > math.MaxInt64 || a[2].(uint64) > math.MaxInt64) {
		err = filesystem.ErrInvalid
	}
	return fileResult(nil, err)
}

// synchronize has nothing to do: the file system is as durable as the worker.
func synchronize(s *System, a []wit.Value) (wit.Value, error) {
	_, err := get[*descriptor](s, a[0])
	return fileResult(nil, err)
}

func getFlags(s *System, d *descriptor, _ []wit.Value) (wit.Value, error) {
	return ok(d.flags), nil
}

func typeOf(k filesystem.Kind) wit.Value {
	switch k {
	case filesystem.File:
		return label(typeRegular)
	case filesystem.Directory:
		return label(typeDirectory)
	case filesystem.Symlink:
		return label(typeSymlink)
	}
	return label(typeUnknown)
}

func getType(s *System, d *descriptor, _ []wit.Value) (wit.Value, error) {
	if d.directory {
		return ok(typeOf(filesystem.Directory)), nil
	}
	return ok(typeOf(filesystem.File)), nil
}

// setSize on what is not open for writing is invalid, as in POSIX.
func setSize(s *System, a []wit.Value) (wit.Value, error) {
	d, err := s.file(a[0], 0)
	if err == nil && d.flags&flagWrite == 0 {
		err = filesystem.ErrInvalid
	}
	if err == nil {
		err = s.touched(func() error { return s.fs.Truncate(d.node, a[1].(uint64)) })
	}
	return fileResult(nil, err)
}

// touched makes a change that has the time of now.
func (s *System) touched(change func() error) error {
	if err := s.clocks.Touch(); err != nil {
		return err
	}
	return change()
}

func setTimes(s *System, a []wit.Value) (wit.Value, error) {
	d, err := get[*descriptor](s, a[0])
	if err == nil {
		err = s.setTimes(d.node, a[1].(wit.Case), a[2].(wit.Case))
	}
	return fileResult(nil, err)
}

// setTimes sets the times of a node to new-timestamps.
func (s *System) setTimes(node filesystem.Inode, atime, mtime wit.Case) error {
	return s.touched(func() error {
		now := s.fs.Now()
		a, err := timestamp(atime, now)
		if err != nil {
			return err
		}
		m, err := timestamp(mtime, now)
		if err != nil {
			return err
		}
		return s.fs.SetTimes(node, a, m)
	})
}

// timestamp is what a new-timestamp says, nil for no change.
func timestamp(t wit.Case, now uint64) (*uint64, error) {
	switch t.Index {
	case timeNoChange:
		return nil, nil
	case timeNow:
		return &now, nil
	}
	given := t.Payload.([]wit.Value)
	seconds, nanoseconds := given[0].(uint64), uint64(given[1].(uint32))
	if nanoseconds >= nanosecondsPerSecond {
		return nil, filesystem.ErrInvalid
	}
	if seconds > (math.MaxUint64-nanoseconds)/nanosecondsPerSecond {
		return nil, errOverflow
	}
	at := seconds*nanosecondsPerSecond + nanoseconds
	return &at, nil
}

// readAt gives fewer bytes than asked for at the end of the file, and where one
// call does not move more.
func readAt(s *System, a []wit.Value) (wit.Value, error) {
	d, err := s.file(a[0], flagRead)
	if err == nil {
		err = position(a[2].(uint64))
	}
	if err != nil {
		return fileResult(nil, err)
	}
	p, err := s.readFile(d.node, a[1].(uint64), a[2].(uint64))
	// As elsewhere, only what gives nothing is known to be at the end.
	return fileResult([]wit.Value{p, len(p) == 0}, err)
}

// readFile reads up to limit bytes of a file, as many as there are and as one
// call moves.
func (s *System) readFile(node filesystem.Inode, limit, offset uint64) ([]byte, error) {
	size, err := s.fs.Size(node)
	if err != nil {
		return nil, err
	}
	p := make([]byte, min(limit, maxTransfer, size-min(size, offset)))
	n, err := s.fs.ReadAt(node, p, offset)
	return p[:n], err
}

func writeAt(s *System, a []wit.Value) (wit.Value, error) {
	d, err := s.file(a[0], flagWrite)
	if err == nil {
		err = position(a[2].(uint64))
	}
	if err != nil {
		return fileResult(nil, err)
	}
	n, err := s.fs.WriteAt(d.node, a[1].([]byte), a[2].(uint64))
	return fileResult(uint64(n), err)
}

func stat(s *System, d *descriptor, _ []wit.Value) (wit.Value, error) {
	return fileResult(s.stat(d.node))
}

// stat is the descriptor-stat of a node.
func (s *System) stat(node filesystem.Inode) (wit.Value, error) {
	st, err := s.fs.Stat(node)
	if err != nil {
		return nil, err
	}
	return []wit.Value{
		typeOf(st.Kind), st.Links, st.Size,
		some(datetimeOf(st.Atime)), some(datetimeOf(st.Mtime)), some(datetimeOf(st.Ctime)),
	}, nil
}

func isSameObject(s *System, d *descriptor, a []wit.Value) (wit.Value, error) {
	other, err := get[*descriptor](s, a[1])
	if err != nil {
		return nil, err
	}
	return d.node == other.node, nil
}

// device is half of what tells nodes apart: there is one device.
const device = uint64(1)

func hashMetadata(s *System, d *descriptor, _ []wit.Value) (wit.Value, error) {
	return ok(hashOf(d.node)), nil
}

// hashOf is the hash of which node it is, and of nothing that changes: libraries
// make an inode number of it, by which programs tell files apart. It is the
// number that WASI 0.1 programs see.
func hashOf(node filesystem.Inode) wit.Value { return []wit.Value{uint64(node), device} }
