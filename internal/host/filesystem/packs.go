package filesystem

import "fmt"

// packSize is how much content Encode hands out at once, and the most that
// Decode keeps beside what is in use.
const packSize = 4 << 20

// Sum names a pack by its content.
type Sum [32]byte

// Packs keeps content outside, by its hash: much of it in one piece, so that
// many small files are few writes.
type Packs interface {
	// Put keeps p, which it must not hold on to, durably.
	Put(p []byte) (Sum, error)
	// Get gives back what Put was given, verified.
	Get(s Sum) ([]byte, error)
}

// stored is where in a pack a chunk is.
type stored struct {
	pack   *pack
	offset int
}

// pack is content that is being put together, or that was.
type pack struct {
	sum  Sum
	size int
}

// cachedPack is the pack that was fetched last: what is read next is likely
// in it.
type cachedPack struct {
	pack  *pack
	bytes []byte
}

// fetch brings a chunk of n, both f's to change, into memory.
func (f *FS) fetch(n *node, index uint64, c *chunk) (*chunk, error) {
	content, err := f.packed(c.stored.pack)
	if err != nil {
		return nil, err
	}
	mine := &chunk{owner: f.owner, size: c.size, data: make([]byte, c.size), stored: c.stored}
	copy(mine.data, content[c.stored.offset:])
	n.chunks.set(f.owner, index, mine)
	return mine, nil
}

func (f *FS) packed(p *pack) ([]byte, error) {
	if f.pack.pack == p {
		return f.pack.bytes, nil
	}
	content, err := f.config.Packs.Get(p.sum)
	if err == nil && len(content) != p.size {
		err = fmt.Errorf("it has %d bytes, not %d", len(content), p.size)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch content pack %x: %w", p.sum, err)
	}
	f.pack = cachedPack{p, content}
	return content, nil
}

// packer puts the content that only memory has into packs.
type packer struct {
	f       *FS
	open    *pack
	buffer  []byte
	pending []*chunk // in the open pack, and f's own
	places  []*stored
}

// add puts a chunk into the open pack.
func (p *packer) add(c *chunk) (*stored, error) {
	if c.stored != nil {
		return c.stored, nil
	}
	if p.open == nil {
		p.open = &pack{}
	}
	s := &stored{p.open, len(p.buffer)}
	p.buffer = append(p.buffer, c.data...)
	if c.owner == p.f.owner {
		p.pending, p.places = append(p.pending, c), append(p.places, s)
	}
	if len(p.buffer) < packSize {
		return s, nil
	}
	return s, p.flush()
}

// flush keeps the open pack. Only then may its chunks say where they are: what
// was not kept must be packed again the next time.
func (p *packer) flush() error {
	if p.open == nil {
		return nil
	}
	sum, err := p.f.config.Packs.Put(p.buffer)
	if err != nil {
		return fmt.Errorf("keep %d bytes of file content: %w", len(p.buffer), err)
	}
	p.open.sum, p.open.size = sum, len(p.buffer)
	for i, c := range p.pending {
		c.stored = p.places[i]
	}
	p.open, p.buffer, p.pending, p.places = nil, p.buffer[:0], p.pending[:0], p.places[:0]
	return nil
}
