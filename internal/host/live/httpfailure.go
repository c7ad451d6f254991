package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
)

// failureOf says what an error of package http is in terms of the WIT. Of its
// text programs see no more than what names neither addresses nor files of the
// host.
func failureOf(ctx context.Context, err error) *exchange.Failure {
	if errors.Is(err, errDenied) {
		// For people who look: the WIT has no place for it.
		return &exchange.Failure{Reason: exchange.Denied, Text: errDenied.Error()}
	}
	for _, c := range causes {
		if errors.Is(err, c.err) || errors.Is(context.Cause(ctx), c.err) {
			return &exchange.Failure{Reason: c.reason}
		}
	}
	var dns *net.DNSError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return &exchange.Failure{Reason: exchange.DNSTimeout}
	case errors.As(err, &dns):
		f := &exchange.Failure{Reason: exchange.DNSError}
		if dns.IsNotFound {
			f.Text = "NXDOMAIN"
		}
		return f
	case errors.As(err, &certificate):
		return &exchange.Failure{Reason: exchange.TLSCertificate, Text: whyRefused(certificate.Err)}
	case errors.As(err, &authority), errors.As(err, &name):
		return &exchange.Failure{Reason: exchange.TLSCertificate, Text: whyRefused(err)}
	case errors.As(err, &alert):
		return &exchange.Failure{Reason: exchange.TLSAlert, Size: uint64(uint8(alert)), Text: alert.Error()}
	case errors.As(err, &record):
		return &exchange.Failure{Reason: exchange.TLSProtocol}
	}
	return failureByText(err.Error())
}

// maxWhy bounds what is said of a certificate, which is the server's.
const maxWhy = 300

// whyRefused says what is wrong with a certificate. Programs do not see it: the
// WIT has no place for it.
func whyRefused(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > maxWhy {
		text = text[:maxWhy] + "…"
	}
	return text
}

// causes are errors that say all there is to say.
var causes = []struct {
	err    error
	reason exchange.Reason
}{
	{errLost, exchange.ConnectionTerminated},
	{errRoots, exchange.InternalError},
	{exchange.ErrAborted, exchange.ProtocolError},
	{errTrailers, exchange.ProtocolError},
	{errConnectTimeout, exchange.ConnectionTimeout},
	{errWriteTimeout, exchange.WriteTimeout},
	{errFirstByteTimeout, exchange.ResponseTimeout},
	{errBetweenBytes, exchange.ReadTimeout},
	{syscall.ECONNREFUSED, exchange.ConnectionRefused},
	{syscall.ECONNRESET, exchange.ConnectionTerminated},
	{syscall.EPIPE, exchange.ConnectionTerminated},
	{syscall.ENETUNREACH, exchange.DestinationUnroutable},
	{syscall.EHOSTUNREACH, exchange.DestinationUnroutable},
	{syscall.ETIMEDOUT, exchange.ConnectionTimeout},
	{io.ErrUnexpectedEOF, exchange.ResponseIncomplete},
	{io.EOF, exchange.ConnectionTerminated},
}

// failureByText knows errors of package http that have no name.
func failureByText(text string) *exchange.Failure {
	for _, known := range []struct {
		part   string
		reason exchange.Reason
	}{
		{"server response headers exceeded", exchange.ResponseHeaderSize},
		{"header list too large", exchange.ResponseHeaderSize},
		{"header list larger than advertised limit", exchange.ResponseHeaderSize},
		{"server gave HTTP response to HTTPS client", exchange.TLSProtocol},
		{"tls:", exchange.TLSProtocol},
		{"server closed idle connection", exchange.ConnectionTerminated},
		{"connection reset", exchange.ConnectionTerminated},
		{"malformed", exchange.ProtocolError},
		{"unsupported protocol scheme", exchange.URIInvalid},
		{"invalid", exchange.ProtocolError},
	} {
		if strings.Contains(text, known.part) {
			return &exchange.Failure{Reason: known.reason}
		}
	}
	return &exchange.Failure{Reason: exchange.ProtocolError}
}
