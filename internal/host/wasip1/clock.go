package wasip1

// Clocks of the specification.
const (
	clockRealtime = iota
	clockMonotonic
	clockProcess
	clockThread
)

// resolution of both clocks, in nanoseconds.
const resolution = 1

// clockKnown refuses the clocks that are not there. There is no processor time:
// it would differ at each replay.
func clockKnown(id uint32) errno {
	switch id {
	case clockRealtime, clockMonotonic:
		return success
	case clockProcess, clockThread:
		return errNotSup
	}
	return errInvalid
}

func (s *System) clockResGet(m memory, p params) errno {
	if e := clockKnown(p.u32(0)); e != success {
		return e
	}
	to := m.u64(p.u32(1))
	if to == nil {
		return errFault
	}
	put64(to, resolution)
	return success
}

func (s *System) clockTimeGet(m memory, p params) errno {
	if e := clockKnown(p.u32(0)); e != success {
		return e
	}
	to := m.u64(p.u32(2))
	if to == nil {
		return errFault
	}
	read := s.clocks.Monotonic
	if p.u32(0) == clockRealtime {
		read = s.clocks.Realtime
	}
	now, err := read()
	check(err)
	put64(to, now)
	return success
}
