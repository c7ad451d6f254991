package wasip2

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// maxSent is how many requests a program can have under way.
const maxSent = 64

// sent is a request that the program has passed on and what comes back. The
// program has no handle to it but to its owner: the future-incoming-response, then
// the incoming-response, then the incoming-body. It ends with that, or with the
// body.
type sent struct {
	owner uint32
	// body is the outgoing-body as long as the program has the handle. The request
	// leaves at once when that is whole, or before, and then the body follows.
	body uint32
	// ready says that the program was told that more has come. It holds until the
	// program takes that, whatever has become of the connection meanwhile.
	ready bool
	// roomy says the same of room for more of the body.
	roomy    bool
	exchange exchange.Exchange // its Call is 0 until the request has left
}

func (*sent) kind() kind { return kindSent }

func (t *sent) code(c *wasi.Coder) {
	x := &t.exchange
	wasi.Uint(c, &t.owner, maxResources)
	wasi.Uint(c, &t.body, maxResources)
	c.Bool(&t.ready)
	c.Bool(&t.roomy)
	wasi.Uint(c, &x.Call, 1<<64-1)
	c.Bool(&x.Answered)
	wasi.Uint(c, &x.Status, 1<<16-1)
	wasi.Text(c, &x.Tag, maxHeld)
	c.Bool(&x.Empty)
	wasi.Uint(c, &x.Offset, 1<<64-1)
	c.Bool(&x.Given)
	wasi.Text(c, &x.Body, maxHeld)
	wasi.Uint(c, &x.Written, 1<<64-1)
	wasi.Uint(c, &x.Taken, 1<<64-1)
	c.Bool(&x.Over)
	wasi.Uint(c, &x.Ended, exchange.Aborted)
	codeRequest(c, &x.Request)
}

func (t *sent) event(s *System) await.Event { return s.http.Event(&t.exchange) }
func (t *sent) come()                       { t.ready = true }

func codeRequest(c *wasi.Coder, r *exchange.Request) {
	for _, s := range []*string{&r.Method, &r.Scheme, &r.Authority, &r.Path} {
		wasi.Text(c, s, maxHeld)
	}
	wasi.Text(c, &r.Body, maxHeld)
	for _, list := range []*[]exchange.Field{&r.Headers, &r.Trailers} {
		wasi.List(c, list, maxHeld/entryCost, func(f *exchange.Field) {
			wasi.Text(c, &f.Name, maxHeld)
			wasi.Text(c, &f.Value, maxHeld)
		})
	}
	for _, n := range []*uint64{&r.Timeouts.Connect, &r.Timeouts.FirstByte, &r.Timeouts.BetweenBytes} {
		wasi.Uint(c, n, 1<<64-1)
	}
	c.Bool(&r.Streamed)
}

func (t *sent) weight() int {
	r := &t.exchange.Request
	n := len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Path) + len(r.Body) + len(t.exchange.Tag) + len(t.exchange.Body)
	for _, list := range [][]exchange.Field{r.Headers, r.Trailers} {
		for _, f := range list {
			n += len(f.Name) + len(f.Value) + entryCost
		}
	}
	return n
}

// ofOwner finds what was sent by the representation of its owner, or nil.
func (s *System) ofOwner(owner uint32) *sent {
	if e := s.entry(s.sent[owner]); e != nil {
		t, _ := e.resource.(*sent)
		return t
	}
	return nil
}

// pass gives what one resource owns to another.
func (s *System) pass(from, to uint32) {
	if t := s.ofOwner(from); t != nil {
		t.owner = to
		s.sent[to] = s.sent[from]
		delete(s.sent, from)
	}
}

// hangUp ends what a resource owns, if it does.
func (s *System) hangUp(owner uint32) error {
	t := s.ofOwner(owner)
	if t == nil {
		return nil
	}
	rep := s.sent[owner]
	delete(s.sent, owner)
	s.abandonBody(t.body)
	if s.http != nil {
		s.http.HangUp(t.exchange.Call)
	}
	return s.release(rep)
}

// weighed lets do change what was sent, and accounts for it.
func (s *System) weighed(t *sent, do func() error) error {
	s.held -= t.weight()
	err := do()
	s.held += t.weight()
	return err
}

// handleOutgoing sends a request, or will when its body is finished, or is too
// long to wait for that, or the program waits.
func handleOutgoing(s *System, a []wit.Value) (wit.Value, error) {
	r, err := take[*outgoingRequest](s, a[0])
	if err != nil {
		return nil, err
	}
	options := &requestOptions{[...]wit.Value{none, none, none}}
	if given, is := optional(a[1]); is {
		if options, err = take[*requestOptions](s, given); err != nil {
			return nil, err
		}
	}
	request, refused := compose(r, options)
	switch {
	case refused != nil:
	case s.http == nil:
		refused = label(httpRequestDenied)
	case len(s.sent) == maxSent:
		refused = label(httpConnectionLimit)
	}
	if refused != nil {
		r.close(s)
		return failed(refused), nil
	}
	future, err := s.add(&futureResponse{}, 0)
	if err != nil {
		return nil, err
	}
	t := &sent{owner: future.(uint32), body: r.body, exchange: exchange.Exchange{Request: request}}
	rep, err := s.add(t, 0)
	if err != nil {
		return nil, err
	}
	s.sent[t.owner] = rep.(uint32)
	if b, err := get[*outgoingBody](s, t.body); err == nil && b.handled {
		return ok(future), nil
	}
	return ok(future), s.dispatch(t)
}

// compose makes a request of the program's, or says what is wrong with it.
func compose(r *outgoingRequest, o *requestOptions) (q exchange.Request, refused wit.Value) {
	method := r.parts[partMethod].(wit.Case)
	q.Method = strings.ToUpper(httpMethod.Fields[method.Index].Name)
	if method.Index == methodOther {
		q.Method = method.Payload.(string)
	}
	q.Scheme = "https"
	if scheme, given := optional(r.parts[partScheme]); given {
		switch scheme.(wit.Case).Index {
		case schemeHTTP:
			q.Scheme = "http"
		case schemeOther:
			return q, label(httpProtocolError)
		}
	}
	authority, _ := optional(r.parts[partAuthority])
	path, _ := optional(r.parts[partPath])
	q.Authority, _ = authority.(string)
	q.Path, _ = path.(string)
	switch {
	case q.Method == "CONNECT":
		return q, label(httpRequestMethod)
	case q.Authority == "", strings.Contains(q.Authority, "@"), q.Path != "" && q.Path[0] != '/' && q.Path[0] != '?':
		return q, label(httpRequestURI)
	}
	q.Headers = sentFields(r.headers)
	for i, n := range []*uint64{&q.Timeouts.Connect, &q.Timeouts.FirstByte, &q.Timeouts.BetweenBytes} {
		if d, given := optional(o.timeouts[i]); given {
			*n = d.(uint64)
		}
	}
	return q, nil
}

func sentFields(list []field) (to []exchange.Field) {
	for _, f := range list {
		to = append(to, exchange.Field{Name: f.name, Value: f.value})
	}
	return to
}

func receivedFields(list []exchange.Field) (to []field) {
	for _, f := range list {
		to = append(to, field{f.Name, f.Value})
	}
	return to
}

// handedOver is called when the program has let go of an outgoing-body that is
// still there: the request that has waited for it leaves, or the response ends.
func (s *System) handedOver(body uint32) error {
	if s.serving != nil && s.serving.body == body {
		return s.endResponse()
	}
	if t := s.sentWith(body); t != nil {
		return s.dispatch(t)
	}
	return nil
}

// sentWith finds what was sent, or will be, with an outgoing-body, or nil.
func (s *System) sentWith(body uint32) *sent {
	for owner := range s.sent {
		if t := s.ofOwner(owner); t != nil && t.body == body {
			return t
		}
	}
	return nil
}

// dispatch lets a request leave, with its body if it has one, or what of that has
// not left.
func (s *System) dispatch(t *sent) error {
	if t.body != 0 {
		b, err := get[*outgoingBody](s, t.body)
		if err != nil {
			return err
		}
		if t.exchange.Call != 0 {
			end := exchange.Aborted
			if b.finished {
				end = exchange.Whole
			}
			err := s.follow(t, b, end)
			s.abandonBody(t.body)
			t.body = 0
			return err
		}
		data, trailers, whole := b.data, b.trailers, b.finished
		s.abandonBody(t.body)
		t.body = 0
		if !whole { // what there is of it is no request
			return s.refuse(t, label(httpProtocolError))
		}
		_ = s.weighed(t, func() error {
			t.exchange.Request.Body, t.exchange.Request.Trailers = data, sentFields(trailers)
			return nil
		})
	}
	return s.leave(t)
}

// refuse lets a request end that has not left.
func (s *System) refuse(t *sent, why wit.Value) error {
	f, err := get[*futureResponse](s, t.owner)
	if err != nil {
		return err
	}
	return errors.Join(s.fail(f, &httpError{why}), s.hangUp(t.owner))
}

// stream lets what was written of a body leave, and the request before it.
func (s *System) stream(t *sent) error {
	b, err := get[*outgoingBody](s, t.body)
	if err != nil {
		return err
	}
	if t.exchange.Call == 0 {
		t.exchange.Request.Streamed = true
		if err := s.leave(t); err != nil || t.exchange.Call == 0 {
			return err
		}
	}
	if len(b.data) == 0 {
		return nil
	}
	return s.follow(t, b, exchange.Unfinished)
}

// follow passes on what was written of a body. It waits only for more than the
// window, which a program can have written before it had the request sent.
func (s *System) follow(t *sent, b *outgoingBody, end exchange.Ending) error {
	data, x := b.data, &t.exchange
	s.held -= len(data)
	b.sent += uint64(len(data))
	b.data = nil
	for first := true; first || len(data) > 0; first = false {
		p, last := data[:min(len(data), exchange.MaxChunk)], exchange.Unfinished
		var trailers []exchange.Field
		if data = data[len(p):]; len(data) == 0 {
			last, trailers = end, sentFields(b.trailers)
		}
		if x.Room() < len(p) && !x.Over {
			if err := s.http.Progress(x, true); err != nil {
				return err
			}
		}
		if err := s.http.Write(x, p[:len(p):len(p)], last, trailers); err != nil {
			return err
		}
	}
	return nil
}

// Settle lets leave what programs have written and not finished: they wait, or
// their invocation has ended.
func (s *System) Settle() error {
	unfinished := false
	for owner := range s.sent {
		unfinished = unfinished || s.ofOwner(owner).body != 0
	}
	if !unfinished {
		return nil
	}
	for _, owner := range slices.Sorted(maps.Keys(s.sent)) {
		t := s.ofOwner(owner)
		if t == nil || t.body == 0 {
			continue
		}
		if err := s.stream(t); err != nil {
			return err
		}
	}
	return nil
}

// leave lets a request leave. One that cannot, for it is too long, has ended then.
func (s *System) leave(t *sent) error {
	var x *exchange.Exchange
	var err error
	if x, err = s.http.Send(t.exchange.Request); errors.Is(err, exchange.ErrHead) {
		return s.refuse(t, wit.Case{Index: httpRequestHeaders, Payload: none})
	}
	if err != nil {
		return err
	}
	return s.weighed(t, func() error {
		t.exchange = *x
		return nil
	})
}

// fail lets a future end without a response.
func (s *System) fail(f *futureResponse, why *httpError) error {
	f.failure = why
	return s.hold(why.weight())
}

// outcome is what has come of a request so far.
func (s *System) outcome(f *futureResponse, t *sent) (wit.Value, error) {
	if t.body != 0 {
		if err := s.stream(t); err != nil {
			return nil, err
		}
		if f.failure != nil {
			return getResponse(s, f, nil)
		}
	}
	if !t.ready {
		if there, err := s.look(t); err != nil || !there {
			return none, err
		}
	}
	var h exchange.Head
	err := s.weighed(t, func() (err error) {
		h, err = s.http.Outcome(&t.exchange)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.taken, t.ready = true, false
	if h.Failure != nil {
		return some(ok(failed(errorCode(h.Failure)))), s.hangUp(t.owner)
	}
	rep, err := s.add(&incomingResponse{incoming{headers: receivedFields(h.Headers)}, h.Status}, 0)
	if err != nil {
		return nil, err
	}
	s.pass(t.owner, rep.(uint32))
	return some(ok(ok(rep))), nil
}

// receive reads a body that comes in. None of it is errClosed once there is an
// end, of which b knows then.
func (s *System) receive(b *incomingBody, t *sent, limit int, block bool) ([]byte, error) {
	if err := s.Settle(); err != nil {
		return nil, err
	}
	var p exchange.Piece
	err := s.weighed(t, func() (err error) {
		p, err = s.http.Read(&t.exchange, limit, block || t.ready)
		return err
	})
	t.ready = false
	if err != nil || !p.End {
		return p.Bytes, err
	}
	before := b.weight()
	b.trailers, b.hasTrailers = receivedFields(p.Trailers), len(p.Trailers) > 0
	if p.Failure != nil {
		b.failure = &httpError{errorCode(p.Failure)}
	}
	if err := errors.Join(s.hold(b.weight()-before), s.hangUp(t.owner)); err != nil {
		return nil, err
	}
	if len(p.Bytes) == 0 {
		return nil, errClosed
	}
	return p.Bytes, nil
}
