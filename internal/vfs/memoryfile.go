package vfs

import (
	"fmt"
	"io"
	"io/fs"
)

// memoryFile is an open file of a Memory.
type memoryFile struct {
	disk   *Memory
	node   *node
	name   string
	write  bool
	closed bool
}

func (f *memoryFile) usable(op string, write bool) error {
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	if write && !f.write {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrPermission}
	}
	return nil
}

func (f *memoryFile) ReadAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if err := f.disk.check(Op{Kind: OpRead, Name: f.name}); err != nil {
		return 0, err
	}
	if offset >= int64(len(f.node.live)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.live[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable("write", true); err != nil {
		return 0, err
	}
	n := 0
	err := f.disk.change(Op{Kind: OpWrite, Name: f.name, Bytes: len(p)}, func() error {
		grown, err := f.grow(offset + int64(len(p)))
		n = copy(f.node.live[min(offset, grown):grown], p)
		f.touch(offset, offset+int64(n))
		return err
	})
	return n, err
}

// grow makes the file at least size bytes long as far as there is space and
// says how far that is.
func (f *memoryFile) grow(size int64) (int64, error) {
	have := int64(len(f.node.live))
	if size <= have {
		return size, nil
	}
	need := pages(int(size)) - pages(int(have))
	var err error
	if free := f.disk.capacity - f.disk.used; f.disk.capacity > 0 && need > free {
		err = fmt.Errorf("write %s: %w", f.name, ErrFull)
		size = pages(int(have)) + max(free, 0)/pageSize*pageSize
		need = pages(int(size)) - pages(int(have))
	}
	f.disk.used += need
	f.node.live = append(f.node.live, make([]byte, size-have)...)
	f.node.resized = true
	return size, err
}

func (f *memoryFile) touch(from, to int64) {
	for page := from / pageSize; page*pageSize < to; page++ {
		f.node.dirty[page] = true
	}
}

func (f *memoryFile) Allocate(from, to int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable("allocate", true); err != nil {
		return err
	}
	return f.disk.change(Op{Kind: OpAllocate, Name: f.name, Bytes: int(to - from)}, func() error {
		before := int64(len(f.node.live))
		grown, err := f.grow(to)
		if err != nil { // All or nothing, as fallocate has it.
			f.disk.used -= pages(int(grown)) - pages(int(before))
			f.node.live = f.node.live[:before]
		}
		return err
	})
}

func (f *memoryFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable("truncate", true); err != nil {
		return err
	}
	return f.disk.change(Op{Kind: OpTruncate, Name: f.name}, func() error {
		if size >= int64(len(f.node.live)) {
			_, err := f.grow(size)
			return err
		}
		f.disk.used -= pages(len(f.node.live)) - pages(int(size))
		// Bytes that a later write brings back behind the end are zero.
		clear(f.node.live[size:])
		f.node.live = f.node.live[:size]
		f.touch(size-1, size)
		f.node.resized = true
		return nil
	})
}

func (f *memoryFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.live)), f.disk.check(Op{Kind: OpStat, Name: f.name})
}

func (f *memoryFile) Sync() error     { return f.sync() }
func (f *memoryFile) SyncData() error { return f.sync() }

func (f *memoryFile) sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.usable("sync", false); err != nil {
		return err
	}
	n := f.node
	err := f.disk.change(Op{Kind: OpSync, Name: f.name}, func() error {
		n.writeBack()
		return nil
	})
	if err != nil && !f.disk.off {
		// The pages of a failed sync count as clean, though the disk does not
		// have them: that is what Linux does. The size is in the file system's
		// own journal and goes with the next sync that succeeds.
		n.dirty = map[int64]bool{}
	}
	return err
}

// writeBack makes the file durable as it is.
func (n *node) writeBack() {
	if n.resized {
		n.durable = resize(n.durable, len(n.live))
	}
	for page := range n.dirty {
		at := page * pageSize
		if at < int64(len(n.live)) && at < int64(len(n.durable)) {
			copy(n.durable[at:], n.live[at:min(at+pageSize, int64(len(n.live)))])
		}
	}
	n.dirty, n.resized = map[int64]bool{}, false
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		clear(b[size:])
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

func (f *memoryFile) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}
