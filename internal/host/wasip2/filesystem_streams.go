package wasip2

import (
	"errors"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// readViaStream refuses what reading from the stream would refuse.
func readViaStream(s *System, a []wit.Value) (wit.Value, error) {
	d, err := s.streamed(a[0], flagRead)
	if err == nil {
		err = position(a[1].(uint64))
	}
	if err != nil {
		return fileResult(nil, err)
	}
	return s.addStream(&fileInput{node: d.node, offset: a[1].(uint64)})
}

func writeViaStream(s *System, a []wit.Value) (wit.Value, error) {
	d, err := s.streamed(a[0], flagWrite)
	if err == nil {
		err = position(a[1].(uint64))
	}
	if err != nil {
		return fileResult(nil, err)
	}
	return s.addStream(&fileOutput{node: d.node, offset: a[1].(uint64)})
}

func appendViaStream(s *System, a []wit.Value) (wit.Value, error) {
	d, err := s.streamed(a[0], flagWrite)
	if err != nil {
		return fileResult(nil, err)
	}
	return s.addStream(&fileOutput{node: d.node, appends: true})
}

// streamed finds the descriptor of a file that a stream is wanted of.
func (s *System) streamed(v wit.Value, flags uint32) (*descriptor, error) {
	d, err := get[*descriptor](s, v)
	if err == nil && d.directory && flags == flagRead {
		return nil, filesystem.ErrIsDirectory
	}
	if err != nil {
		return nil, err
	}
	return s.file(v, flags)
}

// addStream makes a stream of a file. It is no child of the descriptor, which
// may be dropped before it.
func (s *System) addStream(r interface {
	resource
	inodes
},
) (wit.Value, error) {
	if err := s.fs.Retain(r.inode()); err != nil {
		return fileResult(nil, err)
	}
	rep, err := s.add(r, 0)
	if err != nil {
		return nil, errors.Join(err, s.fs.Release(r.inode()))
	}
	return ok(rep), nil
}

// fileInput reads a file from some place on. At the end of the file it is
// closed, and open again when the file has become longer: a library keeps one
// stream for each open file.
type fileInput struct {
	node   filesystem.Inode
	offset uint64
	atEnd  bool // the program has seen the end
}

func (*fileInput) kind() kind { return kindFileInput }

func (i *fileInput) inode() filesystem.Inode { return i.node }

func (i *fileInput) code(c *wasi.Coder) {
	wasi.Uint(c, &i.node, 1<<63-1)
	wasi.Uint(c, &i.offset, 1<<64-1)
	c.Bool(&i.atEnd)
}

func (i *fileInput) ended(s *System) bool {
	size, err := s.fs.Size(i.node)
	i.atEnd = i.atEnd && err == nil && i.offset >= size
	return i.atEnd
}

func (i *fileInput) read(s *System, limit int, _ bool) ([]byte, error) {
	p, err := s.readFile(i.node, uint64(limit), i.offset)
	if err == nil && len(p) == 0 {
		i.atEnd = true
		err = errClosed
	}
	i.offset += uint64(len(p))
	return p, err
}

// fileOutput writes to a file from some place on, or at its end.
type fileOutput struct {
	outputState
	node    filesystem.Inode
	offset  uint64
	appends bool
}

func (*fileOutput) kind() kind { return kindFileOutput }

func (o *fileOutput) inode() filesystem.Inode { return o.node }

func (o *fileOutput) code(c *wasi.Coder) {
	o.outputState.code(c)
	wasi.Uint(c, &o.node, 1<<63-1)
	wasi.Uint(c, &o.offset, 1<<64-1)
	c.Bool(&o.appends)
}

func (o *fileOutput) write(s *System, p []byte) error {
	if o.appends {
		size, err := s.fs.Size(o.node)
		if err != nil {
			return err
		}
		o.offset = size
	}
	for len(p) > 0 {
		n, err := s.fs.WriteAt(o.node, p, o.offset)
		o.offset += uint64(n)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func readDirectory(s *System, a []wit.Value) (wit.Value, error) {
	dir, err := s.directory(a[0])
	if err != nil {
		return fileResult(nil, err)
	}
	return s.addStream(&entries{node: dir})
}

// entries are the names in a directory from some place on.
type entries struct {
	node   filesystem.Inode
	cookie uint64
}

func (*entries) kind() kind { return kindEntries }

func (e *entries) inode() filesystem.Inode { return e.node }

func (e *entries) code(c *wasi.Coder) {
	wasi.Uint(c, &e.node, 1<<63-1)
	wasi.Uint(c, &e.cookie, 1<<64-1)
}

func readDirectoryEntry(s *System, e *entries, _ []wit.Value) (wit.Value, error) {
	list, err := s.fs.ReadDir(e.node, e.cookie)
	if err != nil {
		return fileResult(nil, err)
	}
	for next := range list {
		e.cookie = next.Cookie
		if next.Name != "." && next.Name != ".." {
			return ok(some([]wit.Value{typeOf(next.Kind), next.Name})), nil
		}
	}
	return ok(none), nil
}
