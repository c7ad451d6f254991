package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// outparam is a response-outparam: where the program puts the response to a
// request that it was called with. Then an answer is in its place.
type outparam struct{}

func (*outparam) kind() kind       { return kindResponseOutparam }
func (*outparam) code(*wasi.Coder) {}

// answer is what the program has put there: a response, or an error. Only the
// host knows its representation.
type answer struct {
	outgoingResponse
	failure *httpError // or nil
}

func (*answer) kind() kind { return kindAnswer }

func (r *answer) code(c *wasi.Coder) {
	r.outgoingResponse.code(c)
	codeFailure(c, &r.failure)
}

func (r *answer) weight() int { return r.outgoingResponse.weight() + r.failure.weight() }

// codeFailure codes an error that there may be.
func codeFailure(c *wasi.Coder, e **httpError) {
	given := *e != nil
	if c.Bool(&given); !given {
		return
	}
	if c.Reading() {
		*e = new(httpError)
	}
	(*e).code(c)
}

func (e *httpError) weight() int {
	if e == nil {
		return 0
	}
	return textIn(e.value)
}

// sendInformational knows what can be sent, and sends nothing.
func sendInformational(s *System, a []wit.Value) (wit.Value, error) {
	if _, err := take[*fields](s, a[2]); err != nil {
		return nil, err
	}
	if status := a[1].(uint16); status < firstStatus || status >= okStatus {
		return failed(label(httpProtocolError)), nil
	}
	why := some("informational responses are not supported")
	return failed(wit.Case{Index: httpInternalError, Payload: why}), nil
}

func setOutparam(s *System, a []wit.Value) (wit.Value, error) {
	if _, err := get[*outparam](s, a[0]); err != nil {
		return nil, err
	}
	r, given := &answer{}, a[1].(wit.Case)
	if given.Index == 1 {
		r.failure = &httpError{given.Payload}
	} else {
		response, err := take[*outgoingResponse](s, given.Payload)
		if err != nil {
			return nil, err
		}
		r.outgoingResponse = *response
	}
	if err := s.hold(r.weight()); err != nil {
		return nil, err
	}
	s.entry(a[0].(uint32)).resource = r
	return nil, nil
}
