package wasip1

// readInput reads from standard input once, as much as the program has room
// for or what there is.
func (s *System) readInput(m memory, d *descriptor, iovs, count uint32) (uint32, errno) {
	room, e := s.scatter(m, d, iovs, count, 0, measure)
	if e != success || room == 0 {
		return 0, e
	}
	if d.flags&flagNonblock != 0 {
		ready, err := s.clocks.Wait(0, true)
		check(err)
		if !ready.Stdin {
			return 0, errAgain
		}
	}
	input, err := s.stdio.Read(int(room))
	check(err)
	rest := input[:min(len(input), int(room))]
	return s.scatter(m, d, iovs, count, 0, func(_ *System, _ *descriptor, part []byte, _ uint64) (int, errno) {
		n := copy(part, rest)
		rest = rest[n:]
		return n, success
	})
}

// measure finds all parts of the buffers to be there.
func measure(_ *System, _ *descriptor, part []byte, _ uint64) (int, errno) {
	return len(part), success
}

// writeOutput writes to a standard stream. Small parts are written as one, for
// each writing is recorded by itself.
func (s *System) writeOutput(m memory, d *descriptor, iovs, count uint32) (uint32, errno) {
	if count == 1 {
		return s.scatter(m, d, iovs, count, 0, writeStream)
	}
	s.gathered = s.gathered[:0]
	n, e := s.scatter(m, d, iovs, count, 0, gather)
	if len(s.gathered) > 0 {
		check(s.stdio.Write(d.stream, s.gathered))
	}
	return n, e
}

func writeStream(s *System, d *descriptor, part []byte, _ uint64) (int, errno) {
	check(s.stdio.Write(d.stream, part))
	return len(part), success
}

// gather puts small parts behind each other, and writes what does not fit.
func gather(s *System, d *descriptor, part []byte, off uint64) (int, errno) {
	if len(s.gathered)+len(part) > maxGathered && len(s.gathered) > 0 {
		check(s.stdio.Write(d.stream, s.gathered))
		s.gathered = s.gathered[:0]
	}
	if len(part) > maxGathered {
		return writeStream(s, d, part, off)
	}
	s.gathered = append(s.gathered, part...)
	return len(part), success
}
