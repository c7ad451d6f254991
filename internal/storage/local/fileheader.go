package local

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// Version is the format of the log files, and of the store as a whole, that
// this package writes. It reads no other.
const Version = 1

const (
	fileMagic = "WBEARLOG"
	// A log file begins with two copies of its header in different sectors.
	fileHeaderSize = 64
	secondHeader   = 512
	firstFrame     = 1024
)

// fileHeader begins a log file.
type fileHeader struct {
	number uint64
	// salt begins every frame of this file and of no other.
	salt uint64
	// firstSeq is the sequence number that its first frame has.
	firstSeq uint64
	// The log continues here after the first previousEnd bytes of file
	// previous (0: none). What that file has behind them never was
	// acknowledged and is not part of the log.
	previous    uint64
	previousEnd int64
}

// encode gives everything before the first frame.
func (h *fileHeader) encode() []byte {
	b := make([]byte, firstFrame)
	le := binary.LittleEndian
	copy(b, fileMagic)
	le.PutUint32(b[8:], Version)
	le.PutUint64(b[16:], h.number)
	le.PutUint64(b[24:], h.salt)
	le.PutUint64(b[32:], h.firstSeq)
	le.PutUint64(b[40:], h.previous)
	le.PutUint64(b[48:], uint64(h.previousEnd))
	le.PutUint32(b[60:], checksum(b[:60]))
	copy(b[secondHeader:], b[:fileHeaderSize])
	return b
}

// decodeFileHeader reads either copy.
func decodeFileHeader(b []byte) (h fileHeader, ok bool, err error) {
	for _, at := range []int{0, secondHeader} {
		if len(b) < at+fileHeaderSize {
			break
		}
		c := b[at : at+fileHeaderSize]
		le := binary.LittleEndian
		if string(c[:8]) != fileMagic || le.Uint32(c[60:]) != checksum(c[:60]) {
			continue
		}
		if v := le.Uint32(c[8:]); v > Version {
			return h, false, newerFormat(uint64(v))
		}
		h = fileHeader{
			number: le.Uint64(c[16:]), salt: le.Uint64(c[24:]), firstSeq: le.Uint64(c[32:]),
			previous: le.Uint64(c[40:]), previousEnd: int64(le.Uint64(c[48:])),
		}
		return h, true, nil
	}
	return h, false, nil
}

// newerFormat says both versions and what to do.
func newerFormat(v uint64) error {
	return fmt.Errorf("the store has format %d and this waterbear reads format %d; upgrade waterbear: %w", v, Version, storage.ErrNewerFormat)
}

// readFileHeader reads the header of an open log file.
func readFileHeader(f vfs.File) (fileHeader, bool, error) {
	b := make([]byte, firstFrame)
	n, err := readFull(f, b, 0)
	if err != nil {
		return fileHeader{}, false, err
	}
	return decodeFileHeader(b[:n])
}

func logName(number uint64) string { return fmt.Sprintf("%010d.log", number) }

// logNumber gives the number of the log file called name.
func logNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && logName(n) == name
}
