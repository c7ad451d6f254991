package sim

import (
	"errors"
	"io"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

var errKilled = errors.New("the process has been killed")

// process is the disk as one process has it. Its plan kills it before one of
// its changes; from then on nothing that it does reaches the disk, while what
// it did goes on to be there, synced or not.
type process struct {
	vfs.FS
	plan    *plan
	changes int
	locks   []io.Closer
}

// alive reports whether the process may do something with the disk.
func (p *process) alive() error {
	if p.plan.machine.sim.Crashed() {
		return errKilled
	}
	return nil
}

// changing is alive for what changes the disk.
func (p *process) changing(what string) error {
	if p.changes == p.plan.kill && !p.plan.judging {
		p.plan.machine.note("killed before %s", what)
		p.plan.machine.sim.Crash()
	}
	p.changes++
	return p.alive()
}

// end takes the process's locks away.
func (p *process) end() {
	for _, lock := range p.locks {
		_ = lock.Close() // The process may have done so.
	}
}

func (p *process) Lock(name string) (io.Closer, error) {
	if err := p.changing("lock " + name); err != nil {
		return nil, err
	}
	lock, err := p.FS.Lock(name)
	if err == nil {
		p.locks = append(p.locks, lock)
	}
	return lock, err
}

func (p *process) Open(name string) (vfs.File, error) { return p.opened(p.FS.Open(name)) }

func (p *process) OpenWrite(name string) (vfs.File, error) { return p.opened(p.FS.OpenWrite(name)) }

func (p *process) Create(name string) (vfs.File, error) {
	if err := p.changing("create " + name); err != nil {
		return nil, err
	}
	return p.opened(p.FS.Create(name))
}

func (p *process) opened(f vfs.File, err error) (vfs.File, error) {
	if err == nil {
		err = p.alive()
	}
	if err != nil {
		return nil, err
	}
	return &openFile{f, p}, nil
}

func (p *process) Remove(name string) error {
	if err := p.changing("remove " + name); err != nil {
		return err
	}
	return p.FS.Remove(name)
}

func (p *process) Rename(from, to string) error {
	if err := p.changing("rename " + from); err != nil {
		return err
	}
	return p.FS.Rename(from, to)
}

func (p *process) MkdirAll(dir string) error {
	if err := p.changing("make " + dir); err != nil {
		return err
	}
	return p.FS.MkdirAll(dir)
}

func (p *process) SyncDir(dir string) error {
	if err := p.changing("sync " + dir); err != nil {
		return err
	}
	return p.FS.SyncDir(dir)
}

// openFile is a file that a process has open.
type openFile struct {
	vfs.File
	process *process
}

func (f *openFile) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.process.alive(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, offset)
}

func (f *openFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.process.changing("a write"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, offset)
}

func (f *openFile) Truncate(size int64) error {
	if err := f.process.changing("a truncation"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *openFile) Allocate(from, to int64) error {
	if err := f.process.changing("an allocation"); err != nil {
		return err
	}
	return f.File.Allocate(from, to)
}

func (f *openFile) Sync() error {
	if err := f.process.changing("a sync"); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *openFile) SyncData() error {
	if err := f.process.changing("a sync"); err != nil {
		return err
	}
	return f.File.SyncData()
}
