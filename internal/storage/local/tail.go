package local

import (
	"errors"
	"path"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// keepBuffer is the largest frame whose memory is kept for the next one.
const keepBuffer = 4 << 20

// tail is the end of the log. Who has the store's turn owns it.
type tail struct {
	w         vfs.File // the last file, or nil
	header    fileHeader
	newest    uint64 // the greatest number that a file has, readable or not
	last      uint64 // likewise, without the one that was never finished: the log ends in it
	offset    int64  // where the next frame begins
	unproven  int64  // where the last frame begins when it was found at opening; 0 if none was
	allocated int64  // as far as the file has space
	seq       uint64 // of the last frame
	// broken says that nothing more may be written to the file: what is behind
	// offset is not known to be nothing. The next frame begins a new file,
	// whose header says that this one ends at offset.
	broken bool

	buffer []byte
}

// write makes a frame of records durable, and known. The caller has the turn.
// After an error the frame is not part of the log, except that a crash may
// still make it so as long as nothing else is written.
func (s *Store) write(records []record) error {
	if s.readOnly {
		return s.refuse()
	}
	t, x := &s.tail, s.index.Load()
	for i := range records {
		if !records[i].moved {
			records[i].stamp = t.seq + 1
		}
	}
	plan, err := x.prepare(records)
	if err != nil {
		return s.spoiled(err)
	}
	b := encodeFrame(t.buffer, t.header.salt, t.seq+1, records)
	if t.broken || t.offset > firstFrame && t.offset+int64(len(b)) > s.options.FileBytes {
		if err := s.rotate(); err != nil {
			return known(err)
		}
		b = encodeFrame(b, t.header.salt, t.seq+1, records)
	}
	if t.buffer = b; cap(b) > keepBuffer {
		t.buffer = nil
	}
	if err := t.append(b, s.options.AllocateBytes); err != nil {
		return known(err)
	}
	for i := range records {
		records[i].offset += t.offset - int64(len(b))
		records[i].bytes = nil
	}
	x.apply(plan, t.header.number, records, position{File: t.header.number, Offset: t.offset, Seq: t.seq})
	s.indexWriting.sinceBytes += int64(len(b))
	s.flushIfHeavy()
	return nil
}

// append writes a frame and waits for the disk.
func (t *tail) append(b []byte, step int64) error {
	end := t.offset + int64(len(b))
	if end > t.allocated {
		if err := t.allocate(end, step); err != nil {
			return err // Nothing was written: the file can go on being used.
		}
	}
	_, err := t.w.WriteAt(b, t.offset)
	if err == nil {
		err = t.w.SyncData()
	}
	if err != nil {
		// After a failed sync nobody knows what the disk has, and the machine
		// forgets that it does not have it. So nothing may rely on this part
		// of the file again.
		t.broken = true
		return err
	}
	t.offset, t.seq = end, t.seq+1
	return nil
}

// allocate reserves space up to end at least, so that a full disk is noticed
// here, before anything is written, and syncing a frame writes little besides.
func (t *tail) allocate(end, step int64) error {
	to := (end + step - 1) / step * step
	err := t.w.Allocate(t.allocated, to)
	if errors.Is(err, vfs.ErrFull) {
		to = end
		err = t.w.Allocate(t.allocated, to)
	}
	if err == nil {
		t.allocated = to
	}
	return err
}

// rotate begins a new file, which ends the one before at the tail's offset.
func (s *Store) rotate() error {
	t := &s.tail
	torn := t.broken
	// As soon as the new file may be on the disk, nothing may be added to the
	// old one, even if the rest fails.
	t.broken = true
	h := fileHeader{
		number: t.newest + 1, salt: s.disk.Unpredictable(), firstSeq: t.seq + 1,
		previous: t.header.number, previousEnd: t.offset,
	}
	if h.previous == 0 {
		h.previousEnd = 0
	}
	name := path.Join(s.logDir(), logName(h.number))
	f, err := s.disk.Create(name)
	if err != nil {
		return err
	}
	next := tail{w: f, header: h, newest: h.number, offset: firstFrame, seq: t.seq, buffer: t.buffer}
	if err = next.allocate(firstFrame, s.options.AllocateBytes); err == nil {
		_, err = f.WriteAt(h.encode(), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.disk.SyncDir(s.logDir())
	}
	if err != nil {
		return errors.Join(err, f.Close(), s.disk.Remove(name))
	}
	if torn {
		t.allocated = t.offset // What is behind it may tell somebody something.
	}
	_ = t.close() // All of it that counts has been synced.
	*t = next
	x := s.index.Load()
	x.mu.Lock()
	x.files[h.number] = &logFile{fileHeader: h, end: firstFrame}
	x.mu.Unlock()
	return nil
}

// close gives back the space that is allocated but not used. It does not
// matter if that fails: the header of the next file says where this one ends.
func (t *tail) close() error {
	if t.w == nil {
		return nil
	}
	if t.allocated > t.offset {
		_ = t.w.Truncate(t.offset)
	}
	err := t.w.Close()
	t.w = nil
	return err
}
