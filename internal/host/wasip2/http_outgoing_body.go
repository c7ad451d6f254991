package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// outgoingBody is an outgoing-body and what was written to it and has not left. It is there as long as
// the program has the handle, or the message is there that it is the body of.
type outgoingBody struct {
	request  bool   // of a request, not of a response
	limited  bool   // the headers say how long it is
	length   uint64 // what they say
	taken    bool   // the program has had its stream
	finished bool   // and was finished as it should be

	handled bool // the program has the handle
	wanted  bool // the message is there

	// What is written to the body of the response that is given leaves at once:
	// it answers. Images know nothing of that.
	answers bool

	sent        uint64 // bytes that have left, of a request or a response
	data        []byte
	hasTrailers bool
	trailers    []field
}

func (*outgoingBody) kind() kind { return kindOutgoingBody }

func (b *outgoingBody) code(c *wasi.Coder) {
	for _, flag := range []*bool{&b.request, &b.limited, &b.taken, &b.finished, &b.handled, &b.wanted, &b.hasTrailers} {
		c.Bool(flag)
	}
	wasi.Uint(c, &b.length, 1<<64-1)
	wasi.Uint(c, &b.sent, 1<<64-1)
	wasi.Text(c, &b.data, maxHeld)
	codeFields(c, &b.trailers)
}

// size is how many bytes were written to it.
func (b *outgoingBody) size() uint64 { return b.sent + uint64(len(b.data)) }

func (b *outgoingBody) weight() int { return len(b.data) + weightOf(b.trailers) }

// close is called when the program has dropped the handle. A body that it has
// not finished is one that broke off.
func (b *outgoingBody) close(*System) (stays bool) {
	b.handled = false
	return b.wanted
}

// newBody makes the body of a message, once.
func (s *System) newBody(v wit.Value, request bool) (wit.Value, error) {
	m, err := get[message](s, v)
	if err != nil {
		return nil, err
	}
	o := m.message()
	length, limited, err := contentLength(o.headers)
	if o.body != 0 || err != nil {
		return failed(nil), nil
	}
	if !request && s.serving != nil && s.serving.Request.Head() {
		limited = false // it is the length of what a GET would get
	}
	rep, err := s.add(&outgoingBody{request: request, limited: limited, length: length, handled: true, wanted: true}, 0)
	if err != nil {
		return nil, err
	}
	o.body = rep.(uint32)
	return ok(rep), nil
}

// abandonBody is called when the message of a body is gone, and with it whoever
// wanted what is written.
func (s *System) abandonBody(rep uint32) {
	e := s.entry(rep)
	if e == nil {
		return
	}
	b, is := e.resource.(*outgoingBody)
	if !is {
		return
	}
	s.held -= b.weight()
	b.wanted, b.data, b.trailers, b.hasTrailers = false, nil, nil, false
	if !b.handled {
		s.resources.Remove(rep - 1)
	}
}

func writeBody(s *System, b *outgoingBody, a []wit.Value) (wit.Value, error) {
	if b.taken {
		return failed(nil), nil
	}
	rep, err := s.add(&bodyOutput{}, a[0].(uint32))
	if err != nil {
		return nil, err
	}
	b.taken = true
	return ok(rep), nil
}

func finishOutgoing(s *System, a []wit.Value) (wit.Value, error) {
	rep := a[0].(uint32)
	b, err := get[*outgoingBody](s, rep)
	if err != nil {
		return nil, err
	}
	if s.entry(rep).children > 0 {
		return nil, trap("an outgoing-body is finished while its stream is there")
	}
	if v, given := optional(a[1]); given {
		if b.trailers, err = s.takeHeaders(v); err != nil {
			return nil, err
		}
		b.hasTrailers = true
		s.held += weightOf(b.trailers) // which take has just let go of
	}
	size := b.size()
	complete := !b.limited || size == b.length
	long := !b.request && inbound.FieldsSize(goneFields(b.trailers)) > inbound.MaxResponseHead
	if long {
		s.held -= weightOf(b.trailers)
		b.trailers, b.hasTrailers = nil, false
	}
	b.finished = complete && !long && b.wanted
	if err := s.drop(rep); err != nil {
		return nil, err
	}
	switch {
	case !complete:
		return failed(bodySize(b.request, size).value), nil
	case long:
		return failed(wit.Case{Index: httpResponseTrailers, Payload: none}), nil
	}
	return ok(nil), nil
}

// bodyOutput is the stream of an outgoing-body, whose child it is.
type bodyOutput struct {
	outputState
	child
}

func (*bodyOutput) kind() kind { return kindBodyOutput }

func (o *bodyOutput) code(c *wasi.Coder) { o.outputState.code(c) }

func (o *bodyOutput) write(s *System, p []byte) error {
	b, err := get[*outgoingBody](s, o.parent)
	switch {
	case err != nil:
		return err
	case !b.wanted:
		return errClosed
	case b.limited && b.size()+uint64(len(p)) > b.length, !b.answers && len(p) > maxHeld-s.held:
		return bodySize(b.request, b.size()+uint64(len(p)))
	case b.answers:
		return s.writeResponse(b, p)
	}
	s.held += len(p)
	b.data = append(b.data, p...)
	if len(b.data) < exchange.MaxChunk {
		return nil
	}
	if t := s.sentWith(o.parent); t != nil {
		return s.stream(t)
	}
	return nil
}

// room implements narrow. What has not been sent is held, and has room as long as
// all that is held has.
func (o *bodyOutput) room(s *System, block bool) (int, error) {
	b, err := get[*outgoingBody](s, o.parent)
	if err != nil {
		return 0, err
	}
	t := s.sentWith(o.parent)
	switch {
	case !b.wanted:
		return 0, errClosed
	case t == nil || t.exchange.Call == 0:
		return maxTransfer, nil
	}
	x := &t.exchange
	if x.Room()-len(b.data) < exchange.MaxChunk && !x.Over {
		if err := s.stream(t); err != nil {
			return 0, err
		}
		if x.Room() < exchange.MaxChunk {
			t.roomy = false
			if err := s.http.Progress(x, block); err != nil {
				return 0, err
			}
		}
	}
	if x.Over {
		return 0, errClosed
	}
	return x.Room() - len(b.data), nil
}

// room is what a full body of a request waits for.
type room struct{ *sent }

func (r room) event(s *System) await.Event { return s.http.RoomEvent(&r.exchange) }
func (r room) come()                       { r.roomy = true }

// full reports whether nothing more of a body has room, as far as is known.
func (s *System) full(t *sent) bool {
	b, err := get[*outgoingBody](s, t.body)
	return err == nil && t.exchange.Call != 0 && !t.exchange.Over && t.exchange.Room() <= len(b.data)
}
