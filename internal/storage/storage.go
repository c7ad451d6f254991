// Package storage is the contract between Waterbear and whatever keeps its
// bytes: logs of entries that are durable once acknowledged, content-addressed
// blobs, and small cells changed by compare-and-set. It hides where and how.
// Package storagetest is the contract as a suite; every implementation passes
// it, also under injected faults.
package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/waterbear-run/waterbear/internal/id"
)

var (
	// ErrFenced refuses an append of an owner that has been replaced.
	ErrFenced = errors.New("fenced: another owner has taken over")
	// ErrConflict refuses a cell change whose expected version is not the current one.
	ErrConflict = errors.New("conflict: the cell was changed by another")
	// ErrNotFound is for a blob or a cell that is not there.
	ErrNotFound = errors.New("not found")
	// ErrFull is for a disk without space. Reads go on; writes succeed again
	// once there is space.
	ErrFull = errors.New("disk full")
	// ErrLocked is for a store that another process has open.
	ErrLocked = errors.New("in use by another process")
	// ErrNewerFormat is for a store written by a newer Waterbear.
	ErrNewerFormat = errors.New("written by a newer version of waterbear")
	// ErrReadOnly refuses a write to a store opened for reading.
	ErrReadOnly = errors.New("opened for reading only")
	// ErrTooLarge refuses what is over one of the limits below.
	ErrTooLarge = errors.New("too large")
	// ErrGap refuses a chunk that does not continue its worker's log.
	ErrGap = errors.New("does not continue the log")
	// ErrClosed refuses every call after Close.
	ErrClosed = errors.New("the store is closed")
)

// CorruptError reports stored bytes that fail their checksum. It concerns one
// worker's entries, or one blob or cell, never the store as a whole.
type CorruptError struct {
	Worker   id.Worker // zero if no worker's log is concerned
	From, To uint64    // the damaged entries; To is 0 when the end is not known
	Where    string    // file and offset, or key, for the operator
	Cause    error
}

func (e *CorruptError) Error() string {
	if e.Worker == (id.Worker{}) {
		return fmt.Sprintf("corrupt data at %s: %v", e.Where, e.Cause)
	}
	return fmt.Sprintf("corrupt oplog of %s, entries %d to %d, at %s: %v", e.Worker, e.From, e.To, e.Where, e.Cause)
}

func (e *CorruptError) Unwrap() error { return e.Cause }

// Store is one place to keep everything of a node.
type Store interface {
	Logs() Logs
	Blobs() Blobs
	Cells() Cells
	// Close waits for running calls and may be called twice.
	Close() error
}

// Housekeeper is a store that its owner has to let tidy up now and then, as
// such a store starts nothing by itself: after some writes and when it is idle.
type Housekeeper interface {
	// Housekeep does one bounded piece of work, such as moving what is alive
	// out of a file that is mostly not, and says whether there is more to do.
	// Other calls go on meanwhile. After an error nothing is lost, and the
	// same work may succeed later.
	Housekeep(ctx context.Context) (more bool, err error)
}

// Chunk is a run of consecutive entries of one worker. Storage does not look
// into Bytes.
type Chunk struct {
	Worker id.Worker
	First  uint64 // index of its first entry, from 1
	Count  uint32 // how many entries, at least 1
	Bytes  []byte
}

// Last is the index of the chunk's last entry.
func (c Chunk) Last() uint64 { return c.First + uint64(c.Count) - 1 }

// MaxChunk bounds the bytes of one chunk, MaxSegment those of one segment and
// MaxChunks how many chunks it has.
const (
	MaxChunk   = 16 << 20
	MaxSegment = 64 << 20
	MaxChunks  = 1 << 16
)

// Logs keeps one log of entries per worker, appended to by shard.
type Logs interface {
	// Acquire makes epoch the owner of shard, durable on return, and returns
	// the shard's head: the number of segments appended so far. Appends of
	// older epochs are ErrFenced from then on. Acquiring again for the same
	// epoch changes nothing; for an older one it is ErrFenced.
	Acquire(ctx context.Context, shard id.Shard, epoch id.Epoch) (head uint64, err error)
	// Epoch is the newest epoch that acquired the shard; 0 if none has.
	Epoch(ctx context.Context, shard id.Shard) (id.Epoch, error)
	// Append makes segment durable as a whole: when it returns nil, all of it
	// survives kill -9 and power loss; when it returns an error or never
	// returns, all or nothing of it does. ErrFenced when epoch is not the
	// shard's owner or head is not its head. Each chunk continues its worker's
	// log without a gap. The caller may reuse the bytes after return. Calls
	// for one shard are made one at a time.
	// After an error other than ErrFenced the caller may append the same
	// segment at the same head again: if the earlier attempt had become durable
	// after all, the store recognizes it and returns nil without doubling it.
	// After ErrGap and ErrTooLarge nothing of it is stored, and another segment
	// may be appended at that head just as well.
	Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []Chunk) error
	// Read yields the chunks that hold entries from to to, in order; the first
	// may begin before from and the last may end after to. A to of 0 reads to
	// the end as it was when Read began. A damaged chunk yields a *CorruptError
	// with its range; reading goes on behind it if the consumer does. Any other
	// error ends the reading. Bytes are valid until the next iteration. One
	// long Read is cheaper than many short ones.
	Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[Chunk, error]
	// Bounds gives the first and the last index kept; first > last when the log
	// is empty, and (1, 0) when it never had an entry.
	Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error)
	// Truncate forgets the entries below index below, at once or as soon as
	// whole chunks allow; at most all there are. ErrFenced when epoch is not
	// the shard's owner. Like Delete, it is durable on return, and may be
	// called again after an error.
	Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error
	// Delete forgets the worker's whole log; its next entry has index 1 again.
	Delete(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker) error
	// Workers yields, ordered by component and then name, the workers that
	// have entries and come after after (the zero Worker for all).
	Workers(ctx context.Context, after id.Worker) iter.Seq2[id.Worker, error]
}

// Hash names a blob by its content.
type Hash [sha256.Size]byte

// String gives the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives hex, so that JSON shows a hash as people know it.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := hex.AppendDecode(nil, text)
	if err == nil && len(raw) != len(h) {
		err = fmt.Errorf("it has %d bytes, not %d", len(raw), len(h))
	}
	if err != nil {
		return fmt.Errorf("read the hash %q: %w", text, err)
	}
	copy(h[:], raw)
	return nil
}

// Blob is a blob that is stored.
type Blob struct {
	Hash Hash
	Size int64
}

// Blobs keeps immutable byte strings by their SHA-256.
type Blobs interface {
	// Put stores what r gives, durable on return, and is cheap when the store
	// has it already; it makes sure that what is there is complete, and
	// replaces it if it is not. Putting again after an error is harmless.
	Put(ctx context.Context, r io.Reader) (Hash, int64, error)
	// PutAll stores many contents with far fewer waits for the disk than as
	// many Puts, all of them durable on return. It reads each to its end before
	// it asks for the next. After an error some may be stored.
	PutAll(ctx context.Context, contents iter.Seq[io.Reader]) ([]Blob, error)
	// Get opens a blob, or ErrNotFound. Reading to the end gives a
	// *CorruptError if the content does not match h.
	Get(ctx context.Context, h Hash) (io.ReadCloser, error)
	// Delete forgets a blob; a missing one is no error. A crash may bring it
	// back. Who has it open goes on reading.
	Delete(ctx context.Context, h Hash) error
	// List yields every blob, in the order of the hashes.
	List(ctx context.Context) iter.Seq2[Hash, error]
}

// Limits of a cell.
const (
	MaxCellKey   = 512
	MaxCellValue = 1 << 20
)

// Cells keeps small values changed by compare-and-set. After an error other
// than ErrConflict nobody knows whether the change was made: Get tells.
type Cells interface {
	// Get returns value and version (from 1), or ErrNotFound. Of a cell that is
	// damaged it returns, beside the *CorruptError, the version if that is known
	// and 0 if not: with it the cell can be replaced and deleted like any other.
	Get(ctx context.Context, key string) (value []byte, version uint64, err error)
	// Size returns how many bytes a cell's value has, and its version, or
	// ErrNotFound. It reads no value, so it knows them of a damaged one too.
	Size(ctx context.Context, key string) (bytes int, version uint64, err error)
	// Put sets key, durable on return, if its version is still expected (0: the
	// key is not there), and returns the new version; else ErrConflict. The
	// versions of a key grow and none comes twice, also when it is deleted in
	// between.
	Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error)
	// Delete removes key, durable on return, if its version is still expected,
	// else ErrConflict.
	Delete(ctx context.Context, key string, expected uint64) error
	// List yields the keys that begin with prefix and come after after ("" for
	// all of them), in order. Those before cost nothing.
	List(ctx context.Context, prefix, after string) iter.Seq2[string, error]
}
