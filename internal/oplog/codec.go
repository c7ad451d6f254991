package oplog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func marshal(v any) ([]byte, error) { return json.Marshal(v) }

// coder passes the fields of an entry to or from bytes: one walk serves both.
// Reading aliases the input; the first error sticks.
type coder struct {
	b       []byte // written so far, or still to be read
	reading bool
	err     error
}

func (c *coder) uvarint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	got, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return
	}
	*v, c.b = got, c.b[n:]
}

func (c *coder) fail() {
	if c.err == nil {
		c.err = errTruncated
	}
	c.b = nil
}

func (c *coder) time(t *Time) {
	v := uint64(*t)
	c.uvarint(&v)
	*t = Time(v)
}

// fixed passes bytes of a length that both sides know.
func (c *coder) fixed(p []byte) {
	if !c.reading {
		c.b = append(c.b, p...)
		return
	}
	if len(c.b) < len(p) {
		c.fail()
		return
	}
	c.b = c.b[copy(p, c.b):]
}

func (c *coder) bytes(p *[]byte) {
	n := uint64(len(*p))
	c.uvarint(&n)
	if !c.reading {
		c.b = append(c.b, *p...)
		return
	}
	if n > uint64(len(c.b)) {
		c.fail()
		return
	}
	*p, c.b = c.b[:n:n], c.b[n:]
}

func (c *coder) string(s *string) {
	p := []byte(*s)
	c.bytes(&p)
	if c.reading {
		*s = string(p)
	}
}

func (c *coder) strings(p *[]string) { list(c, p, c.string) }

// list passes a count and then each element. A count beyond the bytes left is
// refused before anything is made for it.
func list[T any](c *coder, p *[]T, element func(*T)) {
	n := uint64(len(*p))
	c.uvarint(&n)
	if c.reading {
		if n > uint64(len(c.b)) {
			c.fail()
			return
		}
		*p = slices.Grow((*p)[:0], int(n))[:n]
	}
	for i := range *p {
		element(&(*p)[i])
	}
}

// chunkHeader is a chunk's version byte and the time of its flush.
const chunkHeader = 1 + 8

func putChunkHeader(b []byte, at time.Time) {
	b[0] = Version
	binary.LittleEndian.PutUint64(b[1:], uint64(at.UnixNano()))
}

// appendEntry appends entry index as docs/OPLOG.md has it: length, kind,
// fields, checksum.
func appendEntry(b []byte, index Index, body Body) []byte {
	start := len(b)
	// The length is known only behind the fields, so they are written first
	// with room for the shortest length, and moved if it needs more.
	c := coder{b: append(b, 0, body.kind().number)}
	body.fields(&c)
	return sealEntry(c.b, start, index)
}

func sealEntry(b []byte, start int, index Index) []byte {
	n := uint64(len(b) - start - 1)
	if n < 0x80 {
		b[start] = byte(n)
	} else {
		var length [binary.MaxVarintLen64]byte
		b = slices.Replace(b, start, start+1, length[:binary.PutUvarint(length[:], n)]...)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(index, b[len(b)-int(n):]))
}

// checksum covers the index too, so an entry in another's place is found.
func checksum(index Index, content []byte) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint64(place[:], index)
	return crc32.Update(crc32.Update(0, castagnoli, place[:]), castagnoli, content)
}

// cutEntry splits the first entry off b: its content (kind and fields) and
// what follows. It checks the checksum.
func cutEntry(b []byte, index Index) (content, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n == 0 || n > MaxEntry || uint64(len(b)-w) < n+4 {
		return nil, nil, errTruncated
	}
	content, rest = b[w:w+int(n)], b[w+int(n):]
	if binary.LittleEndian.Uint32(rest) != checksum(index, content) {
		return nil, nil, errChecksum
	}
	return content, rest[4:], nil
}

// decode reads an entry's content into body, whose slices alias content.
func decode(content []byte, body Body) error {
	c := coder{b: content[1:], reading: true}
	body.fields(&c)
	if c.err == nil && len(c.b) > 0 {
		return fmt.Errorf("%s: %w", Name(body), errTrailing)
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w", Name(body), c.err)
	}
	return nil
}

// newBody makes an empty body of the kind with this number.
func newBody(number byte) (Body, error) {
	if int(number) >= len(kinds) || kinds[number] == nil {
		return nil, fmt.Errorf("unknown entry kind %d", number)
	}
	return kinds[number].make(), nil
}
