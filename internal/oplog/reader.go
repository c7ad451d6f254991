package oplog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Entry is an entry read back.
type Entry struct {
	Index Index
	At    Time // of the flush that made it durable
	Body  Body
}

// Read yields the entries from to to of a worker, in order; a to of 0 reads to
// the end. Damage yields a *storage.CorruptError, and reading goes on behind
// it if the consumer does.
func Read(ctx context.Context, logs storage.Logs, w id.Worker, from, to Index) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for chunk, err := range logs.Read(ctx, w, from, to) {
			if err != nil {
				if !yield(Entry{}, err) {
					return
				}
				continue
			}
			c := chunkReader{}
			if err := c.open(chunk); err != nil {
				if !yield(Entry{}, err) {
					return
				}
				continue
			}
			for {
				content, ok, err := c.next()
				if err != nil && !yield(Entry{}, err) {
					return
				}
				if !ok {
					break
				}
				index := c.index - 1
				if index < from || to != 0 && index > to {
					continue
				}
				body, err := newBody(content[0])
				if err == nil {
					err = decode(content, body)
				}
				if err != nil {
					err = corrupt(chunk, index, index, err)
				}
				if !yield(Entry{index, c.at, body}, err) {
					return
				}
			}
		}
	}
}

func corrupt(chunk storage.Chunk, from, to Index, cause error) error {
	return &storage.CorruptError{
		Worker: chunk.Worker, From: from, To: to,
		Where: fmt.Sprintf("the chunk of entries %d to %d", chunk.First, chunk.Last()), Cause: cause,
	}
}

// chunkReader walks the entries of one chunk.
type chunkReader struct {
	chunk storage.Chunk
	at    Time
	rest  []byte
	index Index // of the next entry
}

func (c *chunkReader) open(chunk storage.Chunk) error {
	if len(chunk.Bytes) < chunkHeader {
		return corrupt(chunk, chunk.First, chunk.Last(), errTruncated)
	}
	if v := int(chunk.Bytes[0]); v != Version {
		if v > Version {
			return &VersionError{v}
		}
		return corrupt(chunk, chunk.First, chunk.Last(), fmt.Errorf("unknown format %d", v))
	}
	*c = chunkReader{
		chunk: chunk, at: Time(binary.LittleEndian.Uint64(chunk.Bytes[1:])),
		rest: chunk.Bytes[chunkHeader:], index: chunk.First,
	}
	return nil
}

// next gives the content of the next entry, or false at the chunk's end. After
// an error the rest of the chunk cannot be told apart.
func (c *chunkReader) next() (content []byte, ok bool, err error) {
	if c.index > c.chunk.Last() {
		if len(c.rest) > 0 {
			return nil, false, corrupt(c.chunk, c.chunk.First, c.chunk.Last(), errTrailing)
		}
		return nil, false, nil
	}
	content, rest, err := cutEntry(c.rest, c.index)
	if err != nil {
		return nil, false, corrupt(c.chunk, c.index, c.chunk.Last(), err)
	}
	c.rest = rest
	c.index++
	return content, true, nil
}

// Cursor reads a worker's entries one by one for replay. It decodes host calls
// into one reused entry, since a replay reads millions.
type Cursor struct {
	logs   storage.Logs
	worker id.Worker
	last   Index // where it ends

	chunk  chunkReader
	buffer []byte

	entry    Entry // the current entry
	call     HostCall
	finished HostCallFinished
	log      Log
}

// NewCursor reads the entries from from to last. Damage is an error here:
// there is no replaying around a lost entry.
func NewCursor(logs storage.Logs, w id.Worker, from, last Index) *Cursor {
	c := &Cursor{logs: logs, worker: w, last: last}
	c.chunk.index = from
	c.chunk.chunk.First = from
	return c
}

// ErrEnd is Next's error behind the last entry.
var ErrEnd = errors.New("end of the oplog")

// Next reads the next entry, hints included, or gives ErrEnd. The entry and
// its bytes are valid until the following Next.
func (c *Cursor) Next(ctx context.Context) (*Entry, error) {
	if c.chunk.index > c.last {
		return nil, ErrEnd
	}
	content, ok, err := c.chunk.next()
	if err != nil {
		return nil, err
	}
	if !ok {
		if err := c.load(ctx); err != nil {
			return nil, err
		}
		if content, _, err = c.chunk.next(); err != nil {
			return nil, err
		}
	}
	index := c.chunk.index - 1
	body, err := c.body(content[0])
	if err == nil {
		err = decode(content, body)
	}
	if err != nil {
		return nil, corrupt(c.chunk.chunk, index, index, err)
	}
	c.entry = Entry{index, c.chunk.at, body}
	return &c.entry, nil
}

// body gives the struct to decode into.
func (c *Cursor) body(number byte) (Body, error) {
	switch number {
	case kindHostCall.number:
		return &c.call, nil
	case kindCallFinished.number:
		return &c.finished, nil
	case kindLog.number:
		return &c.log, nil
	}
	return newBody(number)
}

// load reads the chunk that holds the next index and moves to it.
func (c *Cursor) load(ctx context.Context) error {
	want := c.chunk.index
	for chunk, err := range c.logs.Read(ctx, c.worker, want, want) {
		if err != nil {
			return err
		}
		c.buffer = append(c.buffer[:0], chunk.Bytes...)
		chunk.Bytes = c.buffer
		if err := c.chunk.open(chunk); err != nil {
			return err
		}
		for c.chunk.index < want {
			if _, _, err := c.chunk.next(); err != nil {
				return err
			}
		}
		return nil
	}
	return &storage.CorruptError{Worker: c.worker, From: want, To: c.last, Where: "the store's index", Cause: errors.New("the entry is missing")}
}
