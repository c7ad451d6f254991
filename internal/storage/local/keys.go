package local

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local/table"
)

// What the index says of a worker, its chunks, a cell, a blob and a shard, and
// how a table holds it. The first byte of a key tells which it is.
const (
	keyBlob   = 'b' // then the hash: an item
	keyCell   = 'c' // then the cell's key: an item
	keyShard  = 's' // then the number, big-endian: a shardState
	keyWorker = 'w' // then component, 0, name, 0: a workerState
	keyChunk  = 'x' // then component, 0, name, 0, first index, big-endian: a chunk
)

// location is where bytes are in the log.
type location struct {
	file   uint64
	offset int64
	length uint32
	crc    uint32
}

// recordCost is about what a record takes besides its bytes.
const recordCost = 64

// cost is what the record at l counts for when it is decided which files are
// worth compacting.
func (l location) cost() int64 { return int64(l.length) + recordCost }

// chunk is where entries of a worker are.
type chunk struct {
	location
	first uint64
	count uint32
	stamp uint64
}

func (c *chunk) last() uint64 { return c.first + uint64(c.count) - 1 }

// workerState is what holds for all of a worker's log.
type workerState struct {
	deleted      uint64 // chunks with an older stamp are gone
	truncated    uint64 // stamp of the record that set below
	truncateFile uint64 // where that record is; 0 if there is none
	below        uint64 // older chunks that end before it are gone
	last         uint64
}

// holds says whether c is part of the log.
func (s *workerState) holds(c *chunk) bool {
	return c.stamp > s.deleted && (c.last() >= s.below || c.stamp > s.truncated)
}

// empty says whether there are no entries.
func (s *workerState) empty() bool { return s.last < s.below }

// item is where a cell or a blob is.
type item struct {
	location
	stamp   uint64
	deleted bool
}

// shardState is who owns a shard and what it has.
type shardState struct {
	epoch        id.Epoch
	head         uint64
	segmentEpoch id.Epoch // of the newest segment
	digest       uint64   // of the newest segment
	file         uint64   // the newest with a record of the shard
}

func workerKey(w id.Worker) []byte { return appendWorker(keyWorker, w) }

// chunkPrefix begins the keys of all chunks of w and of no other.
func chunkPrefix(w id.Worker) []byte { return appendWorker(keyChunk, w) }

func appendWorker(first byte, w id.Worker) []byte {
	b := make([]byte, 0, len(w.Component)+len(w.Name)+3+8)
	b = append(append(b, first), w.Component...)
	b = append(append(b, 0), w.Name...)
	return append(b, 0)
}

func chunkKey(prefix []byte, first uint64) []byte {
	return binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], first)
}

// workerOf gives the worker that a key of its state or of a chunk is about.
func workerOf(key []byte) (id.Worker, error) {
	if parts := bytes.SplitN(key[1:], []byte{0}, 3); len(parts) == 3 {
		return id.Worker{Component: string(parts[0]), Name: string(parts[1])}, nil
	}
	return id.Worker{}, fmt.Errorf("%w: key %q", table.ErrCorrupt, key)
}

func cellKey(key string) string        { return string(keyCell) + key }
func blobKey(hash storage.Hash) string { return string(keyBlob) + string(hash[:]) }

func shardKey(shard id.Shard) []byte {
	return binary.BigEndian.AppendUint32([]byte{keyShard}, uint32(shard))
}

// shardOf is the inverse of shardKey.
func shardOf(key string) id.Shard {
	var b [4]byte
	copy(b[:], key[1:])
	return id.Shard(binary.BigEndian.Uint32(b[:]))
}

func appendUvarints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// uvarints reads values written by appendUvarints.
func uvarints(b []byte, values ...*uint64) error {
	for _, v := range values {
		var n int
		*v, n = binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("%w: a value is cut off", table.ErrCorrupt)
		}
		b = b[n:]
	}
	return nil
}

func (c *chunk) encode(b []byte) []byte {
	return appendUvarints(b, c.file, uint64(c.offset), uint64(c.length), uint64(c.crc), uint64(c.count), c.stamp)
}

func decodeChunk(rest, value []byte) (c chunk, err error) {
	if len(rest) != 8 {
		return c, fmt.Errorf("%w: a chunk's key is cut off", table.ErrCorrupt)
	}
	var offset, length, crc, count uint64
	err = uvarints(value, &c.file, &offset, &length, &crc, &count, &c.stamp)
	c.first, c.offset, c.length, c.crc, c.count = binary.BigEndian.Uint64(rest), int64(offset), uint32(length), uint32(crc), uint32(count)
	return c, err
}

func (s *workerState) encode(b []byte) []byte {
	return appendUvarints(b, s.deleted, s.truncated, s.truncateFile, s.below, s.last)
}

func decodeWorker(value []byte) (s workerState, err error) {
	err = uvarints(value, &s.deleted, &s.truncated, &s.truncateFile, &s.below, &s.last)
	return s, err
}

func (i *item) encode(b []byte) []byte {
	deleted := uint64(0)
	if i.deleted {
		deleted = 1
	}
	return appendUvarints(b, i.file, uint64(i.offset), uint64(i.length), uint64(i.crc), i.stamp, deleted)
}

func decodeItem(value []byte) (i item, err error) {
	var offset, length, crc, deleted uint64
	err = uvarints(value, &i.file, &offset, &length, &crc, &i.stamp, &deleted)
	i.offset, i.length, i.crc, i.deleted = int64(offset), uint32(length), uint32(crc), deleted == 1
	return i, err
}

func (s *shardState) encode(b []byte) []byte {
	return appendUvarints(b, uint64(s.epoch), s.head, uint64(s.segmentEpoch), s.digest, s.file)
}

func decodeShard(value []byte) (s shardState, err error) {
	var epoch, segmentEpoch uint64
	err = uvarints(value, &epoch, &s.head, &segmentEpoch, &s.digest, &s.file)
	s.epoch, s.segmentEpoch = id.Epoch(epoch), id.Epoch(segmentEpoch)
	return s, err
}
