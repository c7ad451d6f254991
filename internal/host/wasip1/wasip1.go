// Package wasip1 is the host of WASI 0.1 programs: all 46 functions of
// wasi_snapshot_preview1, by their specification, over a worker's private file
// system. Where the specification is silent it does what POSIX does, and what
// wasi-libc relies on. It hides the binary interface: pointers into a memory
// that the program controls, error numbers, rights, descriptors.
//
// What a program can see is a pure function of the system's state and of what
// Clocks and Stdio answer, which their implementation records. Every pointer,
// length and count is the program's and may be anything: the answer is an
// error number, and the host never allocates more than a named bound for it.
package wasip1

import (
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// System is a program's view of the world: its descriptors and what they lead
// to. It belongs to the task that runs the program.
type System struct {
	fs     *filesystem.FS
	clocks wasi.Clocks
	random wasi.Random
	stdio  wasi.Stdio

	args, env vector
	table     table
	gathered  []byte // output of several parts, on its way to Stdio
	observed  func(function string)
}

// Holder is what an instance's State must be for this package's functions.
type Holder interface {
	WASIP1() *System
}

// WASIP1 makes a System a Holder, for instances that need no other state.
func (s *System) WASIP1() *System { return s }

// New makes the system of a program that has not started. Its preopens get the
// descriptors from 3 on.
func New(c wasi.Config) (*System, error) {
	s := &System{fs: c.FS, clocks: c.Clocks, random: c.Random, stdio: c.Stdio, observed: c.Observed}
	var err error
	if s.args, err = newVector(c.Args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if s.env, err = newVector(c.Env); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	s.table.limit = c.MaxFiles
	if c.MaxFiles == 0 {
		s.table.limit = wasi.DefaultMaxFiles
	}
	if c.Open != nil {
		if err := s.reopen(c.Open); err != nil {
			return nil, fmt.Errorf("open the descriptors of an image: %w", err)
		}
		return s, nil
	}
	for stream, terminal := range c.Terminal {
		if s.table.add(newStream(stream, terminal)) != success {
			return nil, fmt.Errorf("open the standard streams: the limit is %d files", c.MaxFiles)
		}
	}
	for _, p := range c.Preopens {
		if err := s.preopen(p); err != nil {
			return nil, fmt.Errorf("open directory %q for the program: %w", p.Name, err)
		}
	}
	return s, nil
}

func (s *System) preopen(p wasi.Preopen) error {
	if strings.IndexByte(p.Name, 0) >= 0 || len(p.Name) > filesystem.MaxPath {
		return filesystem.ErrInvalid
	}
	stat, err := s.fs.Stat(p.Dir)
	if err != nil {
		return err
	}
	if stat.Kind != filesystem.Directory {
		return filesystem.ErrNotDirectory
	}
	d := descriptor{inode: p.Dir, filetype: typeDirectory, base: directoryRights, inheriting: allRights, preopen: true, name: p.Name}
	if s.table.add(d) != success {
		return fmt.Errorf("the limit is %d files", s.table.limit)
	}
	return s.fs.Retain(p.Dir)
}

// errnoOf is what the program sees of a file system's error. The host's own
// errors end the call.
func errnoOf(err error) errno {
	if err == nil {
		return success
	}
	seen, ok := err.(filesystem.Error)
	if !ok {
		wasm.Abort(err)
	}
	return seenErrno(seen)
}

// check ends the call on an error of the host.
func check(err error) {
	if err != nil {
		wasm.Abort(err)
	}
}
