package oplog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// chunkReader walks the entries of one chunk. Its zero value is at the end of
// an empty one.
type chunkReader struct {
	chunk storage.Chunk
	at    Time
	rest  []byte
	index Index  // of the next entry
	left  uint32 // entries from index on
}

// open begins with a chunk that the store gave for w, whose workerSum is sum,
// when it was to give entry next.
func (c *chunkReader) open(w id.Worker, sum uint32, next Index, chunk storage.Chunk) error {
	if chunk.First == 0 || chunk.Count == 0 || chunk.First > maxIndex {
		*c = chunkReader{}
		return &storage.CorruptError{Worker: w, From: next, Where: inStore, Cause: errIndexes}
	}
	owner := chunk.Worker
	chunk.Worker = w
	*c = chunkReader{chunk: chunk, index: chunk.First, left: chunk.Count}
	header := chunk.Bytes[:min(chunkSum, len(chunk.Bytes))]
	switch {
	case owner != w:
		return c.loseRest(fmt.Errorf("it is of %s", owner))
	case len(chunk.Bytes) < chunkHeader:
		return c.loseRest(errTruncated)
	case binary.LittleEndian.Uint32(chunk.Bytes[chunkSum:]) != checksum(sum, chunk.First, header):
		return c.loseRest(errChecksum)
	case header[0] > Version:
		c.skipRest()
		return &VersionError{int(header[0])}
	case header[0] != Version:
		return c.loseRest(errVersion)
	}
	c.at = Time(binary.LittleEndian.Uint64(header[1:]))
	c.rest = chunk.Bytes[chunkHeader:]
	return nil
}

// blankMark is in the place of entries of which nothing was ever written. No entry has
// this length.
const blankMark = 0

// blank reports whether the chunk is in the place of such entries.
func (c *chunkReader) blank() bool {
	b := c.chunk.Bytes
	return c.left > 0 && len(b) == chunkHeader+1 && b[chunkHeader] == blankMark
}

// next gives the content of the next entry and its index; ok is false at the
// chunk's end. An error reports damage, and next goes on behind it: with the
// following entry if the damaged one's length is true, else at the chunk's end,
// for the entries in it cannot be told apart.
func (c *chunkReader) next() (content []byte, index Index, ok bool, err error) {
	index = c.index
	if c.left == 0 {
		return nil, index, false, nil
	}
	content, rest, err := cutEntry(c.rest, index)
	if err == nil && c.left == 1 && len(rest) > 0 {
		err = errTrailing
	}
	if err != nil && !(errors.Is(err, errChecksum) && c.lengthFits(rest)) {
		return nil, index, false, c.loseRest(err)
	}
	c.rest, c.index, c.left = rest, index+1, c.left-1
	if err != nil {
		return nil, index, true, c.corrupt(index, index, err)
	}
	return content, index, true, nil
}

// lengthFits reports whether a damaged entry's length is true, by what follows
// it: another whole entry, or the end.
func (c *chunkReader) lengthFits(rest []byte) bool {
	if c.left == 1 {
		return len(rest) == 0
	}
	_, _, err := cutEntry(rest, c.index+1)
	return err == nil
}

// skipRest goes to the chunk's end.
func (c *chunkReader) skipRest() {
	c.rest, c.index, c.left = nil, c.index+uint64(c.left), 0
}

// loseRest does so because what is there cannot be read.
func (c *chunkReader) loseRest(cause error) error {
	from := c.index
	c.skipRest()
	return c.corrupt(from, c.chunk.Last(), cause)
}

func (c *chunkReader) corrupt(from, to Index, cause error) error {
	return &storage.CorruptError{
		Worker: c.chunk.Worker, From: from, To: to,
		Where: fmt.Sprintf("the chunk of entries %d to %d", c.chunk.First, c.chunk.Last()), Cause: cause,
	}
}

// inStore is where damage is that no bytes show.
const inStore = "the store's index"

// missing reports entries that the store should have and did not give.
func missing(w id.Worker, from, to Index) error {
	return &storage.CorruptError{Worker: w, From: from, To: to, Where: inStore, Cause: errMissing}
}
