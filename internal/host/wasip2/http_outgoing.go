package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// outgoing is what requests and responses of a program have in common.
type outgoing struct {
	headers []field
	body    uint32 // representation of its outgoing-body, once there is one, or 0
}

func (o *outgoing) code(c *wasi.Coder) {
	codeFields(c, &o.headers)
	wasi.Uint(c, &o.body, maxResources)
}

func (o *outgoing) weight() int { return weightOf(o.headers) }

func (o *outgoing) message() *outgoing { return o }

func (o *outgoing) close(s *System) (stays bool) {
	s.abandonBody(o.body)
	return false
}

// message is a request or a response of a program.
type message interface {
	resource
	message() *outgoing
}

// takeHeaders gives the fields that a message is made of.
func (s *System) takeHeaders(v wit.Value) ([]field, error) {
	f, err := take[*fields](s, v)
	if err != nil {
		return nil, err
	}
	return f.list, nil
}

// headersOf makes a child of a message that shows its headers.
func (s *System) headersOf(v wit.Value, list []field) (wit.Value, error) {
	return s.add(&fields{list: list, immutable: true}, v.(uint32))
}

func outgoingHeaders(s *System, m message, a []wit.Value) (wit.Value, error) {
	return s.headersOf(a[0], m.message().headers)
}

// outgoingRequest is an outgoing-request.
type outgoingRequest struct {
	outgoing
	parts [len(partTypes)]wit.Value
}

// The parts of a request.
const (
	partMethod = iota
	partPath
	partScheme
	partAuthority
)

var partTypes = [...]*wit.Type{httpMethod, option(tString), option(httpScheme), option(tString)}

func (*outgoingRequest) kind() kind { return kindOutgoingRequest }

func (r *outgoingRequest) code(c *wasi.Coder) {
	r.outgoing.code(c)
	codeParts(c, &r.parts)
}

func codeParts(c *wasi.Coder, parts *[len(partTypes)]wit.Value) {
	for i := range parts {
		codeValue(c, partTypes[i], &parts[i])
	}
}

func (r *outgoingRequest) weight() int { return r.outgoing.weight() + textIn(r.parts[:]) }

func newRequest(s *System, a []wit.Value) (wit.Value, error) {
	headers, err := s.takeHeaders(a[0])
	if err != nil {
		return nil, err
	}
	return s.add(&outgoingRequest{
		outgoing: outgoing{headers: headers},
		parts:    [...]wit.Value{label(methodGet), none, none, none},
	}, 0)
}

func requestBody(s *System, a []wit.Value) (wit.Value, error) { return s.newBody(a[0], true) }

// requestPart is a part of a request that can be seen and set.
type requestPart struct {
	name     string
	typ      *wit.Type
	get, set call
}

func requestParts() []requestPart {
	part := func(i int, name string, valid func(wit.Case) bool) requestPart {
		return requestPart{name, partTypes[i], getPart(i), setPart(i, valid)}
	}
	return []requestPart{
		part(partMethod, "method", func(m wit.Case) bool { return m.Index != methodOther || isToken(m.Payload.(string)) }),
		part(partPath, "path-with-query", func(p wit.Case) bool { return p.Index == 0 || isPath(p.Payload.(string)) }),
		part(partScheme, "scheme", func(o wit.Case) bool {
			scheme, _ := o.Payload.(wit.Case)
			return scheme.Index != schemeOther || isScheme(scheme.Payload.(string))
		}),
		part(partAuthority, "authority", func(p wit.Case) bool { return p.Index == 0 || isAuthority(p.Payload.(string)) }),
	}
}

func getPart(i int) call {
	return on(func(s *System, r *outgoingRequest, a []wit.Value) (wit.Value, error) {
		return r.parts[i], nil
	})
}

func setPart(i int, valid func(wit.Case) bool) call {
	return on(func(s *System, r *outgoingRequest, a []wit.Value) (wit.Value, error) {
		if !valid(a[1].(wit.Case)) {
			return failed(nil), nil
		}
		if err := s.hold(textIn(a[1]) - textIn(r.parts[i])); err != nil {
			return nil, err
		}
		r.parts[i] = a[1]
		return ok(nil), nil
	})
}

// requestOptions are timeouts, each an option<duration>.
type requestOptions struct{ timeouts [3]wit.Value }

func (*requestOptions) kind() kind { return kindRequestOptions }

func (o *requestOptions) code(c *wasi.Coder) {
	for i := range o.timeouts {
		codeValue(c, option(tDuration), &o.timeouts[i])
	}
}

func newOptions(s *System, _ []wit.Value) (wit.Value, error) {
	return s.add(&requestOptions{[...]wit.Value{none, none, none}}, 0)
}

func getTimeout(i int) call {
	return on(func(s *System, o *requestOptions, a []wit.Value) (wit.Value, error) {
		return o.timeouts[i], nil
	})
}

func setTimeout(i int) call {
	return on(func(s *System, o *requestOptions, a []wit.Value) (wit.Value, error) {
		o.timeouts[i] = a[1]
		return ok(nil), nil
	})
}

// outgoingResponse is an outgoing-response.
type outgoingResponse struct {
	outgoing
	status uint16
}

func (*outgoingResponse) kind() kind { return kindOutgoingResponse }

func (r *outgoingResponse) code(c *wasi.Coder) {
	r.outgoing.code(c)
	wasi.Uint(c, &r.status, lastStatus)
}

// The status codes there are (RFC 9110, section 15).
const (
	firstStatus = 100
	okStatus    = 200
	lastStatus  = 599
)

func newResponse(s *System, a []wit.Value) (wit.Value, error) {
	headers, err := s.takeHeaders(a[0])
	if err != nil {
		return nil, err
	}
	return s.add(&outgoingResponse{outgoing{headers: headers}, okStatus}, 0)
}

func responseBody(s *System, a []wit.Value) (wit.Value, error) { return s.newBody(a[0], false) }

func responseStatus(s *System, r *outgoingResponse, _ []wit.Value) (wit.Value, error) {
	return r.status, nil
}

func setResponseStatus(s *System, r *outgoingResponse, a []wit.Value) (wit.Value, error) {
	status := a[1].(uint16)
	if status < firstStatus || status > lastStatus {
		return failed(nil), nil
	}
	r.status = status
	return ok(nil), nil
}
