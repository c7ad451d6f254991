package filesystem_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// The operating system's file system is the model: the same operations on both
// have the same outcome and leave the same files. Paths stay inside, since
// there the operating system's answers differ on purpose.

var words = []string{"a", "b", "c", "dd"}

func genPath(t *rapid.T, label string) string {
	parts := rapid.SliceOfN(rapid.SampledFrom(append([]string{"."}, words...)), 1, 3).Draw(t, label)
	path := strings.Join(parts, "/")
	if rapid.IntRange(0, 9).Draw(t, label+" slash") == 0 {
		path += "/"
	}
	return path
}

// machine applies each operation to both.
type machine struct {
	world *world
	dir   string
	open  []both
}

type both struct {
	inode fsys.Inode
	file  *os.File
}

// osErrno is what the operating system answered, as this package names it.
func osErrno(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	known := map[syscall.Errno]fsys.Error{
		syscall.ENOENT: fsys.ErrNotExist, syscall.EEXIST: fsys.ErrExist, syscall.ENOTDIR: fsys.ErrNotDirectory,
		syscall.EISDIR: fsys.ErrIsDirectory, syscall.ENOTEMPTY: fsys.ErrNotEmpty, syscall.ELOOP: fsys.ErrLoop,
		syscall.EINVAL: fsys.ErrInvalid, syscall.EBUSY: fsys.ErrBusy, syscall.EPERM: fsys.ErrPermission,
		syscall.ENAMETOOLONG: fsys.ErrNameTooLong, syscall.EXDEV: fsys.ErrEscape,
	}
	if e, ok := known[errno]; ok {
		return e
	}
	return errno
}

func (m *machine) same(t *rapid.T, what string, got, osErr error) {
	if want := osErrno(osErr); !errors.Is(got, want) && got != want {
		t.Fatalf("%s: got error %v, want %v (%v)", what, got, want, osErr)
	}
}

func (m *machine) host(path string) string { return m.dir + "/" + path }

func (m *machine) mkdir(t *rapid.T) {
	p := genPath(t, "path")
	m.same(t, "mkdir "+p, m.world.Mkdir(fsys.Root, p), syscall.Mkdir(m.host(p), 0o777))
}

func (m *machine) rmdir(t *rapid.T) {
	p := genPath(t, "path")
	m.same(t, "rmdir "+p, m.world.Rmdir(fsys.Root, p), syscall.Rmdir(m.host(p)))
}

func (m *machine) unlink(t *rapid.T) {
	p := genPath(t, "path")
	m.same(t, "unlink "+p, m.world.Unlink(fsys.Root, p), syscall.Unlink(m.host(p)))
}

func (m *machine) rename(t *rapid.T) {
	from, to := genPath(t, "from"), genPath(t, "to")
	m.same(t, "rename "+from+" to "+to, m.world.Rename(fsys.Root, from, fsys.Root, to),
		syscall.Rename(m.host(from), m.host(to)))
}

func (m *machine) link(t *rapid.T) {
	from, to := genPath(t, "from"), genPath(t, "to")
	m.same(t, "link "+from+" as "+to, m.world.Link(fsys.Root, from, false, fsys.Root, to),
		syscall.Link(m.host(from), m.host(to)))
}

func (m *machine) symlink(t *rapid.T) {
	target, p := genPath(t, "target"), genPath(t, "path")
	m.same(t, "symlink "+p, m.world.Symlink(target, fsys.Root, p), syscall.Symlink(target, m.host(p)))
}

func (m *machine) readlink(t *rapid.T) {
	p := genPath(t, "path")
	got, err := m.world.Readlink(fsys.Root, p)
	buffer := make([]byte, 100)
	n, osErr := syscall.Readlink(m.host(p), buffer)
	m.same(t, "readlink "+p, err, osErr)
	if want := string(buffer[:max(n, 0)]); got != want {
		t.Fatalf("readlink %s: got %q, want %q", p, got, want)
	}
}

func (m *machine) stat(t *rapid.T) {
	p, follow := genPath(t, "path"), rapid.Bool().Draw(t, "follow")
	i, err := m.world.Lookup(fsys.Root, p, follow)
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	info, osErr := stat(m.host(p))
	m.same(t, "stat "+p, err, osErr)
	if err == nil {
		compare(t, p, m.world.FS, i, info)
	}
}

func (m *machine) openFile(t *rapid.T) {
	p := genPath(t, "path")
	o := fsys.OpenOptions{
		Create: rapid.Bool().Draw(t, "create"), Exclusive: rapid.Bool().Draw(t, "exclusive"), Write: true,
		Truncate: rapid.Bool().Draw(t, "truncate"), Follow: rapid.Bool().Draw(t, "follow"), Content: true,
	}
	flags := syscall.O_RDWR
	for flag, set := range map[int]bool{
		syscall.O_CREAT: o.Create, syscall.O_EXCL: o.Exclusive && o.Create,
		syscall.O_TRUNC: o.Truncate, syscall.O_NOFOLLOW: !o.Follow,
	} {
		if set {
			flags |= flag
		}
	}
	i, err := m.world.Open(fsys.Root, p, o)
	file, osErr := os.OpenFile(m.host(p), flags, 0o666)
	m.same(t, fmt.Sprintf("open %s %+v", p, o), err, osErr)
	if err == nil {
		m.open = append(m.open, both{i, file})
	}
}

func (m *machine) pick(t *rapid.T) int {
	if len(m.open) == 0 {
		t.Skip("nothing is open")
	}
	return rapid.IntRange(0, len(m.open)-1).Draw(t, "which")
}

func (m *machine) closeFile(t *rapid.T) {
	k := m.pick(t)
	m.world.must(m.world.Release(m.open[k].inode))
	m.world.must(m.open[k].file.Close())
	m.open = slices.Delete(m.open, k, k+1)
}

// offsets are around where chunks meet.
var offsets = rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(65536-5, 65536+5), rapid.Int64Range(3*65536-3, 3*65536+3))

func (m *machine) write(t *rapid.T) {
	b, off := m.open[m.pick(t)], offsets.Draw(t, "offset")
	p := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "bytes")
	if rapid.IntRange(0, 3).Draw(t, "long") == 0 {
		p = slices.Repeat(append(p, 7), 9000)
	}
	n, err := m.world.WriteAt(b.inode, p, uint64(off))
	want, osErr := b.file.WriteAt(p, off)
	if n != want || err != nil || osErr != nil {
		t.Fatalf("write %d bytes at %d: got %d, %v, want %d, %v", len(p), off, n, err, want, osErr)
	}
}

func (m *machine) read(t *rapid.T) {
	b, off, size := m.open[m.pick(t)], offsets.Draw(t, "offset"), rapid.IntRange(0, 140000).Draw(t, "size")
	got, want := make([]byte, size), make([]byte, size)
	for i := range got {
		got[i] = 0xee // what was there must not shine through
	}
	n, err := m.world.ReadAt(b.inode, got, uint64(off))
	k, osErr := b.file.ReadAt(want, off)
	if errors.Is(osErr, io.EOF) {
		osErr = nil
	}
	if n != k || err != nil || osErr != nil || string(got[:n]) != string(want[:n]) {
		t.Fatalf("read %d bytes at %d: got %d, %v, want %d, %v, or other bytes", size, off, n, err, k, osErr)
	}
}

func (m *machine) truncate(t *rapid.T) {
	b, size := m.open[m.pick(t)], offsets.Draw(t, "size")
	m.same(t, "truncate", m.world.Truncate(b.inode, uint64(size)), b.file.Truncate(size))
}

// restart goes on with what Encode and Decode make of the file system.
func (m *machine) restart(t *rapid.T) {
	manifest, err := m.world.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := fsys.Decode(manifest, m.world.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range m.open {
		if err := again.Retain(b.inode); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := again.Usage(), m.world.Usage(); got != want {
		t.Fatalf("usage after a restart: got %+v, want %+v", got, want)
	}
	second, err := again.Encode()
	if err != nil || string(second) != string(manifest) {
		t.Fatalf("encoding what was decoded gives another manifest, %v", err)
	}
	m.world.FS = again
}

// clone goes on with a clone, and ruins the original.
func (m *machine) clone(t *rapid.T) {
	old := m.world.FS
	m.world.FS = old.Clone()
	before := dump(m.world.t, m.world.FS, fsys.Root)
	for _, w := range words {
		_ = old.Rmdir(fsys.Root, w)
		_ = old.Unlink(fsys.Root, w)
	}
	for _, b := range m.open {
		_, _ = old.WriteAt(b.inode, []byte("ruined"), 2)
		_ = old.Truncate(b.inode, 1)
	}
	if after := dump(m.world.t, m.world.FS, fsys.Root); after != before {
		t.Fatalf("a clone changed with its original: got\n%swant\n%s", after, before)
	}
}

// check compares everything.
func (m *machine) check(t *rapid.T) {
	m.world.FS.Check()
	var walk func(dir fsys.Inode, path string)
	walk = func(dir fsys.Inode, path string) {
		entries, err := m.world.ReadDir(dir, 2)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for e := range entries {
			names = append(names, e.Name)
			info, err := os.Lstat(filepath.Join(path, e.Name))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, e.Name, m.world.FS, e.Inode, info)
			if e.Kind == fsys.Directory {
				walk(e.Inode, filepath.Join(path, e.Name))
			}
		}
		list, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		if !slices.EqualFunc(names, list, func(a string, b os.DirEntry) bool { return a == b.Name() }) {
			t.Fatalf("%s has %v, want %v", path, names, list)
		}
	}
	walk(fsys.Root, m.dir)
}

func compare(t *rapid.T, what string, f *fsys.FS, i fsys.Inode, info os.FileInfo) {
	s, err := f.Stat(i)
	if err != nil {
		t.Fatal(err)
	}
	kind := fsys.File
	switch {
	case info.IsDir():
		kind = fsys.Directory
	case info.Mode()&os.ModeSymlink != 0:
		kind = fsys.Symlink
	}
	if s.Kind != kind {
		t.Fatalf("%s: got a %v, want a %v", what, s.Kind, kind)
	}
	if kind != fsys.Directory && s.Size != uint64(info.Size()) {
		t.Fatalf("%s: got %d bytes, want %d", what, s.Size, info.Size())
	}
	if sys := info.Sys().(*syscall.Stat_t); kind != fsys.Directory && s.Links != uint64(sys.Nlink) {
		t.Fatalf("%s: got %d links, want %d", what, s.Links, sys.Nlink)
	}
}

func TestFileSystemBehavesAsTheOperatingSystemsDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		m := &machine{world: newWorld(t, fsys.Limits{}), dir: dir}
		defer func() {
			for _, b := range m.open {
				b.file.Close()
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"mkdir": m.mkdir, "rmdir": m.rmdir, "unlink": m.unlink, "rename": m.rename, "rename again": m.rename,
			"link": m.link, "symlink": m.symlink, "readlink": m.readlink, "stat": m.stat, "open": m.openFile,
			"open another": m.openFile, "close": m.closeFile, "write": m.write, "write more": m.write, "read": m.read,
			"truncate": m.truncate, "restart": m.restart, "clone": m.clone, "": m.check,
		})
	})
}
