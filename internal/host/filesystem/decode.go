package filesystem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrNewerFormat is for a manifest that a newer Waterbear has written.
var ErrNewerFormat = errors.New("written by a newer version of waterbear")

// Decode makes the file system that Encode was called on, with nothing
// retained. Content is fetched from the packs of the configuration when it is
// needed.
func Decode(manifest []byte, c Config) (*FS, error) {
	f, err := decode(manifest, c)
	if err != nil {
		return nil, fmt.Errorf("decode the manifest of a file system: %w", err)
	}
	return f, nil
}

func decode(manifest []byte, c Config) (*FS, error) {
	header := len(magic) + 1
	if len(manifest) < header || string(manifest[:len(magic)]) != magic {
		return nil, errors.New("it does not begin as one")
	}
	if v := manifest[len(magic)]; v != formatVersion {
		if v > formatVersion {
			return nil, fmt.Errorf("its format is %d, this version reads %d: %w", v, formatVersion, ErrNewerFormat)
		}
		return nil, fmt.Errorf("there is no format %d", v)
	}
	end := len(manifest) - crc32.Size
	if end < header || crc32.Checksum(manifest[:end], castagnoli) != binary.LittleEndian.Uint32(manifest[end:]) {
		return nil, errors.New("its checksum is wrong")
	}
	if c.Packs == nil {
		return nil, errors.New("there is nowhere to fetch content from")
	}
	f := &FS{config: withDefaults(c), owner: new(owner)}
	d := &decoder{f: f, bytes: manifest[header:end]}
	d.all()
	if d.err == nil && len(d.bytes) > 0 {
		d.fail("%d bytes are left over", len(d.bytes))
	}
	if d.err == nil {
		d.connect()
	}
	return f, d.err
}

// maxCount bounds the numbers that are counted up for ever: nothing gets there
// by counting.
const maxCount = 1 << 62

// decoder reads a manifest. After the first error it reads zeros.
type decoder struct {
	f     *FS
	bytes []byte
	packs []*pack
	last  Inode
	err   error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.bytes = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.bytes)
	if n <= 0 {
		d.fail("it ends early")
		return 0
	}
	d.bytes = d.bytes[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.bytes)) {
		d.fail("it ends early")
		return nil
	}
	p := d.bytes[:n]
	d.bytes = d.bytes[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) string() string { return string(d.take(d.uint())) }

// times calls read as often as the manifest says and until it fails.
func (d *decoder) times(read func()) {
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		read()
	}
}

func (d *decoder) all() {
	d.f.next = Inode(d.uint())
	if d.f.next > maxCount {
		d.fail("its next inode is %d", d.f.next)
	}
	d.times(func() {
		p := &pack{}
		copy(p.sum[:], d.take(uint64(len(p.sum))))
		size := d.uint()
		if size > packSize+chunkSize {
			d.fail("a pack has %d bytes", size)
		}
		p.size = int(size)
		d.packs = append(d.packs, p)
	})
	d.times(d.node)
}

func (d *decoder) node() {
	n := &node{owner: d.f.owner}
	delta := d.uint()
	n.inode = d.last + Inode(delta)
	if delta == 0 || n.inode <= d.last || n.inode >= d.f.next {
		d.fail("inode %d follows %d", n.inode, d.last)
	}
	d.last = n.inode
	n.kind = Kind(d.byte())
	flags := d.byte()
	n.changed, n.absent, n.pinned = flags&flagChanged != 0, flags&flagAbsent != 0, flags&flagPinned != 0
	n.atime, n.mtime, n.ctime = d.uint(), d.uint(), d.uint()
	if flags&flagOrigin != 0 {
		n.origin = &Origin{d.uint(), d.string()}
	}
	if flags > flagsKnown || n.absent && (n.kind != File || n.origin == nil) || n.pinned && n.kind != Directory {
		d.fail("inode %d has the flags %#x", n.inode, flags)
	}
	switch n.kind {
	case File:
		d.content(n)
	case Directory:
		d.directory(n)
	case Symlink:
		n.target = d.string()
		if err := checkPath(n.target); err != nil {
			d.fail("the target of symbolic link %d: %w", n.inode, err)
		}
		d.f.bytes += blocks(len(n.target))
	default:
		d.fail("inode %d is of kind %d", n.inode, n.kind)
	}
	d.f.nodes.set(d.f.owner, n.inode, n)
}

func (d *decoder) content(n *node) {
	n.size = d.uint()
	if n.size > MaxFileSize {
		d.fail("file %d has %d bytes", n.inode, n.size)
	}
	next := uint64(0)
	d.times(func() {
		index, size, number, offset := next+d.uint(), d.uint(), d.uint(), d.uint()
		switch {
		case n.absent, index < next, index > n.size/chunkSize, size == 0, size > chunkSize, index*chunkSize+size > n.size:
			d.fail("chunk %d of file %d, of %d bytes, is not in it", index, n.inode, size)
			return
		case number >= uint64(len(d.packs)), offset > packSize, offset+size > uint64(d.packs[number].size):
			d.fail("chunk %d of file %d is in no pack", index, n.inode)
			return
		}
		next = index + 1
		at := &stored{d.packs[number], int(offset)}
		n.chunks.set(d.f.owner, index, &chunk{owner: d.f.owner, size: int(size), stored: at})
		d.f.bytes += blocks(int(size))
	})
}

func (d *decoder) directory(n *node) {
	n.cookie = d.uint()
	last := uint64(cookieParent)
	if n.cookie < last || n.cookie > maxCount {
		d.fail("directory %d has %d for a cookie", n.inode, n.cookie)
	}
	n.parent = n.inode
	d.times(func() {
		delta, inode, name := d.uint(), Inode(d.uint()), d.string()
		cookie := last + delta
		_, taken := n.entries.get(name)
		if delta == 0 || cookie < last || cookie > n.cookie || taken || checkName(name) != nil {
			d.fail("directory %d has %q for an entry, at %d", n.inode, name, cookie)
			return
		}
		last = cookie
		n.entries.set(d.f.owner, name, entry{inode: inode, cookie: cookie})
		n.order.set(d.f.owner, cookie, name)
	})
}

// connect makes names and inodes know each other: every entry has an inode,
// every directory one place below the root, or none and is empty.
func (d *decoder) connect() {
	f := d.f
	root, _ := f.nodes.get(Root)
	if root == nil || root.kind != Directory {
		d.fail("it has no root")
		return
	}
	root.links = 1
	for level, depth := []*node{root}, 1; len(level) > 0; depth++ {
		var below []*node
		for _, dir := range level {
			below = d.entries(dir, below)
		}
		if len(below) > 0 && depth > MaxDepth {
			d.fail("directories are nested deeper than %d", MaxDepth)
			return
		}
		level = below
	}
	f.names, f.bytes = f.names+1, f.bytes+block // the root's
	for i, n := range f.nodes.all() {
		if n.links > 0 {
			continue
		}
		// Directories that are only below each other end up here, too.
		if n.entries.size > 0 {
			d.fail("directory %d is nowhere and has entries", i)
		}
		f.names, f.bytes = f.names+1, f.bytes+block
	}
}

// entries gives dir's entries their inodes, and appends those that are
// directories to found.
func (d *decoder) entries(dir *node, found []*node) []*node {
	f := d.f
	for name, e := range dir.entries.all() {
		n, ok := f.nodes.get(e.inode)
		switch {
		case !ok:
			d.fail("%q in directory %d has no inode", name, dir.inode)
			return nil
		case n.kind == Directory && n.links > 0:
			d.fail("directory %d has two places", n.inode)
			return nil
		case n.links >= MaxLinks:
			d.fail("inode %d has too many names", n.inode)
			return nil
		}
		n.links++
		f.names, f.bytes = f.names+1, f.bytes+block
		e.kind = n.kind
		dir.entries.set(f.owner, name, e)
		f.adopt(dir, n)
		if n.kind == Directory {
			found = append(found, n)
		}
	}
	return found
}
