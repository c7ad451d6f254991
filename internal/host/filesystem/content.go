package filesystem

import (
	"errors"
	"fmt"
	"io"
)

// chunkSize is the unit in which content is shared, stored and absent.
const chunkSize = 64 << 10

// chunk is a stretch of a file's content. What a file has no chunk for is
// zero, as is what a chunk lacks behind size.
type chunk struct {
	owner  *owner
	size   int
	data   []byte  // of size bytes, or nil if only stored has it
	stored *stored // where Encode has put it, until it changes
}

// ReadAt reads content at offset off; fewer bytes than len(p), or none, at the
// end.
func (f *FS) ReadAt(i Inode, p []byte, off uint64) (int, error) {
	n, err := f.file(i)
	if err != nil {
		return 0, err
	}
	if n.absent {
		if n, err = f.load(n); err != nil {
			return 0, err
		}
	}
	if off >= n.size {
		return 0, nil
	}
	p = p[:min(uint64(len(p)), n.size-off)]
	for done := 0; done < len(p); {
		at := off + uint64(done)
		within := int(at % chunkSize)
		part := p[done : done+min(len(p)-done, chunkSize-within)]
		done += len(part)
		c, ok := n.chunks.get(at / chunkSize)
		if !ok {
			clear(part)
			continue
		}
		if c.data == nil {
			n = f.own(n)
			if c, err = f.fetch(n, at/chunkSize, c); err != nil {
				return 0, err
			}
		}
		copied := 0
		if within < c.size {
			copied = copy(part, c.data[within:])
		}
		clear(part[copied:])
	}
	return len(p), nil
}

// WriteAt writes p at offset off and makes the file longer if it must. It
// writes less than p only with an error or when space runs out on the way.
func (f *FS) WriteAt(i Inode, p []byte, off uint64) (int, error) {
	n, err := f.file(i)
	if err != nil || len(p) == 0 {
		return 0, err
	}
	if off >= MaxFileSize {
		return 0, ErrTooBig
	}
	p = p[:min(uint64(len(p)), MaxFileSize-off)]
	if n, err = f.writable(n); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		at := off + uint64(done)
		within := int(at % chunkSize)
		part := p[done : done+min(len(p)-done, chunkSize-within)]
		c, err := f.room(n, at/chunkSize, within+len(part))
		if err != nil {
			if done > 0 && errors.Is(err, ErrNoSpace) {
				break
			}
			return done, err
		}
		done += copy(c.data[within:], part)
		n.size = max(n.size, off+uint64(done))
	}
	f.touch(n)
	return done, nil
}

// writable is n, its content here, about to change.
func (f *FS) writable(n *node) (*node, error) {
	if n.absent {
		var err error
		if n, err = f.load(n); err != nil {
			return nil, err
		}
	}
	n = f.own(n)
	n.changed = true
	return n, nil
}

// room is the chunk of n at index, f's to change, with at least size bytes.
func (f *FS) room(n *node, index uint64, size int) (*chunk, error) {
	c, ok := n.chunks.get(index)
	if !ok {
		c = &chunk{owner: f.owner}
	} else if c.data == nil {
		var err error
		if c, err = f.fetch(n, index, c); err != nil {
			return nil, err
		}
	}
	size = max(size, c.size)
	if err := f.charge(blocks(size) - blocks(c.size)); err != nil {
		return nil, err
	}
	if c.owner != f.owner {
		c = &chunk{owner: f.owner, data: grown(c.data, size), size: size}
	} else {
		if size > cap(c.data) {
			c.data = grown(c.data, size)
		}
		c.data, c.size, c.stored = c.data[:size], size, nil
	}
	n.chunks.set(f.owner, index, c)
	return c, nil
}

// grown copies data to where it can have size bytes, and more later.
func grown(data []byte, size int) []byte {
	room := min(max(int(blocks(size)), 2*len(data)), chunkSize)
	out := make([]byte, size, room)
	copy(out, data)
	return out
}

// Truncate makes a file size bytes long; what it grows by is a hole.
func (f *FS) Truncate(i Inode, size uint64) error {
	n, err := f.file(i)
	if err != nil {
		return err
	}
	if size > MaxFileSize {
		return ErrTooBig
	}
	if size == 0 && n.absent {
		n = f.own(n)
		n.absent, n.size, n.changed = false, 0, true
	} else if n, err = f.writable(n); err != nil {
		return err
	}
	if err := f.shorten(n, size); err != nil {
		return err
	}
	n.size = size
	f.touch(n)
	return nil
}

// shorten drops the content from size on.
func (f *FS) shorten(n *node, size uint64) error {
	for {
		index, c, ok := n.chunks.last()
		if !ok || index*chunkSize+uint64(c.size) <= size {
			return nil
		}
		if index*chunkSize >= size {
			f.bytes -= blocks(c.size)
			n.chunks.delete(f.owner, index)
			continue
		}
		c, err := f.room(n, index, 0)
		if err != nil {
			return err
		}
		// What is dropped goes for good: a quota that counts the rest alone
		// must bound the memory too, and a later write behind it finds zeros.
		keep := int(size % chunkSize)
		f.bytes -= blocks(c.size) - blocks(keep)
		c.data, c.size = grown(c.data[:keep], keep), keep
	}
}

// Allocate makes sure that a file is at least off+length bytes long, if there
// is space for that now. It reserves none: the quota is charged when content
// is written.
func (f *FS) Allocate(i Inode, off, length uint64) error {
	n, err := f.file(i)
	if err != nil {
		return err
	}
	if length == 0 {
		return ErrInvalid
	}
	if off > MaxFileSize || length > MaxFileSize-off {
		return ErrTooBig
	}
	switch {
	case off+length <= n.size:
		return nil
	case off+length-max(off, n.size) > f.config.Bytes-min(f.bytes, f.config.Bytes):
		return ErrNoSpace
	}
	return f.Truncate(i, off+length)
}

// Size is how long a file is.
func (f *FS) Size(i Inode) (uint64, error) {
	n, err := f.file(i)
	if err != nil {
		return 0, err
	}
	return n.size, nil
}

// Fetch makes sure that the content of an imported file is here, so that
// reading it cannot fail later.
func (f *FS) Fetch(i Inode) error {
	n, err := f.file(i)
	if err == nil && n.absent {
		_, err = f.load(n)
	}
	return err
}

// load reads the content of an imported file from its origin. If that fails
// nothing has changed.
func (f *FS) load(n *node) (*node, error) {
	if f.config.Load == nil {
		return nil, fmt.Errorf("load %s of imported tree %d: there is nowhere to load from", n.origin.Path, n.origin.Tree)
	}
	content, err := f.config.Load(*n.origin)
	if err != nil {
		return nil, loading(n, err)
	}
	defer content.Close()
	n = f.own(n)
	size, err := f.fill(n, content)
	if err != nil {
		if failed := f.shorten(n, 0); failed != nil {
			return nil, failed
		}
		return nil, err
	}
	n.size, n.absent = size, false
	return n, nil
}

// fill makes the content of n, which has none, what r gives.
func (f *FS) fill(n *node, r io.Reader) (size uint64, err error) {
	buffer := make([]byte, chunkSize)
	for {
		got, err := io.ReadFull(r, buffer)
		part := buffer[:got]
		if len(part) > 0 && size+uint64(len(part)) > MaxFileSize {
			return 0, ErrTooBig
		}
		if !zero(part) {
			c, err := f.room(n, size/chunkSize, len(part))
			if err != nil {
				return 0, err
			}
			copy(c.data, part)
		}
		size += uint64(got)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return size, nil
		case err != nil:
			return 0, loading(n, err)
		}
	}
}

// loading keeps what the program is to see bare, and says of any other error
// what was attempted.
func loading(n *node, err error) error {
	if seen, ok := errors.AsType[Error](err); ok {
		return seen
	}
	return fmt.Errorf("load %s of imported tree %d: %w", n.origin.Path, n.origin.Tree, err)
}

// zero says whether p is what a hole reads as.
func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
