package filesystem_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

func TestByteQuotaCountsBlocksOfContentAndNamesButNotHoles(t *testing.T) {
	w := newWorld(t, fsys.Limits{Bytes: 100 << 10})
	empty := w.Usage().Bytes
	i := w.write("a", "x")
	if got, want := w.Usage().Bytes, empty+2*512; got != want {
		t.Errorf("one byte in one file: got %d bytes used, want %d", got, want)
	}
	w.must(w.Truncate(i, 1<<40))
	if _, err := w.WriteAt(i, []byte("far"), 1<<39); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Usage().Bytes, empty+3*512; got != want {
		t.Errorf("after a write behind a hole: got %d bytes used, want %d", got, want)
	}
	n, err := w.WriteAt(i, make([]byte, 200<<10), 0)
	if err != nil || n != 64<<10 {
		t.Errorf("write more than there is space: got %d, %v, want the 65536 bytes that fit", n, err)
	}
	n, err = w.WriteAt(i, make([]byte, 64<<10), 64<<10)
	wants(t, "write without space", err, fsys.ErrNoSpace)
	if n != 0 {
		t.Errorf("write without space: got %d bytes", n)
	}
	w.must(w.Truncate(i, 0))
	if got, want := w.Usage().Bytes, empty+512; got != want {
		t.Errorf("after truncation: got %d bytes used, want %d", got, want)
	}
	w.must(w.Unlink(fsys.Root, "a"))
	if got := w.Usage().Bytes; got != empty {
		t.Errorf("after removal: got %d bytes used, want %d", got, empty)
	}
}

func TestNameQuotaCountsEveryNameAndRemovedFilesStillOpen(t *testing.T) {
	w := newWorld(t, fsys.Limits{Names: 5})
	w.write("a", "")
	w.mkdir("d")
	w.must(w.Link(fsys.Root, "a", false, fsys.Root, "b"))
	w.must(w.Symlink("a", fsys.Root, "s"))
	wants(t, "a name too many", w.Mkdir(fsys.Root, "e"), fsys.ErrQuota)
	wants(t, "a link too many", w.Link(fsys.Root, "a", false, fsys.Root, "e"), fsys.ErrQuota)
	_, err := w.Open(fsys.Root, "e", fsys.OpenOptions{Create: true})
	wants(t, "a file too many", err, fsys.ErrQuota)

	w.must(w.Unlink(fsys.Root, "b"))
	i, err := w.Open(fsys.Root, "a", fsys.OpenOptions{})
	w.must(err)
	w.must(w.Unlink(fsys.Root, "a"))
	w.must(w.Mkdir(fsys.Root, "e"))
	wants(t, "while a removed file is open", w.Mkdir(fsys.Root, "f"), fsys.ErrQuota)
	w.must(w.Release(i))
	w.must(w.Mkdir(fsys.Root, "f"))
}

func TestNamesPathsAndDepthAreBounded(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	w.must(w.Mkdir(fsys.Root, strings.Repeat("n", fsys.MaxName)))
	wants(t, "a name too long", w.Mkdir(fsys.Root, strings.Repeat("n", fsys.MaxName+1)), fsys.ErrNameTooLong)
	wants(t, "a path too long", w.Mkdir(fsys.Root, strings.Repeat("/a", 40000)[1:]), fsys.ErrNameTooLong)
	wants(t, "a target too long", w.Symlink(strings.Repeat("t", fsys.MaxPath+1), fsys.Root, "s"), fsys.ErrNameTooLong)

	deep := fsys.Root
	for range fsys.MaxDepth {
		w.must(w.Mkdir(deep, "d"))
		var err error
		deep, err = w.Lookup(deep, "d", false)
		w.must(err)
	}
	wants(t, "a directory too deep", w.Mkdir(deep, "d"), fsys.ErrNameTooLong)
	w.must(w.Mkdir(fsys.Root, "x"))
	w.must(w.Mkdir(fsys.Root, "x/y"))
	parent, err := w.Lookup(deep, ".", false)
	w.must(err)
	wants(t, "a directory moved too deep", w.Rename(fsys.Root, "x", parent, "x"), fsys.ErrNameTooLong)
	w.must(w.Rename(fsys.Root, "d", fsys.Root, "e")) // deep already, and no deeper
	if _, err := w.Encode(); err != nil {
		t.Error(err)
	}
}

func TestHardLinksOfAFileAreBounded(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	w.write("a", "")
	for i := range fsys.MaxLinks - 1 {
		w.must(w.Link(fsys.Root, "a", false, fsys.Root, fmt.Sprint(i)))
	}
	wants(t, "a link too many", w.Link(fsys.Root, "a", false, fsys.Root, "b"), fsys.ErrTooManyLinks)
}

func TestFileSizeIsBounded(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	i := w.write("a", "")
	_, err := w.WriteAt(i, []byte("x"), fsys.MaxFileSize)
	wants(t, "write behind the bound", err, fsys.ErrTooBig)
	_, err = w.WriteAt(i, []byte("x"), ^uint64(0))
	wants(t, "write at the end of offsets", err, fsys.ErrTooBig)
	if n, err := w.WriteAt(i, []byte("xyz"), fsys.MaxFileSize-1); n != 1 || err != nil {
		t.Errorf("write across the bound: got %d, %v, want 1 byte", n, err)
	}
	wants(t, "truncate", w.Truncate(i, fsys.MaxFileSize+1), fsys.ErrTooBig)
	wants(t, "allocate", w.Allocate(i, ^uint64(0), 1), fsys.ErrTooBig)
	wants(t, "allocate more than there is", w.Allocate(i, 0, 0), fsys.ErrInvalid)
	w.must(w.Truncate(i, 0))
	wants(t, "allocate more than there is", w.Allocate(i, 10, fsys.DefaultBytes), fsys.ErrNoSpace)
	w.must(w.Allocate(i, 10, 20))
	w.must(w.Allocate(i, 5, 5))
	if size, err := w.Size(i); size != 30 || err != nil {
		t.Errorf("after allocations: got %d bytes, %v, want 30", size, err)
	}
}

// The quota bounds the memory of the host, whatever a program writes where.
func TestMemoryOfTheHostIsBoundedByTheQuota(t *testing.T) {
	const quota = 8 << 20
	w := newWorld(t, fsys.Limits{Bytes: quota})
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	full := make([]byte, 64<<10)
	for f := 0; ; f++ {
		i, err := w.Open(fsys.Root, fmt.Sprint(f), fsys.OpenOptions{Create: true})
		if errors.Is(err, fsys.ErrNoSpace) {
			break
		}
		w.must(err)
		// A chunk that was full and is cut to one byte, and bytes far apart.
		_, err = w.WriteAt(i, full, 0)
		if err == nil {
			err = w.Truncate(i, 1)
		}
		for k := uint64(1); err == nil && k < 8; k++ {
			_, err = w.WriteAt(i, []byte("x"), k<<30)
		}
		if !errors.Is(err, fsys.ErrNoSpace) {
			w.must(err)
		}
	}
	if got, most := used()-before, uint64(3*quota); got > most {
		t.Errorf("%d bytes of quota take %d bytes of memory, want at most %d", quota, got, most)
	}
	w.Check()
}
