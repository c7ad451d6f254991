package wasi

import "github.com/waterbear-run/waterbear/internal/host/ambient"

// Wait is one wait of a program for the first of several events. Whoever makes
// one says what it is for, calls Run once, and asks each event whether it has
// come by what Run gives.
type Wait struct {
	// Ready tells that an event is there already.
	Ready bool
	// Stdin tells that one of the events is input.
	Stdin bool

	clocks   Clocks
	deadline uint64 // the earliest, on the monotonic clock
	now      uint64 // the monotonic clock, if it was read
	read     bool
}

// NewWait makes a wait that is for nothing yet.
func NewWait(c Clocks) *Wait { return &Wait{clocks: c, deadline: ambient.Forever} }

// Until adds an event that comes when the monotonic clock shows deadline, 0 for
// one that has come.
func (w *Wait) Until(deadline uint64) { w.deadline = min(w.deadline, deadline) }

// Deadline is that of the earliest event: 0 if one is there already.
func (w *Wait) Deadline() uint64 {
	if w.Ready {
		return 0
	}
	return w.deadline
}

// Now reads the monotonic clock, once in a wait.
func (w *Wait) Now() (uint64, error) {
	if w.read {
		return w.now, nil
	}
	var err error
	w.now, err = w.clocks.Monotonic()
	w.read = err == nil
	return w.now, err
}

// Run waits, unless something is there, and tells what the clock shows then and
// whether there is input. It reads nothing that no event depends on.
func (w *Wait) Run() (r ambient.Readiness, err error) {
	ready := w.Ready || w.deadline == 0
	if ready && !w.Stdin {
		if w.deadline != ambient.Forever && w.deadline != 0 {
			r.Now, err = w.Now() // or a timer beside it would never fire
		}
		return r, err
	}
	deadline := w.deadline
	if ready {
		deadline = 0
	}
	for {
		if r, err = w.clocks.Wait(deadline, w.Stdin); err != nil || r.Stdin || r.Now >= deadline {
			return r, err
		}
	}
}

// Later is d after t, or the last moment there is.
func Later(t, d uint64) uint64 {
	if d >= ambient.Forever-1-t {
		return ambient.Forever - 1
	}
	return t + d
}
