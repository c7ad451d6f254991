// Package hostdir shows host directories to a worker. The program sees the
// directory as it was when the worker was created: its listing is taken then,
// each file's content when it is first opened, and both are recorded. What the
// program changes lives in the worker's own file system until it ends, and is
// then written back. The package hides which contents are here already.
package hostdir

import (
	"context"
	"io"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// The codes of the recorded functions.
const (
	codeLoad  = 16
	codeApply = 17
)

// Funcs lists what this package records.
func Funcs() []durable.Declared { return []durable.Declared{&load, &apply} }

// Kind is what a path is.
type Kind byte

// The kinds that are shown. Devices, pipes and sockets of the host are not.
const (
	File Kind = iota + 1
	Directory
	Symlink
)

// Node is one path below a host directory.
type Node struct {
	Path   string // slash-separated, relative, clean; "." is the directory itself
	Kind   Kind
	Size   uint64
	Mtime  int64  // nanoseconds since 1970
	Target string // of a symlink
}

// Change is one step that makes the host's directory what the worker's is.
// Steps are applied in order, and applying them twice is applying them once.
type Change struct {
	Node
	Remove  bool                          // Path goes, with everything below it
	Content func() (io.ReadCloser, error) // of a File; nil: as it is, Mtime alone is new
}

// Host is the machine's directories.
type Host interface {
	// List gives what is below root, parents before children. Symlinks are
	// listed, not followed.
	List(ctx context.Context, root string) ([]Node, error)
	// Open opens the file at path below root, never through a symlink that
	// leaves it.
	Open(root, path string) (io.ReadCloser, error)
	// Apply makes the changes durable. A file is replaced as a whole or not at
	// all; after an error the same changes can be applied again.
	Apply(ctx context.Context, root string, changes []Change) error
}
