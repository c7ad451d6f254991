package oplog

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// readAhead is about how many bytes a cursor reads from the store at a time.
const readAhead = 256 << 10

// ErrEnd is Cursor.Next's error behind the last entry.
var ErrEnd = errors.New("end of the oplog")

// Cursor reads a worker's entries one by one for replay. It decodes the kinds
// that a replay reads millions of into structs that it reuses.
type Cursor struct {
	logs   storage.Logs
	worker id.Worker
	sum    uint32
	next   Index
	last   Index // where it ends
	failed error

	chunk  chunkReader
	ahead  []storage.Chunk // the chunks behind it, as far as they are read
	queue  []storage.Chunk // what ahead is a part of
	buffer []byte          // their bytes

	*decoded // nil until something has been read: most new workers have nothing to replay
}

// decoded is where a cursor decodes to.
type decoded struct {
	coder    coder
	entry    Entry // the current entry
	call     HostCall
	started  HostCallStarted
	finished HostCallFinished
	log      Log
}

// NewCursor reads the entries from from to last.
func NewCursor(logs storage.Logs, w id.Worker, from, last Index) *Cursor {
	return &Cursor{logs: logs, worker: w, sum: workerSum(w), next: from, last: last}
}

// Between reads other entries of the same oplog.
func (c *Cursor) Between(from, last Index) *Cursor { return NewCursor(c.logs, c.worker, from, last) }

// Next reads the next entry, hints included, or gives ErrEnd. The entry and
// its bytes are valid until the following Next. Damage is an error, and every
// later call gives the same one: there is no replaying around a lost entry.
func (c *Cursor) Next(ctx context.Context) (*Entry, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	for c.next <= c.last {
		content, index, ok, err := c.chunk.next()
		if !ok && err == nil {
			err = c.load(ctx)
		}
		if err != nil && (index >= c.next || !ok) {
			return nil, c.fail(err)
		}
		if !ok || index < c.next {
			continue // at a new chunk, or before what is asked for
		}
		if err := c.decode(content, index); err != nil {
			return nil, c.fail(c.chunk.corrupt(index, index, err))
		}
		c.next++
		return &c.entry, nil
	}
	return nil, ErrEnd
}

func (c *Cursor) fail(err error) error {
	c.failed = fmt.Errorf("read the oplog of %s: %w", c.worker, err)
	return c.failed
}

func (c *Cursor) decode(content []byte, index Index) error {
	body, err := c.body(content[0])
	if err != nil {
		return err
	}
	c.entry = Entry{index, c.chunk.at, body}
	return decode(&c.coder, content, body)
}

// body gives the struct to decode into.
func (c *Cursor) body(number byte) (Body, error) {
	switch number {
	case kindHostCall.number:
		return &c.call, nil
	case kindCallStarted.number:
		return &c.started, nil
	case kindCallFinished.number:
		return &c.finished, nil
	case kindLog.number:
		return &c.log, nil
	}
	return newBody(number)
}

// load moves to the chunk that holds the next entry.
func (c *Cursor) load(ctx context.Context) error {
	if c.decoded == nil {
		c.decoded = &decoded{}
	}
	if len(c.ahead) == 0 {
		if err := c.readAhead(ctx); err != nil {
			return err
		}
	}
	chunk := c.ahead[0]
	c.ahead = c.ahead[1:]
	if chunk.First > c.next {
		return c.missing(ctx, chunk.First-1)
	}
	if err := c.chunk.open(c.worker, c.sum, c.next, chunk); err != nil {
		return err
	}
	switch {
	case chunk.Last() < c.next:
		return missing(c.worker, c.next, c.last)
	case c.chunk.blank():
		return &TruncatedError{c.worker, c.next, min(chunk.Last(), c.last)}
	}
	return nil
}

// missing says why the entries up to to are not there.
func (c *Cursor) missing(ctx context.Context, to Index) error {
	first, _, err := c.logs.Bounds(ctx, c.worker)
	switch {
	case err != nil:
		return err
	case first > c.next:
		return &TruncatedError{c.worker, c.next, min(to, first-1)}
	}
	return missing(c.worker, c.next, to)
}

// readAhead copies chunks from the next entry on. One call to the store serves
// many, since a log of single commits is a chunk per entry.
func (c *Cursor) readAhead(ctx context.Context) error {
	c.queue, c.buffer = c.queue[:0], c.buffer[:0]
	for chunk, err := range c.logs.Read(ctx, c.worker, c.next, c.last) {
		if err != nil && len(c.queue) > 0 {
			break // what comes before the damage can be replayed
		}
		if err != nil {
			return err
		}
		// Growing leaves the bytes of the chunks before where they are.
		start := len(c.buffer)
		c.buffer = append(c.buffer, chunk.Bytes...)
		chunk.Bytes = c.buffer[start:]
		c.queue = append(c.queue, chunk)
		if len(c.buffer) >= readAhead {
			break
		}
	}
	if len(c.queue) == 0 {
		return c.missing(ctx, c.last)
	}
	c.ahead = c.queue
	return nil
}
