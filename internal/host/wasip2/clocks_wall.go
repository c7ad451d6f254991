package wasip2

import "github.com/waterbear-run/waterbear/wit"

var datetime = record("datetime", part("seconds", tU64), part("nanoseconds", tU32))

const nanosecondsPerSecond = 1_000_000_000

// wallClock is wasi:clocks/wall-clock.
func wallClock() interfaceOf {
	return interfaceOf{
		name: "wasi:clocks/wall-clock",
		functions: []function{
			{name: "now", typ: fnTo(datetime), call: wallNow},
			{name: "resolution", typ: fnTo(datetime), call: wallResolution},
		},
	}
}

// datetimeOf makes a datetime of nanoseconds since 1970.
func datetimeOf(t uint64) wit.Value {
	return []wit.Value{t / nanosecondsPerSecond, uint32(t % nanosecondsPerSecond)}
}

func wallNow(s *System, _ []wit.Value) (wit.Value, error) {
	now, err := s.clocks.Realtime()
	return datetimeOf(now), err
}

func wallResolution(*System, []wit.Value) (wit.Value, error) { return datetimeOf(resolution), nil }
