package wasm

import (
	"errors"
	"fmt"
)

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
