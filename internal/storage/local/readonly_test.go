package local_test

import (
	"errors"
	"io"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

func TestAStoreThatIsOnlyReadFollowsTheOneThatWrites(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", small)
	l := newLog(t, s)
	must(t, l.append("a", 100))
	r, err := local.OpenReadOnly(ctx, disk, "store")
	must(t, err)
	for i := range 200 {
		must(t, l.append("a", 10+37*(i%9)))
		if i%7 == 0 {
			must(t, l.append("gone", 500))
			must(t, s.Logs().Delete(ctx, 0, 1, named("gone")))
			l.next["gone"] = 0
		}
		if i%20 == 0 {
			tidy(t, s)
		}
		if i%3 == 0 {
			must(t, r.Refresh(ctx))
			if n := read(t, r, "a"); n != l.next["a"] {
				t.Fatalf("%d entries can be read of %d", n, l.next["a"])
			}
		}
	}
	for _, err := range []error{
		r.Logs().Append(ctx, 0, 1, 0, []storage.Chunk{{Worker: named("a"), First: 1, Count: 1}}),
		r.Logs().Delete(ctx, 0, 1, named("a")),
		r.Logs().Truncate(ctx, 0, 1, named("a"), 2),
		second(r.Logs().Acquire(ctx, 0, 9)),
		second(r.Cells().Put(ctx, "k", 0, nil)),
		r.Blobs().Delete(ctx, storage.Hash{}),
		second(r.Blobs().PutAll(ctx, func(func(io.Reader) bool) {})),
	} {
		if !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("a write gave %v", err)
		}
	}
	must(t, r.Close())
	must(t, s.Close())
}

func second[T any](_ T, err error) error { return err }

func TestWhatIsShownByAReaderIsDurable(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{})
	l := newLog(t, s)
	must(t, l.append("a", 100))
	// The writer ends between writing and syncing.
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return vfs.ErrPowerOff
		}
		return nil
	})
	_ = l.append("a", 100)
	written := disk.Crash(func() bool { return true }) // The machine has it; say the disk has not.
	f, err := written.OpenWrite("store/log/0000000001.log")
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, 1500)
	must(t, err)
	_, err = f.WriteAt(b, 1500)
	must(t, err)
	for name, opened := range map[string]func() (*local.Store, error){
		"reader": func() (*local.Store, error) { return local.OpenReadOnly(ctx, written, "store") },
		"owner":  func() (*local.Store, error) { return local.Open(ctx, written, "store", local.Options{}) },
	} {
		s, err := opened()
		must(t, err)
		shown := read(t, s, "a")
		left, err := local.Open(ctx, written.Crash(nil), "store", local.Options{})
		must(t, err)
		if n := read(t, left, "a"); n < shown {
			t.Errorf("%s: %d entries were shown and %d are left after a power failure", name, shown, n)
		}
		must(t, left.Close())
		must(t, s.Close())
	}
}
