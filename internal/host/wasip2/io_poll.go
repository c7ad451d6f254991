package wasip2

import (
	"slices"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/await"
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

// waitable is something that an event may be long in coming of, and that is there
// once the program was told so, until it takes it.
type waitable interface {
	// event is what is waited for.
	event(s *System) await.Event
	// come lets it remember that it is there.
	come()
}

// waitsFor gives what the event is that has not come yet, or nil: all other
// resources always have something to say, but for input.
func (s *System) waitsFor(p *pollable) waitable {
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
	case *bodyOutput:
		if t := s.sentWith(r.parent); t != nil && !r.closed && !t.roomy && s.full(t) {
			return room{t}
		}
	case *tcp:
		if r.waits() {
			return tcpWait{r, uint64(p.parent)}
		}
	case *tcpInput:
		if !r.ready && !r.ended(s) {
			return r
		}
	case *tcpOutput:
		if r.credit == 0 && !r.ready && !r.isShut(s) {
			return r
		}
	case *datagramsIn:
		if !r.ready {
			return r
		}
	case *resolving:
		if !r.answered && !r.ready {
			return resolveWait{r, uint64(p.parent)}
		}
	}
	return nil
}

// waits are the events that one wait is for.
type waits struct {
	*wasi.Wait
	s         *System
	pollables []*pollable
	list      []waitable
	seen      map[waitable]bool
}

// newWaits makes the wait for these.
func (s *System) newWaits(pollables ...*pollable) *waits {
	e := &waits{Wait: wasi.NewWait(s.clocks), s: s, pollables: pollables, seen: map[waitable]bool{}}
	for _, p := range pollables {
		e.add(p)
	}
	return e
}

func (e *waits) add(p *pollable) {
	w := e.s.waitsFor(p)
	switch {
	case p.parent == 0:
		e.Until(p.deadline)
	case e.s.waitsForInput(p):
		e.Stdin = true
	case w == nil:
		e.Ready = true
	case !e.seen[w]:
		e.seen[w] = true
		e.list = append(e.list, w)
	}
}

// settle lets what was written leave, unless one of the events has come already,
// and gives what there is to wait for then.
func (e *waits) settle() (*waits, error) {
	if e.Ready || len(e.s.sent) == 0 {
		return e, nil
	}
	err := e.s.Settle()
	return e.s.newWaits(e.pollables...), err
}

func isUnsent(w waitable) bool {
	t, is := w.(*sent)
	return is && t.exchange.Call == 0
}

// run waits until one of the events has come, and gives what tells of each
// whether it has. Each remembers it.
func (e *waits) run() (func(*pollable) bool, error) {
	// What has not left is not to be waited for: it has not been asked to.
	e.list = slices.DeleteFunc(e.list, isUnsent)
	var r ambient.Readiness
	var err error
	if len(e.list) == 0 {
		r, err = e.Run()
	} else {
		r, err = e.wait()
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

// wait waits for what is in the list, too.
func (e *waits) wait() (r ambient.Readiness, err error) {
	list := make([]await.Event, len(e.list))
	for i, w := range e.list {
		list[i] = w.event(e.s)
	}
	come, err := e.s.events.Wait(e.Deadline(), e.Stdin, list)
	if err != nil {
		return r, err
	}
	for i, w := range e.list {
		if come.Come[i] {
			w.come()
		}
	}
	r.Now, r.Stdin = come.Now, come.Stdin
	return r, nil
}

// look finds out whether what is waited for is there.
func (s *System) look(w waitable) (bool, error) {
	r, err := s.events.Wait(0, false, []await.Event{w.event(s)})
	if err == nil && r.Come[0] {
		w.come()
	}
	return err == nil && r.Come[0], err
}

// waitFor waits until what is waited for is there.
func (s *System) waitFor(w waitable) error {
	_, err := s.events.Wait(await.Forever, false, []await.Event{w.event(s)})
	if err == nil {
		w.come()
	}
	return err
}

// pollableReady only looks, and reads a clock only if the answer depends on it.
func pollableReady(s *System, p *pollable, _ []wit.Value) (wit.Value, error) {
	e, err := s.newWaits(p).settle()
	if err != nil {
		return nil, err
	}
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
	pollables := make([]*pollable, len(handles))
	for i, h := range handles {
		p, err := get[*pollable](s, h)
		if err != nil {
			return nil, err
		}
		pollables[i] = p
	}
	e, err := s.newWaits(pollables...).settle()
	if err != nil {
		return nil, err
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
