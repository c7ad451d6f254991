package wasip1

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
)

// opened is a system over files, with three files and the root open.
func opened(t interface{ Fatal(...any) }, files *filesystem.FS, open []byte) *System {
	s, err := New(wasi.Config{FS: files, Preopens: []wasi.Preopen{{Name: "/", Dir: filesystem.Root}}, MaxFiles: 100, Open: open})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newFiles() *filesystem.FS {
	return filesystem.New(filesystem.Config{Now: func() uint64 { return 1 }})
}

// create opens a new file of this name.
func create(t interface{ Fatal(...any) }, s *System, name string) filesystem.Inode {
	inode, err := s.fs.Open(filesystem.Root, name, filesystem.OpenOptions{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.table.add(descriptor{inode: inode, filetype: typeRegular, base: allRights, inheriting: allRights, offset: uint64(inode) << 33, flags: 5}) != success {
		t.Fatal("no room for a descriptor")
	}
	return inode
}

func TestDescriptorsOfAnImageAreThoseItWasTakenOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := newFiles()
		s := opened(t, files, nil)
		names := []string{"a", "b", "c", "d", "e"}
		for _, name := range names[:rapid.IntRange(0, len(names)).Draw(t, "files")] {
			create(t, s, name)
		}
		for _, fd := range rapid.SliceOfDistinct(rapid.Uint32Range(0, 9), rapid.ID).Draw(t, "closed") {
			if d := s.table.Get(fd); d != nil {
				if s.close(fd, d) != success {
					t.Fatal("close")
				}
			}
		}
		image := s.AppendOpen(nil)
		other := opened(t, files.Clone(), image)
		if got := other.AppendOpen(nil); !bytes.Equal(got, image) {
			t.Fatalf("got %x, want %x", got, image)
		}
		for range 12 { // the next numbers are the same too
			if got, want := other.table.Lowest(), s.table.Lowest(); got != want {
				t.Fatalf("the next descriptor is %d, want %d", got, want)
			}
			s.table.add(descriptor{stream: 1})
			other.table.add(descriptor{stream: 1})
		}
	})
}

func TestClosedSystemHoldsNoFile(t *testing.T) {
	files := newFiles()
	s := opened(t, files, nil)
	inode := create(t, s, "file")
	if err := files.Unlink(filesystem.Root, "file"); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Stat(inode); err != nil {
		t.Fatalf("an open file is gone: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Stat(inode); err == nil {
		t.Error("a file without a name is there although nobody has it open")
	}
}

func TestDamagedDescriptorsAreRefused(t *testing.T) {
	files := newFiles()
	s := opened(t, files, nil)
	create(t, s, "file")
	image := s.AppendOpen(nil)
	for n := range image {
		if n == 0 {
			continue // no descriptors at all: those of a new system
		}
		if _, err := New(wasi.Config{FS: files.Clone(), MaxFiles: 100, Open: image[:n]}); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(image))
		}
	}
	if _, err := New(wasi.Config{FS: newFiles(), MaxFiles: 100, Open: image}); err == nil {
		t.Error("a descriptor of a file that is not there was taken")
	}
	if _, err := New(wasi.Config{FS: files.Clone(), MaxFiles: 2, Open: image}); err == nil {
		t.Error("more descriptors than the limit were taken")
	}
}
