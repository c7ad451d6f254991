package platform

import (
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
)

// Control is what there is to know of how a program is run. It is asked live
// alone.
type Control interface {
	// Repeats is how often the attempt was taken back to a waypoint.
	Repeats(waypoint uint64) uint64
	// Jumps is how often it was taken back in all.
	Jumps() uint64
}

// MaxJumps is how often an attempt can have been taken back when its program goes
// back itself.
const MaxJumps = 1000

// The codes of the functions of control.
const codeRepeats = 102

func controlInterface() interfaceOf {
	return interfaceOf{name: "control", functions: []function{
		{name: "begin-atomic", call: beginAtomic},
		{name: "end-atomic", call: endAtomic},
		{name: "waypoint", call: setWaypoint},
		{name: "go-back", call: goBack},
		{name: "repeats", code: codeRepeats, effect: durable.ReadLocal, call: repeats},
	}}
}

func beginAtomic(s *System, _ []wit.Value) (wit.Value, error) {
	if s.Session.Depth() == durable.MaxRegions {
		return nil, trap("more than %d atomic regions lie in each other", durable.MaxRegions)
	}
	return waypoint(s, true)
}

func endAtomic(s *System, _ []wit.Value) (wit.Value, error) {
	if s.Session.Depth() == 0 {
		return nil, trap("the program ends an atomic region, and is in none")
	}
	return nil, s.Session.EndAtomic()
}

func setWaypoint(s *System, _ []wit.Value) (wit.Value, error) { return waypoint(s, false) }

func waypoint(s *System, atomic bool) (wit.Value, error) {
	index, err := s.Session.Waypoint(atomic)
	if err != nil {
		return nil, err
	}
	return index, nil
}

func goBack(s *System, a []wit.Value) (wit.Value, error) {
	to := a[0].(uint64)
	known, err := s.Session.Known(to)
	switch {
	case err != nil:
		return nil, err
	case s.Session.Unrecorded:
		return nil, trap("the program goes back, and the worker is ephemeral: nothing of what it did is there to go back to")
	case !known:
		return nil, trap("the program goes back to %d, which is none of the newest %d waypoints of this attempt, or lies in an atomic region that has ended", to, durable.MaxWaypoints)
	case s.Control.Jumps() >= MaxJumps:
		return nil, trap("the program goes back more than %d times in one attempt", MaxJumps)
	}
	return nil, s.Session.Back(to)
}

func repeats(s *System, a []wit.Value) (wit.Value, error) {
	return s.Control.Repeats(a[0].(uint64)), nil
}

// InRegion says why a program that returns now has failed, or nil.
func (s *System) InRegion() error {
	if n := s.Session.Depth(); n > 0 {
		return trap("the function returned in an atomic region: %d that it began have not ended", n)
	}
	return nil
}
