package wasip2

import (
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

// outparam is a response-outparam: where the program puts the response to the
// request that it was called with. One that it keeps for longer leads nowhere.
type outparam struct{}

func (*outparam) kind() kind       { return kindResponseOutparam }
func (*outparam) code(*wasi.Coder) {}

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
	given := a[1].(wit.Case)
	var response *outgoingResponse
	if given.Index == 0 {
		var err error
		if response, err = take[*outgoingResponse](s, given.Payload); err != nil {
			return nil, err
		}
	}
	if _, err := take[*outparam](s, a[0]); err != nil {
		return nil, err
	}
	awaited := s.serving != nil && s.serving.outparam == a[0].(uint32)
	switch {
	case awaited && response != nil:
		return nil, s.respond(response)
	case awaited:
		s.serving.outparam = 0
		s.serving.Refuse((&httpError{given.Payload}).Error())
	case response != nil:
		response.close(s)
	}
	return nil, nil
}
