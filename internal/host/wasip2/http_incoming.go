package wasip2

import (
	"bytes"
	"errors"

	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// incoming is what requests and responses from outside have in common.
type incoming struct {
	headers  []field
	content  content
	consumed bool // content has become an incoming-body
}

// content is a body from outside: all of it, or what is known behind the end of
// one that was sent for.
type content struct {
	data        []byte
	hasTrailers bool
	trailers    []field
	failure     *httpError // how it broke off behind data, or nil

	// stored says that the bytes are not here but with the request that is
	// answered, and read how many the program has read. Images know nothing of
	// that.
	stored bool
	read   uint64
}

func (m *incoming) code(c *wasi.Coder) {
	codeFields(c, &m.headers)
	m.content.code(c)
	c.Bool(&m.consumed)
}

func (m *incoming) weight() int { return weightOf(m.headers) + m.content.weight() }

func (m *incoming) message() *incoming { return m }

func (t *content) code(c *wasi.Coder) {
	wasi.Text(c, &t.data, maxHeld)
	c.Bool(&t.hasTrailers)
	codeFields(c, &t.trailers)
	codeFailure(c, &t.failure)
}

func (t *content) weight() int { return len(t.data) + weightOf(t.trailers) + t.failure.weight() }

// received is a request or a response from outside.
type received interface {
	resource
	message() *incoming
}

// incomingRequest is an incoming-request.
type incomingRequest struct {
	incoming
	parts [len(partTypes)]wit.Value
}

func (*incomingRequest) kind() kind { return kindIncomingRequest }

func (r *incomingRequest) code(c *wasi.Coder) {
	r.incoming.code(c)
	codeParts(c, &r.parts)
}

func (r *incomingRequest) weight() int { return r.incoming.weight() + textIn(r.parts[:]) }

func incomingPart(i int) call {
	return on(func(s *System, r *incomingRequest, a []wit.Value) (wit.Value, error) {
		return r.parts[i], nil
	})
}

// incomingResponse is an incoming-response.
type incomingResponse struct {
	incoming
	status uint16
}

func (*incomingResponse) kind() kind { return kindIncomingResponse }

func (r *incomingResponse) code(c *wasi.Coder) {
	r.incoming.code(c)
	wasi.Uint(c, &r.status, 1<<16-1)
}

func incomingStatus(s *System, r *incomingResponse, _ []wit.Value) (wit.Value, error) {
	return r.status, nil
}

func incomingHeaders(s *System, m received, a []wit.Value) (wit.Value, error) {
	return s.headersOf(a[0], m.message().headers)
}

// consume makes the incoming-body of a message, once.
func consume(s *System, r received, a []wit.Value) (wit.Value, error) {
	m := r.message()
	if m.consumed {
		return failed(nil), nil
	}
	b := &incomingBody{content: m.content}
	s.held -= m.content.weight()
	m.consumed, m.content = true, content{}
	rep, err := s.add(b, 0)
	if err != nil {
		return nil, err
	}
	s.pass(a[0].(uint32), rep.(uint32))
	return ok(rep), nil
}

// incomingBody is an incoming-body.
type incomingBody struct {
	content
	streamed bool // the program has had its stream
}

func (*incomingBody) kind() kind { return kindIncomingBody }

func (b *incomingBody) code(c *wasi.Coder) {
	b.content.code(c)
	c.Bool(&b.streamed)
}

func readBody(s *System, b *incomingBody, a []wit.Value) (wit.Value, error) {
	if b.streamed {
		return failed(nil), nil
	}
	rep, err := s.add(&bodyInput{}, a[0].(uint32))
	if err != nil {
		return nil, err
	}
	b.streamed = true
	return ok(rep), nil
}

// bodyInput is the stream of an incoming-body, whose child it is.
type bodyInput struct {
	child
	offset uint64
	closed bool
}

func (*bodyInput) kind() kind { return kindBodyInput }

func (i *bodyInput) code(c *wasi.Coder) {
	wasi.Uint(c, &i.offset, maxHeld)
	c.Bool(&i.closed)
}

func (i *bodyInput) ended(*System) bool { return i.closed }

func (i *bodyInput) read(s *System, limit int, block bool) ([]byte, error) {
	b, err := get[*incomingBody](s, i.parent)
	if err != nil {
		return nil, err
	}
	if t := s.ofOwner(i.parent); t != nil {
		p, err := s.receive(b, t, limit, block)
		if !errors.Is(err, errClosed) {
			return p, err
		}
	}
	if b.stored {
		p, err := s.readStored(&b.content, limit)
		i.closed = errors.Is(err, errClosed)
		return p, err
	}
	rest := b.data[min(i.offset, uint64(len(b.data))):]
	if len(rest) == 0 {
		i.closed = true
		if b.failure != nil {
			return nil, b.failure
		}
		return nil, errClosed
	}
	p := rest[:min(limit, len(rest))]
	i.offset += uint64(len(p))
	return bytes.Clone(p), nil
}

// finishIncoming ends a body, read or not, and gives its trailers. Those of one
// that was not read to its end do not come.
func finishIncoming(s *System, a []wit.Value) (wit.Value, error) {
	b, err := take[*incomingBody](s, a[0])
	if err != nil {
		return nil, err
	}
	b.data, b.stored = nil, false
	return s.add(&futureTrailers{content: b.content}, 0)
}

// futureTrailers are a future-trailers: what came behind a body.
type futureTrailers struct {
	content // without data
	taken   bool
}

func (*futureTrailers) kind() kind { return kindFutureTrailers }

func (t *futureTrailers) code(c *wasi.Coder) {
	t.content.code(c)
	c.Bool(&t.taken)
}

func getTrailers(s *System, t *futureTrailers, a []wit.Value) (wit.Value, error) {
	switch {
	case t.taken:
		return some(failed(nil)), nil
	case t.failure != nil:
		t.taken = true
		return some(ok(failed(t.failure.value))), nil
	case !t.hasTrailers:
		t.taken = true
		return some(ok(ok(none))), nil
	}
	rep, err := s.headersOf(a[0], t.trailers)
	if err != nil {
		return nil, err
	}
	t.taken = true
	return some(ok(ok(some(rep)))), nil
}

// futureResponse is a future-incoming-response: what came of a request, or owns
// one that was sent.
type futureResponse struct {
	incomingResponse
	failure *httpError // or nil: there is a response
	taken   bool
}

func (*futureResponse) kind() kind { return kindFutureResponse }

func (f *futureResponse) code(c *wasi.Coder) {
	f.incomingResponse.code(c)
	codeFailure(c, &f.failure)
	c.Bool(&f.taken)
}

func (f *futureResponse) weight() int { return f.incomingResponse.weight() + f.failure.weight() }

func getResponse(s *System, f *futureResponse, a []wit.Value) (wit.Value, error) {
	switch {
	case f.taken:
		return some(failed(nil)), nil
	case f.failure != nil:
		f.taken = true
		return some(ok(failed(f.failure.value))), nil
	}
	if t := s.ofOwner(a[0].(uint32)); t != nil {
		return s.outcome(f, t)
	}
	r := f.incomingResponse
	s.held -= r.weight()
	f.taken, f.incomingResponse = true, incomingResponse{}
	rep, err := s.add(&r, 0)
	return some(ok(ok(rep))), err
}
