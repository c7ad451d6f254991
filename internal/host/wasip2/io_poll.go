package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var pollableResource = &wit.Resource{Name: "pollable"}

// ioPoll is wasi:io/poll.
func ioPoll() interfaceOf {
	return interfaceOf{
		name: "wasi:io/poll", resources: []*wit.Resource{pollableResource},
		functions: []function{
			{name: "[method]pollable.ready", typ: fnTo(tBool, self(pollableResource)), call: on(pollableReady)},
			{name: "[method]pollable.block", typ: fn(self(pollableResource)), call: pollableBlock},
			{name: "poll", typ: fnTo(list(tU32), param("in", list(borrow(pollableResource)))), call: poll},
		},
	}
}

// maxPollables bounds how many events one call can wait for.
const maxPollables = 1 << 16

// pollable is an event: a time, or that the resource that it is a child of has
// something to say.
type pollable struct {
	child
	deadline uint64 // on the monotonic clock, if it has no parent; 0 has passed
}

func (*pollable) kind() kind { return kindPollable }

func (p *pollable) code(c *wasi.Coder) { wasi.Uint(c, &p.deadline, ambient.Forever) }

// subscribe makes the pollable of the resource of a handle.
func subscribe(s *System, a []wit.Value) (wit.Value, error) {
	return s.add(&pollable{}, a[0].(uint32))
}

// waitsForInput tells whether the event is input, which may be long in coming.
// All other resources always have something to say.
func (s *System) waitsForInput(p *pollable) bool {
	if p.parent == 0 {
		return false
	}
	in, is := s.entry(p.parent).resource.(*stdinStream)
	return is && !in.closed
}

// survey adds the event to what is waited for.
func (s *System) survey(w *wasi.Wait, p *pollable) {
	switch {
	case p.parent == 0:
		w.Until(p.deadline)
	case s.waitsForInput(p):
		w.Stdin = true
	default:
		w.Ready = true
	}
}

// hasCome tells whether the event has come when a wait has ended like r.
func (s *System) hasCome(p *pollable, r ambient.Readiness) bool {
	switch {
	case p.parent == 0:
		return p.deadline <= r.Now
	case s.waitsForInput(p):
		return r.Stdin
	}
	return true
}

// pollableReady only looks, and reads a clock only if the answer depends on it.
func pollableReady(s *System, p *pollable, _ []wit.Value) (wit.Value, error) {
	w := wasi.NewWait(s.clocks)
	s.survey(w, p)
	w.Ready = true
	r, err := w.Run()
	return s.hasCome(p, r), err
}

func pollableBlock(s *System, a []wit.Value) (wit.Value, error) {
	_, err := s.poll(a)
	return nil, err
}

// poll waits until one of the events has come, and gives the places of all that
// have.
func poll(s *System, a []wit.Value) (wit.Value, error) {
	in := a[0].([]wit.Value)
	switch {
	case len(in) == 0:
		return nil, trap("poll was called with an empty list")
	case len(in) > maxPollables:
		return nil, trap("poll was called with %d pollables, and can take %d", len(in), maxPollables)
	}
	return s.poll(in)
}

func (s *System) poll(handles []wit.Value) (wit.Value, error) {
	w := wasi.NewWait(s.clocks)
	pollables := make([]*pollable, len(handles))
	for i, h := range handles {
		p, err := get[*pollable](s, h)
		if err != nil {
			return nil, err
		}
		s.survey(w, p)
		pollables[i] = p
	}
	r, err := w.Run()
	if err != nil {
		return nil, err
	}
	come := []wit.Value{}
	for i, p := range pollables {
		if s.hasCome(p, r) {
			come = append(come, uint32(i))
		}
	}
	return come, nil
}
