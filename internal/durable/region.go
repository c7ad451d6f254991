package durable

import (
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// MaxWaypoints is how many waypoints of its attempt a program can be taken back
// to; those before the newest ones are forgotten.
const MaxWaypoints = 1000

// MaxRegions is how deep atomic regions can lie in each other.
const MaxRegions = 100

// waypoint is a place that the program can be taken back to.
type waypoint struct {
	index  oplog.Index
	region oplog.Index // the outermost that it lies in or begins, or 0
}

// regions are those of the attempt that a session is in, as the program has come
// to them: the same at replay.
type regions struct {
	open      []oplog.Index // the inner behind the outer
	waypoints []waypoint    // in order
	calls     uint64        // the session's when the outermost began
	strict    bool          // calls in doubt fail
}

// BackError takes the program back: whoever runs it records a Jump and begins
// anew with what was before.
type BackError struct {
	From   oplog.Index // the first entry that is undone
	Region oplog.Index // the outermost that the program is in then, or 0
	// Effect says that what is undone is an effect with this Outcome.
	Effect  bool
	Outcome []byte
}

func (e *BackError) Error() string {
	return fmt.Sprintf("the program goes back to entry %d", e.From-1)
}

// Enter says that an attempt begins: it is in no region.
func (s *Session) Enter() { s.regions = regions{} }

// Region is where the outermost atomic region begins that the program is in, 0 if
// it is in none.
func (s *Session) Region() oplog.Index {
	if len(s.open) == 0 {
		return 0
	}
	return s.open[0]
}

// Innermost is where the innermost region begins, 0 if there is none.
func (s *Session) Innermost() oplog.Index {
	if len(s.open) == 0 {
		return 0
	}
	return s.open[len(s.open)-1]
}

// Depth is how many atomic regions the program is in.
func (s *Session) Depth() int { return len(s.open) }

// Observed reports whether the program was told anything in its region that could
// be different the next time.
func (s *Session) Observed() bool { return s.Calls() > s.regions.calls }

// Waypoint passes or records a place that the program can be taken back to, with
// an atomic region that begins there or without one.
func (s *Session) Waypoint(atomic bool) (oplog.Index, error) {
	index, err := s.note(&oplog.Waypoint{Atomic: atomic})
	if err != nil {
		return 0, err
	}
	if atomic {
		if len(s.open) == 0 {
			s.regions.calls = s.Calls()
		}
		s.open = append(s.open, index)
	}
	if len(s.waypoints) == MaxWaypoints {
		s.waypoints = slices.Delete(s.waypoints, 0, 1)
	}
	s.waypoints = append(s.waypoints, waypoint{index, s.Region()})
	return index, nil
}

// EndAtomic passes or records the end of the innermost region, which there must
// be. Nothing leads back into the outermost one any more.
func (s *Session) EndAtomic() error {
	last := len(s.open) - 1
	begin := s.open[last]
	if _, err := s.note(&oplog.AtomicEnd{Begin: begin}); err != nil {
		return err
	}
	if s.open = s.open[:last]; last == 0 {
		s.waypoints = slices.DeleteFunc(s.waypoints, func(w waypoint) bool { return w.index >= begin })
	}
	return nil
}

// Known finds out whether the program can be taken back to a waypoint. It ends a
// session whose oplog says that it was not then.
func (s *Session) Known(to oplog.Index) (known bool, err error) {
	entry, err := s.peek()
	if err == nil && entry != nil {
		err = s.diverge(entry, fmt.Sprintf("a jump back to entry %d", to))
	}
	return err == nil && !s.Unrecorded && s.waypointAt(to) >= 0, err
}

// Back ends the session with the *BackError that takes the program back to a
// waypoint that is Known.
func (s *Session) Back(to oplog.Index) error {
	return s.fail(&BackError{From: to + 1, Region: s.waypoints[s.waypointAt(to)].region})
}

// Ahead reports whether the oplog has what follows.
func (s *Session) Ahead() (bool, error) {
	entry, err := s.peek()
	return entry != nil, err
}

// Forget ends the session with the *BackError that takes the program back to where
// the effect begins that it is in, and which has come to outcome.
func (s *Session) Forget(begin oplog.Index, outcome []byte) error {
	return s.fail(&BackError{From: begin + 1, Region: s.Region(), Effect: true, Outcome: outcome})
}

// ForgetWaypoints says that nothing leads back any more to where the program was.
func (s *Session) ForgetWaypoints() { s.waypoints = nil }

func (s *Session) waypointAt(index oplog.Index) int {
	return slices.IndexFunc(s.waypoints, func(w waypoint) bool { return w.index == index })
}

// note passes a recorded entry, or records it. Unrecorded, it is numbered.
func (s *Session) note(body oplog.Body) (oplog.Index, error) {
	entry, err := s.peek()
	switch {
	case err != nil:
		return 0, err
	case s.Unrecorded:
		s.noted++
		return s.noted, nil
	case entry != nil && !same(entry.Body, body):
		return 0, s.diverge(entry, describe(body))
	case entry != nil:
		s.advance()
		return entry.Index, nil
	}
	if err := s.charge(false, 0); err != nil {
		return 0, s.fail(err)
	}
	index, err := s.Writer.Append(s.ctx, body)
	if err != nil {
		return 0, s.fail(err)
	}
	return index, nil
}

// same compares two entries of those that note passes.
func same(recorded, body oplog.Body) bool {
	switch b := body.(type) {
	case *oplog.Waypoint:
		r, ok := recorded.(*oplog.Waypoint)
		return ok && *r == *b
	case *oplog.AtomicEnd:
		r, ok := recorded.(*oplog.AtomicEnd)
		return ok && *r == *b
	}
	return false
}
