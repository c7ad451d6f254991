package filesystem_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// packs keeps content in memory.
type packs struct {
	kept map[fsys.Sum][]byte
	puts int
	fail error
}

func (p *packs) Put(b []byte) (fsys.Sum, error) {
	if p.fail != nil {
		return fsys.Sum{}, p.fail
	}
	if p.kept == nil {
		p.kept = map[fsys.Sum][]byte{}
	}
	sum := fsys.Sum(sha256.Sum256(b))
	p.kept[sum] = bytes.Clone(b)
	p.puts++
	return sum, nil
}

func (p *packs) Get(s fsys.Sum) ([]byte, error) {
	b, ok := p.kept[s]
	if !ok {
		return nil, errors.New("no such pack")
	}
	return b, nil
}

// world is a file system with a clock that ticks and somewhere to load from.
type world struct {
	*fsys.FS
	t      testing.TB
	clock  uint64
	packs  packs
	host   map[fsys.Origin]string
	loads  []fsys.Origin
	config fsys.Config
}

func newWorld(t testing.TB, limits fsys.Limits) *world {
	w := &world{t: t, clock: 1000, host: map[fsys.Origin]string{}}
	w.config = fsys.Config{
		Now: func() uint64 { w.clock++; return w.clock },
		Load: func(o fsys.Origin) (io.ReadCloser, error) {
			w.loads = append(w.loads, o)
			content, ok := w.host[o]
			if !ok {
				return nil, fmt.Errorf("on the host: %w", fsys.ErrNotExist)
			}
			return io.NopCloser(strings.NewReader(content)), nil
		},
		Packs: &w.packs, Limits: limits,
	}
	w.FS = fsys.New(w.config)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// wants checks that got is the program-visible error want, bare.
func wants(t testing.TB, what string, got error, want fsys.Error) {
	t.Helper()
	if got != error(want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// write makes a file of this content.
func (w *world) write(path, content string) fsys.Inode {
	w.t.Helper()
	i, err := w.Open(fsys.Root, path, fsys.OpenOptions{Create: true, Truncate: true, Follow: true})
	w.must(err)
	n, err := w.WriteAt(i, []byte(content), 0)
	w.must(err)
	if n != len(content) {
		w.t.Fatalf("wrote %d bytes of %d to %s", n, len(content), path)
	}
	w.must(w.Release(i))
	return i
}

func (w *world) mkdir(path string) fsys.Inode {
	w.t.Helper()
	w.must(w.Mkdir(fsys.Root, path))
	return w.find(path)
}

func (w *world) find(path string) fsys.Inode {
	w.t.Helper()
	i, err := w.Lookup(fsys.Root, path, true)
	if err != nil {
		w.t.Fatalf("look up %s: %v", path, err)
	}
	return i
}

// content reads a whole file.
func content(t testing.TB, f *fsys.FS, i fsys.Inode) string {
	t.Helper()
	b, err := io.ReadAll(f.NewReader(i))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *world) read(path string) string {
	w.t.Helper()
	return content(w.t, w.FS, w.find(path))
}

// names lists a directory without "." and "..", in the order it is read.
func (w *world) names(dir fsys.Inode) []string {
	w.t.Helper()
	entries, err := w.ReadDir(dir, 2)
	w.must(err)
	var list []string
	for e := range entries {
		list = append(list, e.Name)
	}
	return list
}

// dump shows everything a program can see below dir, and so everything there
// is to compare.
func dump(t testing.TB, f *fsys.FS, dir fsys.Inode) string {
	t.Helper()
	var b strings.Builder
	var walk func(fsys.Inode, string)
	walk = func(dir fsys.Inode, prefix string) {
		entries, err := f.ReadDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range slices.Collect(entries) {
			s, err := f.Stat(e.Inode)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s%s cookie %d %+v", prefix, e.Name, e.Cookie, s)
			switch {
			case s.Kind == fsys.Symlink:
				target, err := f.Readlink(dir, e.Name)
				fmt.Fprintf(&b, " -> %q %v", target, err)
			case s.Kind == fsys.File:
				fmt.Fprintf(&b, " %x", sha256.Sum256([]byte(content(t, f, e.Inode))))
			}
			b.WriteByte('\n')
			if s.Kind == fsys.Directory && e.Cookie > 2 {
				walk(e.Inode, prefix+e.Name+"/")
			}
		}
	}
	walk(dir, "/")
	return b.String()
}
