package wasm

import "golang.org/x/sys/unix"

// SetLargePages decides from how many pages on a state gets its own file.
func (e *Engine) SetLargePages(n int) { e.states.large = n }

// LoseFiles leaves no room for states but memory.
func (e *Engine) LoseFiles() error {
	err := e.states.close()
	e.states.slab, e.states.most = &slab{}, 0
	return err
}

// SetStateFiles bounds the files of large states.
func (e *Engine) SetStateFiles(n int) { e.states.most = int64(n) }

// SetDisk keeps states on a disk that is full, so that writing fails after half of
// it, and broken, so that nothing else works, whenever it is said to be.
func (e *Engine) SetDisk(full, broken func() bool) error {
	if err := e.states.close(); err != nil {
		return err
	}
	e.states = openStates(func() (stateDisk, error) {
		if full() {
			return nil, unix.ENOSPC
		}
		d, err := newStateFile(e.images)
		return faultyDisk{d, full, broken}, err
	}, &e.memory)
	return nil
}

type faultyDisk struct {
	stateDisk
	full, broken func() bool
}

func (d faultyDisk) WriteAt(p []byte, offset int64) (int, error) {
	if !d.full() {
		return d.stateDisk.WriteAt(p, offset)
	}
	n, err := d.stateDisk.WriteAt(make([]byte, len(p)/2), offset)
	if err == nil {
		err = unix.ENOSPC
	}
	return n, err
}

func (d faultyDisk) Truncate(size int64) error {
	if d.full() {
		return unix.ENOSPC
	}
	return d.stateDisk.Truncate(size)
}

func (d faultyDisk) ReadAt(p []byte, offset int64) (int, error) {
	if d.broken() {
		return 0, unix.EIO
	}
	return d.stateDisk.ReadAt(p, offset)
}

func (d faultyDisk) Fd() uintptr {
	if d.broken() {
		return ^uintptr(0)
	}
	return d.stateDisk.Fd()
}

// StateFiles is how many states have their own file, and how many slots are
// used.
func (e *Engine) StateFiles() (files, slots int) {
	return int(e.states.files.Load()), e.states.slab.used
}

// Reserved is what the memory of all instances, and states without room in
// files, takes of Config.MaxMemory.
func (e *Engine) Reserved() uint64 { return e.memory.used.Load() }

// SetRedundantPages decides how soon an instance in use shows its state anew.
func (e *Engine) SetRedundantPages(n int) { e.redundant = n }

// OwnPages is how many pages of its memory are the instance's own, as far as the
// tracker knows.
func (in *Instance) OwnPages() (pages int, err error) {
	err = in.module.engine.tracking.tracker.written(in.memory.bytes(), 0, in.memory.size, func(from, to uint64) bool {
		pages += int(to-from) / PageSize
		return true
	})
	return pages, err
}

// NewSaved is that of the instance's module.
func (in *Instance) NewSaved() *Saved { return in.module.NewSaved() }

// Shows tells whether the memory of the instance is a mapping of s.
func (in *Instance) Shows(s *Saved) bool { return in.memory.base == s.base && in.memory.file == s.file }
