package local_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// damaged is a small store on a disk, closed, and what it holds.
type damaged struct {
	*testing.T
	disk   *vfs.Memory
	chunks map[id.Worker][]storage.Chunk
	final  map[id.Worker]uint64 // first entry of what the last frame has
	blobs  map[storage.Hash][]byte
	cells  map[string]string
}

func newDamaged(t *testing.T) *damaged {
	d := &damaged{
		T: t, disk: vfs.NewMemory(1), chunks: map[id.Worker][]storage.Chunk{}, final: map[id.Worker]uint64{},
		blobs: map[storage.Hash][]byte{}, cells: map[string]string{},
	}
	s := open(t, d.disk, "store", local.Options{AllocateBytes: 512})
	_, err := s.Logs().Acquire(ctx, 0, 1)
	must(t, err)
	next := map[string]uint64{}
	segments := [][]string{{"a", "b"}, {"a"}, {"c", "a", "b"}, {"b"}, {"d", "a"}}
	for head, names := range segments {
		var segment []storage.Chunk
		for _, name := range names {
			first := next[name] + 1
			next[name] += 2
			c := storage.Chunk{Worker: named(name), First: first, Count: 2, Bytes: bytesOf(name, first, 20+3*head)}
			segment = append(segment, c)
			d.chunks[c.Worker] = append(d.chunks[c.Worker], c)
			if head == len(segments)-1 {
				d.final[c.Worker] = first
			}
		}
		must(t, s.Logs().Append(ctx, 0, 1, uint64(head), segment))
		if head == 2 {
			_, err := s.Cells().Put(ctx, "k", 0, []byte("value"))
			must(t, err)
			d.cells["k"] = "value"
			h, _, err := s.Blobs().Put(ctx, strings.NewReader("small blob"))
			must(t, err)
			d.blobs[h] = []byte("small blob")
		}
	}
	must(t, s.Close())
	return d
}

// check opens the store and demands that everything it gives is right or said
// to be damaged. torn allows the last frame to be missing without a word. What
// whole lost frames held is only known as long as there is the index; without
// it, it must be said at least that frames are lost.
func (d *damaged) check(what string, torn bool) (found bool) {
	d.Helper()
	s, err := local.Open(ctx, d.disk, "store", local.Options{AllocateBytes: 512})
	if err != nil {
		d.Fatalf("%s: open: %v", what, err)
	}
	found = len(s.Damage()) > 0
	for w, want := range d.chunks {
		seen := map[uint64]bool{}
		for c, err := range s.Logs().Read(ctx, w, 1, 0) {
			var corrupt *storage.CorruptError
			if errors.As(err, &corrupt) {
				if corrupt.Worker != w || corrupt.From == 0 || corrupt.To < corrupt.From {
					d.Fatalf("%s: reading %s: %v", what, w, err)
				}
				for i := corrupt.From; i <= corrupt.To; i++ {
					seen[i] = true
				}
				found = true
				continue
			}
			must(d, err)
			i := slices.IndexFunc(want, func(o storage.Chunk) bool { return o.First == c.First })
			if i < 0 || want[i].Count != c.Count || !bytes.Equal(want[i].Bytes, c.Bytes) {
				d.Fatalf("%s: %s reads %d entries from %d: %q", what, w, c.Count, c.First, c.Bytes)
			}
			for i := c.First; i <= c.Last(); i++ {
				seen[i] = true
			}
		}
		for i := uint64(1); i <= want[len(want)-1].Last(); i++ {
			if !seen[i] && !(torn && d.final[w] != 0 && i >= d.final[w]) && len(s.Damage()) == 0 {
				d.Fatalf("%s: entry %d of %s is gone without a word", what, i, w)
			}
		}
	}
	found = d.checkRest(what, s) || found
	// Whatever is damaged, the log goes on and workers can be deleted.
	for w := range d.chunks {
		must(d, s.Logs().Delete(ctx, 0, 1, w))
	}
	must(d, s.Close())
	return found
}

func (d *damaged) checkRest(what string, s *local.Store) (found bool) {
	var corrupt *storage.CorruptError
	for key, want := range d.cells {
		value, _, err := s.Cells().Get(ctx, key)
		if errors.As(err, &corrupt) || errors.Is(err, storage.ErrNotFound) && len(s.Damage()) > 0 {
			found = true
		} else if err != nil || string(value) != want {
			d.Fatalf("%s: cell %s is %q, %v", what, key, value, err)
		}
	}
	for h, want := range d.blobs {
		r, err := s.Blobs().Get(ctx, h)
		var content []byte
		if err == nil {
			content, err = io.ReadAll(r)
			must(d, r.Close())
		}
		if errors.As(err, &corrupt) || errors.Is(err, storage.ErrNotFound) && len(s.Damage()) > 0 {
			found = true
		} else if err != nil || !bytes.Equal(content, want) {
			d.Fatalf("%s: blob is %q, %v", what, content, err)
		}
	}
	return found
}

func TestEveryFlippedByteOfTheLogIsHarmlessOrReported(t *testing.T) {
	const name = "store/log/0000000001.log"
	d := newDamaged(t)
	size, err := d.disk.Stat(name)
	must(t, err)
	reported := 0
	clean := d.disk
	for at := range size {
		for _, index := range []bool{true, false} {
			d.disk = clean.Crash(nil)
			if !index {
				removeIndex(t, d.disk, "store")
			}
			if !d.disk.Flip(name, at, 1<<(at%8)|0x10) {
				t.Fatal("the file is shorter")
			}
			// Without the index nothing tells the last frame from one that was
			// torn when it was written. With it, that it was acknowledged is
			// known.
			if d.check(fmt.Sprintf("byte %d flipped, index %v", at, index), !index) {
				reported++
			}
		}
	}
	if reported == 0 {
		t.Error("nothing was ever reported")
	}
}

func TestEveryLostSectorOfTheLogIsHarmlessOrReported(t *testing.T) {
	const name = "store/log/0000000001.log"
	d := newDamaged(t)
	size, err := d.disk.Stat(name)
	must(t, err)
	clean := d.disk
	for at := int64(0); at < size; at += 64 {
		for _, index := range []bool{true, false} {
			d.disk = clean.Crash(nil)
			if !index {
				removeIndex(t, d.disk, "store")
			}
			zero(t, d.disk, name, at, min(at+vfs.SectorSize, size))
			if at+vfs.SectorSize > size-40 && !index {
				// The end of the log is gone: it looks as if it had never been.
				continue
			}
			d.check(fmt.Sprintf("bytes from %d lost, index %v", at, index), !index)
		}
	}
}

func zero(t *testing.T, disk vfs.FS, name string, from, to int64) {
	t.Helper()
	f, err := disk.OpenWrite(name)
	must(t, err)
	_, err = f.WriteAt(make([]byte, to-from), from)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

func TestEveryFlippedByteOfTheIndexIsHarmless(t *testing.T) {
	d := newDamaged(t)
	clean := d.disk
	names, err := clean.List("store/index")
	must(t, err)
	for _, name := range names {
		size, err := clean.Stat("store/index/" + name)
		must(t, err)
		for at := range size {
			d.disk = clean.Crash(nil)
			d.disk.Flip("store/index/"+name, at, 1<<(at%8))
			s, err := local.Open(ctx, d.disk, "store", local.Options{})
			must(t, err)
			if _, _, err = s.Logs().Bounds(ctx, named("a")); err == nil {
				_, _, err = s.Cells().Get(ctx, "k")
			}
			must(t, s.Close())
			if err == nil {
				if d.check(fmt.Sprintf("byte %d of %s flipped", at, name), false) {
					t.Fatalf("byte %d of %s: damage of the index is reported as damage of the log", at, name)
				}
				continue
			}
			// It says so, and opening again makes it anew.
			if !strings.Contains(err.Error(), "open the store again") {
				t.Fatalf("byte %d of %s: %v", at, name, err)
			}
			if d.check(fmt.Sprintf("byte %d of %s flipped, opened again", at, name), false) {
				t.Fatalf("byte %d of %s: the index was not made anew", at, name)
			}
		}
	}
}

func TestALogThatWasCutOffIsReported(t *testing.T) {
	const name = "store/log/0000000001.log"
	d := newDamaged(t)
	size, err := d.disk.Stat(name)
	must(t, err)
	clean := d.disk
	for at := int64(0); at < size; at += 16 {
		d.disk = clean.Crash(nil)
		f, err := d.disk.OpenWrite(name)
		must(t, err)
		must(t, f.Truncate(at))
		must(t, f.Sync())
		must(t, f.Close())
		if !d.check(fmt.Sprintf("cut off at %d", at), false) {
			t.Errorf("that the log was cut off at %d is not reported", at)
		}
	}
}

func TestALostLogFileIsReported(t *testing.T) {
	d := newDamaged(t)
	must(t, d.disk.Remove("store/log/0000000001.log"))
	if !d.check("log file removed", false) {
		t.Error("that a file of the log is gone is not reported")
	}
}

func TestAFrameInStoredBytesIsNeverTakenForOne(t *testing.T) {
	// Another store's whole log, which has everything a frame needs.
	other := newDamaged(t)
	f, err := other.disk.Open("store/log/0000000001.log")
	must(t, err)
	size, err := f.Size()
	must(t, err)
	forged := make([]byte, size)
	_, err = f.ReadAt(forged, 0)
	must(t, err)

	disk := vfs.NewMemory(2)
	s := open(t, disk, "store", local.Options{})
	_, err = s.Logs().Acquire(ctx, 0, 1)
	must(t, err)
	hostile := named("hostile")
	must(t, s.Logs().Append(ctx, 0, 1, 0, []storage.Chunk{{Worker: hostile, First: 1, Count: 1, Bytes: forged}}))
	must(t, s.Logs().Append(ctx, 0, 1, 1, []storage.Chunk{{Worker: hostile, First: 2, Count: 1, Bytes: forged}}))
	must(t, s.Close())
	removeIndex(t, disk, "store")
	// The first frame, of the acquisition, is before; the next one's header
	// is lost, so that the bytes behind it are searched.
	zero(t, disk, "store/log/0000000001.log", 1024, 1024+vfs.SectorSize)
	s = open(t, disk, "store", local.Options{})
	defer s.Close()
	for w, err := range s.Logs().Workers(ctx, id.Worker{}) {
		must(t, err)
		if w != hostile {
			t.Errorf("there is a worker %s", w)
		}
	}
}

func TestADamagedBlobIsReportedAndReplaced(t *testing.T) {
	for _, size := range []int{100, 100_000} {
		disk := vfs.NewMemory(1)
		s := open(t, disk, "store", local.Options{})
		content := bytesOf("blob", 1, size)
		h, _, err := s.Blobs().Put(ctx, bytes.NewReader(content))
		must(t, err)
		name, at := "store/log/0000000001.log", int64(1024+90)
		if size > 64<<10 {
			digits := h.String()
			name, at = "store/blobs/"+digits[:2]+"/"+digits[2:], 77
		}
		disk.Flip(name, at, 4)
		if err := readBlob(s, h); !isCorrupt(err) {
			t.Fatalf("%d bytes: reading gives %v", size, err)
		}
		_, _, err = s.Blobs().Put(ctx, bytes.NewReader(content))
		must(t, err)
		must(t, readBlob(s, h))
		must(t, s.Close())
		if size > 64<<10 {
			f, err := disk.OpenWrite(name)
			must(t, err)
			must(t, f.Truncate(70_000))
			must(t, f.Close())
			s = open(t, disk, "store", local.Options{})
			if err := readBlob(s, h); !isCorrupt(err) {
				t.Fatalf("reading a blob that was cut off gives %v", err)
			}
			must(t, s.Close())
		}
	}
}

func isCorrupt(err error) bool {
	var corrupt *storage.CorruptError
	return errors.As(err, &corrupt)
}

func readBlob(s *local.Store, h storage.Hash) error {
	r, err := s.Blobs().Get(ctx, h)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(r)
	if err == nil && sha256.Sum256(content) != h {
		err = errors.New("wrong content and no error")
	}
	return errors.Join(err, r.Close())
}

func TestADiskThatCannotReadIsReportedPerWorker(t *testing.T) {
	d := newDamaged(t)
	s := open(t, d.disk, "store", local.Options{})
	broken := errors.New("input/output error")
	d.disk.SetFault(func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, ".log") {
			return broken
		}
		return nil
	})
	n := 0
	for _, err := range s.Logs().Read(ctx, named("a"), 1, 0) {
		n++
		if !isCorrupt(err) || !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
	}
	if n != len(d.chunks[named("a")]) {
		t.Errorf("%d errors", n)
	}
	d.disk.SetFault(nil)
	must(t, s.Close())
	d.check("working again", false)
}

func TestAMissingStoreIsNotExist(t *testing.T) {
	_, err := local.OpenReadOnly(ctx, vfs.NewMemory(1), "store")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
