package local

import (
	"errors"
	"path"
	"sync"

	"github.com/waterbear-run/waterbear/internal/vfs"
)

// maxHandles is how many log files are kept open for reading while nobody
// reads them.
const maxHandles = 128

// handles are the log files that are open for reading.
type handles struct {
	disk vfs.FS
	dir  string

	mu   sync.Mutex
	open map[uint64]*handle
	uses uint64
}

// handle is a log file that is open for reading.
type handle struct {
	vfs.File
	number uint64
	users  int
	used   uint64 // when it was last taken
	gone   bool   // it is closed when nobody uses it any more
}

func newHandles(disk vfs.FS, dir string) *handles {
	return &handles{disk: disk, dir: dir, open: map[uint64]*handle{}}
}

// get opens file number, or gives it if it is open. The caller puts it back.
func (h *handles) get(number uint64) (*handle, error) {
	if got := h.take(number, nil); got != nil {
		return got, nil
	}
	f, err := h.disk.Open(path.Join(h.dir, logName(number)))
	if err != nil {
		return nil, err
	}
	opened := &handle{File: f, number: number}
	got := h.take(number, opened)
	if got != opened {
		_ = f.Close() // opened for reading
	}
	return got, nil
}

// take gives the handle of file number, which is opened if there was none.
func (h *handles) take(number uint64, opened *handle) *handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.open[number]
	if got == nil {
		if opened == nil {
			return nil
		}
		got = opened
		h.open[number] = got
	}
	h.uses++
	got.users++
	got.used = h.uses
	return got
}

// put gives a handle back.
func (h *handles) put(f *handle) {
	h.mu.Lock()
	f.users--
	var idle *handle
	switch {
	case f.gone && f.users == 0:
		idle = f
	case len(h.open) > maxHandles:
		idle = h.oldest()
	}
	h.mu.Unlock()
	if idle != nil {
		_ = idle.Close() // opened for reading
	}
}

// oldest takes the handle out that was idle longest, if one is.
func (h *handles) oldest() *handle {
	var oldest *handle
	for _, f := range h.open {
		if f.users == 0 && (oldest == nil || f.used < oldest.used) {
			oldest = f
		}
	}
	if oldest != nil {
		delete(h.open, oldest.number)
	}
	return oldest
}

// drop closes file number once nobody reads it.
func (h *handles) drop(number uint64) {
	h.mu.Lock()
	f := h.open[number]
	delete(h.open, number)
	if f != nil {
		f.gone = true
	}
	idle := f != nil && f.users == 0
	h.mu.Unlock()
	if idle {
		_ = f.Close() // opened for reading
	}
}

func (h *handles) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	for _, f := range h.open {
		err = errors.Join(err, f.Close())
	}
	clear(h.open)
	return err
}
