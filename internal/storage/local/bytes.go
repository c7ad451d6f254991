package local

import (
	"errors"
	"fmt"
	"path"
)

var (
	errChecksum = errors.New("the bytes fail their checksum")
	errShort    = errors.New("the file ends before")
)

// bytes reads and checks what is at a location, into buffer if it is large
// enough.
func (s *Store) bytes(at location, buffer []byte) ([]byte, error) {
	h, err := s.handles.get(at.file)
	if err != nil {
		return nil, err
	}
	defer s.handles.put(h)
	if cap(buffer) < int(at.length) {
		buffer = make([]byte, at.length)
	}
	b := buffer[:at.length]
	n, err := readFull(h, b, at.offset)
	switch {
	case err != nil:
		return nil, err
	case n < len(b):
		return nil, errShort
	case checksum(b) != at.crc:
		return nil, errChecksum
	}
	return b, nil
}

// bytesReader reads the bytes of many records of one reader, some ahead if they
// are close together. All of them were in the log before the first is read.
type bytesReader struct {
	store *Store

	ahead     []byte
	file      uint64
	start     int64 // of ahead in the file
	end       int64 // of the record before
	exactly   []byte
	following int // records in a row that were close to the one before
}

const (
	// Records are close if no more than this lies between them.
	closeBytes = 4 << 10
	aheadBytes = 64 << 10
)

// read gives the bytes at a location until the next call.
func (r *bytesReader) read(at location) ([]byte, error) {
	if at.file == r.file && at.offset >= r.end && at.offset-r.end <= closeBytes {
		r.following++
	} else {
		r.following = 0
	}
	if at.file != r.file {
		r.file, r.ahead = at.file, r.ahead[:0]
	}
	r.end = at.offset + int64(at.length)
	if r.following > 1 && at.length <= closeBytes {
		if b, ok := r.fromAhead(at); ok {
			return b, nil
		}
	}
	b, err := r.store.bytes(at, r.exactly)
	if err == nil {
		r.exactly = b
	}
	return b, err
}

// fromAhead gives bytes that were read ahead, or reads ahead. It is not ok if
// that does not give the right bytes.
func (r *bytesReader) fromAhead(at location) ([]byte, bool) {
	if at.offset < r.start || r.end > r.start+int64(len(r.ahead)) {
		h, err := r.store.handles.get(at.file)
		if err != nil {
			return nil, false
		}
		defer r.store.handles.put(h)
		if cap(r.ahead) == 0 {
			r.ahead = make([]byte, aheadBytes)
		}
		n, err := readFull(h, r.ahead[:aheadBytes], at.offset)
		r.ahead, r.start = r.ahead[:n], at.offset
		if err != nil || n < int(at.length) {
			return nil, false
		}
	}
	b := r.ahead[at.offset-r.start:][:at.length]
	return b, checksum(b) == at.crc
}

func (s *Store) where(at location) string {
	return fmt.Sprintf("%s, byte %d", path.Join(s.logDir(), logName(at.file)), at.offset)
}
