// Package image is the stored form of a worker's whole state at rest: what its
// oplog says, its instance's memory and globals, its files, descriptors and
// clocks. docs/IMAGES.md specifies it. The package knows neither workers nor
// guests; it hides the encoding, and that only those pages of the memory are kept
// which differ from what a fresh instance begins with.
package image

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

const (
	magic = "WBIM"
	// Version is the format that this build writes and reads.
	Version = 1
	// pageSize is the unit of memory that is left out where nothing has changed.
	pageSize = 4 << 10
	// maxHead bounds everything but the memory, in bytes.
	maxHead = 1 << 30
	// maxMemory is the largest memory a 32-bit module can have.
	maxMemory = 1 << 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is for bytes that are no image, or not a whole one.
var ErrDamaged = errors.New("the image is damaged")

// ErrNewerFormat is for an image that a newer Waterbear has written.
var ErrNewerFormat = errors.New("the image was written by a newer version of waterbear")

// ErrOtherBase is for an image over a memory that begins with something else
// than that of the program.
var ErrOtherBase = errors.New("the image is one of changes to another memory than the program begins with")

// Head is an image without the memory.
type Head struct {
	Life   []byte         // oplog.AppendLife
	Cores  []Core         // the instances of core modules, in the order of the program; none without an instance
	Base   [32]byte       // BaseOf: what the memories are where the image has nothing
	Files  []byte         // manifest of the file system
	Packs  []storage.Hash // what the image's own file content is in
	Open   []byte         // what the instance has open, as the host of its WASI writes it
	Random uint64         // position in the random stream
	Clocks [3]uint64      // monotonic, realtime, stamp
	Input  bool           // the end of the input was seen
}

// Core is an instance of a core module without its memory.
type Core struct {
	Memory  uint64   // size of the linear memory, bytes
	Globals []uint64 // the mutable ones
}

// Memory is a linear memory and the offsets of those of its pages that are not
// the base's, in ascending order.
type Memory struct {
	Bytes   []byte
	Changed []uint64
}

// BaseOf names what the memories of a program's instances begin with.
func BaseOf(modules []*wasm.Module) [32]byte {
	if len(modules) == 1 {
		return modules[0].Base()
	}
	h := sha256.New()
	for _, m := range modules {
		base := m.Base()
		h.Write(base[:])
	}
	return [32]byte(h.Sum(nil))
}

// New gives the bytes of an image of head and the memories of its cores. These
// must not change until they are read.
func New(head *Head, memories []Memory) io.Reader {
	b := append([]byte(magic), Version)
	body := head.encode()
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	parts := []io.Reader{bytes.NewReader(append(b, body...))}
	for _, m := range memories {
		parts = m.append(parts)
	}
	return io.MultiReader(parts...)
}

func (m Memory) append(parts []io.Reader) []io.Reader {
	count := uint64(0)
	for range runs(m.Changed, len(m.Bytes)) {
		count++
	}
	parts = append(parts, bytes.NewReader(binary.AppendUvarint(nil, count)))
	last := 0
	for from, to := range runs(m.Changed, len(m.Bytes)) {
		run := binary.AppendUvarint(nil, uint64(from-last)/pageSize)
		run = binary.AppendUvarint(run, uint64(to-from))
		parts = append(parts, bytes.NewReader(run), bytes.NewReader(m.Bytes[from:to]))
		last = to
	}
	return parts
}

// runs yields the parts of a memory of size bytes that changed pages make up.
func runs(changed []uint64, size int) func(yield func(from, to int) bool) {
	return func(yield func(from, to int) bool) {
		for len(changed) > 0 {
			n := 1
			for n < len(changed) && changed[n] == changed[n-1]+pageSize {
				n++
			}
			if !yield(int(changed[0]), min(int(changed[n-1])+pageSize, size)) {
				return
			}
			changed = changed[n:]
		}
	}
}

// Reader reads an image: its head first.
type Reader struct {
	Head
	r *bufio.Reader
}

// Open reads the head.
func Open(r io.Reader) (*Reader, error) {
	x := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	var start [len(magic) + 1 + 8]byte
	if _, err := io.ReadFull(x.r, start[:]); err != nil {
		return nil, damaged(err)
	}
	if string(start[:len(magic)]) != magic {
		return nil, ErrDamaged
	}
	if v := start[len(magic)]; v > Version {
		return nil, fmt.Errorf("%w: format %d, and this one reads %d", ErrNewerFormat, v, Version)
	} else if v != Version {
		return nil, ErrDamaged
	}
	size, sum := binary.LittleEndian.Uint32(start[len(magic)+1:]), binary.LittleEndian.Uint32(start[len(magic)+5:])
	if size > maxHead {
		return nil, ErrDamaged
	}
	// A length that lies makes no more room than there are bytes.
	body, err := io.ReadAll(io.LimitReader(x.r, int64(size)))
	if err == nil && uint32(len(body)) != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, damaged(err)
	}
	if crc32.Checksum(body, castagnoli) != sum || !x.decode(body) {
		return nil, ErrDamaged
	}
	return x, nil
}

// maxPiece is how much of the memory Load gives at once.
const maxPiece = 64 << 10

// Load gives the rest to write, piece by piece: the parts of the memories, each
// of the size that its core has in the head, where they are not what the base
// has. They are valid until write returns. Load reads to the end, so that a store
// can check all of it.
func (x *Reader) Load(write func(core int, offset uint64, p []byte) error) error {
	piece := make([]byte, maxPiece)
	for core := range x.Cores {
		n, err := binary.ReadUvarint(x.r)
		if err != nil {
			return damaged(err)
		}
		at := uint64(0)
		for ; n > 0; n-- {
			if at, err = x.run(core, at, piece, write); err != nil {
				return err
			}
		}
	}
	switch _, err := x.r.ReadByte(); {
	case err == nil:
		return ErrDamaged
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// run reads a run that begins at or behind at, and gives where it ends.
func (x *Reader) run(core int, at uint64, piece []byte, write func(core int, offset uint64, p []byte) error) (uint64, error) {
	gap, err := binary.ReadUvarint(x.r)
	if err != nil {
		return 0, damaged(err)
	}
	n, err := binary.ReadUvarint(x.r)
	if err != nil {
		return 0, damaged(err)
	}
	left := x.Cores[core].Memory - at
	if gap > left/pageSize || n > left-gap*pageSize {
		return 0, ErrDamaged
	}
	for at += gap * pageSize; n > 0; {
		p := piece[:min(n, maxPiece)]
		if _, err := io.ReadFull(x.r, p); err != nil {
			return 0, damaged(err)
		}
		if err := write(core, at, p); err != nil {
			return 0, err
		}
		at, n = at+uint64(len(p)), n-uint64(len(p))
	}
	return at, nil
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	return err
}

func (h *Head) encode() []byte {
	var e encoder
	e.text(h.Life)
	e.b = append(e.b, h.Base[:]...)
	e.uint(uint64(len(h.Cores)))
	for _, c := range h.Cores {
		e.uint(c.Memory)
		e.globals(c.Globals)
	}
	e.text(h.Files)
	e.packs(h.Packs)
	e.text(h.Open)
	e.uint(h.Random)
	for _, c := range h.Clocks {
		e.uint(c)
	}
	if h.Input {
		return append(e.b, 1)
	}
	return append(e.b, 0)
}

// encoder writes fields.
type encoder struct{ b []byte }

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

func (e *encoder) text(p []byte) { e.b = append(binary.AppendUvarint(e.b, uint64(len(p))), p...) }

func (e *encoder) globals(globals []uint64) {
	e.uint(uint64(len(globals)))
	for _, g := range globals {
		e.uint(g)
	}
}

func (e *encoder) packs(packs []storage.Hash) {
	e.uint(uint64(len(packs)))
	for _, p := range packs {
		e.b = append(e.b, p[:]...)
	}
}

func (h *Head) decode(b []byte) bool {
	d := decoder{b: b}
	h.Life = d.text()
	copy(h.Base[:], d.take(uint64(len(h.Base))))
	h.Cores = make([]Core, d.count(2))
	for i := range h.Cores {
		h.Cores[i] = Core{Memory: d.uint(), Globals: d.globals()}
		if h.Cores[i].Memory > maxMemory {
			return false
		}
	}
	h.Files = d.text()
	h.Packs = d.packs()
	h.Open = d.text()
	h.Random = d.uint()
	for i := range h.Clocks {
		h.Clocks[i] = d.uint()
	}
	input := d.uint()
	h.Input = input == 1
	return !d.failed && input <= 1 && len(d.b) == 0
}

// decoder reads fields; after a failure it reads zeros.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many elements follow, of which one takes least bytes or more.
func (d *decoder) count(least int) uint64 {
	n := d.uint()
	if n > uint64(len(d.b)/least) {
		d.failed, d.b = true, nil
		return 0
	}
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) text() []byte { return d.take(d.uint()) }

func (d *decoder) packs() []storage.Hash {
	packs := make([]storage.Hash, d.count(len(storage.Hash{})))
	for i := range packs {
		copy(packs[i][:], d.take(uint64(len(storage.Hash{}))))
	}
	return packs
}

func (d *decoder) globals() []uint64 {
	globals := make([]uint64, d.count(1))
	for i := range globals {
		globals[i] = d.uint()
	}
	return globals
}
