// Package client speaks to a Waterbear server over its REST interface: it
// deploys components, invokes functions of workers, and looks at both.
//
// All there is to know of what it sends and returns is in package api. An error
// is an *api.Problem if the server answered one, found with errors.As; any other
// wraps what went wrong on the way, and says what to do about it. A server that
// answers more than a bound, or what makes no sense, is an error and no more.
//
// Only what can be repeated without harm is repeated: Invoke that waits for its
// result, Await, and the iterators go on through lost connections, restarts and
// overload of the server, until their context is done. All else is tried once.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// DefaultURL is where a server listens if nobody tells it otherwise.
const DefaultURL = "http://127.0.0.1:4004"

// Config says how to reach a server. The zero value reaches one on this machine
// that demands no token.
type Config struct {
	// URL is the server's, without /v1. Empty: DefaultURL.
	URL string
	// Token is sent with every request, if it is set.
	Token string
	// CACert are certificates, in PEM, of authorities to trust besides the
	// system's. It is for the client that New makes: leave it empty with HTTP.
	CACert []byte
	// HTTP makes the requests. Nil: a client of our own. One with a Timeout
	// cuts off invocations and streams that take longer.
	HTTP *http.Client
	// Retrying, which may be nil, is told each time that something is about to
	// be tried again: why, and after how long. Any goroutine that uses the
	// client may call it.
	Retrying func(cause error, pause time.Duration)
}

// Client is a server as a program sees it. Any number of goroutines may use it.
type Client struct {
	base     string // the URL with /v1, without a slash at its end
	url      string // as it is named in errors
	token    string
	http     *http.Client
	retrying func(error, time.Duration)
}

// New makes a client. It does not connect yet.
func New(c Config) (*Client, error) {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	base, err := url.Parse(c.URL)
	switch {
	case err != nil:
		// What stands before an @ may have a password, and the error of Parse has it.
		rest := c.URL[strings.LastIndexByte(c.URL, '@')+1:]
		return nil, fmt.Errorf("read the server's URL %q: it is none; write one such as %s", rest, DefaultURL)
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("read the server's URL %s: write one such as %s", base.Redacted(), DefaultURL)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("read the server's URL %s: leave out user, query and fragment; give a token instead", base.Redacted())
	case strings.ContainsFunc(c.Token, unicode.IsControl):
		return nil, errors.New("read the token: it has control characters or more than one line")
	}
	made := &Client{
		url:      strings.TrimRight(base.String(), "/"),
		token:    c.Token,
		http:     c.HTTP,
		retrying: c.Retrying,
	}
	made.base = made.url + "/v1"
	if made.http == nil {
		if made.http, err = ownHTTP(c.CACert); err != nil {
			return nil, err
		}
	} else if len(c.CACert) > 0 {
		return nil, errors.New("make a client: CACert is for the client's own HTTP; set RootCAs of yours instead")
	}
	return made, nil
}

// ownHTTP gives what Config.HTTP is by default. It follows no redirects: the
// interface has none, so whoever sends one is no server of ours, and shall not
// see what we would send next.
func ownHTTP(authorities []byte) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if len(authorities) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(authorities) {
			return nil, errors.New("read the certificate authorities: there is no certificate in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// URL is where the server is.
func (c *Client) URL() string { return c.url }

// Close closes the connections that nothing uses now.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ready asks whether the server takes work, and gives why not, or nil.
func (c *Client) Ready(ctx context.Context) error {
	return c.do(ctx, request{method: http.MethodGet, url: c.url + "/readyz"}, nil)
}
