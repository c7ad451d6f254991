package wasip1

import (
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
)

// AppendOpen encodes the open descriptors: what an image keeps of a system
// beside its files.
func (s *System) AppendOpen(b []byte) []byte {
	c := wasi.NewEncoder(b)
	n := s.table.Len()
	wasi.Uint(c, &n, s.table.limit)
	for fd, d := range s.table.All() {
		wasi.Uint(c, &fd, fd)
		d.code(c)
	}
	return c.Bytes()
}

// code writes or reads all that a descriptor is.
func (d *descriptor) code(c *wasi.Coder) {
	wasi.Uint(c, &d.inode, 1<<63-1)
	wasi.Uint(c, &d.stream, 2)
	wasi.Uint(c, &d.filetype, 255)
	wasi.Uint(c, &d.flags, 1<<16-1)
	wasi.Uint(c, &d.base, 1<<64-1)
	wasi.Uint(c, &d.inheriting, 1<<64-1)
	wasi.Uint(c, &d.offset, 1<<64-1)
	c.Bool(&d.preopen)
	wasi.Text(c, &d.name, filesystem.MaxPath)
}

// reopen makes the descriptors that AppendOpen has encoded.
func (s *System) reopen(b []byte) error {
	c := wasi.NewDecoder(b)
	var n int
	wasi.Uint(c, &n, s.table.limit)
	for range n {
		var fd uint32
		var d descriptor
		wasi.Uint(c, &fd, uint32(s.table.limit-1))
		d.code(c)
		if s.table.Has(fd) {
			c.Fail()
		}
		if c.Failed() {
			break
		}
		if err := s.put(fd, d); err != nil {
			return err
		}
	}
	return c.Close()
}

// put opens a descriptor at a free number.
func (s *System) put(fd uint32, d descriptor) error {
	if !d.isStream() {
		if err := s.fs.Retain(d.inode); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	s.table.Put(fd, d)
	return nil
}

// Close lets go of what the program has open. Nothing may run in the system
// afterwards.
func (s *System) Close() error {
	var errs []error
	for fd, d := range s.table.All() {
		if !d.isStream() {
			errs = append(errs, s.fs.Release(d.inode))
		}
		s.table.Remove(fd)
	}
	return errors.Join(errs...)
}
