package filesystem

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The manifest's format: FORMAT.md.
const (
	magic         = "WBFS"
	formatVersion = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The flags of a node in a manifest.
const (
	flagChanged = 1 << iota
	flagAbsent
	flagPinned
	flagOrigin
	flagsKnown = 1<<iota - 1
)

// Encode gives the whole file system as a manifest, and its content to the
// packs of the configuration. What the packs have already, from a former
// Encode or Decode, is not given again.
func (f *FS) Encode() ([]byte, error) {
	if f.config.Packs == nil {
		return nil, errors.New("encode a file system: there is nowhere to keep content")
	}
	e := &encoder{packer: packer{f: f}, numbers: make(map[*pack]uint64)}
	for _, n := range f.nodes.all() {
		if err := e.node(n); err != nil {
			return nil, err
		}
	}
	if err := e.packer.flush(); err != nil {
		return nil, err
	}
	b := append([]byte(magic), formatVersion)
	b = binary.AppendUvarint(b, uint64(f.next))
	b = binary.AppendUvarint(b, uint64(len(e.packs)))
	for _, p := range e.packs {
		b = binary.AppendUvarint(append(b, p.sum[:]...), uint64(p.size))
	}
	b = binary.AppendUvarint(b, uint64(f.nodes.size))
	b = append(b, e.bytes...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// encoder collects the nodes; the packs they use are numbered as they appear.
type encoder struct {
	packer  packer
	packs   []*pack
	numbers map[*pack]uint64
	last    Inode
	bytes   []byte
}

func (e *encoder) uint(v uint64) { e.bytes = binary.AppendUvarint(e.bytes, v) }

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.bytes = append(e.bytes, s...)
}

func (e *encoder) node(n *node) error {
	e.uint(uint64(n.inode - e.last))
	e.last = n.inode
	e.bytes = append(e.bytes, byte(n.kind), n.flags())
	e.uint(n.atime)
	e.uint(n.mtime)
	e.uint(n.ctime)
	if n.origin != nil {
		e.uint(n.origin.Tree)
		e.string(n.origin.Path)
	}
	switch n.kind {
	case File:
		return e.content(n)
	case Directory:
		e.directory(n)
	case Symlink:
		e.string(n.target)
	}
	return nil
}

func (n *node) flags() (flags byte) {
	if n.changed {
		flags |= flagChanged
	}
	if n.absent {
		flags |= flagAbsent
	}
	if n.pinned {
		flags |= flagPinned
	}
	if n.origin != nil {
		flags |= flagOrigin
	}
	return flags
}

func (e *encoder) content(n *node) error {
	e.uint(n.size)
	e.uint(uint64(n.chunks.size))
	next := uint64(0)
	for index, c := range n.chunks.all() {
		at, err := e.packer.add(c)
		if err != nil {
			return err
		}
		number, known := e.numbers[at.pack]
		if !known {
			number = uint64(len(e.packs))
			e.numbers[at.pack] = number
			e.packs = append(e.packs, at.pack)
		}
		e.uint(index - next)
		next = index + 1
		e.uint(uint64(c.size))
		e.uint(number)
		e.uint(uint64(at.offset))
	}
	return nil
}

func (e *encoder) directory(n *node) {
	e.uint(n.cookie)
	e.uint(uint64(n.order.size))
	last := uint64(cookieParent)
	for cookie, name := range n.order.all() {
		entry, _ := n.entries.get(name)
		e.uint(cookie - last)
		last = cookie
		e.uint(uint64(entry.inode))
		e.string(name)
	}
}
