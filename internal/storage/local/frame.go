package local

import (
	"encoding/binary"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// A frame is what one flush appends to a log file (docs/STORAGE.md):
//
//	header, directory, body, padding, directory again, header again
//
// The directory has a line for each record, the body the records' bytes. With
// both copies, damage in one place never leaves in doubt whose bytes are
// damaged and where the next frame begins.
const (
	headerSize = 40
	frameAlign = 8 // frames begin and end at multiples of it

	maxDirectory = 32 << 20
	maxBody      = storage.MaxSegment

	flagTrailer = 1 // of the second header
)

// frameHeader is at either end of a frame. It begins with the file's salt,
// which nobody can guess who does not see the disk: so nothing that a program
// stores can ever pass for a frame.
type frameHeader struct {
	salt      uint64
	seq       uint64
	directory uint32 // bytes of one copy
	body      uint32 // bytes
	records   uint32
	flags     uint32
	crc       uint32 // of the directory
}

// size is that of the whole frame.
func (h *frameHeader) size() int64 {
	return align(2*headerSize + 2*int64(h.directory) + int64(h.body))
}

func align(n int64) int64 { return (n + frameAlign - 1) / frameAlign * frameAlign }

func (h *frameHeader) encode(b []byte) {
	le := binary.LittleEndian
	le.PutUint64(b, h.salt)
	le.PutUint64(b[8:], h.seq)
	le.PutUint32(b[16:], h.directory)
	le.PutUint32(b[20:], h.body)
	le.PutUint32(b[24:], h.records)
	le.PutUint32(b[28:], h.flags)
	le.PutUint32(b[32:], h.crc)
	le.PutUint32(b[36:], checksum(b[:36]))
}

// decodeHeader reads a header that begins with salt.
func decodeHeader(b []byte, salt uint64) (h frameHeader, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerSize || le.Uint64(b) != salt || le.Uint32(b[36:]) != checksum(b[:36]) {
		return h, false
	}
	h = frameHeader{
		salt: salt, seq: le.Uint64(b[8:]),
		directory: le.Uint32(b[16:]), body: le.Uint32(b[20:]), records: le.Uint32(b[24:]),
		flags: le.Uint32(b[28:]), crc: le.Uint32(b[32:]),
	}
	return h, h.directory <= maxDirectory && h.body <= maxBody && h.flags <= flagTrailer
}

// encodeFrame builds the frame in b's memory and sets what the records say about
// their bytes, with offsets from the frame's beginning.
func encodeFrame(b []byte, salt, seq uint64, records []record) []byte {
	b = append(b[:0], make([]byte, headerSize)...)
	component, body := "", int64(0)
	for i := range records {
		r := &records[i]
		if r.kind.hasBytes() {
			r.length, r.crc = uint32(len(r.bytes)), checksum(r.bytes)
		}
		b = appendRecord(b, r, component)
		if r.worker.Component != "" {
			component = r.worker.Component
		}
		body += int64(r.length)
	}
	h := frameHeader{
		salt: salt, seq: seq, directory: uint32(len(b) - headerSize), body: uint32(body),
		records: uint32(len(records)), crc: checksum(b[headerSize:]),
	}
	directory := b[headerSize:]
	signSegment(records, directory)
	for i := range records {
		records[i].offset = int64(len(b))
		b = append(b, records[i].bytes...)
	}
	b = append(b, make([]byte, h.size()-int64(len(b))-int64(h.directory)-headerSize)...)
	b = append(b, directory...)
	h.encode(b)
	h.flags = flagTrailer
	b = append(b, make([]byte, headerSize)...)
	h.encode(b[len(b)-headerSize:])
	return b
}

// signSegment gives the segment's record the digest of the segment.
func signSegment(records []record, directory []byte) {
	if len(records) > 0 && records[0].kind == kindSegment {
		records[0].segmentEpoch, records[0].digest = records[0].epoch, digest(directory)
	}
}

// frame is a frame as it was read.
type frame struct {
	start, end int64 // in the file
	seq        uint64
	records    []record // with offsets in the file
	damaged    []bool   // per record, whether its bytes fail their checksum; nil if none does
	bytes      []byte   // all of it, until the next one is read
}

// decodeFrame reads the frame that b holds whole and that begins at start. h is
// either of its headers. It fails if neither directory can be read.
func decodeFrame(b []byte, h frameHeader, start int64) (*frame, bool) {
	records, ok := decodeEither(b, h)
	if !ok {
		return nil, false
	}
	f := &frame{start: start, end: start + h.size(), seq: h.seq, records: records, bytes: b}
	for i := range records {
		r := &records[i]
		r.offset += headerSize + int64(h.directory)
		if r.kind.hasBytes() && checksum(b[r.offset:r.offset+int64(r.length)]) != r.crc {
			if f.damaged == nil {
				f.damaged = make([]bool, len(records))
			}
			f.damaged[i] = true
		}
		r.offset += start
	}
	return f, true
}

func decodeEither(b []byte, h frameHeader) ([]record, bool) {
	front := b[headerSize : headerSize+int64(h.directory)]
	back := b[h.size()-headerSize-int64(h.directory) : h.size()-headerSize]
	for _, directory := range [][]byte{front, back} {
		if checksum(directory) != h.crc {
			continue
		}
		records, err := decodeDirectory(directory, h.seq, int(h.records), int64(h.body))
		signSegment(records, directory)
		return records, err == nil
	}
	return nil, false
}

// content gives the bytes of record i.
func (f *frame) content(i int) []byte {
	r := &f.records[i]
	at := r.offset - f.start
	return f.bytes[at : at+int64(r.length)]
}
