package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// OpenReadOnly opens the store in dir for reading, also while another process
// has it open and appends. It sees what was there; Refresh makes it see more.
// What it shows is durable, also if the other process ends.
func OpenReadOnly(ctx context.Context, disk vfs.FS, dir string) (*Store, error) {
	s := newStore(disk, dir, Options{})
	s.readOnly = true
	err := checkFormat(disk, dir, false)
	if err == nil {
		_, err = disk.List(s.logDir())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store in %s: %w", dir, err)
	}
	if err == nil {
		err = s.reload(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s for reading: %w", dir, err), s.release())
	}
	return s, nil
}

// followWeight is how much a store that is only read remembers of what was
// appended while it is open before it loads the index that the other process
// wrote meanwhile.
const followWeight = 8 * 32 << 10

// Refresh makes what was appended since visible. It costs little when that is
// little. On a store opened for writing it does nothing.
func (s *Store) Refresh(ctx context.Context) error {
	if !s.readOnly {
		return nil
	}
	if err := s.calls.begin(ctx); err != nil {
		return err
	}
	defer s.calls.leave()
	s.turn.Lock()
	defer s.turn.Unlock()
	x := s.index.Load()
	x.mu.RLock()
	weight, at := x.active.weight(), x.position
	x.mu.RUnlock()
	if weight < followWeight && at.File != 0 {
		if _, err := s.disk.Stat(path.Join(s.logDir(), logName(at.File))); err == nil {
			err := s.catchUp(ctx)
			if !errors.Is(err, errReplaced) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return s.reload(ctx)
}

// reload loads the index and reads the rest of the log. The other process may
// remove files of both meanwhile, after it has put what they had elsewhere.
func (s *Store) reload(ctx context.Context) error {
	const attempts = 10
	var err error
	for range attempts {
		if !s.indexVanishes() {
			err = s.load(ctx)
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return s.load(ctx)
}

// indexVanishes says whether a table that the index should have is not there.
func (s *Store) indexVanishes() bool {
	x := newIndex(s.disk, s.indexDir())
	err := x.load()
	x.close()
	_, missing := s.disk.Stat(path.Join(s.indexDir(), manifestName))
	return errors.Is(err, fs.ErrNotExist) && missing == nil
}
