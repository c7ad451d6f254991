// Package local keeps a store in a directory. Everything is a record in one log
// that all shards append to, a few large files; large blobs are files of their
// own. An index of the log, which can be thrown away, finds what is asked for.
// docs/STORAGE.md specifies every byte.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// LockName is the file in a store's directory that the process which may write
// there has locked.
const LockName = "LOCK"

// Options are for tests, which make everything small; zero values are replaced
// by the defaults.
type Options struct {
	// Progress, if set, is told how much of the log was read, from 0 to 1,
	// when opening takes long.
	Progress func(done float64)

	FileBytes     int64 // size of a log file: 64 MiB
	AllocateBytes int64 // how much of it is allocated at a time: 1 MiB
	FlushWeight   int   // chunks in memory before the index is written: 32 Ki
	FlushBytes    int64 // bytes of log before the index is written: 16 MiB
}

func (o *Options) setDefaults() {
	if o.Progress == nil {
		o.Progress = func(float64) {}
	}
	if o.FileBytes == 0 {
		o.FileBytes = 64 << 20
	}
	if o.AllocateBytes == 0 {
		o.AllocateBytes = 1 << 20
	}
	if o.FlushWeight == 0 {
		o.FlushWeight = 32 << 10
	}
	if o.FlushBytes == 0 {
		o.FlushBytes = 16 << 20
	}
}

// Store is an open directory.
type Store struct {
	disk     vfs.FS
	dir      string
	options  Options
	readOnly bool
	lock     io.Closer

	// turn is the right to append, as the log has one end: whoever has it may
	// wait for the disk. No reader ever waits for it.
	turn    sync.Mutex
	tail    tail
	records []record // of the segment being appended

	// housekeeping is the right to write the index and to remove log files.
	housekeeping sync.Mutex
	idleAt       position // of the log when housekeeping last saw it
	indexWriting struct {
		sinceBytes int64 // of log since the index was frozen; guarded by turn
		failures   int   // in a row; guarded by turn
	}

	index   atomic.Pointer[index]
	retired []*index // replaced, but perhaps still used; guarded by turn
	handles *handles
	blobs   blobFiles
	calls   calls
}

var (
	_ storage.Store       = (*Store)(nil)
	_ storage.Housekeeper = (*Store)(nil)
)

// Open opens the store in dir, or makes one. What a crash left behind is put in
// order; if the index is missing or damaged it is made anew, which reads the
// whole log. A full disk does not prevent opening.
func Open(ctx context.Context, disk vfs.FS, dir string, o Options) (*Store, error) {
	s := newStore(disk, dir, o)
	if err := s.open(ctx); err != nil {
		err = errors.Join(s.opening(err), s.release())
		return nil, err
	}
	return s, nil
}

func newStore(disk vfs.FS, dir string, o Options) *Store {
	o.setDefaults()
	s := &Store{disk: disk, dir: dir, options: o, handles: newHandles(disk, path.Join(dir, "log"))}
	s.blobs = blobFiles{disk: disk, dir: path.Join(dir, "blobs")}
	s.calls.idle = sync.NewCond(&s.calls.mu)
	s.index.Store(newIndex(disk, s.indexDir()))
	return s
}

func (s *Store) logDir() string   { return path.Join(s.dir, "log") }
func (s *Store) indexDir() string { return path.Join(s.dir, "index") }

func (s *Store) open(ctx context.Context) (err error) {
	if err := s.disk.MkdirAll(s.dir); err != nil {
		return err
	}
	if s.lock, err = s.disk.Lock(path.Join(s.dir, LockName)); err != nil {
		return err
	}
	for _, dir := range []string{s.logDir(), s.indexDir(), s.blobs.incoming()} {
		if err := s.disk.MkdirAll(dir); err != nil {
			return err
		}
	}
	if err := checkFormat(s.disk, s.dir, true); err != nil {
		return err
	}
	if err := s.blobs.sweep(); err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.index.Load().sweep(); err != nil {
		return err
	}
	return s.takeTail()
}

// opening says what to do about an error of Open.
func (s *Store) opening(err error) error {
	var locked *vfs.LockedError
	switch {
	case errors.As(err, &locked) && locked.PID != 0:
		return fmt.Errorf("%s is %w: process %d; wait for it to end, or use another directory", s.dir, storage.ErrLocked, locked.PID)
	case errors.As(err, &locked):
		return fmt.Errorf("%s is %w; wait for it to end, or use another directory", s.dir, storage.ErrLocked)
	case errors.Is(err, vfs.ErrReadOnly), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be written; make it writable for this user, or use another directory: %w", s.dir, err)
	}
	return fmt.Errorf("open the store in %s: %w", s.dir, known(err))
}

// known makes errors of the disk those of the contract.
func known(err error) error {
	if errors.Is(err, vfs.ErrFull) && !errors.Is(err, storage.ErrFull) {
		return fmt.Errorf("%w: %w", storage.ErrFull, err)
	}
	return err
}

// Logs gives the logs.
func (s *Store) Logs() storage.Logs { return logs{s} }

// Blobs gives the blobs.
func (s *Store) Blobs() storage.Blobs { return blobs{s} }

// Cells gives the cells.
func (s *Store) Cells() storage.Cells { return cells{s} }

// Damage lists the parts of the log that cannot be read and of which nobody
// knows what they held. Damage whose owner is known is not here: reading it
// reports it.
func (s *Store) Damage() []*storage.CorruptError {
	x := s.index.Load()
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []*storage.CorruptError
	for _, l := range x.lost {
		all = append(all, &storage.CorruptError{
			Where: fmt.Sprintf("%s, bytes %d to %d", path.Join(s.logDir(), logName(l.File)), l.From, l.To),
			Cause: errors.New("no frame can be read there"),
		})
	}
	return all
}

// Close writes the index, so that the next Open has nothing to read, and gives
// the directory back. It waits for running calls.
func (s *Store) Close() error {
	if !s.calls.close() {
		return nil
	}
	var err error
	if !s.readOnly {
		// If the index cannot be written, the next Open reads more of the log.
		if err = s.flushIndex(); errors.Is(err, vfs.ErrFull) {
			err = nil
		}
		err = errors.Join(err, s.tail.close())
	}
	return errors.Join(err, s.release())
}

// release closes everything that is open.
func (s *Store) release() error {
	for _, x := range append(s.retired, s.index.Load()) {
		x.close()
	}
	err := s.handles.close()
	if s.tail.w != nil {
		err = errors.Join(err, s.tail.w.Close())
		s.tail.w = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// calls counts the calls that are running, so that Close can wait for them.
type calls struct {
	mu      sync.Mutex
	idle    *sync.Cond
	running int
	closed  bool
}

// begin announces a call; the caller ends it with leave.
func (c *calls) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return storage.ErrClosed
	}
	c.running++
	return nil
}

func (c *calls) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if c.running == 0 {
		c.idle.Broadcast()
	}
}

// close refuses further calls and waits for those that are running. It says
// whether it was the first to do so.
func (c *calls) close() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.closed
	c.closed = true
	for c.running > 0 {
		c.idle.Wait()
	}
	return first
}
