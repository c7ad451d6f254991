package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// readAhead is how much of a file a scan reads at a time.
const readAhead = 1 << 20

// readFull reads until b is full or the file ends.
func readFull(r io.ReaderAt, b []byte, offset int64) (int, error) {
	n, err := r.ReadAt(b, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// window reads a file in order, in large pieces.
type window struct {
	r     io.ReaderAt
	end   int64 // nothing behind it is read
	start int64
	buf   []byte
}

// at gives n bytes from offset, or fewer where the file ends. They are valid
// until the next call.
func (w *window) at(offset int64, n int) ([]byte, error) {
	n = int(max(min(int64(n), w.end-offset), 0))
	if offset >= w.start && offset+int64(n) <= w.start+int64(len(w.buf)) {
		return w.buf[offset-w.start:][:n], nil
	}
	size := int(max(min(max(int64(n), readAhead), w.end-offset), 0))
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	got, err := readFull(w.r, w.buf[:size], offset)
	w.start, w.buf = offset, w.buf[:got]
	return w.buf[:min(n, got)], err
}

// scanner goes through the frames of one log file.
type scanner struct {
	w      window
	salt   uint64
	offset int64  // where the next frame should begin
	seq    uint64 // of the last frame

	// A header that is left of a frame that cannot be read, if it shows that
	// there were frames before it that cannot be read either.
	trace struct {
		start int64
		seq   uint64
	}
}

func newScanner(r io.ReaderAt, salt uint64, offset, end int64, seq uint64) *scanner {
	return &scanner{w: window{r: r, end: end}, salt: salt, offset: offset, seq: seq}
}

// next gives the next frame that can be read, and the bytes between the one
// before and it, which then are damaged. There is none when f is nil: whatever
// is behind the offset belongs to no frame.
func (s *scanner) next() (f *frame, damagedFrom int64, err error) {
	from := s.offset
	f, err = s.frameAt(s.offset)
	for at := s.offset; f == nil && err == nil; {
		var h frameHeader
		at, h, err = s.search(at + frameAlign)
		if err != nil || at < 0 {
			return nil, from, err
		}
		if h.flags&flagTrailer == 0 {
			f, err = s.frameAt(at)
		} else if start := at + headerSize - h.size(); start >= from {
			f, err = s.decode(h, start)
		}
	}
	if err != nil {
		return nil, from, err
	}
	s.offset, s.seq = f.end, f.seq
	return f, from, nil
}

// frameAt reads the frame whose first header is at offset.
func (s *scanner) frameAt(offset int64) (*frame, error) {
	b, err := s.w.at(offset, headerSize)
	if err != nil {
		return nil, err
	}
	h, ok := decodeHeader(b, s.salt)
	if !ok || h.flags&flagTrailer != 0 {
		return nil, nil
	}
	return s.decode(h, offset)
}

// decode reads the frame that has h. It is none if it would reach behind the
// end, or if it does not follow the frames before.
func (s *scanner) decode(h frameHeader, start int64) (*frame, error) {
	if h.seq <= s.seq {
		return nil, nil
	}
	if h.seq > s.seq+1 && h.seq > s.trace.seq {
		s.trace.start, s.trace.seq = start, h.seq
	}
	if start+h.size() > s.w.end {
		return nil, nil
	}
	b, err := s.w.at(start, int(h.size()))
	if err != nil || int64(len(b)) < h.size() {
		return nil, err
	}
	f, _ := decodeFrame(b, h, start)
	return f, nil
}

// search finds the next header at or behind offset, or gives -1.
func (s *scanner) search(offset int64) (int64, frameHeader, error) {
	var salt [8]byte
	binary.LittleEndian.PutUint64(salt[:], s.salt)
	for offset < s.w.end {
		b, err := s.w.at(offset, readAhead)
		if err != nil {
			return -1, frameHeader{}, err
		}
		if len(b) < headerSize {
			break
		}
		at := 0
		for {
			i := bytes.Index(b[at:], salt[:])
			if i < 0 {
				break
			}
			at += i
			if h, ok := decodeHeader(b[at:], s.salt); ok && (offset+int64(at))%frameAlign == 0 {
				return offset + int64(at), h, nil
			}
			at++
		}
		// A header may begin in the last bytes and end behind them.
		offset += int64(len(b)-headerSize)/frameAlign*frameAlign + frameAlign
	}
	return -1, frameHeader{}, nil
}

// zeroFrom says whether the file holds nothing but zeros from offset on.
func (s *scanner) zeroFrom(offset int64) (bool, error) {
	for offset < s.w.end {
		b, err := s.w.at(offset, readAhead)
		if err != nil {
			return false, err
		}
		if len(b) == 0 {
			return true, nil
		}
		if len(bytes.TrimLeft(b, "\x00")) > 0 {
			return false, nil
		}
		offset += int64(len(b))
	}
	return true, nil
}
