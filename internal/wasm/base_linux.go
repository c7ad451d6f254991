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

// sparse tells whether what is left out of a file in dir takes no space, even
// when it is read through a mapping. If it does, as in a file system in memory,
// reading it kills the process when there is no space left.
func sparse(dir string) bool {
	f, err := scratchFile(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	sink, err := newStateFile("")
	if err != nil {
		return false
	}
	defer sink.Close()
	if f.Truncate(wasmPage) != nil {
		return false
	}
	content, err := unix.Mmap(int(f.Fd()), 0, wasmPage, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	// If the kernel reads it, that is an error at worst.
	_, err = sink.WriteAt(content[:1], 0)
	var is unix.Stat_t
	err = errors.Join(err, unix.Munmap(content), unix.Fstat(int(f.Fd()), &is))
	return err == nil && is.Blocks == 0
}

// prepare has the machine give a memory single pages: of a large one all would
// be taken, and count as written to, for one byte.
func prepare(reserved []byte) {
	// It is refused by kernels that have no large pages.
	_ = unix.Madvise(reserved, unix.MADV_NOHUGEPAGE)
}

// discard forgets what was written to the memory, and tells whether it shows its
// base image then.
func (m *linearMemory) discard() (kept bool, err error) {
	if m.base.file == nil && len(m.base.content) > 0 {
		return false, nil
	}
	return true, unix.Madvise(m.reserved[:m.size], unix.MADV_DONTNEED)
}

// newStateFile makes an empty file for states, in dir, or in memory if there is
// no dir or it cannot have one.
func newStateFile(dir string) (stateDisk, error) {
	if dir != "" {
		if f, err := scratchFile(dir); err == nil {
			return f, nil
		}
	}
	fd, err := unix.MemfdCreate("waterbear-state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "waterbear-state"), nil
}

// punch gives the space of a part of a file back. It is zero then.
func punch(f stateDisk, from, length int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, length)
}
