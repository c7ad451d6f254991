package filesystem

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// View shows the file system to code that reads io/fs: symbolic links are
// followed except by Lstat and ReadLink, and lead nowhere if they would lead
// out. It must not be used while the file system changes.
func (f *FS) View() fs.ReadLinkFS { return view{f} }

type view struct{ f *FS }

func (v view) find(op, name string, follow bool) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: ErrInvalid}
	}
	i, err := v.f.Lookup(Root, name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return v.f.node(i)
}

// Open implements fs.FS.
func (v view) Open(name string) (fs.File, error) {
	n, err := v.find("open", name, true)
	if err != nil {
		return nil, err
	}
	shown := shown{path.Base(name), n}
	if n.kind == Directory {
		return &openDirectory{shown, v.f, 0}, nil
	}
	return &openFile{shown, Reader{fs: v.f, inode: n.inode}}, nil
}

// Lstat implements fs.ReadLinkFS.
func (v view) Lstat(name string) (fs.FileInfo, error) {
	n, err := v.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return shown{path.Base(name), n}, nil
}

// ReadLink implements fs.ReadLinkFS.
func (v view) ReadLink(name string) (string, error) {
	n, err := v.find("readlink", name, false)
	if err == nil && n.kind != Symlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return n.target, nil
}

// shown is an inode as io/fs describes it.
type shown struct {
	name string
	node *node
}

func (s shown) Name() string               { return s.name }
func (s shown) ModTime() time.Time         { return time.Unix(0, int64(min(s.node.mtime, 1<<63-1))) }
func (s shown) IsDir() bool                { return s.node.kind == Directory }
func (s shown) Sys() any                   { return nil }
func (s shown) Type() fs.FileMode          { return s.Mode().Type() }
func (s shown) Info() (fs.FileInfo, error) { return s, nil }
func (s shown) Stat() (fs.FileInfo, error) { return s, nil }

func (s shown) Size() int64 {
	if s.node.kind == Symlink {
		return int64(len(s.node.target))
	}
	return int64(s.node.size)
}

// Mode has no permissions of its own: what a worker has is its own.
func (s shown) Mode() fs.FileMode {
	switch s.node.kind {
	case Directory:
		return fs.ModeDir | 0o755
	case Symlink:
		return fs.ModeSymlink | 0o777
	}
	return 0o644
}

type openDirectory struct {
	shown
	fs     *FS
	cookie uint64
}

func (*openDirectory) Close() error { return nil }

func (d *openDirectory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: ErrIsDirectory}
}

// ReadDir implements fs.ReadDirFile. A whole directory is sorted by name.
func (d *openDirectory) ReadDir(limit int) ([]fs.DirEntry, error) {
	entries, err := d.fs.ReadDir(d.node.inode, max(d.cookie, cookieParent))
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	for e := range entries {
		n, err := d.fs.node(e.Inode)
		if err != nil {
			return list, err
		}
		list = append(list, shown{e.Name, n})
		d.cookie = e.Cookie
		if limit > 0 && len(list) == limit {
			return list, nil
		}
	}
	if limit > 0 && len(list) == 0 {
		return nil, io.EOF
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int {
		if a.Name() < b.Name() {
			return -1
		}
		return 1
	})
	return list, nil
}

type openFile struct {
	shown
	Reader
}

// Reader reads a file from its beginning. It must not be used while the file
// system changes.
type Reader struct {
	fs    *FS
	inode Inode
	at    uint64
}

// NewReader makes a reader of the file i.
func (f *FS) NewReader(i Inode) *Reader { return &Reader{fs: f, inode: i} }

// Close does nothing.
func (r *Reader) Close() error { return nil }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.fs.ReadAt(r.inode, p, r.at)
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	r.at += uint64(n)
	return n, err
}

// sparse is a destination that can have holes, as an *os.File has.
type sparse interface {
	io.WriteSeeker
	Truncate(size int64) error
}

// WriteTo implements io.WriterTo: io.Copy to an empty file of the host leaves
// holes where there are holes, however large.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if err := r.fs.Fetch(r.inode); err != nil {
		return 0, err
	}
	n, err := r.fs.file(r.inode)
	if err != nil {
		return 0, err
	}
	dest, ok := w.(sparse)
	if !ok || r.at > 0 || !n.holes() || !empty(dest) {
		return io.Copy(w, struct{ io.Reader }{r})
	}
	if err := r.writeChunks(dest, n); err != nil {
		return int64(r.at), err
	}
	r.at = n.size
	end, err := dest.Seek(0, io.SeekEnd)
	if err == nil && uint64(end) != n.size {
		err = fmt.Errorf("copy a file with holes: the destination has %d bytes instead of %d", end, n.size)
	}
	return int64(n.size), err
}

// writeChunks makes dest as long as n and writes what is not a hole.
func (r *Reader) writeChunks(dest sparse, n *node) error {
	if err := dest.Truncate(int64(n.size)); err != nil {
		return err
	}
	buffer := make([]byte, chunkSize)
	for index, c := range n.chunks.all() {
		r.at = index * chunkSize
		got, err := r.fs.ReadAt(r.inode, buffer[:c.size], r.at)
		if err == nil {
			_, err = dest.Seek(int64(r.at), io.SeekStart)
		}
		if err == nil {
			_, err = dest.Write(buffer[:got])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// holes says whether a whole chunk of n is absent.
func (n *node) holes() bool {
	return uint64(n.chunks.size) < (n.size+chunkSize-1)/chunkSize
}

func empty(s io.Seeker) bool {
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil || at != 0 {
		return false
	}
	end, err := s.Seek(0, io.SeekEnd)
	return err == nil && end == 0
}
