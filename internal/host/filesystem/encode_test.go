package filesystem_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	fsys "github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// furnished is a file system with something of everything.
func furnished(t testing.TB) *world {
	w := newWorld(t, fsys.Limits{})
	w.host[fsys.Origin{Tree: 3, Path: "in"}] = "loaded"
	w.write("small", "hello")
	w.write("large", strings.Repeat("0123456789abcdef", 10000))
	i := w.write("sparse", "begin")
	_, err := w.WriteAt(i, []byte("end"), 30<<30)
	w.must(err)
	w.mkdir("d")
	w.mkdir("d/e")
	w.must(w.Link(fsys.Root, "small", false, fsys.Root, "d/e/link"))
	w.must(w.Symlink("../small", fsys.Root, "d/s"))
	w.write("gone", "")
	w.must(w.Unlink(fsys.Root, "gone"))
	data := w.mkdir("data")
	w.must(w.Import(data, 3, []fsys.Imported{{Path: "in", Kind: fsys.File, Size: 6, Mtime: 4}, {Path: "out", Kind: fsys.File, Size: 9}}))
	return w
}

func TestDecodingGivesWhatWasEncoded(t *testing.T) {
	w := furnished(t)
	open, err := w.Open(fsys.Root, "open", fsys.OpenOptions{Create: true})
	w.must(err)
	_, err = w.WriteAt(open, []byte("still here"), 0)
	w.must(err)
	w.must(w.Unlink(fsys.Root, "open"))
	manifest, err := w.Encode()
	w.must(err)

	again, err := fsys.Decode(manifest, w.config)
	w.must(err)
	w.must(again.Retain(open))
	again.Sweep()
	again.Check()
	if got := content(t, again, open); got != "still here" {
		t.Errorf("the removed file has %q", got)
	}
	for _, f := range []*fsys.FS{w.FS, again} {
		w.clock = 5000
		for _, path := range []string{"sparse", "data/out"} {
			// Reading 30 GiB, or what cannot be loaded, is no comparison.
			w.must(f.Unlink(fsys.Root, path))
		}
	}
	if got, want := dump(t, again, fsys.Root), dump(t, w.FS, fsys.Root); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	w.must(again.Release(open))
	again.Check()
}

func TestFilesThatNobodyHasOpenAreSweptAfterDecoding(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	i, err := w.Open(fsys.Root, "a", fsys.OpenOptions{Create: true})
	w.must(err)
	w.must(w.Unlink(fsys.Root, "a"))
	manifest, err := w.Encode()
	w.must(err)
	again, err := fsys.Decode(manifest, w.config)
	w.must(err)
	again.Sweep()
	_, err = again.Stat(i)
	wants(t, "stat", err, fsys.ErrStale)
	again.Check()
}

func TestEncodingAgainPutsOnlyWhatChanged(t *testing.T) {
	w := furnished(t)
	_, err := w.Encode()
	w.must(err)
	w.packs.puts = 0
	_, err = w.Encode()
	w.must(err)
	if w.packs.puts > 0 {
		t.Errorf("put %d packs although nothing changed", w.packs.puts)
	}
	before := len(w.packs.kept)
	w.write("small", "HELLO")
	manifest, err := w.Encode()
	w.must(err)
	if got := len(w.packs.kept) - before; got != 1 {
		t.Errorf("put %d packs, want 1", got)
	}
	w.FS, err = fsys.Decode(manifest, w.config)
	w.must(err)
	if got := w.read("small"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
}

func TestFailedPutLosesNothing(t *testing.T) {
	w := furnished(t)
	w.packs.fail = errors.New("disk full")
	if _, err := w.Encode(); !errors.Is(err, w.packs.fail) {
		t.Errorf("got error %v", err)
	}
	w.packs.fail = nil
	manifest, err := w.Encode()
	w.must(err)
	w.FS, err = fsys.Decode(manifest, w.config)
	w.must(err)
	if got := w.read("large"); got != strings.Repeat("0123456789abcdef", 10000) {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestContentInManyPacksIsFound(t *testing.T) {
	w := newWorld(t, fsys.Limits{})
	for i := range 150 {
		w.write(fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 30000))
	}
	manifest, err := w.Encode()
	w.must(err)
	if n := len(w.packs.kept); n < 2 || n > 4 {
		t.Errorf("got %d packs of about 10 MB", n)
	}
	w.FS, err = fsys.Decode(manifest, w.config)
	w.must(err)
	for i := range 150 {
		if got := w.read(fmt.Sprint(i)); got != strings.Repeat(fmt.Sprint(i), 30000) {
			t.Errorf("file %d has other content", i)
		}
	}
}

func TestLostPackIsTheHostsError(t *testing.T) {
	w := furnished(t)
	manifest, err := w.Encode()
	w.must(err)
	w.packs.kept = nil
	w.FS, err = fsys.Decode(manifest, w.config)
	w.must(err)
	_, err = w.ReadAt(w.find("small"), make([]byte, 5), 0)
	if _, seen := err.(fsys.Error); err == nil || seen {
		t.Errorf("got error %v, want one that no program sees", err)
	}
}

func TestDamagedManifestIsRefused(t *testing.T) {
	w := furnished(t)
	manifest, err := w.Encode()
	w.must(err)
	for i := range manifest {
		damaged := bytes.Clone(manifest)
		damaged[i] ^= 0x10
		if _, err := fsys.Decode(damaged, w.config); err == nil {
			t.Errorf("byte %d changed: decoded", i)
		}
		if _, err := fsys.Decode(manifest[:i], w.config); err == nil {
			t.Errorf("cut to %d bytes: decoded", i)
		}
	}
	newer := bytes.Clone(manifest)
	newer[4]++
	if _, err := fsys.Decode(newer, w.config); !errors.Is(err, fsys.ErrNewerFormat) {
		t.Errorf("a newer format: got error %v", err)
	}
}

// The golden manifest is never edited: what was written once stays readable,
// and the same files have the same manifest as long as the format is 1.
func TestManifestOfFormat1IsWhatItWas(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "format-1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	w := furnished(t)
	manifest, err := w.Encode()
	w.must(err)
	if !bytes.Equal(manifest, golden) {
		t.Errorf("got manifest\n%q\nwant\n%q", manifest, golden)
	}
	w.FS, err = fsys.Decode(golden, w.config)
	w.must(err)
	if got := w.read("d/s"); got != "hello" {
		t.Errorf("got content %q", got)
	}
	if got := w.read("data/in"); got != "loaded" {
		t.Errorf("got imported content %q", got)
	}
}

// FuzzDecode changes manifests under a right checksum: what is accepted keeps
// the invariants, can be used, and encodes to itself.
func FuzzDecode(f *testing.F) {
	w := furnished(f)
	manifest, err := w.Encode()
	w.must(err)
	f.Add(manifest[:len(manifest)-4])
	empty, err := newWorld(f, fsys.Limits{}).Encode()
	w.must(err)
	f.Add(empty[:len(empty)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = binary.LittleEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		files, err := fsys.Decode(b, w.config)
		if err != nil {
			return
		}
		files.Sweep()
		files.Check()
		once, err := files.Encode()
		if err != nil {
			t.Fatal(err)
		}
		second, err := fsys.Decode(once, w.config)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := second.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("encoding what was decoded gives another manifest, %v", err)
		}
		_, _ = files.Open(fsys.Root, "small", fsys.OpenOptions{Truncate: true})
		_ = files.Rename(fsys.Root, "d", fsys.Root, "data/d")
		_ = files.Unlink(fsys.Root, "large")
		files.Check()
	})
}

func TestViewIsAnOrdinaryFileSystem(t *testing.T) {
	w := furnished(t)
	w.must(w.Unlink(fsys.Root, "sparse"))
	w.must(w.Unlink(fsys.Root, "data/out"))
	if err := fstest.TestFS(w.View(), "small", "large", "d/e/link", "d/s", "data/in"); err != nil {
		t.Error(err)
	}
	v := w.View()
	if target, err := v.ReadLink("d/s"); target != "../small" || err != nil {
		t.Errorf("link: got %q, %v", target, err)
	}
	if _, err := v.Open("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

func TestCopyToTheHostKeepsHoles(t *testing.T) {
	w := furnished(t)
	w.must(w.Truncate(w.find("sparse"), 100<<30))
	source, err := w.View().Open("sparse")
	w.must(err)
	path := filepath.Join(t.TempDir(), "copy")
	dest, err := os.Create(path)
	w.must(err)
	defer dest.Close()
	n, err := io.Copy(dest, source)
	if err != nil || n != 100<<30 {
		t.Fatalf("copied %d bytes, %v", n, err)
	}
	info, err := dest.Stat()
	w.must(err)
	p := make([]byte, 5)
	if _, err := dest.ReadAt(p, 30<<30); info.Size() != 100<<30 || string(p[:3]) != "end" || err != nil {
		t.Errorf("got %d bytes and %q, %v", info.Size(), p, err)
	}
	// What has something already, or cannot have holes, gets all bytes.
	w.must(w.Truncate(w.find("sparse"), 70000))
	for _, name := range []string{"sparse", "large"} {
		source, err = w.View().Open(name)
		w.must(err)
		var plain bytes.Buffer
		if n, err := io.Copy(&plain, source); err != nil || n != int64(plain.Len()) || plain.String() != w.read(name) {
			t.Errorf("%s: copied %d bytes, %v", name, n, err)
		}
	}
}
