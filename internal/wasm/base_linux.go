package wasm

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// newBaseFile makes the file of a base image: in dir, or in memory if there is
// no dir or it has no room.
func newBaseFile(dir string, fill func(*os.File) error) (*os.File, error) {
	if dir != "" {
		if f, err := namelessFile(dir, fill); err == nil {
			return f, nil
		}
	}
	fd, err := unix.MemfdCreate("waterbear-base", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "waterbear-base")
	err = fill(f)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// prepare has the machine give a memory single pages: of a large one all would
// be taken, and count as written to, for one byte.
func prepare(reserved []byte) {
	// It is refused by kernels that have no large pages.
	_ = unix.Madvise(reserved, unix.MADV_NOHUGEPAGE)
}

// discard forgets what was written to the memory, and tells whether it has its
// base image then.
func (m *linearMemory) discard() (based bool, err error) {
	return m.base.file != nil, unix.Madvise(m.reserved[:m.size], unix.MADV_DONTNEED)
}
