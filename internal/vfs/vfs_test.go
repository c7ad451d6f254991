package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// disks runs a test on the machine's disk and on one in memory.
func disks(t *testing.T, test func(t *testing.T, disk vfs.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, vfs.OS(), t.TempDir()) })
	t.Run("memory", func(t *testing.T) {
		disk := vfs.NewMemory(1)
		must(t, disk.MkdirAll("/tmp/test"))
		test(t, disk, "/tmp/test")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, disk vfs.FS, name, content string) vfs.File {
	t.Helper()
	f, err := disk.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	must(t, err)
	return f
}

func content(t *testing.T, disk vfs.FS, name string) string {
	t.Helper()
	f, err := disk.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "(none)"
	}
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesHoldWhatWasWritten(t *testing.T) {
	disks(t, func(t *testing.T, disk vfs.FS, dir string) {
		name := path.Join(dir, "file")
		f := write(t, disk, name, "hello")
		_, err := f.WriteAt([]byte("world"), 8)
		must(t, err)
		must(t, f.Sync())
		must(t, f.SyncData())
		if got, want := content(t, disk, name), "hello\x00\x00\x00world"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		must(t, f.Truncate(3))
		must(t, f.Truncate(6))
		if got, want := content(t, disk, name), "hel\x00\x00\x00"; got != want {
			t.Errorf("after truncation: got %q, want %q", got, want)
		}
		if n, err := f.ReadAt(make([]byte, 4), 4); n != 2 || !errors.Is(err, io.EOF) {
			t.Errorf("a read over the end gave %d bytes and %v", n, err)
		}
		must(t, f.Close())
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a read of a closed file: %v", err)
		}
		r, err := disk.Open(name)
		must(t, err)
		defer r.Close()
		if _, err := r.WriteAt([]byte("x"), 0); err == nil {
			t.Error("a file opened for reading was written")
		}
	})
}

func TestAllocatedBytesReadAsZeroAndKeepWhatIsThere(t *testing.T) {
	disks(t, func(t *testing.T, disk vfs.FS, dir string) {
		name := path.Join(dir, "file")
		f := write(t, disk, name, "abc")
		defer f.Close()
		must(t, f.Allocate(3, 10_000))
		want := "abc" + string(make([]byte, 9_997))
		if got := content(t, disk, name); got != want {
			t.Errorf("got %d bytes beginning with %q", len(got), got[:min(len(got), 8)])
		}
		must(t, f.Allocate(1, 5_000))
		if size, _ := f.Size(); size != 10_000 {
			t.Errorf("allocating inside made the size %d", size)
		}
	})
}

func TestNamesMoveAndGoAway(t *testing.T) {
	disks(t, func(t *testing.T, disk vfs.FS, dir string) {
		must(t, disk.MkdirAll(path.Join(dir, "a/b")))
		must(t, disk.MkdirAll(path.Join(dir, "a/b")))
		one, two := path.Join(dir, "a/one"), path.Join(dir, "a/b/two")
		open := write(t, disk, one, "1")
		defer open.Close()
		must(t, write(t, disk, two, "2").Close())
		must(t, disk.Rename(one, two))
		must(t, disk.SyncDir(path.Join(dir, "a")))
		if got := content(t, disk, two); got != "1" {
			t.Errorf("the renamed file holds %q", got)
		}
		names, err := disk.List(path.Join(dir, "a"))
		must(t, err)
		if !slices.Equal(names, []string{"b"}) {
			t.Errorf("names left: %q", names)
		}
		if disk.Remove(path.Join(dir, "a/b")) == nil {
			t.Error("a directory that is not empty was removed")
		}
		must(t, write(t, disk, two, "3").Close())
		if b := make([]byte, 1); true {
			if _, err := open.ReadAt(b, 0); err != nil || string(b) != "1" {
				t.Errorf("an open file whose name was taken reads %q, %v", b, err)
			}
		}
		must(t, disk.Remove(two))
		for _, call := range []func() error{
			func() error { _, err := disk.Open(two); return err },
			func() error { _, err := disk.OpenWrite(two); return err },
			func() error { _, err := disk.Stat(two); return err },
			func() error { _, err := disk.List(path.Join(dir, "none")); return err },
			func() error { _, err := disk.Create(path.Join(dir, "none/x")); return err },
			func() error { return disk.Remove(two) },
			func() error { return disk.Rename(two, one) },
			func() error { return disk.SyncDir(path.Join(dir, "none")) },
		} {
			if err := call(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("missing name: %v", err)
			}
		}
	})
}

func TestALockIsHeldAgainstTheSameProcessAndFreedByClose(t *testing.T) {
	disks(t, func(t *testing.T, disk vfs.FS, dir string) {
		name := path.Join(dir, "LOCK")
		lock, err := disk.Lock(name)
		must(t, err)
		var locked *vfs.LockedError
		if _, err := disk.Lock(name); !errors.As(err, &locked) || locked.Name != name {
			t.Fatalf("the second lock: %v", err)
		}
		if disk == vfs.OS() && locked.PID != os.Getpid() {
			t.Errorf("the holder is said to be %d", locked.PID)
		}
		must(t, lock.Close())
		again, err := disk.Lock(name)
		must(t, err)
		must(t, again.Close())
	})
}

func TestALockIsHeldAgainstOtherProcesses(t *testing.T) {
	if name := os.Getenv("VFS_TEST_LOCK"); name != "" {
		_, err := vfs.OS().Lock(name)
		os.Stdout.WriteString("lock: " + err.Error() + "\n")
		return
	}
	name := path.Join(t.TempDir(), "LOCK")
	lock, err := vfs.OS().Lock(name)
	must(t, err)
	defer lock.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestALockIsHeldAgainstOtherProcesses$")
	child.Env = append(os.Environ(), "VFS_TEST_LOCK="+name)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "is locked by process") {
		t.Errorf("the other process said %q, %v", out, err)
	}
}

func TestAFullDeviceIsErrFull(t *testing.T) {
	f, err := vfs.OS().OpenWrite("/dev/full")
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, vfs.ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestAPowerFailureLeavesWhatWasSynced(t *testing.T) {
	disk := vfs.NewMemory(1)
	must(t, disk.MkdirAll("d"))
	f := write(t, disk, "d/synced", "one")
	must(t, f.Sync())
	must(t, disk.SyncDir("d"))
	_, err := f.WriteAt([]byte("two"), 0)
	must(t, err)
	must(t, write(t, disk, "d/unnamed", "x").Sync())
	must(t, disk.Rename("d/synced", "d/renamed"))

	left := disk.Crash(nil)
	for name, want := range map[string]string{"d/synced": "one", "d/renamed": "(none)", "d/unnamed": "(none)"} {
		if got := content(t, left, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	all := disk.Crash(func() bool { return true })
	for name, want := range map[string]string{"d/synced": "(none)", "d/renamed": "two", "d/unnamed": "x"} {
		if got := content(t, all, name); got != want {
			t.Errorf("with all kept, %s holds %q, want %q", name, got, want)
		}
	}
}

func TestAPowerFailureTearsWritesAtSectors(t *testing.T) {
	disk := vfs.NewMemory(1)
	f := write(t, disk, "f", strings.Repeat("a", 4*vfs.SectorSize))
	must(t, f.Sync())
	must(t, disk.SyncDir("/"))
	_, err := f.WriteAt(bytes.Repeat([]byte("b"), 4*vfs.SectorSize), 0)
	must(t, err)
	asked := 0
	left := content(t, disk.Crash(func() bool { asked++; return asked%2 == 0 }), "f")
	var want strings.Builder
	for _, c := range []string{"a", "b", "a", "b"} {
		want.WriteString(strings.Repeat(c, vfs.SectorSize))
	}
	if left != want.String() {
		t.Errorf("got %q", left)
	}
}

func TestAFailedSyncLosesTheWritesForGood(t *testing.T) {
	disk := vfs.NewMemory(1)
	f := write(t, disk, "f", "old")
	must(t, f.Sync())
	must(t, disk.SyncDir("/"))
	_, err := f.WriteAt([]byte("new"), 0)
	must(t, err)
	broken := errors.New("broken")
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return broken
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	disk.SetFault(nil)
	must(t, f.Sync())
	if got := content(t, disk, "f"); got != "new" {
		t.Errorf("before the crash it reads %q", got)
	}
	if got := content(t, disk.Crash(nil), "f"); got != "old" {
		t.Errorf("after the crash it reads %q", got)
	}
	_, err = f.WriteAt([]byte("new"), 0)
	must(t, err)
	must(t, f.Sync())
	if got := content(t, disk.Crash(nil), "f"); got != "new" {
		t.Errorf("after writing again it reads %q", got)
	}
}

func TestWritingAgainAfterAFailedSyncIsDurableBehindTheOldEndToo(t *testing.T) {
	disk := vfs.NewMemory(1)
	f := write(t, disk, "f", "old")
	must(t, f.Sync())
	must(t, disk.SyncDir("/"))
	must(t, f.Allocate(3, 9000))
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return errors.New("broken")
		}
		return nil
	})
	if err := f.Sync(); err == nil {
		t.Fatal("the sync did not fail")
	}
	disk.SetFault(nil)
	_, err := f.WriteAt([]byte("new"), 8000)
	must(t, err)
	must(t, f.Sync())
	left := content(t, disk.Crash(nil), "f")
	if len(left) != 9000 || left[8000:8003] != "new" {
		t.Errorf("after the crash it has %d bytes", len(left))
	}
}

func TestThePowerGoesOffAtTheGivenChange(t *testing.T) {
	story := func(disk *vfs.Memory) error {
		f, err := disk.Create("f")
		if err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error { return disk.SyncDir("/") },
			func() error { _, err := f.WriteAt([]byte("1"), 0); return err },
			f.Sync,
			func() error { _, err := f.WriteAt([]byte("2"), 0); return err },
			f.Sync,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
	want := []string{"(none)", "(none)", "", "", "1", "1", "2"}
	for k := range want {
		disk := vfs.NewMemory(1)
		disk.PowerOffAt(k)
		err := story(disk)
		if done := k == len(want)-1; done != (err == nil) || !done && !errors.Is(err, vfs.ErrPowerOff) {
			t.Fatalf("change %d: %v", k, err)
		}
		if got := content(t, disk.Crash(nil), "f"); got != want[k] {
			t.Errorf("power off at change %d leaves %q, want %q", k, got, want[k])
		}
	}
}

func TestADiskThatIsFullWorksAgainWhenThereIsSpace(t *testing.T) {
	disk := vfs.NewMemory(1)
	disk.SetCapacity(3 * 4096)
	f := write(t, disk, "f", "x")
	ballast := write(t, disk, "ballast", strings.Repeat("b", 4096))
	if err := f.Allocate(1, 3*4096); !errors.Is(err, vfs.ErrFull) {
		t.Fatalf("allocating too much: %v", err)
	}
	if size, _ := f.Size(); size != 1 {
		t.Errorf("the refused allocation made the size %d", size)
	}
	n, err := f.WriteAt(make([]byte, 3*4096), 0)
	if n != 2*4096 || !errors.Is(err, vfs.ErrFull) {
		t.Errorf("writing too much wrote %d bytes: %v", n, err)
	}
	must(t, ballast.Close())
	must(t, disk.Remove("ballast"))
	_, err = f.WriteAt(make([]byte, 3*4096), 0)
	must(t, err)
	if got := disk.Used(); got != 3*4096 {
		t.Errorf("%d bytes used", got)
	}
}

func TestFlippedBitsStayFlipped(t *testing.T) {
	disk := vfs.NewMemory(1)
	f := write(t, disk, "f", "abc")
	must(t, f.Sync())
	must(t, disk.SyncDir("/"))
	if !disk.Flip("f", 1, 0x20) || disk.Flip("f", 3, 1) || disk.Flip("g", 0, 1) {
		t.Error("Flip does not know what it did")
	}
	if got := content(t, disk, "f") + content(t, disk.Crash(nil), "f"); got != "aBcaBc" {
		t.Errorf("got %q", got)
	}
}

func TestTheSameSeedGivesTheSameNumbers(t *testing.T) {
	a, b, c := vfs.NewMemory(7), vfs.NewMemory(7), vfs.NewMemory(8)
	for range 10 {
		x, y, z := a.Unpredictable(), b.Unpredictable(), c.Unpredictable()
		if x != y || x == z {
			t.Fatalf("%x %x %x", x, y, z)
		}
	}
	if first := vfs.OS().Unpredictable(); first == vfs.OS().Unpredictable() {
		t.Error("the machine's numbers repeat")
	}
}
