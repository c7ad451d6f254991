package vfs

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Files and directories are the owner's alone: they hold what programs and
// their users keep secret.
const (
	fileMode = 0o600
	dirMode  = 0o700
)

// OS gives the disk of the machine.
func OS() FS { return machine{} }

type machine struct{}

// Open opens a file for reading.
func (machine) Open(name string) (File, error) { return open(name, os.O_RDONLY) }

// Create makes an empty file. What had the name is removed rather than
// emptied, so that who has it open keeps it.
func (machine) Create(name string) (File, error) {
	for {
		f, err := open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, known(err)
		}
	}
}

// OpenWrite opens a file for reading and writing.
func (machine) OpenWrite(name string) (File, error) { return open(name, os.O_RDWR) }

func open(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, fileMode)
	if err != nil {
		return nil, known(err)
	}
	return osFile{f}, nil
}

// Remove removes a file or an empty directory.
func (machine) Remove(name string) error { return known(os.Remove(name)) }

// Rename gives a file another name.
func (machine) Rename(from, to string) error { return known(os.Rename(from, to)) }

// MkdirAll makes a directory and those above it.
func (m machine) MkdirAll(dir string) error {
	if s, err := os.Stat(dir); err == nil {
		if !s.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := path.Dir(dir)
	if parent != dir {
		if err := m.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return known(err)
	}
	if err := m.SyncDir(parent); err != nil {
		// So that another attempt does not take it for done.
		return errors.Join(err, os.Remove(dir))
	}
	return nil
}

// List gives the names in a directory, sorted.
func (machine) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, known(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, known(err)
}

// Stat gives a file's size.
func (machine) Stat(name string) (int64, error) {
	s, err := os.Stat(name)
	if err != nil {
		return 0, known(err)
	}
	return s.Size(), nil
}

// SyncDir makes the entries of a directory durable.
func (machine) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return known(err)
	}
	err = f.Sync()
	return errors.Join(known(err), f.Close())
}

// Lock takes an flock, which unlike a lock by fcntl also holds against this
// process and is not lost when somebody closes the file.
func (machine) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, known(err)
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid := holder(f)
		_ = f.Close()
		return nil, &LockedError{Name: name, PID: pid}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// The id is for people only; a lock without it is as good.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// holder reads which process took the lock of f last; 0 if it is not known.
func holder(f *os.File) int {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	return pid
}

// Locked first asks whether the process that took the lock last is alive: only
// if it is, or another has its id by now, does it try the lock, since who tries
// it is in the way of who takes it.
func (machine) Locked(name string) (bool, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, known(err)
	}
	defer f.Close()
	if pid := holder(f); pid == 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false, nil
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Unpredictable gives random bits.
func (machine) Unpredictable() uint64 {
	var b [8]byte
	// It never fails: crypto/rand ends the process rather than return less.
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

type osFile struct{ *os.File }

func (f osFile) WriteAt(p []byte, offset int64) (int, error) {
	n, err := f.File.WriteAt(p, offset)
	return n, known(err)
}

func (f osFile) Size() (int64, error) {
	s, err := f.Stat()
	if err != nil {
		return 0, known(err)
	}
	return s.Size(), nil
}

func (f osFile) Truncate(size int64) error { return known(f.File.Truncate(size)) }

func (f osFile) Sync() error { return known(f.File.Sync()) }

func (f osFile) SyncData() error {
	if err := retry(func() error { return syncData(f.File) }); err != nil {
		return known(&fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err})
	}
	return nil
}

func (f osFile) Allocate(from, to int64) error {
	err := retry(func() error { return allocate(f.File, from, to) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.writeZeros(from, to)
	}
	if err != nil {
		return known(&fs.PathError{Op: "fallocate", Path: f.Name(), Err: err})
	}
	return nil
}

// writeZeros reserves space on file systems that cannot do it otherwise.
func (f osFile) writeZeros(from, to int64) error {
	zeros := make([]byte, min(to-from, 1<<20))
	for from < to {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// known makes what callers branch on recognizable.
func known(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}
