package wasip2

import (
	"slices"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
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
func (s *System) waitsForInput(p *pollable) bool {
	if p.parent == 0 {
		return false
	}
	in, is := s.entry(p.parent).resource.(*stdinStream)
	return is && !in.closed
}

// waitsFor gives what was sent if the event is that more of it comes back. All
// other resources always have something to say, but for input.
func (s *System) waitsFor(p *pollable) *sent {
	if p.parent == 0 {
		return nil
	}
	switch r := s.entry(p.parent).resource.(type) {
	case *futureResponse:
		if t := s.ofOwner(p.parent); t != nil && !t.ready {
			return t
		}
	case *bodyInput:
		if t := s.ofOwner(r.parent); t != nil && !r.closed && !t.ready {
			return t
		}
	}
	return nil
}

// events are those that one wait is for.
type events struct {
	*wasi.Wait
	s      *System
	sent   []*sent
	unsent bool // one of them waits for a request that has not left
}

func (s *System) newEvents() *events { return &events{Wait: wasi.NewWait(s.clocks), s: s} }

func (e *events) add(p *pollable) {
	t := e.s.waitsFor(p)
	switch {
	case p.parent == 0:
		e.Until(p.deadline)
	case e.s.waitsForInput(p):
		e.Stdin = true
	case t == nil:
		e.Ready = true
	case t.body != 0:
		e.unsent = true
	case !slices.Contains(e.sent, t):
		e.sent = append(e.sent, t)
	}
}

// run waits until one of the events has come, and gives what tells of each
// whether it has. What was sent remembers that more of it has come.
func (e *events) run() (func(*pollable) bool, error) {
	if e.unsent && len(e.sent) == 0 && !e.Stdin && e.Deadline() == ambient.Forever {
		return nil, trap("the program waits for the response to a request whose outgoing-body it has not finished, and for nothing else")
	}
	var r ambient.Readiness
	var err error
	if len(e.sent) == 0 {
		r, err = e.Run()
	} else {
		r, err = e.exchange()
	}
	return func(p *pollable) bool {
		switch {
		case p.parent == 0:
			return p.deadline <= r.Now
		case e.s.waitsForInput(p):
			return r.Stdin
		}
		return e.s.waitsFor(p) == nil
	}, err
}

// exchange waits for what comes back, too. For input it only looks: that of
// programs which can send requests is never long in coming.
func (e *events) exchange() (r ambient.Readiness, err error) {
	if e.Stdin {
		if r, err = e.s.clocks.Wait(0, true); err != nil {
			return r, err
		}
		e.Ready = e.Ready || r.Stdin
	}
	list := make([]*exchange.Exchange, len(e.sent))
	for i, t := range e.sent {
		list[i] = &t.exchange
	}
	come, err := e.s.http.Wait(e.Deadline(), list)
	if err != nil {
		return r, err
	}
	for i, t := range e.sent {
		t.ready = come.Ready[i]
	}
	r.Now = come.Now
	return r, nil
}

// pollableReady only looks, and reads a clock only if the answer depends on it.
func pollableReady(s *System, p *pollable, _ []wit.Value) (wit.Value, error) {
	e := s.newEvents()
	e.add(p)
	e.Ready = true
	come, err := e.run()
	if err != nil {
		return nil, err
	}
	return come(p), nil
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
	e := s.newEvents()
	pollables := make([]*pollable, len(handles))
	for i, h := range handles {
		p, err := get[*pollable](s, h)
		if err != nil {
			return nil, err
		}
		e.add(p)
		pollables[i] = p
	}
	come, err := e.run()
	if err != nil {
		return nil, err
	}
	places := []wit.Value{}
	for i, p := range pollables {
		if come(p) {
			places = append(places, uint32(i))
		}
	}
	return places, nil
}
