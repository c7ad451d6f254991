package local_test

import (
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// TestAFrameThatWasFoundIsNotLostByAnUnfinishedFileBehindIt has a sync fail,
// and the process end before the file that is begun because of that has its
// header. What the next process finds all the same, it shows; so a power failure
// must not take it away.
func TestAFrameThatWasFoundIsNotLostByAnUnfinishedFileBehindIt(t *testing.T) {
	disk := vfs.NewMemory(1)
	s := open(t, disk, "store", local.Options{})
	l := newLog(t, s)
	must(t, l.append("a", 100))
	var begun, dead bool
	broken := errors.New("broken")
	disk.SetFault(func(op vfs.Op) error {
		dead = dead || begun && op.Kind == vfs.OpWrite
		begun = begun || op.Kind == vfs.OpCreate
		if dead || !begun && op.Kind == vfs.OpSync {
			return broken
		}
		return nil
	})
	for range 2 {
		if err := l.append("a", 100); !errors.Is(err, broken) {
			t.Fatalf("got %v, want %v", err, broken)
		}
	}
	_ = s.Close() // which can change nothing
	disk.SetFault(nil)
	s = open(t, disk, "store", local.Options{})
	found := read(t, s, "a")
	if found != 2 {
		t.Fatalf("the next process finds %d entries, want that of the failed sync, too", found)
	}
	disk = disk.Crash(func() bool { return false })
	if left := read(t, open(t, disk, "store", local.Options{}), "a"); left < found {
		t.Errorf("%d entries are left of %d that were found", left, found)
	}
}
