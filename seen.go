package waterbear

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// seenDir holds, for each worker, how far its output has been written to a
// terminal or a pipe. It is a convenience: losing it repeats output there, and
// the log never.
const seenDir = "terminal"

// seen is the mark of one worker.
type seen struct {
	file  vfs.File
	index oplog.Index // of the last entry that was shown
}

func seenName(dir string, w id.Worker) string { return path.Join(dir, seenDir, w.Name) }

// openSeen reads a worker's mark, or begins one.
func openSeen(disk vfs.FS, dir string, w id.Worker) (*seen, error) {
	name := seenName(dir, w)
	f, err := disk.OpenWrite(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = disk.MkdirAll(path.Dir(name)); err == nil {
			f, err = disk.Create(name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the mark of what %s has shown: %w", w.Name, err)
	}
	s := &seen{file: f}
	var mark [8]byte
	// A mark that is not whole is none.
	if _, err := f.ReadAt(mark[:], 0); err == nil {
		s.index = binary.LittleEndian.Uint64(mark[:])
	}
	return s, nil
}

// mark notes that output up to index was shown. It is not synced: after a power
// loss some output comes again.
func (s *seen) mark(index oplog.Index) error {
	var mark [8]byte
	binary.LittleEndian.PutUint64(mark[:], index)
	if _, err := s.file.WriteAt(mark[:], 0); err != nil {
		return fmt.Errorf("mark output as shown: %w", err)
	}
	s.index = index
	return nil
}

func (s *seen) close() error { return s.file.Close() }

// forgetSeen removes the mark of a worker.
func forgetSeen(disk vfs.FS, dir string, w id.Worker) error {
	err := disk.Remove(seenName(dir, w))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
