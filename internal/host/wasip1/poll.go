package wasip1

import (
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
)

// Kinds of subscriptions and events.
const (
	eventClock = iota
	eventRead
	eventWrite
)

const (
	absolute = 1 << 0 // flag of a clock subscription
	hangup   = 1 << 0 // flag of an event: the other end is gone

	// writable is how much can be written at least to what is always ready.
	writable = 64 << 10
)

// subscription is one thing a program waits for, in its memory.
type subscription []byte

func (u subscription) kind() byte      { return u[8] }
func (u subscription) fd() uint32      { return get32(u[16:]) }
func (u subscription) clock() uint32   { return get32(u[16:]) }
func (u subscription) timeout() uint64 { return get64(u[24:]) }
func (u subscription) absolute() bool  { return get16(u[40:])&absolute != 0 }

// poll is one call of poll_oneoff: what all subscriptions together wait for.
type poll struct {
	s        *System
	wait     *wasi.Wait
	realtime uint64 // the wall clock, if it was read
	read     bool
	woken    ambient.Readiness
}

// pollOneoff waits until one of the subscriptions has something to say, and
// reports all that have. It goes through them twice and keeps none, however
// many there are. The program may have put the events where the subscriptions
// are, which then change in between: so nothing is taken for granted twice.
func (s *System) pollOneoff(m memory, p params) errno {
	in, out := m.array(p.u32(0), p.u32(2), sizeSubscription), m.array(p.u32(1), p.u32(2), sizeEvent)
	count := m.u32(p.u32(3))
	switch {
	case p.u32(2) == 0:
		return errInvalid
	case in == nil || out == nil || count == nil:
		return errFault
	}
	w := poll{s: s, wait: wasi.NewWait(s.clocks)}
	if e := w.survey(in); e != success {
		return e
	}
	var err error
	w.woken, err = w.wait.Run()
	check(err)
	put32(count, w.report(in, out))
	return success
}

// survey finds out what to wait for.
func (w *poll) survey(in []byte) errno {
	for u := subscription(in); len(u) > 0; u = u[sizeSubscription:] {
		switch u.kind() {
		case eventClock:
			if u.clock() > clockMonotonic {
				w.wait.Ready = true
				continue
			}
			w.wait.Until(w.due(u))
		case eventRead, eventWrite:
			_, e := w.descriptor(u)
			stdin := e == success && w.stdinOf(u)
			w.wait.Stdin = w.wait.Stdin || stdin
			w.wait.Ready = w.wait.Ready || !stdin
		default:
			return errInvalid
		}
	}
	return success
}

// due is when a clock subscription fires, on the monotonic clock. A program
// that only wants to look, with no time to wait, needs no clock.
func (w *poll) due(u subscription) uint64 {
	timeout := u.timeout()
	if !u.absolute() {
		if timeout == 0 {
			return 0
		}
		return wasi.Later(w.monotonic(), timeout)
	}
	if u.clock() == clockMonotonic {
		return timeout
	}
	real := w.now()
	if timeout <= real {
		return 0
	}
	return wasi.Later(w.monotonic(), timeout-real)
}

func (w *poll) monotonic() uint64 {
	now, err := w.wait.Now()
	check(err)
	return now
}

// now reads the wall clock, once in a call.
func (w *poll) now() uint64 {
	if !w.read {
		var err error
		w.realtime, err = w.s.clocks.Realtime()
		check(err)
		w.read = true
	}
	return w.realtime
}

// descriptor finds what a subscription is about.
func (w *poll) descriptor(u subscription) (*descriptor, errno) {
	need := rightRead
	if u.kind() == eventWrite {
		need = rightWrite
	}
	d, e := w.s.moving(u.fd(), need)
	if e == success && d.base&rightPoll == 0 {
		e = errNotCapable
	}
	return d, e
}

// stdinOf says whether a subscription is for input, which may be long in
// coming. Everything else is always ready.
func (w *poll) stdinOf(u subscription) bool {
	d := w.s.table.Get(u.fd())
	return d.isStream() && u.kind() != eventWrite
}

// report writes an event for each subscription that has something to say.
func (w *poll) report(in, out []byte) (count uint32) {
	for u := subscription(in); len(u) > 0; u = u[sizeSubscription:] {
		var e [sizeEvent]byte
		copy(e[:8], u)
		if w.event(e[:], u) {
			copy(out[count*sizeEvent:], e[:])
			count++
		}
	}
	return count
}

// event fills in an event, or says that there is none.
func (w *poll) event(e []byte, u subscription) bool {
	e[10] = u.kind()
	if u.kind() == eventClock {
		if u.clock() > clockMonotonic {
			put16(e[8:], uint16(clockKnown(u.clock())))
			return true
		}
		due := w.due(u)
		return due == 0 || due <= w.woken.Now
	}
	d, errno := w.descriptor(u)
	put16(e[8:], uint16(errno))
	switch {
	case errno != success:
	case w.stdinOf(u):
		if w.woken.EOF {
			put16(e[24:], hangup)
		}
		put64(e[16:], w.woken.Bytes)
		return w.woken.Stdin
	case u.kind() == eventWrite:
		put64(e[16:], writable)
	default:
		size, err := w.s.fs.Size(d.inode)
		put16(e[8:], uint16(errnoOf(err)))
		put64(e[16:], size-min(size, d.offset))
	}
	return true
}
