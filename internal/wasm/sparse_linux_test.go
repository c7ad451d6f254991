package wasm

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
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
