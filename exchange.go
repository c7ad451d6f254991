package waterbear

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/relay"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// Exchange lets a worker answer an HTTP request: a component that exports
// wasi:http/incoming-handler. The worker is made if it is not there. Its program
// sees method, r.URL (or what r.RequestURI has) as path and query, r.Host as
// authority, the scheme by r.URL.Scheme or r.TLS, and the fields, but for those of
// a connection. The body is read before the program begins, up to the setting
// http.maxRequest.
//
// The request is an invocation: once Exchange has read it, it takes place whatever
// happens, also if nobody waits for the response. A key that is not empty is that of
// the invocation: whoever repeats the request with it gets the same response, from
// its beginning, also while the program is still writing, or after a crash. Keys are
// the worker's: who lets strangers choose them keeps apart those of one from those
// of another, as by a prefix.
//
// Exchange returns when the response has begun, or is an error: an *api.Problem
// where there will be none. Its CodeInvocationFailed has the invocation, which tells
// what happened inside: Public takes that out. When ctx is done first, or wait is
// over since the request has come in, it is CodeTimeout. A wait of 0 has no end.
//
// The response is given as it becomes durable. Reading the body waits for more of
// it, as long as ctx lasts; it is to be closed. Behind the body r.Trailer is set. An
// error of Read that is ErrBrokenOff says that what was read is not the response:
// the program has failed and may be tried again, or has not finished what it began.
// Who gives the response on breaks the connection off then; package relay does all
// that for net/http, and Handler does it for those who embed Waterbear.
func (p *Platform) Exchange(ctx context.Context, component, name, key string, r *http.Request, wait time.Duration) (*http.Response, error) {
	return p.exchange(ctx, component, name, api.Call{Key: key}, r, wait)
}

// exchange is Exchange for a worker that a call says more of.
func (p *Platform) exchange(ctx context.Context, component, name string, c api.Call, r *http.Request, wait time.Duration) (*http.Response, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodConnect {
		return nil, api.NewProblem(api.CodeMethod, "no worker answers CONNECT")
	}
	answer, err := p.workers.Serve(ctx, w, c, requestOf(r), r.Body, func() []inbound.Field { return fieldsOf(r.Trailer) })
	if err != nil {
		return nil, notWhole(err)
	}
	begins, cancel := relay.Within(ctx, wait)
	defer cancel()
	head, err := answer.Next(begins)
	if err != nil {
		answer.Close()
		return nil, err
	}
	response := &http.Response{
		Status: strconv.Itoa(int(head.Status)) + " " + http.StatusText(int(head.Status)), StatusCode: int(head.Status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, ContentLength: -1, Request: r,
	}
	for _, f := range head.Fields {
		response.Header.Add(f.Name, string(f.Value))
	}
	response.Body = &answerBody{ctx: ctx, answer: answer, response: response}
	return response, nil
}

// ErrBrokenOff is what reading a response's body gives where the response is not
// whole.
var ErrBrokenOff = worker.ErrTakenBack

// Public is a problem as clients may see it who may not look at the worker: of an
// invocation nothing is left in it.
func Public(p *api.Problem) *api.Problem {
	public := *p
	public.Invocation = nil
	return &public
}

// notWhole is the error of a request that has not come in whole.
func notWhole(err error) error {
	var p *api.Problem
	if errors.As(err, &p) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return api.NewProblem(api.CodeInvalid, "the body of the request did not arrive whole")
}

// requestOf is a request without its body.
func requestOf(r *http.Request) inbound.Request {
	q := inbound.Request{Method: r.Method, Scheme: r.URL.Scheme, Authority: r.Host, Path: pathOf(r.URL)}
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	switch {
	case q.Scheme == "https" || q.Scheme == "http":
	case r.TLS != nil:
		q.Scheme = "https"
	default:
		q.Scheme = "http"
	}
	if q.Authority == "" {
		q.Authority = r.URL.Host
	}
	h := r.Header.Clone()
	relay.Strip(h)
	h.Del("Host")
	h.Del("Expect")
	q.Fields = fieldsOf(h)
	return q
}

// pathOf is a path with its query as HTTP has it.
func pathOf(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	return path
}

// fieldsOf gives fields in the order of their names: that in which they came is
// not known.
func fieldsOf(h http.Header) (list []inbound.Field) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			list = append(list, inbound.Field{Name: name, Value: []byte(value)})
		}
	}
	return list
}

// answerBody is the body of a response.
type answerBody struct {
	ctx      context.Context
	answer   *worker.Answer
	response *http.Response
	rest     []byte
	err      error
}

// Ready implements relay.Ready.
func (b *answerBody) Ready() bool { return len(b.rest) > 0 || b.err != nil || b.answer.Ready() }

// Read waits for some of the body, and gives all that is there.
func (b *answerBody) Read(p []byte) (n int, err error) {
	for n < len(p) && b.err == nil && (n == 0 || b.Ready()) {
		if len(b.rest) == 0 {
			b.next()
		}
		k := copy(p[n:], b.rest)
		n, b.rest = n+k, b.rest[k:]
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, b.err
}

func (b *answerBody) next() {
	part, err := b.answer.Next(b.ctx)
	switch {
	case err != nil:
		b.err = err
	case part.End:
		b.err = io.EOF
		for _, f := range part.Trailers {
			if b.response.Trailer == nil {
				b.response.Trailer = http.Header{}
			}
			b.response.Trailer.Add(f.Name, string(f.Value))
		}
	default:
		b.rest = part.Bytes
	}
}

// Close gives up reading. The worker goes on.
func (b *answerBody) Close() error {
	b.answer.Close()
	return nil
}

// KeyField is the field that names the invocation which a request is.
const KeyField = "Idempotency-Key"

// Waits of a Handler.
const (
	handlerRead  = 30 * time.Second // for a piece of a request's body
	handlerTotal = 10 * time.Minute // for all of it
	handlerHead  = time.Minute      // for the response to begin
	handlerWrite = 15 * time.Second // for the client to take a piece of it
)

// Handler answers each request by the worker that of names, with the key that the
// request has as Idempotency-Key, if any. An error of of is answered as the
// *api.Problem that it is, or as an internal one.
func (p *Platform) Handler(of func(r *http.Request) (component, name string, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		component, name, err := of(r)
		var response *http.Response
		if err == nil {
			r.Body = relay.SlowBody(w, r, handlerRead, handlerTotal)
			response, err = p.Exchange(r.Context(), component, name, r.Header.Get(KeyField), r, handlerHead)
		}
		if err != nil {
			var problem *api.Problem
			if !errors.As(err, &problem) {
				problem = api.NewProblem(api.CodeInternal, "the request could not be answered")
			}
			relay.Refuse(w, Public(problem))
			return
		}
		if err := relay.Respond(w, r, response, handlerWrite); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
}
