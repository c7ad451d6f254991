// Package vfs is the disk as Waterbear sees it: files written at offsets,
// directories whose entries have to be synced like data, and locks. OS is the
// real thing; Memory is a disk for tests that can lose power, fill up, fail
// and rot. No other package below the server touches the disk by itself, so
// whatever is built on this one can be tested against all of that.
//
// Names are slash-separated paths.
package vfs

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrFull is for an operation that needs space there is none of.
	ErrFull = errors.New("no space left on the disk")
	// ErrReadOnly is for a change of a disk that allows none.
	ErrReadOnly = errors.New("the file system is read-only")
)

// LockedError refuses a lock that another has.
type LockedError struct {
	Name string
	PID  int // the process that has it; 0 if it is not known
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Name)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Name, e.PID)
}

// FS is a disk. A missing file is fs.ErrNotExist, a full disk ErrFull, one
// that allows no change ErrReadOnly or fs.ErrPermission.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create makes an empty file for reading and writing in place of whatever
	// had the name. The name is durable after SyncDir of its directory.
	Create(name string) (File, error)
	// OpenWrite opens a file that is there for reading and writing.
	OpenWrite(name string) (File, error)
	// Remove removes a file or an empty directory. Who has it open goes on
	// using it.
	Remove(name string) error
	// Rename gives a file another name, in place of whatever had that name.
	Rename(from, to string) error
	// MkdirAll makes a directory and those above it, and syncs the entries
	// that it made. It leaves none that it could not sync.
	MkdirAll(dir string) error
	// List gives the names in a directory, sorted.
	List(dir string) ([]string, error)
	// Stat gives a file's size.
	Stat(name string) (size int64, err error)
	// SyncDir makes the entries of a directory durable: what was created,
	// renamed and removed there.
	SyncDir(dir string) error
	// Lock takes the lock of that name, makes its file if need be, and
	// writes the process id there for people. It fails at once with a
	// *LockedError when another has it, also in this process. A process that
	// ends loses its locks.
	Lock(name string) (io.Closer, error)
	// Locked reports whether a process has the lock of that name.
	Locked(name string) (bool, error)
	// Unpredictable gives bits that nobody can foresee who does not see the
	// disk; in Memory they come from its seed.
	Unpredictable() uint64
}

// File is an open file. ReadAt and WriteAt may be called concurrently.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Allocate reserves space for the bytes from from to to, which read as
	// zero until they are written, and makes the file that long. Writing there
	// later neither runs out of space nor changes the size.
	Allocate(from, to int64) error
	// Sync makes content and size durable. When it fails, nothing is known
	// about anything that was written since the Sync before, and another Sync
	// that succeeds does not change that: only writing again does.
	Sync() error
	// SyncData is Sync without what is not needed to read the content back,
	// such as the time of the last change.
	SyncData() error
}
