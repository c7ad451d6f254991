package wasip2

import (
	"errors"
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/wit"
)

// serving is the request that the program is called with, and how far it has
// answered. It lasts as long as the call, so images know nothing of it.
type serving struct {
	*inbound.Serving
	outparam uint32 // where the response is to be put; 0 once it is there
	body     uint32 // the outgoing-body of the response, while the program may write it
}

// Serve gives the program a request, as the representations of the incoming-request
// and of the response-outparam that its handler is to be called with. EndServing is
// called when that has returned.
func (s *System) Serve(v *inbound.Serving) (request, out uint32, err error) {
	q := v.Request
	r := &incomingRequest{parts: [...]wit.Value{
		partMethod: methodOf(q.Method), partPath: some(q.Path), partScheme: some(label(schemeHTTP)), partAuthority: none,
	}}
	if q.Scheme == "https" {
		r.parts[partScheme] = some(label(schemeHTTPS))
	}
	if q.Authority != "" {
		r.parts[partAuthority] = some(q.Authority)
	}
	r.headers = cameFields(q.Fields)
	r.content = content{data: q.Body.Bytes, stored: q.Body.Stored, trailers: cameFields(q.Trailers), hasTrailers: len(q.Trailers) > 0}
	requestRep, err := s.add(r, 0)
	if err != nil {
		return 0, 0, err
	}
	outRep, err := s.add(&outparam{}, 0)
	if err != nil {
		return 0, 0, err
	}
	s.serving = &serving{Serving: v, outparam: outRep.(uint32)}
	return requestRep.(uint32), s.serving.outparam, nil
}

func methodOf(name string) wit.Value {
	for i, f := range httpMethod.Fields[:methodOther] {
		if strings.ToUpper(f.Name) == name {
			return label(uint32(i))
		}
	}
	return wit.Case{Index: methodOther, Payload: name}
}

func cameFields(list []inbound.Field) (to []field) {
	for _, f := range list {
		to = append(to, field{f.Name, f.Value})
	}
	return to
}

func goneFields(list []field) (to []inbound.Field) {
	for _, f := range list {
		to = append(to, inbound.Field{Name: f.name, Value: f.value})
	}
	return to
}

// EndServing ends the answer as it is: a body that the program has not finished
// has broken off. What it has not read of the request it cannot read any more.
func (s *System) EndServing() error {
	v := s.serving
	if v == nil {
		return nil
	}
	var err error
	switch {
	case v.body != 0:
		err = s.endResponse()
	case !v.Ended():
		v.Refuse("the program has set no response")
	}
	s.serving = nil
	if v.Request.Body.Stored {
		err = errors.Join(err, s.cutRequests())
	}
	return err
}

// cutRequests ends the bodies of requests that the program can have no more of.
func (s *System) cutRequests() error {
	for _, e := range s.resources.All() {
		var c *content
		switch r := e.resource.(type) {
		case *incomingRequest:
			c = &r.content
		case *incomingBody:
			c = &r.content
		}
		if c == nil || !c.stored {
			continue
		}
		c.stored, c.read = false, 0
		c.failure = &httpError{label(httpConnectionTerminated)}
		if err := s.hold(c.failure.weight()); err != nil {
			return err
		}
	}
	return nil
}

// readStored reads the body of the request that is answered.
func (s *System) readStored(c *content, limit int) ([]byte, error) {
	if s.serving == nil {
		return nil, errors.New("the body of a request is read that nobody answers")
	}
	p, err := s.serving.Read(c.read, limit)
	if err == nil && len(p) == 0 {
		return nil, errClosed
	}
	c.read += uint64(len(p))
	return p, err
}

// respond begins the response, with what the program has written of its body
// until now.
func (s *System) respond(r *outgoingResponse) error {
	v := s.serving
	v.outparam = 0
	fields := goneFields(r.headers)
	switch _, _, err := contentLength(r.headers); {
	case r.status < okStatus:
		v.Refuse(fmt.Sprintf("%d is the status of no response", r.status))
	case err != nil:
		v.Refuse(err.Error())
	case inbound.FieldsSize(fields) > inbound.MaxResponseHead:
		v.Refuse(fmt.Sprintf("the fields of the response have more than %d bytes", inbound.MaxResponseHead))
	}
	if v.Ended() {
		r.close(s)
		return nil
	}
	if err := v.Respond(r.status, fields); err != nil {
		return err
	}
	b, err := get[*outgoingBody](s, r.body)
	if err != nil { // there is none
		return v.End(nil, "")
	}
	v.body = r.body
	b.answers = true
	if v.Request.Head() || r.status == 204 || r.status == 304 {
		b.limited = false // what the fields say is of another response
	}
	data := b.data
	s.held -= len(data)
	b.data = nil
	if err := s.writeResponse(b, data); err != nil || b.handled {
		return err
	}
	return s.endResponse()
}

func (s *System) writeResponse(b *outgoingBody, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	b.sent += uint64(len(p))
	return s.serving.Write(p)
}

// endResponse ends the response whose body the program has finished, or dropped.
func (s *System) endResponse() error {
	v := s.serving
	b, err := get[*outgoingBody](s, v.body)
	if err != nil {
		return err
	}
	why := ""
	switch {
	case b.finished:
	case b.limited && b.sent != b.length:
		why = fmt.Sprintf("the content-length is %d, and the program has written %d bytes", b.length, b.sent)
	default:
		why = "the program has not finished it"
	}
	err = v.End(goneFields(b.trailers), why)
	rep := v.body
	v.body, b.answers = 0, false
	s.abandonBody(rep)
	return err
}
