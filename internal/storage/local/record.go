package local

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// kind is what a record says. The numbers are on disk.
type kind uint8

const (
	kindChunk      kind = 1 // entries of a worker
	kindSegment    kind = 2 // the frame is a shard's next segment
	kindShard      kind = 3 // a shard's owner and head
	kindTruncate   kind = 4 // a worker's entries below an index are forgotten
	kindDelete     kind = 5 // a worker's log is forgotten
	kindCell       kind = 6 // a cell's value
	kindCellDelete kind = 7
	kindBlob       kind = 8 // a small blob
	kindBlobDelete kind = 9

	// flagMoved marks a record that says again, at another place, what an
	// earlier frame said. Its stamp follows the kind.
	flagMoved = 0x80
)

// record is one thing that a frame makes durable.
type record struct {
	kind kind
	// stamp is the sequence number of the frame that said it first: it orders
	// what is said about the same worker, cell or blob, wherever it moved.
	stamp uint64
	moved bool

	worker id.Worker    // chunk, truncate, delete
	first  uint64       // chunk; for truncate the first index that is kept
	count  uint32       // chunk
	key    string       // cell, cell delete
	hash   storage.Hash // blob, blob delete

	shard id.Shard // segment, shard
	epoch id.Epoch // segment, shard
	head  uint64   // segment: before it; shard: now
	// Of the newest segment; for segment set when the frame is built or read.
	segmentEpoch id.Epoch // shard
	digest       uint64   // segment, shard

	bytes  []byte // chunk, cell, blob: when writing
	length uint32
	crc    uint32
	offset int64 // of the bytes; in the frame when encoded, in the file when read
}

// hasBytes says whether the frame's body holds bytes of the record.
func (k kind) hasBytes() bool { return k == kindChunk || k == kindCell || k == kindBlob }

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crcTable) }

// appendRecord appends r's line in the directory. component is that of the
// line before: it is not repeated.
func appendRecord(b []byte, r *record, component string) []byte {
	if r.moved {
		b = append(b, byte(r.kind)|flagMoved)
		b = binary.AppendUvarint(b, r.stamp)
	} else {
		b = append(b, byte(r.kind))
	}
	switch r.kind {
	case kindChunk, kindTruncate, kindDelete:
		if r.worker.Component == component {
			b = append(b, 0)
		} else {
			b = append(b, byte(len(r.worker.Component)))
			b = append(b, r.worker.Component...)
		}
		b = append(b, byte(len(r.worker.Name)))
		b = append(b, r.worker.Name...)
		if r.kind != kindDelete {
			b = binary.AppendUvarint(b, r.first)
		}
		if r.kind == kindChunk {
			b = binary.AppendUvarint(b, uint64(r.count))
		}
	case kindSegment, kindShard:
		b = binary.AppendUvarint(b, uint64(r.shard))
		b = binary.AppendUvarint(b, uint64(r.epoch))
		b = binary.AppendUvarint(b, r.head)
		if r.kind == kindShard {
			b = binary.AppendUvarint(b, uint64(r.segmentEpoch))
			b = binary.LittleEndian.AppendUint64(b, r.digest)
		}
	case kindCell, kindCellDelete:
		b = binary.AppendUvarint(b, uint64(len(r.key)))
		b = append(b, r.key...)
	case kindBlob, kindBlobDelete:
		b = append(b, r.hash[:]...)
	}
	if r.kind.hasBytes() {
		b = binary.AppendUvarint(b, uint64(r.length))
		b = binary.LittleEndian.AppendUint32(b, r.crc)
	}
	return b
}

var errDirectory = errors.New("the frame's directory is not well formed")

// decodeDirectory reads the records of a frame. What it gives back has offsets
// from the beginning of the body.
func decodeDirectory(b []byte, seq uint64, count int, body int64) ([]record, error) {
	// A line has at least two bytes, so count cannot make this large.
	if count > len(b)/2 {
		return nil, errDirectory
	}
	d := decoder{b: b}
	records := make([]record, count)
	component, offset := "", int64(0)
	for i := range records {
		r := &records[i]
		d.record(r, &component)
		if !r.moved {
			r.stamp = seq
		}
		if r.stamp > seq {
			d.bad = true
		}
		r.offset = offset
		offset += int64(r.length)
	}
	if d.bad || len(d.b) > 0 || offset != body {
		return nil, errDirectory
	}
	return records, nil
}

// decoder reads a directory. After the first mistake it gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) record(r *record, component *string) {
	k := d.byte()
	r.kind, r.moved = kind(k&^flagMoved), k&flagMoved != 0
	if r.moved {
		r.stamp = d.uvarint()
	}
	switch r.kind {
	case kindChunk, kindTruncate, kindDelete:
		if n := d.byte(); n > 0 {
			*component = string(d.take(int(n)))
		}
		r.worker = id.Worker{Component: *component, Name: string(d.take(int(d.byte())))}
		d.bad = d.bad || r.worker.Check() != nil
		if r.kind != kindDelete {
			r.first = d.uvarint()
		}
		if r.kind == kindChunk {
			r.count = d.uint32()
			d.bad = d.bad || r.count == 0 || r.first == 0 || r.first+uint64(r.count)-1 < r.first
		}
	case kindSegment, kindShard:
		r.shard, r.epoch, r.head = id.Shard(d.uint32()), id.Epoch(d.uvarint()), d.uvarint()
		if r.kind == kindShard {
			r.segmentEpoch = id.Epoch(d.uvarint())
			if b := d.take(8); b != nil {
				r.digest = binary.LittleEndian.Uint64(b)
			}
		}
	case kindCell, kindCellDelete:
		n := d.uvarint()
		d.bad = d.bad || n == 0 || n > storage.MaxCellKey
		r.key = string(d.take(int(min(n, storage.MaxCellKey))))
	case kindBlob, kindBlobDelete:
		copy(r.hash[:], d.take(len(r.hash)))
	default:
		d.bad = true
	}
	if r.kind.hasBytes() {
		r.length = d.uint32()
		if b := d.take(4); b != nil {
			r.crc = binary.LittleEndian.Uint32(b)
		}
		d.bad = d.bad || r.length > storage.MaxChunk
	}
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	d.bad = d.bad || v > 1<<32-1
	return uint32(v)
}
