package wasm

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatIsLeftOutOfAFileMustTakeNoSpace(t *testing.T) {
	if !sparse(t.TempDir()) {
		t.Error("a directory on a disk is not good enough")
	}
	if sparse(filepath.Join(t.TempDir(), "gone")) {
		t.Error("a directory that is not there is good enough")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", wasmPage)); err != nil {
		t.Skip(err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	if sparse(dir) {
		t.Error("a directory in memory is good enough")
	}
	if err := os.WriteFile(filepath.Join(dir, "all"), make([]byte, wasmPage), 0o600); err != nil {
		t.Fatal(err)
	}
	if sparse(dir) {
		t.Error("a full directory in memory is good enough")
	}
}

// TestThePageOfZerosCountsWhereThereWasSomethingElse reads memory that nobody has
// written to: the kernel has one page for all of that, and may use it for what
// zeros were written to.
func TestThePageOfZerosCountsWhereThereWasSomethingElse(t *testing.T) {
	x, err := chooseTracker(TrackScan)
	if err != nil {
		t.Skip(err)
	}
	defer x.close()
	memory, err := unix.Mmap(-1, 0, 8*PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(memory); err != nil {
			t.Error(err)
		}
	}()
	prepare(memory)
	sum := byte(0)
	for at := 0; at < len(memory); at += PageSize {
		sum += memory[at]
	}
	memory[0] = sum + 1
	for _, c := range []struct {
		from, to uint64
		want     string
	}{
		{0, 0, "[0]"},
		{0, PageSize, "[0]"},
		{3 * PageSize, 5 * PageSize, "[0 3 4]"},
		{0, 8 * PageSize, "[0 1 2 3 4 5 6 7]"},
	} {
		got := []uint64{}
		err := x.tracker.written(memory, c.from, c.to, func(from, to uint64) bool {
			for ; from < to; from += PageSize {
				got = append(got, from/PageSize)
			}
			return true
		})
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("with content from %d to %d: got %v, %v, want %s", c.from, c.to, got, err, c.want)
		}
	}
}
