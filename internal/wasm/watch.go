package wasm

// pageWatcher finds the pages of a memory that were written to since it was asked
// last, which is quicker than finding all that ever were, and costs more for each
// first write. It is for memories that stay in use.
type pageWatcher interface {
	// watch begins with a part of a memory. Mapping anything there ends it.
	watch(memory []byte) error
	// rewritten visits ranges of memory, all of which is watched, like a tracker's
	// written. It forgets them, even after an error.
	rewritten(memory []byte, from, to uint64, visit func(from, to uint64) bool) error
	close() error
}

// rememberedPages bounds what is remembered between two captures. Past that the
// whole memory is looked at again.
const rememberedPages = 4 << 10

// watch is what is known of a memory since it was mapped. With the next mapping
// it is another one.
type watch struct {
	state    *Saved // what the instance is the state of, as far as is known
	captures int
	watched  uint64 // how much of the memory is
	// When the memory was compared with of, all pages were those of it but for
	// different.
	of        *Saved
	different []uint32
}

// follow tells a state what it has to remember for the next comparison: the pages
// that are changed from now on.
func (w *watch) follow(s *Saved, different []uint32) {
	w.captures++
	if w.watched == 0 || len(different) > rememberedPages {
		return
	}
	w.of, w.different = s, append(w.different[:0], different...)
	s.follower, s.changed = w, s.changed[:0]
}

// forget ends following, and tells whether that was s.
func (w *watch) forget(s *Saved) bool {
	known := w.of == s && s.follower == w
	w.of = nil
	return known
}

// rewritten gives ranges that have all pages which may differ from those of s, if
// s was followed since the last comparison.
func (in *Instance) rewritten(s *Saved, known bool, ranges []pageRange) (_ []pageRange, ok bool) {
	m, w := in.memory, in.module.engine.tracking.watcher
	if w == nil || m.watch.captures == 0 {
		return ranges, false
	}
	if m.watch.watched < m.size {
		if w.watch(m.reserved[m.watch.watched:m.size]) != nil {
			return ranges, false
		}
		m.watch.watched = m.size
	}
	from, to := m.content(s)
	err := w.rewritten(m.bytes(), from, to, func(from, to uint64) bool {
		ranges = append(ranges, pageRange{uint32(from / PageSize), uint32(to / PageSize)})
		return true
	})
	if err != nil || !known {
		return ranges, false
	}
	for _, pages := range [][]uint32{m.watch.different, s.changed} {
		for _, page := range pages {
			ranges = append(ranges, pageRange{page, page + 1})
		}
	}
	return ranges, true
}

// note remembers that a page of the state is another now.
func (s *Saved) note(page uint32) {
	if s.follower == nil {
		return
	}
	if s.changed = append(s.changed, page); len(s.changed) > rememberedPages {
		s.follower, s.changed = nil, nil
	}
}
