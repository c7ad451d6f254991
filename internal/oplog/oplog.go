// Package oplog is a worker's history: what its entries are, how they are
// written (buffered, in order, durable at a commit shared by all workers of a
// shard) and how they are read back. It hides the encoding, which
// docs/OPLOG.md specifies, and the batching. It knows neither guests nor
// host functions: a recorded host call is a code and two byte strings here.
package oplog

import (
	"errors"
	"fmt"
)

// Index is an entry's place in its worker's oplog, from 1.
type Index = uint64

// maxIndex bounds an index that a store may claim, so that none overflows.
const maxIndex = 1 << 62

// Version is the format version that every chunk begins with. A reader
// refuses a newer one.
const Version = 1

// MaxEntry bounds one encoded entry, length and checksum included, in bytes.
// Larger payloads go to blobs.
const MaxEntry = 1 << 20

var (
	errTruncated = errors.New("the entry ends early")
	errLength    = errors.New("the entry has an impossible length")
	errNumber    = errors.New("the entry has a malformed number")
	errTrailing  = errors.New("there are bytes behind the end")
	errChecksum  = errors.New("checksum mismatch")
	errIndexes   = errors.New("a chunk has impossible indexes")
	errVersion   = errors.New("there is no such format")
	errMissing   = errors.New("the entries are missing")
)

// VersionError reports a chunk of a format that this build does not read.
type VersionError struct{ Got int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("oplog format %d is newer than %d, the newest this waterbear reads: use a newer waterbear", e.Got, Version)
}

// Body is the content of one entry. The kinds are the structs of kinds.go.
type Body interface {
	kind() *kind
	// fields passes every field to c in order, for writing and for reading
	// alike, so the two cannot differ.
	fields(c *coder)
}

// Name is the name of b's kind, as people and JSON see it.
func Name(b Body) string { return b.kind().name }

// Hint reports whether entries like b do not steer replay.
func Hint(b Body) bool { return b.kind().hint }
