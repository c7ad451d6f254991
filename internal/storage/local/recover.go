package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// errReplaced is for a log whose files are not those that were read so far.
var errReplaced = errors.New("the log has changed behind what was read")

// load loads the index and brings it up to date. One that is missing, damaged
// or of another log is begun anew.
func (s *Store) load(ctx context.Context) error {
	x := newIndex(s.disk, s.indexDir())
	err := x.load()
	if errors.Is(err, fs.ErrNotExist) || damagedIndex(err) {
		x, err = newIndex(s.disk, s.indexDir()), nil
	}
	if err != nil {
		return err
	}
	s.replaceIndex(x)
	err = s.catchUp(ctx)
	if errors.Is(err, errReplaced) || damagedIndex(err) {
		x = newIndex(s.disk, s.indexDir())
		s.replaceIndex(x)
		err = s.catchUp(ctx)
	}
	if err != nil || !x.anew {
		return err
	}
	x.anew = false
	if s.readOnly {
		return nil
	}
	return x.recount()
}

// retired is how many indexes that were replaced stay open for the calls that
// still use them.
const retired = 4

func (s *Store) replaceIndex(x *index) {
	s.tail = tail{}
	s.retired = append(s.retired, s.index.Swap(x))
	if len(s.retired) > retired {
		s.retired[0].close()
		s.retired = slices.Delete(s.retired, 0, 1)
	}
}

// catchUp reads what the log has and the index has not.
func (s *Store) catchUp(ctx context.Context) error {
	files, err := s.logFiles()
	if err != nil {
		return err
	}
	x := s.index.Load()
	c := catchUp{store: s, index: x, seq: x.position.Seq}
	for _, f := range files {
		c.total += f.size
	}
	for i, f := range files {
		start, end, last := int64(firstFrame), f.size, f.number == s.tail.last
		sealed := i+1 < len(files) && files[i+1].previous == f.number
		if i+1 < len(files) && !sealed && s.readOnly && !x.anew {
			// What a file between had is elsewhere by now.
			return errReplaced
		}
		if sealed {
			end = files[i+1].previousEnd
		}
		if f.number == x.position.File {
			start = x.position.Offset
			if end < start && sealed {
				return errReplaced
			}
		}
		c.seq = max(c.seq, f.firstSeq-1)
		if err := c.file(ctx, f, start, end, sealed, last); err != nil {
			return err
		}
	}
	s.tail.seq = c.seq
	return nil
}

// diskFile is a log file as the disk has it.
type diskFile struct {
	fileHeader
	size int64
}

// logFiles gives the files that are still to be read, in order, and makes those
// that are there known.
func (s *Store) logFiles() ([]diskFile, error) {
	names, err := s.disk.List(s.logDir())
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := logNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	x := s.index.Load()
	var files []diskFile
	for i, n := range numbers {
		f, ok, unfinished, err := s.logFile(n, i == len(numbers)-1)
		if err != nil {
			return nil, err
		}
		if s.tail.newest = n; !unfinished {
			s.tail.last = n
		}
		if !ok {
			continue
		}
		x.mu.Lock()
		if x.files[n] == nil {
			// If it is not to be read, it was left when it should be removed;
			// it will be, after another look at all of it.
			end := int64(firstFrame)
			if n < x.position.File {
				end = f.size
			}
			x.files[n] = &logFile{fileHeader: f.fileHeader, end: end}
		}
		x.mu.Unlock()
		if n >= x.position.File {
			files = append(files, f)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for n := range x.files {
		if !slices.Contains(numbers, n) {
			delete(x.files, n) // It was removed after the index was written.
		}
	}
	return files, nil
}

// logFile looks at file number. It is not ok if it has no header: then it is
// the newest, left unfinished by a crash, or damaged.
func (s *Store) logFile(number uint64, newest bool) (f diskFile, ok, unfinished bool, err error) {
	x := s.index.Load()
	x.mu.RLock()
	known := x.files[number]
	x.mu.RUnlock()
	if known != nil && number < x.position.File {
		return diskFile{fileHeader: known.fileHeader}, true, false, nil // It is not to be read.
	}
	h, err := s.handles.get(number)
	if err != nil {
		return f, false, false, err
	}
	defer s.handles.put(h)
	if f.size, err = h.Size(); err != nil {
		return f, false, false, err
	}
	if known != nil {
		f.fileHeader = known.fileHeader
		return f, true, false, nil
	}
	f.fileHeader, ok, err = readFileHeader(h)
	if err != nil || ok && f.number == number {
		return f, ok, false, err
	}
	empty, err := newScanner(h, 0, firstFrame, f.size, 0).zeroFrom(firstFrame)
	if err != nil {
		return f, false, false, err
	}
	if empty && newest {
		// Its creation was not finished, so it never had a frame. Whoever
		// writes next makes another.
		return f, false, true, nil
	}
	x.lose(lostRange{File: number, From: 0, To: f.size})
	return f, false, false, nil
}

// lose remembers a part of the log that cannot be read.
func (x *index) lose(l lostRange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l.From >= l.To {
		return
	}
	if !slices.Contains(x.lost, l) {
		x.lost = append(x.lost, l)
	}
	if f := x.files[l.File]; f != nil {
		f.damaged = true
	}
}

// catchUp reads files into an index.
type catchUp struct {
	store *Store
	index *index
	seq   uint64 // of the last frame
	full  bool   // the disk has no space to write the index

	done, total int64
}

// file reads the frames of f from start to end. sealed says that it is known to
// end there; otherwise what is behind its last whole frame does not belong to
// the log, if it is the last file. Only that can have been torn by a crash:
// when a file or frame was begun, all those before were durable.
func (c *catchUp) file(ctx context.Context, f diskFile, start, end int64, sealed, last bool) error {
	h, err := c.store.handles.get(f.number)
	if err != nil {
		return err
	}
	defer c.store.handles.put(h)
	if last && c.store.readOnly {
		if end, err = c.store.durableEnd(h, f, start, end, c.seq); err != nil {
			return err
		}
	}
	scan := newScanner(h, f.salt, start, end, c.seq)
	read, newest := start, int64(0)
	for {
		from := scan.offset
		fr, _, err := scan.next()
		if err != nil {
			return err
		}
		if fr == nil || last && fr.damaged != nil && !follows(h, f, fr, end) {
			break
		}
		c.index.lose(lostRange{File: f.number, From: from, To: fr.start})
		if err := c.frame(ctx, f, fr); err != nil {
			return err
		}
		read, newest = fr.end, fr.start
	}
	if sealed {
		c.index.lose(lostRange{File: f.number, From: read, To: end})
	} else if last {
		if scan.trace.seq > c.seq+1 && scan.trace.start > read {
			// A frame is begun when those before it are durable.
			c.index.lose(lostRange{File: f.number, From: read, To: scan.trace.start})
			read, c.seq = scan.trace.start, scan.trace.seq-1
		}
		c.store.tail.header, c.store.tail.offset, c.store.tail.unproven = f.fileHeader, read, newest
	}
	c.done += f.size
	c.store.options.Progress(float64(c.done) / float64(max(c.total, 1)))
	return nil
}

// follows says whether there is a frame behind fr.
func follows(h *handle, f diskFile, fr *frame, end int64) bool {
	next, _, err := newScanner(h, f.salt, fr.end, end, fr.seq).next()
	return err == nil && next != nil
}

// frame makes a frame known.
func (c *catchUp) frame(ctx context.Context, f diskFile, fr *frame) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p, err := c.index.prepare(fr.records)
	if err != nil {
		return err
	}
	c.index.apply(p, f.number, fr.records, position{File: f.number, Offset: fr.end, Seq: fr.seq})
	c.seq = fr.seq
	if c.full || c.store.readOnly || c.index.active.weight() < 4*c.store.options.FlushWeight {
		return nil
	}
	c.store.options.Progress(float64(c.done+fr.end) / float64(c.total))
	if err := c.store.writeIndex(ctx); !errors.Is(err, vfs.ErrFull) {
		return err
	}
	c.full = true
	return nil
}

// takeTail makes the end of the log ready for appending.
func (s *Store) takeTail() error {
	x, t := s.index.Load(), &s.tail
	if t.header.number == 0 {
		t.broken = true // There is no file, or none that can be read.
		return nil
	}
	name := path.Join(s.logDir(), logName(t.header.number))
	var err error
	if t.w, err = s.disk.OpenWrite(name); err != nil {
		return err
	}
	size, err := t.w.Size()
	if err != nil {
		return err
	}
	t.allocated = size
	x.lose(lostRange{File: t.header.number, From: size, To: t.offset})
	clean, err := newScanner(t.w, t.header.salt, t.offset, size, 0).zeroFrom(t.offset)
	if err != nil {
		return err
	}
	t.broken = !clean || size < t.offset || t.header.number != t.newest
	if at := (position{File: t.header.number, Offset: t.offset, Seq: t.seq}); at != x.written.Position {
		return s.renewTail()
	}
	return nil
}

// renewTail makes the end of the log durable. The process that wrote the last
// frame may have ended before it was synced, or even after that failed, when
// the machine shows bytes that the disk does not have and will not write: so
// whatever is not known to be durable is written again. Only the last frame
// can be like that, or the header if there is none.
func (s *Store) renewTail() error {
	t := &s.tail
	from, to := t.unproven, t.offset
	if from == 0 {
		to = firstFrame
	}
	b := make([]byte, to-from)
	n, err := readFull(t.w, b, from)
	if err != nil {
		return err
	}
	if _, err := t.w.WriteAt(b[:n], from); err != nil {
		return err
	}
	if err := t.w.Sync(); err != nil {
		return err
	}
	return s.disk.SyncDir(s.logDir())
}

// durableEnd gives the end of the last whole frame of a file that another
// process may be writing, after making all of it durable: what is shown to
// anybody must not be lost any more.
func (s *Store) durableEnd(h *handle, f diskFile, start, end int64, seq uint64) (int64, error) {
	scan := newScanner(h, f.salt, start, end, seq)
	for {
		fr, _, err := scan.next()
		if err != nil {
			return start, err
		}
		if fr == nil || fr.damaged != nil && !follows(h, f, fr, end) {
			break
		}
		start = fr.end
	}
	err := h.SyncData()
	if errors.Is(err, vfs.ErrReadOnly) || errors.Is(err, fs.ErrPermission) {
		err = nil // Then nobody writes it.
	}
	return start, err
}
