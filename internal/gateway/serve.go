package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// What holds where a route or the options of serving do not say otherwise.
const (
	DefaultBody        = 1 << 20
	DefaultConcurrency = 1000
	DefaultTimeout     = time.Minute
	DefaultRequests    = 10_000
)

// BodyWait is how long a client may take to send the body of a request whose
// route leads to a function, and to take an answer.
const BodyWait = 30 * time.Second

// Options say how routes are served.
type Options struct {
	Log *slog.Logger // what went wrong; nil: nothing is logged
	// AccessLog has a line for each request; nil: there is none.
	AccessLog *slog.Logger
	// Observe, if it is set, hears of each request that was answered: its route,
	// "" if it has none, and the status.
	Observe func(route string, status int, took time.Duration)
	// Requests bounds those under way, of all routes together; 0: the default.
	Requests int
	// Timeout is how long a client waits whose route does not say; 0: the default.
	Timeout time.Duration
	// BodyWait is how long a client may take to send a body; 0: BodyWait.
	BodyWait time.Duration
	// Until gives a context that ends also when the server stops; nil: that is told
	// to nobody. It is for responses that would go on.
	Until func(context.Context) (context.Context, context.CancelCauseFunc)
	// OpenAPI is the path of the document of the routes of the host that is asked;
	// "": there is none.
	OpenAPI string
}

// public serves the gateway's routes to anybody.
type public struct {
	Options
	gateway  *Gateway
	started  time.Time
	requests atomic.Uint64 // so far, for their ids
	underWay atomic.Int64
}

// Handler serves the routes that hold when a request comes in.
func (g *Gateway) Handler(o Options) http.Handler {
	o.Log = or(o.Log, slog.New(slog.DiscardHandler))
	o.Requests, o.Timeout, o.BodyWait = or(o.Requests, DefaultRequests), or(o.Timeout, DefaultTimeout), or(o.BodyWait, BodyWait)
	if o.Until == nil {
		o.Until = context.WithCancelCause
	}
	return &public{Options: o, gateway: g, started: time.Now()}
}

// newID is unique on this node: two processes of a node do not start at the same
// nanosecond.
func (p *public) newID() string {
	var b [48]byte
	id := strconv.AppendInt(b[:0], p.started.UnixNano(), 36)
	id = append(id, '-')
	return string(strconv.AppendUint(id, p.requests.Add(1), 36))
}

// ServeHTTP answers one request, whatever it is.
func (p *public) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, public: p, id: p.newID(), began: time.Now()}
	defer x.finish(r)
	h := w.Header()
	h.Set("X-Request-Id", x.id)
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// There may have been a Content-Length beside it, which cannot be seen any
		// more. Whoever is in front may have gone by that, and take the rest for a
		// request of its own; so there is no further one on this connection
		// (RFC 9112, 6.1).
		h.Set("Connection", "close")
	}
	defer p.underWay.Add(-1)
	if p.underWay.Add(1) > int64(p.Requests) {
		x.own = true
		x.problem(api.NewProblem(api.CodeOverloaded, "too many requests are under way: try again later"))
		return
	}
	if problem := refuse(r); problem != nil {
		x.own = true
		if problem.Status == http.StatusMethodNotAllowed {
			h.Set("Allow", strings.Join(methods, ", "))
		}
		x.problem(problem)
		return
	}
	r.Host = strings.TrimSuffix(strings.ToLower(r.Host), ".")
	t := p.gateway.table.Load()
	if p.OpenAPI != "" && r.URL.Path == p.OpenAPI && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		x.own = true
		p.document(x, r)
		return
	}
	if p.gateway.preflight(t, x, r) {
		return
	}
	t.mux.ServeHTTP(x, r)
	if x.entry == nil {
		x.unrouted(r)
	}
}

// refuse says why a request is not even routed.
func refuse(r *http.Request) *api.Problem {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace || !strings.HasPrefix(r.URL.Path, "/") {
		return api.NewProblem(api.CodeMethod, "this is no proxy")
	}
	// A router that cleans paths, and one that does not, take them for different
	// ones; so there are none that are not clean.
	escaped := r.URL.EscapedPath()
	if escaped != "/" && path.Clean(escaped) != strings.TrimSuffix(escaped, "/") || hasDots(escaped) {
		return api.NewProblem(api.CodeNoRoute, `no route has empty elements in its path, "." or ".."`)
	}
	return nil
}

// hasDots reports whether a path has elements that lead elsewhere, once they are
// not escaped any more.
func hasDots(escaped string) bool {
	if !strings.Contains(escaped, "%") {
		return false
	}
	for s := range strings.SplitSeq(escaped, "/") {
		if plain, err := url.PathUnescape(s); err != nil || plain == "." || plain == ".." {
			return true
		}
	}
	return false
}

// unrouted turns the router's own answer into a problem.
func (x *exchange) unrouted(r *http.Request) {
	known := x.status == http.StatusMethodNotAllowed
	x.status, x.own = 0, true
	h := x.Header()
	h.Del("Location")
	if known {
		x.problem(api.NewProblem(api.CodeMethod, fmt.Sprintf("this path does not have the method %.20q, but: %s", r.Method, h.Get("Allow"))))
		return
	}
	h.Del("Allow")
	x.problem(api.NewProblem(api.CodeNoRoute, "there is nothing here"))
}

// serving is the router's way to a route.
func (g *Gateway) serving(e *entry) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		x.entry = e
		defer e.load.requests.Add(-1)
		if e.load.requests.Add(1) > int64(or(e.route.Limits.Concurrency, DefaultConcurrency)) {
			x.problem(api.NewProblem(api.CodeOverloaded, "too many requests of this route are under way: try again later"))
			return
		}
		if !g.admitOrigin(e, x, r) {
			x.problem(api.NewProblem(api.CodeForbidden, crossOrigin))
			return
		}
		answer := x.public.invoke
		if e.route.Function == "" {
			answer = x.public.exchange
		}
		if problem := answer(x, e, r); problem != nil {
			x.problem(problem)
		}
	}
}

// invoke answers a request of a route to a function, unless something is wrong.
func (p *public) invoke(x *exchange, e *entry, r *http.Request) *api.Problem {
	limit := time.Duration(or(e.route.Limits.Timeout, api.Duration(p.Timeout)))
	control := http.NewResponseController(x)
	_ = control.SetWriteDeadline(time.Now().Add(limit + 2*p.BodyWait))
	b, problem := p.bind(x, e, r)
	if problem != nil {
		return problem
	}
	a, problem := newAsked(r)
	if problem != nil {
		return problem
	}
	if b.takesBody() {
		if a.body, problem = p.readBody(x, r, int64(or(e.route.Limits.Body, DefaultBody))); problem != nil {
			return problem
		}
	}
	args, each, problem := b.arguments(a)
	if problem != nil {
		return problem
	}
	key, problem := e.key.clientKey(r, func() string { return digest([]byte(b.Function.Name), args) })
	if problem != nil {
		return problem
	}
	worker, leave, problem := e.target(x, a, key)
	defer leave()
	if problem != nil {
		return problem
	}
	x.worker = e.route.Component + "/" + worker
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	i, err := p.gateway.invoker.Invoke(ctx, e.route.Component, worker, api.Call{
		Function: b.Function.Name, Args: args, Key: invocationKey(e.route.Name, key), Async: e.route.Async,
		Existing: e.route.Existing, Ephemeral: e.route.Ephemeral,
	})
	if err != nil {
		return p.explain(x, r, b, each, err)
	}
	return p.answer(x, e, b, i)
}

// bind gives how the route calls its function, as that is in the newest revision.
func (p *public) bind(x *exchange, e *entry, r *http.Request) (*binding, *api.Problem) {
	b := e.binding.Load()
	if b == nil || b.Revision != p.gateway.invoker.Revision(e.route.Component).Number {
		s, err := p.gateway.invoker.Signature(r.Context(), e.route.Component, e.route.Function)
		if err != nil {
			return nil, p.explain(x, r, nil, nil, err)
		}
		b = newBinding(&e.route, s)
		e.binding.Store(b)
	}
	if len(b.wrong) > 0 {
		p.Log.Warn("a route does not fit its component any more", "route", e.route.Name, "request", x.id, "where", b.wrong[0].Location, "why", b.wrong[0].Message)
		return nil, p.internal(x)
	}
	return b, nil
}

func (b *binding) takesBody() bool {
	for i := range b.params {
		if b.params[i].from.body() {
			return true
		}
	}
	return false
}

// readBody reads the whole body, unless it is over limit or takes too long.
func (p *public) readBody(x *exchange, r *http.Request, limit int64) ([]byte, *api.Problem) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	tooLarge := api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the body has more than the %d bytes that this takes", limit))
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	control := http.NewResponseController(x)
	// A deadline that passed later would end the request under way, so it is taken
	// back; but not where the rest is not wanted, which the server reads before it
	// answers.
	_ = control.SetReadDeadline(time.Now().Add(p.BodyWait))
	body := http.MaxBytesReader(x.ResponseWriter, r.Body, limit)
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= DefaultBody {
		b.Grow(int(n) + bytes.MinRead) // else it grows with what comes, not with what is announced
	}
	_, err := b.ReadFrom(body)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, wrongAt("body", "it did not arrive whole within %v", p.BodyWait)
	}
	_ = control.SetReadDeadline(time.Time{})
	return b.Bytes(), nil
}

// target chooses the worker of a request; leave says that it is answered.
func (e *entry) target(x *exchange, a *asked, key string) (worker string, leave func(), problem *api.Problem) {
	leave = func() {}
	switch {
	case e.worker.pool > 0:
		n := e.member(key)
		e.members[n].Add(1)
		return e.worker.member(n + 1), func() { e.members[n].Add(-1) }, nil
	case e.worker.named != "":
		return e.worker.named, leave, nil
	case e.worker.perRequest():
		// The same key has to find the same worker, and no other key may.
		name := x.id
		if key != "" {
			name = digest([]byte(e.route.Name), []byte(key))
		}
		return "r-" + name, leave, nil
	}
	var given []string
	switch e.worker.from.place {
	case inPath:
		given = []string{a.request.PathValue(e.worker.from.name)}
	case inQuery:
		given = a.query[e.worker.from.name]
	case inHeader:
		given = a.request.Header[e.worker.from.name]
	}
	at := e.worker.from.String()
	if len(given) != 1 {
		return "", leave, wrongAt(at, "it is there %d times: give it once, it says whom the request is for", len(given))
	}
	if err := checkName(given[0]); err != nil {
		return "", leave, wrongAt(at, "%v", err)
	}
	return given[0], leave, nil
}

// member chooses one of a pool, from 0: by the key, since the same key has to find
// the same worker, or the one with the least to do.
func (e *entry) member(key string) int {
	n := len(e.members)
	if key != "" {
		h := fnv.New32a()
		_, _ = h.Write([]byte(key))
		return int(h.Sum32() % uint32(n))
	}
	first := int(e.next.Add(1) % uint64(n))
	best, least := first, e.members[first].Load()
	for i := 1; i < n && least > 0; i++ {
		at := (first + i) % n
		if load := e.members[at].Load(); load < least {
			best, least = at, load
		}
	}
	return best
}
