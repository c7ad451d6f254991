package wasip2

import (
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

var (
	dnsErrorPayload = record("DNS-error-payload", part("rcode", option(tString)), part("info-code", option(tU16)))
	tlsAlertPayload = record("TLS-alert-received-payload", part("alert-id", option(tU8)), part("alert-message", option(tString)))
	fieldSize       = record("field-size-payload", part("field-name", option(tString)), part("field-size", option(tU32)))

	httpErrorCode = variant("error-code",
		part("DNS-timeout", nil),
		part("DNS-error", dnsErrorPayload),
		part("destination-not-found", nil),
		part("destination-unavailable", nil),
		part("destination-IP-prohibited", nil),
		part("destination-IP-unroutable", nil),
		part("connection-refused", nil),
		part("connection-terminated", nil),
		part("connection-timeout", nil),
		part("connection-read-timeout", nil),
		part("connection-write-timeout", nil),
		part("connection-limit-reached", nil),
		part("TLS-protocol-error", nil),
		part("TLS-certificate-error", nil),
		part("TLS-alert-received", tlsAlertPayload),
		part("HTTP-request-denied", nil),
		part("HTTP-request-length-required", nil),
		part("HTTP-request-body-size", option(tU64)),
		part("HTTP-request-method-invalid", nil),
		part("HTTP-request-URI-invalid", nil),
		part("HTTP-request-URI-too-long", nil),
		part("HTTP-request-header-section-size", option(tU32)),
		part("HTTP-request-header-size", option(fieldSize)),
		part("HTTP-request-trailer-section-size", option(tU32)),
		part("HTTP-request-trailer-size", fieldSize),
		part("HTTP-response-incomplete", nil),
		part("HTTP-response-header-section-size", option(tU32)),
		part("HTTP-response-header-size", fieldSize),
		part("HTTP-response-body-size", option(tU64)),
		part("HTTP-response-trailer-section-size", option(tU32)),
		part("HTTP-response-trailer-size", fieldSize),
		part("HTTP-response-transfer-coding", option(tString)),
		part("HTTP-response-content-coding", option(tString)),
		part("HTTP-response-timeout", nil),
		part("HTTP-upgrade-failed", nil),
		part("HTTP-protocol-error", nil),
		part("loop-detected", nil),
		part("configuration-error", nil),
		part("internal-error", option(tString)),
	)
)

// Cases of error-code that this package makes.
const (
	httpConnectionTerminated = 7
	httpConnectionLimit      = 11
	httpRequestDenied        = 15
	httpRequestBodySize      = 17
	httpRequestMethod        = 18
	httpRequestURI           = 19
	httpRequestHeaders       = 21
	httpResponseBodySize     = 28
	httpResponseTrailers     = 29
	httpProtocolError        = 35
	httpInternalError        = 38
)

// httpError is a value of error-code.
type httpError struct{ value wit.Value }

// Error names the case, and shows what it comes with.
func (e *httpError) Error() string {
	c := e.value.(wit.Case)
	name := httpErrorCode.Fields[c.Index].Name
	if c.Payload == nil {
		return name
	}
	return name + ": " + showValue(httpErrorCode.Fields[c.Index].Type, c.Payload)
}

func (e *httpError) code(c *wasi.Coder) { codeValue(c, httpErrorCode, &e.value) }

// errorCode is the error-code of a failure: its reason is the case.
func errorCode(f *exchange.Failure) wit.Value {
	text := none
	if f.Text != "" {
		text = some(f.Text)
	}
	c := wit.Case{Index: uint32(f.Reason)}
	switch f.Reason {
	case exchange.DNSError:
		c.Payload = []wit.Value{text, none}
	case exchange.TLSAlert:
		c.Payload = []wit.Value{some(uint8(f.Size)), text}
	case exchange.ResponseBodySize:
		c.Payload = some(f.Size)
	case exchange.ResponseHeaderSize:
		c.Payload = none
	case exchange.InternalError:
		c.Payload = text
	}
	return c
}

// bodySize is the failure of a body that has n bytes.
func bodySize(request bool, n uint64) *httpError {
	index := uint32(httpResponseBodySize)
	if request {
		index = httpRequestBodySize
	}
	return &httpError{wit.Case{Index: index, Payload: some(n)}}
}

// errorCodeOfStream is what an error of a stream was in terms of HTTP.
func errorCodeOfStream(s *System, e *streamError, _ []wit.Value) (wit.Value, error) {
	if e.http == nil {
		return none, nil
	}
	return some(e.http.value), nil
}

// showValue shows a value of an error's payload to people.
func showValue(t *wit.Type, v wit.Value) string {
	switch v := v.(type) {
	case wit.Case: // an option
		if v.Index == 0 {
			return "unknown"
		}
		return showValue(t.Elem, v.Payload)
	case []wit.Value:
		var parts []string
		for i, f := range t.Fields {
			parts = append(parts, f.Name+" "+showValue(f.Type, v[i]))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}
