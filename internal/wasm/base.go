package wasm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// baseImage is the memory that instances of a module begin with, where it is
// not zero. It is a file that all of them map, each with its own copies of the
// pages that it writes to; where that is not possible they copy it. It is shared
// by the module and its instances, and goes with the last of them.
type baseImage struct {
	from, to uint64 // the part of the memory that content is
	content  []byte // never written to
	occupied []span // what is not zero, by pages, in ascending order
	file     *os.File
	hash     [sha256.Size]byte
	users    atomic.Int64
}

// Base names the memory that an instance of the module begins with: states of
// modules with equal bases differ in their pages alone.
func (m *Module) Base() [sha256.Size]byte { return m.base.hash }

// newBase makes a base image of runs, in a file of the directory dir or, where
// dir is "", one without a name.
func newBase(runs []wasmbin.Run, dir string) *baseImage {
	b := &baseImage{hash: hashRuns(runs)}
	b.users.Store(1)
	if len(runs) == 0 {
		return b
	}
	last := runs[len(runs)-1]
	b.cover(uint64(runs[0].Offset), uint64(last.Offset)+uint64(len(last.Bytes)))
	for _, r := range runs {
		b.occupy(uint64(r.Offset), uint64(r.Offset)+uint64(len(r.Bytes)))
	}
	if b.write(dir, runs) != nil {
		b.content = make([]byte, b.to-b.from)
		for _, r := range runs {
			copy(b.content[uint64(r.Offset)-b.from:], r.Bytes)
		}
	}
	return b
}

// cover makes the image reach from one offset to another, in pages of the machine.
func (b *baseImage) cover(from, to uint64) {
	page := min(uint64(os.Getpagesize()), wasmPage)
	b.from, b.to = from/page*page, (to+page-1)/page*page
}

// occupy notes that something is there, behind all that was noted before.
func (b *baseImage) occupy(from, to uint64) {
	from, to = from/PageSize*PageSize, (to+PageSize-1)/PageSize*PageSize
	if last := len(b.occupied) - 1; last >= 0 && from <= b.occupied[last].to {
		b.occupied[last].to = to
		return
	}
	b.occupied = append(b.occupied, span{from, to})
}

// hashRuns names the content of a base image. What is zero does not count.
func hashRuns(runs []wasmbin.Run) [sha256.Size]byte {
	h := sha256.New()
	for _, r := range runs {
		head := binary.LittleEndian.AppendUint64(nil, uint64(r.Offset))
		h.Write(binary.LittleEndian.AppendUint64(head, uint64(len(r.Bytes))))
		h.Write(r.Bytes)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// write puts the runs into a file.
func (b *baseImage) write(dir string, runs []wasmbin.Run) error {
	return b.fill(dir, func(write func(offset uint64, p []byte) error) error {
		for _, r := range runs {
			if err := write(uint64(r.Offset), r.Bytes); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill makes the file with what put writes, and maps it.
func (b *baseImage) fill(dir string, put func(write func(offset uint64, p []byte) error) error) error {
	file, err := newBaseFile(dir, func(f *os.File) error {
		if err := f.Truncate(int64(b.to - b.from)); err != nil {
			return err
		}
		return put(func(offset uint64, p []byte) error {
			_, err := f.WriteAt(p, int64(offset-b.from))
			return err
		})
	})
	if err != nil {
		return err
	}
	content, err := unix.Mmap(int(file.Fd()), 0, int(b.to-b.from), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	b.file, b.content = file, content
	return nil
}

// namelessFile makes a file that fill writes and nobody can change afterwards.
// It has a name for a moment only, so nothing is left of it when the process is
// killed. Its pages stay reclaimable: the disk has them.
func namelessFile(dir string, fill func(*os.File) error) (_ *os.File, err error) {
	draft, err := os.CreateTemp(dir, "base-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, draft.Close()) }()
	file, err := os.Open(draft.Name())
	err = errors.Join(err, os.Remove(draft.Name()))
	if err == nil {
		err = fill(draft)
	}
	if err != nil && file != nil {
		err = errors.Join(err, file.Close())
	}
	return file, err
}

// scratchFile makes an empty file to read and write, which has a name for a
// moment only, so that nothing is left of it when the process is killed.
func scratchFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "state-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// put makes a memory that is zero begin with the image.
func (b *baseImage) put(memory []byte) error {
	if len(b.content) == 0 {
		return nil
	}
	if b.file == nil {
		copy(memory[b.from:b.to], b.content)
		return nil
	}
	return mapFile(b.file, memory[b.from:b.to])
}

var zeros [PageSize]byte

// page is what a memory begins with in the page at an offset.
func (b *baseImage) page(offset uint64) []byte {
	if offset < b.from || offset >= b.to {
		return zeros[:]
	}
	return b.content[offset-b.from:][:PageSize]
}

// use counts a user in, unless the last one has gone.
func (b *baseImage) use() bool {
	for {
		n := b.users.Load()
		if n == 0 {
			return false
		}
		if b.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release counts a user out. The last one frees the image.
func (b *baseImage) release() error {
	if b.users.Add(-1) > 0 || b.file == nil {
		return nil
	}
	return errors.Join(unix.Munmap(b.content), b.file.Close())
}
