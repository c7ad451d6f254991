package oplog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func marshal(v any) ([]byte, error) { return json.Marshal(v) }

// coder passes the fields of an entry to or from bytes: one walk serves both.
// Reading aliases the input; the first error sticks. Every value has one
// encoding only, so what is read is, written again, the same bytes.
type coder struct {
	b       []byte // written so far, or still to be read
	reading bool
	err     error
}

func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

func (c *coder) uvarint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	got, n := uvarint(c.b)
	if n <= 0 {
		c.fail(errNumber)
		got, n = 0, 0
	}
	*v, c.b = got, c.b[n:]
}

// uvarint reads a number and its length, which is not positive when the number
// ends early, is too large, or is not in its shortest form.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	v, n := binary.Uvarint(b)
	if n > 0 && b[n-1] == 0 {
		return 0, -n
	}
	return v, n
}

func (c *coder) time(t *Time) {
	v := uint64(*t)
	if c.uvarint(&v); c.reading { // what is written may be read by others meanwhile
		*t = Time(v)
	}
}

// bool passes a flag as 0 or 1.
func (c *coder) bool(p *bool) {
	v := uint64(0)
	if *p {
		v = 1
	}
	c.uvarint(&v)
	if v > 1 {
		c.fail(errNumber)
	}
	if c.reading {
		*p = v == 1
	}
}

// fixed passes bytes of a length that both sides know.
func (c *coder) fixed(p []byte) {
	if !c.reading {
		c.b = append(c.b, p...)
		return
	}
	if len(c.b) < len(p) {
		c.fail(errTruncated)
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
		c.fail(errTruncated)
		n = 0
	}
	*p, c.b = c.b[:n:n], c.b[n:]
}

func (c *coder) string(s *string) {
	if !c.reading {
		c.b = append(binary.AppendUvarint(c.b, uint64(len(*s))), *s...)
		return
	}
	var p []byte
	c.bytes(&p)
	*s = string(p)
}

func (c *coder) strings(p *[]string) { list(c, p, 1, c.string) }

// list passes a count and then each element, of which one takes least bytes or
// more. A count that the bytes left cannot hold is refused before anything is
// made for it.
func list[T any](c *coder, p *[]T, least int, element func(*T)) {
	n := uint64(len(*p))
	c.uvarint(&n)
	if c.reading {
		if n > uint64(len(c.b)/least) {
			c.fail(errTruncated)
			n = 0
		}
		*p = make([]T, n)
	}
	for i := range *p {
		if element(&(*p)[i]); c.err != nil {
			return
		}
	}
}

// chunkHeader is a chunk's version byte, the time of its flush, and a checksum.
const (
	chunkSum    = 1 + 8 // where the checksum is
	chunkHeader = chunkSum + 4
)

func putChunkHeader(b []byte, worker uint32, first Index, at time.Time) {
	b[0] = Version
	binary.LittleEndian.PutUint64(b[1:], uint64(at.UnixNano()))
	binary.LittleEndian.PutUint32(b[chunkSum:], checksum(worker, first, b[:chunkSum]))
}

// checksum is a CRC-32C that goes on from start and the place that b has, so
// that what is whole but in another's place is found too, for sure when the two
// places are less than 2^32 apart. (Taking the index as eight more bytes would
// cost an allocation and three times the time.)
func checksum(start uint32, place Index, b []byte) uint32 {
	return crc32.Update(start^uint32(place), castagnoli, b)
}

// workerSum is what the checksums of a worker's chunk headers start from.
func workerSum(w id.Worker) uint32 {
	return crc32.Checksum([]byte(w.String()), castagnoli)
}

// appendEntry appends entry index as docs/OPLOG.md has it: length, kind,
// fields, checksum. It encodes through c, which the caller keeps, because one
// of its own would be an allocation.
func appendEntry(c *coder, b []byte, index Index, body Body) []byte {
	c.b = beginEntry(b, body.kind())
	body.fields(c)
	grown := sealEntry(c.b, len(b), index)
	c.b = nil
	return grown
}

// beginEntry leaves room for the shortest length, which is known only behind
// the fields.
func beginEntry(b []byte, k *kind) []byte { return append(b, 0, k.number) }

// sealEntry completes the entry that begins at start: it sets the length,
// moving the fields if that needs more than one byte, and adds the checksum.
func sealEntry(b []byte, start int, index Index) []byte {
	n := len(b) - start - 1
	if n < 0x80 {
		b[start] = byte(n)
	} else {
		var length [binary.MaxVarintLen64]byte
		b = slices.Replace(b, start, start+1, length[:binary.PutUvarint(length[:], uint64(n))]...)
	}
	return binary.LittleEndian.AppendUint32(b, checksum(0, index, b[len(b)-n:]))
}

// cutEntry splits the first entry off b: its content (kind and fields) and
// what follows. A content that fails its checksum comes with errChecksum, and
// what follows is then true only if the length is.
func cutEntry(b []byte, index Index) (content, rest []byte, err error) {
	n, w := uvarint(b)
	if w <= 0 || n == 0 || n > MaxEntry || w+int(n)+4 > MaxEntry {
		return nil, nil, errLength
	}
	if uint64(len(b)-w) < n+4 {
		return nil, nil, errTruncated
	}
	content, rest = b[w:w+int(n)], b[w+int(n):]
	if binary.LittleEndian.Uint32(rest) != checksum(0, index, content) {
		err = errChecksum
	}
	return content, rest[4:], err
}

// decode reads an entry's content into body, whose slices alias content. It
// reads through c for the reason that appendEntry writes through one.
func decode(c *coder, content []byte, body Body) error {
	*c = coder{b: content[1:], reading: true}
	body.fields(c)
	if c.err == nil && len(c.b) > 0 {
		c.err = errTrailing
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
