//go:build !linux

package wasm

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newBaseFile makes the file of a base image.
func newBaseFile(dir string, fill func(*os.File) error) (*os.File, error) {
	return namelessFile(dir, fill)
}

func prepare([]byte) {}

// discard forgets what was written to the memory, and tells whether it has its
// base image then.
func (m *linearMemory) discard() (based bool, err error) {
	_, err = unix.MmapPtr(-1, 0, unsafe.Pointer(&m.reserved[0]), uintptr(m.size),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return false, err
}
