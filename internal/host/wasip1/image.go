package wasip1

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// AppendOpen encodes the open descriptors: what an image keeps of a system
// beside its files.
func (s *System) AppendOpen(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(s.table.open))
	for fd := range s.table.slots {
		d := s.table.get(uint32(fd))
		if d == nil {
			continue
		}
		preopen := uint64(0)
		if d.preopen {
			preopen = 1
		}
		for _, v := range []uint64{
			uint64(fd), uint64(d.inode), uint64(d.stream), uint64(d.filetype), uint64(d.flags),
			uint64(d.base), uint64(d.inheriting), d.offset, preopen, uint64(len(d.name)),
		} {
			b = binary.AppendUvarint(b, v)
		}
		b = append(b, d.name...)
	}
	return b
}

var errOpen = errors.New("the list is damaged")

// reopen makes the descriptors that AppendOpen has encoded.
func (s *System) reopen(b []byte) error {
	r := uvarints{b: b}
	for range r.next(uint64(s.table.limit)) {
		fd := r.next(uint64(s.table.limit) - 1)
		d := descriptor{
			inode: filesystem.Inode(r.next(1<<63 - 1)), stream: int(r.next(2)), filetype: byte(r.next(255)),
			flags: uint16(r.next(1<<16 - 1)), base: rights(r.next(1<<64 - 1)), inheriting: rights(r.next(1<<64 - 1)),
			offset: r.next(1<<64 - 1), preopen: r.next(1) == 1, name: r.text(filesystem.MaxPath),
		}
		if r.failed || s.table.has(uint32(fd)) {
			return errOpen
		}
		if err := s.put(uint32(fd), d); err != nil {
			return err
		}
	}
	if r.failed || len(r.b) > 0 {
		return errOpen
	}
	return nil
}

// put opens a descriptor at a free number.
func (s *System) put(fd uint32, d descriptor) error {
	if !d.isStream() {
		if err := s.fs.Retain(d.inode); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	t := &s.table
	for int(fd) >= len(t.slots) {
		t.slots = append(t.slots, descriptor{})
	}
	for int(fd/64) >= len(t.used) {
		t.used = append(t.used, 0)
	}
	t.slots[fd] = d
	t.used[fd/64] |= 1 << (fd % 64)
	t.open++
	return nil
}

// Close lets go of what the program has open. Nothing may run in the system
// afterwards.
func (s *System) Close() error {
	var errs []error
	for fd := range s.table.slots {
		if d := s.table.get(uint32(fd)); d != nil {
			if !d.isStream() {
				errs = append(errs, s.fs.Release(d.inode))
			}
			s.table.remove(uint32(fd))
		}
	}
	return errors.Join(errs...)
}

// uvarints reads numbers; after a failure it reads zeros.
type uvarints struct {
	b      []byte
	failed bool
}

// next reads a number of at most most.
func (r *uvarints) next(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *uvarints) text(most int) string {
	n := r.next(uint64(most))
	if n > uint64(len(r.b)) {
		r.failed = true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
