package wasm

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Bounds of states.
const (
	// largePages is how many pages a state may have of its own before it gets a
	// file with its whole memory. To restore and compare a page costs about two
	// microseconds, and to map a file 20 whatever is in it; but a file takes a
	// descriptor, and the disk for what the base has too.
	largePages = 64
	// maxStateFiles bounds the files of large states, and so does a quarter of the
	// descriptors that the process may have.
	maxStateFiles = 16 << 10
)

// stateDisk is as much of a file as states need. Writing fails when the disk is
// full.
type stateDisk interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Fd() uintptr
}

// states is where an engine keeps states.
type states struct {
	slab   *slab
	budget *memoryBudget // what no file has room for counts as memory
	pages  sync.Pool     // of *[PageSize]byte, in which one is put together
	open   func() (stateDisk, error)
	large  int          // the most pages of a small state
	most   int64        // files of large states
	files  atomic.Int64 // that there are
}

// openStates keeps states in files that open makes.
func openStates(open func() (stateDisk, error), budget *memoryBudget) *states {
	x := &states{slab: openSlab(open), budget: budget, open: open, large: largePages, pages: sync.Pool{New: func() any { return new([PageSize]byte) }}}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		x.most = int64(min(limit.Cur/4, maxStateFiles))
	}
	return x
}

func (x *states) close() error { return x.slab.close() }

// stateFile is the memory of one large state as a file without a name, so that
// a mapping is all it takes to have it. Nobody relies on it beyond the process.
// It is never shorter than what has been mapped of it.
type stateFile struct {
	file   stateDisk
	reach  uint64 // its length
	states *states
}

// create makes a file of length zeros.
func (x *states) create(length uint64) (*stateFile, error) {
	if x.files.Add(1) > x.most {
		x.files.Add(-1)
		return nil, fmt.Errorf("there are %d large states, and files for no more", x.most)
	}
	file, err := x.open()
	if err != nil {
		x.files.Add(-1)
		return nil, err
	}
	f := &stateFile{file: file, states: x}
	if err := f.extend(length); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *stateFile) close() error {
	f.states.files.Add(-1)
	return f.file.Close()
}

// extend makes the file longer by zeros.
func (f *stateFile) extend(length uint64) error {
	if length <= f.reach {
		return nil
	}
	if err := f.file.Truncate(int64(length)); err != nil {
		return err
	}
	f.reach = length
	return nil
}

// put makes a memory what the file is at the time, for as long as it is. What is
// written to the file later is seen in pages that the memory has none of its own
// of.
func (f *stateFile) put(memory []byte) error { return mapFile(f.file, memory) }

// read fills buf from an offset on.
func (f *stateFile) read(offset uint64, buf []byte) error {
	_, err := f.file.ReadAt(buf, int64(offset))
	return err
}

// write replaces what is at an offset, if there is room on the disk.
func (f *stateFile) write(offset uint64, p []byte) error {
	_, err := f.file.WriteAt(p, int64(offset))
	return err
}
