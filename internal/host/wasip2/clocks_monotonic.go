package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// tDuration is the type of a duration and of an instant: nanoseconds.
var tDuration = tU64

// resolution of both clocks, in nanoseconds.
const resolution = 1

// monotonicClock is wasi:clocks/monotonic-clock.
func monotonicClock() interfaceOf {
	when, pollable := param("when", tDuration), own(pollableResource)
	return interfaceOf{
		name: "wasi:clocks/monotonic-clock",
		functions: []function{
			{name: "now", typ: fnTo(tDuration), call: monotonicNow},
			{name: "resolution", typ: fnTo(tDuration), call: monotonicResolution},
			{name: "subscribe-instant", typ: fnTo(pollable, when), call: subscribeInstant},
			{name: "subscribe-duration", typ: fnTo(pollable, when), call: subscribeDuration},
		},
	}
}

func monotonicNow(s *System, _ []wit.Value) (wit.Value, error) {
	now, err := s.clocks.Monotonic()
	return now, err
}

func monotonicResolution(*System, []wit.Value) (wit.Value, error) { return uint64(resolution), nil }

func subscribeInstant(s *System, a []wit.Value) (wit.Value, error) {
	return s.add(&pollable{deadline: a[0].(uint64)}, 0)
}

// subscribeDuration reads the clock, unless nothing has to pass: that is how
// programs only look.
func subscribeDuration(s *System, a []wit.Value) (wit.Value, error) {
	p := &pollable{deadline: a[0].(uint64)}
	if p.deadline > 0 {
		now, err := s.clocks.Monotonic()
		if err != nil {
			return nil, err
		}
		p.deadline = wasi.Later(now, p.deadline)
	}
	return s.add(p, 0)
}
