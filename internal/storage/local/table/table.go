// Package table is a sorted file of keys and values that is written once and
// then only read: what the index of the local store is made of. It hides how
// pairs are packed into blocks and how a block is found and checked.
package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"sync/atomic"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// A table is a sequence of blocks, their index, and a footer. A block is pairs
// in order, each
//
//	uvarint bytes shared with the key before, uvarint bytes that are not,
//	uvarint bytes of the value, rest of the key, value
//
// then the offsets of the pairs that share nothing, as uint32, their number,
// as uint32, and the CRC-32C of all that. The index is a block whose keys are
// the first ones of the blocks and whose values are their offsets and sizes as
// uvarints. Numbers are little-endian.
const (
	blockSize  = 8 << 10 // about
	whole      = 16      // each pair whose number is a multiple of it shares nothing
	footerSize = 40
	magic      = 0x3130454c42415457 // "WTABLE01"

	// maxIndex bounds what a damaged footer can make Open read.
	maxIndex = 1 << 30
)

// ErrCorrupt is for a table whose bytes fail their checksums.
var ErrCorrupt = errors.New("the index is damaged")

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// Table is an open table. It is safe for concurrent use.
type Table struct {
	file  vfs.File
	size  int64
	keys  []string // the first of each block
	spans []span
	cache []atomic.Pointer[cached]
}

type span struct{ offset, size int64 }

// cached is a block that was read lately.
type cached struct {
	number int
	block
}

// block is a block that was read and checked.
type block struct {
	pairs  []byte
	starts []byte // offsets of the pairs that share nothing
}

// start gives the offset of start i.
func (b *block) start(i int) int { return int(binary.LittleEndian.Uint32(b.starts[4*i:])) }

// cacheBlocks is how many blocks a table keeps; small, since the machine
// keeps the file's pages anyway.
const cacheBlocks = 64

// Open reads the index of a table; the table takes the file over.
func Open(file vfs.File) (*Table, error) {
	t := &Table{file: file, cache: make([]atomic.Pointer[cached], cacheBlocks)}
	if err := t.readIndex(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return t, nil
}

func (t *Table) readIndex() error {
	var err error
	if t.size, err = t.file.Size(); err != nil {
		return err
	}
	if t.size < footerSize {
		return fmt.Errorf("%w: it has only %d bytes", ErrCorrupt, t.size)
	}
	var footer [footerSize]byte
	if err := readAt(t.file, footer[:], t.size-footerSize); err != nil {
		return err
	}
	le := binary.LittleEndian
	index := span{int64(le.Uint64(footer[0:])), int64(le.Uint64(footer[8:]))}
	if le.Uint64(footer[32:]) != magic || le.Uint32(footer[24:]) != crc32.Checksum(footer[:24], crcTable) ||
		index.offset < 0 || index.size < 0 || index.size > maxIndex || index.offset+index.size != t.size-footerSize {
		return fmt.Errorf("%w: its footer is not one", ErrCorrupt)
	}
	blk, err := t.readSpan(index)
	if err != nil {
		return err
	}
	for p, b := (pair{}), blk.pairs; len(b) > 0; {
		if b, err = p.read(b); err != nil {
			return err
		}
		offset, n := binary.Uvarint(p.value)
		if n <= 0 {
			return fmt.Errorf("%w: an offset is missing", ErrCorrupt)
		}
		size, m := binary.Uvarint(p.value[n:])
		if m <= 0 || offset > uint64(index.offset) || size > uint64(index.offset)-offset {
			return fmt.Errorf("%w: a block lies outside", ErrCorrupt)
		}
		t.keys = append(t.keys, string(p.key))
		t.spans = append(t.spans, span{int64(offset), int64(size)})
	}
	return nil
}

// Size is the size of the file.
func (t *Table) Size() int64 { return t.size }

// Close closes the file.
func (t *Table) Close() error { return t.file.Close() }

// readSpan reads and checks a block.
func (t *Table) readSpan(s span) (block, error) {
	b := make([]byte, s.size)
	if err := readAt(t.file, b, s.offset); err != nil {
		return block{}, err
	}
	n := len(b) - 8
	if n < 0 || crc32.Checksum(b[:n+4], crcTable) != binary.LittleEndian.Uint32(b[n+4:]) {
		return block{}, fmt.Errorf("%w: the block at %d fails its checksum", ErrCorrupt, s.offset)
	}
	starts := int64(binary.LittleEndian.Uint32(b[n:])) * 4
	if starts > int64(n) {
		return block{}, fmt.Errorf("%w: the block at %d has too many starts", ErrCorrupt, s.offset)
	}
	blk := block{pairs: b[:int64(n)-starts], starts: b[int64(n)-starts : n]}
	for i := range len(blk.starts) / 4 {
		if blk.start(i) >= len(blk.pairs) {
			return block{}, fmt.Errorf("%w: the block at %d has a start behind its end", ErrCorrupt, s.offset)
		}
	}
	return blk, nil
}

func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it ends early", ErrCorrupt)
	}
	return err
}

// block gives block i, from the cache if it is there.
func (t *Table) block(i int) (block, error) {
	slot := &t.cache[i%cacheBlocks]
	if c := slot.Load(); c != nil && c.number == i {
		return c.block, nil
	}
	b, err := t.readSpan(t.spans[i])
	if err == nil {
		slot.Store(&cached{i, b})
	}
	return b, err
}

// find gives the block that has or would have key: the last that begins at or
// before it.
func (t *Table) find(key string) int {
	return sort.Search(len(t.keys), func(i int) bool { return t.keys[i] > key }) - 1
}

// Get gives the value of key. It is valid for ever and must not be changed.
func (t *Table) Get(key []byte) (value []byte, ok bool, err error) {
	c := t.Cursor()
	if !c.Seek(key) {
		return nil, false, c.Err()
	}
	if string(c.Key()) != string(key) {
		return nil, false, nil
	}
	return c.Value(), true, nil
}

// pair is a key and a value in a block.
type pair struct {
	key   []byte
	value []byte
}

// read reads the next pair of a block; p is the one before.
func (p *pair) read(b []byte) (rest []byte, err error) {
	shared, n := binary.Uvarint(b)
	own, m := uint64(0), 0
	if n > 0 {
		own, m = binary.Uvarint(b[n:])
	}
	value, k := uint64(0), 0
	if m > 0 {
		value, k = binary.Uvarint(b[n+m:])
	}
	if k <= 0 {
		return nil, fmt.Errorf("%w: a pair is cut off", ErrCorrupt)
	}
	b = b[n+m+k:]
	if shared > uint64(len(p.key)) || own > uint64(len(b)) || value > uint64(len(b))-own {
		return nil, fmt.Errorf("%w: a pair is longer than its block", ErrCorrupt)
	}
	p.key = append(p.key[:shared], b[:own]...)
	p.value = b[own : own+value : own+value]
	return b[own+value:], nil
}
