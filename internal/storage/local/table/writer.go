package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// writeSize is how much a writer collects for one write.
const writeSize = 256 << 10

// Writer writes a table. Pairs are added in the order of their keys.
type Writer struct {
	file   vfs.File
	offset int64 // of what is not written yet

	pending []byte // whole blocks
	block   builder
	first   []byte // key of the block
	last    []byte // key of all
	index   builder
	pairs   uint64
}

// builder packs pairs into a block.
type builder struct {
	bytes  []byte
	starts []byte
	last   []byte
	pairs  int
}

func (b *builder) add(key, value []byte) {
	shared := 0
	if b.pairs%whole == 0 {
		b.starts = binary.LittleEndian.AppendUint32(b.starts, uint32(len(b.bytes)))
		b.last = b.last[:0]
	}
	b.pairs++
	for shared < len(key) && shared < len(b.last) && key[shared] == b.last[shared] {
		shared++
	}
	b.bytes = binary.AppendUvarint(b.bytes, uint64(shared))
	b.bytes = binary.AppendUvarint(b.bytes, uint64(len(key)-shared))
	b.bytes = binary.AppendUvarint(b.bytes, uint64(len(value)))
	b.bytes = append(b.bytes, key[shared:]...)
	b.bytes = append(b.bytes, value...)
	b.last = append(b.last[:0], key...)
}

// finish appends the block with its checksum to out and begins another.
func (b *builder) finish(out []byte) []byte {
	start := len(out)
	out = append(append(out, b.bytes...), b.starts...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(b.starts)/4))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[start:], crcTable))
	b.bytes, b.starts, b.last, b.pairs = b.bytes[:0], b.starts[:0], b.last[:0], 0
	return out
}

// NewWriter writes a table into an empty file, which the caller closes.
func NewWriter(file vfs.File) *Writer { return &Writer{file: file} }

// Add adds a pair.
func (w *Writer) Add(key, value []byte) error {
	if w.pairs > 0 && string(key) <= string(w.last) {
		panic(fmt.Sprintf("table: key %q after %q", key, w.last))
	}
	w.last = append(w.last[:0], key...)
	if len(w.block.bytes) == 0 {
		w.first = append(w.first[:0], key...)
	}
	w.pairs++
	w.block.add(key, value)
	if len(w.block.bytes) < blockSize {
		return nil
	}
	w.endBlock()
	if len(w.pending) < writeSize {
		return nil
	}
	return w.write()
}

func (w *Writer) endBlock() {
	start := len(w.pending)
	w.pending = w.block.finish(w.pending)
	at := binary.AppendUvarint(nil, uint64(w.offset)+uint64(start))
	w.index.add(w.first, binary.AppendUvarint(at, uint64(len(w.pending)-start)))
}

func (w *Writer) write() error {
	n, err := w.file.WriteAt(w.pending, w.offset)
	w.offset += int64(n)
	w.pending = w.pending[:0]
	return err
}

// Pairs is how many were added.
func (w *Writer) Pairs() uint64 { return w.pairs }

// Finish writes the rest and makes the table durable.
func (w *Writer) Finish() error {
	if len(w.block.bytes) > 0 {
		w.endBlock()
	}
	start := len(w.pending)
	offset := w.offset + int64(start)
	w.pending = w.index.finish(w.pending)
	footer := make([]byte, footerSize)
	le := binary.LittleEndian
	le.PutUint64(footer[0:], uint64(offset))
	le.PutUint64(footer[8:], uint64(len(w.pending)-start))
	le.PutUint64(footer[16:], w.pairs)
	le.PutUint32(footer[24:], crc32.Checksum(footer[:24], crcTable))
	le.PutUint64(footer[32:], magic)
	w.pending = append(w.pending, footer...)
	return errors.Join(w.write(), w.file.Sync())
}
