package platform

import (
	"context"
	"time"

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
	// Effect is how far the effect that begins at a waypoint is.
	Effect(waypoint uint64) EffectState
	// Entries gives entries of the oplog.
	Entries(ctx context.Context, from, to uint64, kinds []string) (Page, error)
	// Retry is the policy of the worker's settings.
	Retry() RetryPolicy
}

// RetryPolicy says when and how often what failed is tried again.
type RetryPolicy struct {
	Attempts       uint64
	Initial, Max   time.Duration
	Factor, Jitter float64
}

// MaxJumps is how often an attempt can have been taken back when its program goes
// back itself.
const MaxJumps = 1000

// The codes of the functions of control.
const (
	codeRepeats  = 102
	codeGetRetry = 103
)

func controlInterface() interfaceOf {
	return interfaceOf{name: "control", functions: []function{
		{name: "begin-atomic", call: beginAtomic},
		{name: "end-atomic", call: endAtomic},
		{name: "waypoint", call: setWaypoint},
		{name: "go-back", call: goBack},
		{name: "repeats", code: codeRepeats, effect: durable.ReadLocal, call: repeats},
		{name: "commit", call: commit},
		{name: "set-idempotence", call: setIdempotence},
		{name: "idempotence", call: idempotence},
		{name: "get-retry-policy", code: codeGetRetry, effect: durable.ReadLocal, call: getRetryPolicy},
		{name: "set-retry-policy", call: setRetryPolicy},
	}}
}

func beginAtomic(s *System, _ []wit.Value) (wit.Value, error) {
	if s.Session.Depth() == durable.MaxRegions {
		return nil, trap("more than %d atomic regions lie in each other", durable.MaxRegions)
	}
	if s.Session.Strict() {
		return nil, trap("the program begins an atomic region, which repeats what is in it, while idempotence is off")
	}
	return waypoint(s, true)
}

func endAtomic(s *System, _ []wit.Value) (wit.Value, error) {
	if s.Session.Depth() == 0 || s.inEffect() {
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

func commit(s *System, _ []wit.Value) (wit.Value, error) { return nil, s.Session.Commit() }

func setIdempotence(s *System, a []wit.Value) (wit.Value, error) {
	on := a[0].(bool)
	if !on && s.Session.Depth() > 0 {
		return nil, trap("the program sets idempotence off in an atomic region, which repeats what is in it")
	}
	s.Session.SetStrict(!on)
	return nil, nil
}

func idempotence(s *System, _ []wit.Value) (wit.Value, error) { return !s.Session.Strict(), nil }

func getRetryPolicy(s *System, _ []wit.Value) (wit.Value, error) {
	p := s.retry
	if p == nil {
		set := s.Control.Retry()
		p = &set
	}
	return []wit.Value{p.Attempts, uint64(p.Initial), uint64(p.Max), p.Factor, p.Jitter}, nil
}

// The bounds of a retry policy, which are those of settings.
const (
	MaxAttempts = 1_000_000
	MinPause    = time.Millisecond
	MaxPause    = 365 * 24 * time.Hour
	MaxFactor   = 1000
)

func setRetryPolicy(s *System, a []wit.Value) (wit.Value, error) {
	v := a[0].([]wit.Value)
	initial, longest := v[1].(uint64), v[2].(uint64)
	p := RetryPolicy{v[0].(uint64), time.Duration(initial), time.Duration(longest), v[3].(float64), v[4].(float64)}
	switch {
	case p.Attempts < 1 || p.Attempts > MaxAttempts:
		return nil, trap("a retry policy has %d attempts, not 1 to %d", p.Attempts, MaxAttempts)
	case initial < uint64(MinPause) || longest > uint64(MaxPause) || initial > longest:
		return nil, trap("a retry policy has pauses of %d to %d ns, and they are %v to %v, the longest not below the first", initial, longest, MinPause, MaxPause)
	case !(p.Factor >= 1 && p.Factor <= MaxFactor): // a NaN is none
		return nil, trap("a retry policy has the factor %v, not 1 to %d", p.Factor, MaxFactor)
	case !(p.Jitter >= 0 && p.Jitter <= 1):
		return nil, trap("a retry policy has the jitter %v, not 0 to 1", p.Jitter)
	}
	s.retry = &p
	return nil, nil
}

// Retry is the policy that the program has set in this attempt, or nil.
func (s *System) Retry() *RetryPolicy { return s.retry }

// InRegion says why a program that returns now has failed, or nil.
func (s *System) InRegion() error {
	if n := s.Session.Depth(); n > 0 {
		return trap("the function returned in an atomic region or an effect: %d that it began have not ended", n)
	}
	return nil
}
