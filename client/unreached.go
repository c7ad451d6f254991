package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// unreachedError is a request without an answer, or with half of one. Whether
// the server did what it was asked is not known.
type unreachedError struct {
	text  string
	cause error
	// lasting says that trying again gives the same.
	lasting bool
}

func (e *unreachedError) Error() string { return e.text }
func (e *unreachedError) Unwrap() error { return e.cause }

// unreached says why there is no answer, and what to do.
func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", c.url, context.Cause(ctx))
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // its text has the whole URL, which says nothing to a person
	}
	e := &unreachedError{cause: err}
	name, address := (*net.DNSError)(nil), (*net.AddrError)(nil)
	distrust, record := (*tls.CertificateVerificationError)(nil), tls.RecordHeaderError{}
	switch {
	case errors.Is(err, errTooLarge):
		e.text, e.lasting = fmt.Sprintf("ask %s: %v", c.url, err), true
	case errors.Is(err, syscall.ECONNREFUSED):
		e.text = fmt.Sprintf("connection refused at %s: is `waterbear server` running?", c.url)
	case errors.As(err, &name):
		e.text, e.lasting = fmt.Sprintf("find %s: %v; check the URL", c.url, err), name.IsNotFound
	case errors.As(err, &address):
		e.text, e.lasting = fmt.Sprintf("find %s: %v; check the URL", c.url, err), true
	case errors.As(err, &distrust):
		e.text, e.lasting = fmt.Sprintf("trust %s: %v; give the certificate of its authority, and use a name that its own has", c.url, distrust.Err), true
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.text, e.lasting = fmt.Sprintf("ask %s: it does not speak TLS; try http:// instead of https://", c.url), true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		e.text = fmt.Sprintf("the connection to %s was lost: %v; is the server still running?", c.url, err)
	default:
		e.text = fmt.Sprintf("ask %s: %v", c.url, err)
	}
	return e
}
