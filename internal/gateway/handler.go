package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/relay"
)

// What a client of a handler may take its time for: all of a body, each piece of
// which has to come within Options.BodyWait, and a piece of the response.
const (
	uploadWait = 10 * time.Minute
	writeWait  = 15 * time.Second
)

// exchange lets a component's own handler answer a request, unless something is
// wrong before it has begun to.
func (p *public) exchange(x *exchange, e *entry, r *http.Request) *api.Problem {
	key, problem := e.key.clientKey(r, nil)
	if problem != nil {
		return problem
	}
	worker, leave, problem := e.target(x, &asked{request: r, query: r.URL.Query()}, key)
	defer leave()
	if problem != nil {
		return problem
	}
	x.worker = e.route.Component + "/" + worker
	ctx, cancel := p.Until(r.Context())
	defer cancel(nil)
	body := &bodyOf{ReadCloser: r.Body, limit: e.route.Limits.Body}
	if body.limit > 0 {
		body.ReadCloser = http.MaxBytesReader(x.ResponseWriter, r.Body, int64(body.limit))
	}
	q := r.WithContext(ctx)
	q.Header = r.Header.Clone()
	forwarded(q)
	if e.route.Below {
		below(q, strings.Count(e.route.Path, "/"))
	}
	// Each piece of a body has its own deadline, and so has each of the response.
	q.Body = body
	q.Body = relay.SlowBody(x, q, p.BodyWait, uploadWait)
	_ = http.NewResponseController(x).SetWriteDeadline(time.Time{})
	limit := time.Duration(or(e.route.Limits.Timeout, api.Duration(p.Timeout)))
	response, err := p.gateway.invoker.Exchange(ctx, e.route.Component, worker, api.Call{
		Key: invocationKey(e.route.Name, key), Existing: e.route.Existing, Ephemeral: e.route.Ephemeral,
	}, q, limit)
	_ = http.NewResponseController(x).SetWriteDeadline(time.Now().Add(writeWait))
	if body.over {
		err = api.NewProblem(api.CodeTooLarge, "")
	}
	if err != nil {
		return p.explain(x, r, nil, nil, err)
	}
	if e.cors != nil { // the route says it
		for name := range response.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				response.Header.Del(name)
			}
		}
	}
	if err := relay.Respond(x, r, response, writeWait); err != nil {
		x.cut = err.Error()
		panic(http.ErrAbortHandler)
	}
	return nil
}

// bodyOf is the body of a request, which knows whether there was more than may be.
type bodyOf struct {
	io.ReadCloser
	limit uint64
	over  bool
}

func (b *bodyOf) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		b.over = true
		err = fmt.Errorf("the body has more than %d bytes: %w", b.limit, err)
	}
	return n, err
}

// forwarded adds the client's address behind those that the request has already,
// of which nobody knows whether they are true.
func forwarded(r *http.Request) {
	const field = "X-Forwarded-For"
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return
	}
	r.Header.Set(field, strings.Join(append(r.Header[field], host), ", "))
}

// below makes the path of a request what is behind its n-th slash, escaped ones
// not counted.
func below(r *http.Request, n int) {
	u := *r.URL
	u.RawPath = behind(u.EscapedPath(), n)
	if path, err := url.PathUnescape(u.RawPath); err == nil {
		u.Path = path
	}
	r.URL = &u
}

func behind(path string, n int) string {
	for i := range len(path) {
		if path[i] == '/' {
			if n--; n == 0 {
				return path[i:]
			}
		}
	}
	return path
}
