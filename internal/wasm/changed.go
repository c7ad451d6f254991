package wasm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
)

// PageSize is the unit in which changes of a memory are found.
const PageSize = 4 << 10

// Tracker is a way to find the pages of a memory that a guest may have written
// to. All of them lead to the same result.
type Tracker string

// The trackers, best first.
const (
	// TrackWatch is TrackScan, and has Linux watch the memories of instances that
	// stay in use (userfaultfd).
	TrackWatch Tracker = "userfaultfd"
	// TrackScan asks Linux 6.7 or newer for the pages that are a process's own.
	TrackScan Tracker = "pagemap-scan"
	// TrackPagemap reads what Linux says about each page.
	TrackPagemap Tracker = "pagemap"
	// TrackCompare looks at the whole memory.
	TrackCompare Tracker = "comparison"
)

// Trackers are all there are, best first. Not every machine has every one.
func Trackers() []Tracker { return []Tracker{TrackWatch, TrackScan, TrackPagemap, TrackCompare} }

// pageTracker finds pages that may have been written to since they were mapped.
type pageTracker interface {
	// written visits ranges of memory, by offset, that together hold all pages
	// that were written to. The memory begins and ends at pages; what is in the
	// part between the two offsets may not have been zero from the start.
	written(memory []byte, contentFrom, contentTo uint64, visit func(from, to uint64) bool) error
	close() error
}

// tracking is how an engine finds what was written to.
type tracking struct {
	name    Tracker
	tracker pageTracker
	watcher pageWatcher // nil: there is none
}

// chooseTracker makes the best tracker that works here, or the one that is
// wanted.
func chooseTracker(wanted Tracker) (tracking, error) {
	for _, name := range Trackers() {
		if wanted != "" && wanted != name {
			continue
		}
		t, err := openTracking(name)
		if err == nil || wanted != "" {
			return t, err
		}
	}
	return tracking{}, fmt.Errorf("track memory: there is no way called %q", wanted)
}

func openTracking(name Tracker) (t tracking, err error) {
	t.name, t.tracker = name, compareAll{}
	if name != TrackCompare {
		t.tracker, err = openTracker(name)
	}
	if err == nil && name == TrackWatch {
		if t.watcher, err = openWatcher(t.tracker); err != nil {
			err = errors.Join(err, t.tracker.close())
		}
	}
	if err != nil {
		return tracking{}, fmt.Errorf("track memory by %s: %w", name, err)
	}
	return t, nil
}

func (t tracking) close() error {
	if t.watcher == nil {
		return t.tracker.close()
	}
	return errors.Join(t.watcher.close(), t.tracker.close())
}

// compareAll takes every page for one that was written to.
type compareAll struct{}

func (compareAll) written(memory []byte, _, _ uint64, visit func(from, to uint64) bool) error {
	visit(0, uint64(len(memory)))
	return nil
}

func (compareAll) close() error { return nil }

// Tracker says how the engine finds what guests have changed.
func (e *Engine) Tracker() Tracker { return e.tracking.name }

// Base names the memory that an instance of the module begins with: instances
// of modules with equal bases differ in the pages that Changed gives.
func (m *Module) Base() [sha256.Size]byte { return m.base.hash }

// Changed yields the pages of the memory that differ from what they were when
// the instance was made, in ascending order: each page by its offset, and its
// bytes, which are valid until the guest runs again. It takes time by what it has
// written to, not by the size of the memory, unless the engine has to compare.
// An instance that is Unimageable is refused: it is more than its pages. It must
// not be called during a call.
func (in *Instance) Changed(yield func(offset uint64, page []byte) bool) error {
	if err := in.enter("changed"); err != nil {
		return err
	}
	defer in.leave()
	if err := in.whole(); err != nil {
		return fmt.Errorf("find what has changed: %w", err)
	}
	memory, base := in.memory.bytes(), in.module.base
	if len(memory) == 0 {
		return nil
	}
	next, more := uint64(0), true
	visit := func(from, to uint64) bool {
		for at := max(from, next); at < to && more; at += PageSize {
			next = at + PageSize
			if page := memory[at:next:next]; !bytes.Equal(page, base.page(at)) {
				more = yield(at, page)
			}
		}
		return more
	}
	if in.memory.file != nil || in.memory.base != base {
		// It was restored, and what it shows is not what an instance begins with.
		visit(0, uint64(len(memory)))
		return nil
	}
	err := in.module.engine.tracking.tracker.written(memory, base.from, base.to, visit)
	if err != nil && more {
		// Comparing what is left is always possible.
		visit(next, uint64(len(memory)))
	}
	return nil
}
