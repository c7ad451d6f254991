// Package filesystem is a worker's private file system: inodes, hard and
// symbolic links, sparse files, directories, times, quotas, with the meanings
// POSIX gives them. It is a value in memory and a pure function of the calls
// made on it: it reads no clock and shows no order of Go's maps, so the same
// calls give the same files. It hides how content is kept: shared with clones
// until it changes, fetched when it is first needed, absent where it is zero.
//
// Paths are resolved below the directory they are given with; neither ".." nor
// a symbolic link leads out of it. An FS is used by one task at a time.
package filesystem

import (
	"fmt"
	"io"
)

// Limits of every file system.
const (
	MaxName      = 255     // bytes of a name
	MaxPath      = 4095    // bytes of a path or of a symbolic link's target
	MaxDepth     = 1024    // directories below each other
	MaxLinks     = 65000   // names of one file
	MaxSymlinks  = 40      // symbolic links followed in one path
	MaxFileSize  = 1 << 40 // bytes; a sparse file's holes count
	DefaultBytes = 1 << 30
	DefaultNames = 1 << 20
)

// block is the unit of the byte quota. Each name takes one, each chunk of
// content as many as it fills: so the quota bounds the host's memory too.
const block = 512

// Limits are quotas. A zero field means its default.
type Limits struct {
	Bytes uint64 // in blocks of 512; what a hole spans is free. Beyond it: ErrNoSpace
	Names uint64 // files, directories, links, removed files still open. Beyond it: ErrQuota
}

// Config is what a file system needs from outside.
type Config struct {
	// Now is the time for what changes: nanoseconds since 1970, never going
	// back.
	Now func() uint64
	// Load opens the content of an imported file, once. An error that wraps an
	// Error is the program's to see, any other is the host's.
	Load func(Origin) (io.ReadCloser, error)
	// Packs is where Encode and Decode keep content.
	Packs Packs
	Limits
}

// Inode names a file, directory or symbolic link as long as it exists. Numbers
// are never used again.
type Inode uint64

// Root is the directory that everything else is below.
const Root Inode = 1

// Kind is what an inode is.
type Kind byte

// The kinds of inodes.
const (
	File Kind = iota + 1
	Directory
	Symlink
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symbolic link"
	}
	return fmt.Sprintf("Kind(%d)", byte(k))
}

// FS is a file system.
type FS struct {
	config Config
	owner  *owner
	nodes  tree[Inode, *node]
	next   Inode
	bytes  uint64 // charged to the byte quota
	names  uint64 // charged to the name quota
	pack   cachedPack
}

// New makes a file system that has an empty root directory.
func New(c Config) *FS {
	f := &FS{config: withDefaults(c), owner: new(owner), next: Root}
	root := f.newNode(Directory)
	root.links, root.parent = 1, Root
	f.names, f.bytes = 1, block
	return f
}

func withDefaults(c Config) Config {
	if c.Bytes == 0 {
		c.Bytes = DefaultBytes
	}
	if c.Names == 0 {
		c.Names = DefaultNames
	}
	return c
}

// Clone copies the file system in O(1), open files included. From now on both
// copy what they change.
func (f *FS) Clone() *FS {
	f.owner = new(owner)
	clone := *f
	clone.owner = new(owner)
	return &clone
}

// Mark is a file system as it was at a moment, to be compared with.
type Mark struct {
	nodes *branch[Inode, *node]
	next  Inode
}

// Mark remembers the file system as it is now, in O(1).
func (f *FS) Mark() Mark {
	f.owner = new(owner) // whatever changes is copied, up to the root
	return Mark{f.nodes.root, f.next}
}

// Unchanged reports whether nothing has happened since m was made. It may be
// false where what has happened is without effect.
func (f *FS) Unchanged(m Mark) bool { return m == Mark{f.nodes.root, f.next} }

// Usage is how much of its quotas a file system uses.
type Usage struct{ Bytes, Names uint64 }

// Usage says how much of its quotas the file system uses.
func (f *FS) Usage() Usage { return Usage{f.bytes, f.names} }

// charge takes n bytes of the quota.
func (f *FS) charge(n uint64) error {
	if n > f.config.Bytes || f.bytes > f.config.Bytes-n {
		return ErrNoSpace
	}
	f.bytes += n
	return nil
}

// chargeName takes what one more name costs.
func (f *FS) chargeName() error {
	if f.names >= f.config.Names {
		return ErrQuota
	}
	if err := f.charge(block); err != nil {
		return err
	}
	f.names++
	return nil
}

func (f *FS) refundName() {
	f.names--
	f.bytes -= block
}

// blocks is what n bytes of content are charged.
func blocks(n int) uint64 { return uint64(n+block-1) / block * block }
