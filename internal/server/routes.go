package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waterbear-run/waterbear/api"
)

// handler serves an operation itself. It returns an error as long as nothing of
// an answer was written.
type handler func(x *exchange, r *http.Request) error

// route is an operation that can be reached.
type route struct{ operation }

// router is huma's way to the ServeMux: what huma registers is served within
// Server.admit, and what this package serves by itself replaces what huma would
// do, so that the OpenAPI document describes both alike.
type router struct{ s *Server }

func (a router) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.s.mux.ServeHTTP(w, r) }

// Handle is called by huma.
func (a router) Handle(op *huma.Operation, serve func(huma.Context)) {
	s := a.s
	o := &route{operation: operations[op.OperationID]}
	o.id = op.OperationID
	h := s.handlers[o.id]
	if h == nil {
		h = func(x *exchange, r *http.Request) error {
			ctx := r.Context()
			if !o.long {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, s.config.Timeout)
				defer cancel()
			}
			serve(humago.NewContext(op, r.WithContext(context.WithValue(ctx, exchangeKey{}, x)), x))
			return nil
		}
	}
	// A parameter that takes the rest of a path is written otherwise here than in
	// the document, and {$} keeps "/" from standing for all paths.
	pattern := strings.Replace(op.Path, "{path}", "{path...}", 1)
	if pattern == "/" {
		pattern = "/{$}"
	}
	s.mux.HandleFunc(op.Method+" "+pattern, func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		x.route = o
		s.handle(x, r, h)
	})
}

// handle answers a request that has a route.
func (s *Server) handle(x *exchange, r *http.Request, h handler) {
	if !x.route.probe {
		defer s.underWay.Add(-1)
		if s.underWay.Add(1) > int64(s.config.MaxRequests) {
			s.metrics.refused.Inc()
			x.problem(api.NewProblem(api.CodeOverloaded, "too many requests are under way: try again later"))
			return
		}
	}
	if p := s.admit(x, r); p != nil {
		x.problem(p)
		return
	}
	if x.route.body == mediaJSON && !x.route.raw {
		body, leave, p := s.jsonBody(x, r)
		defer leave()
		if p != nil {
			x.problem(p)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := h(x, r); err != nil {
		x.problem(s.explain(r.Context(), x, err))
	}
}

// jsonBody reads the body of a request for huma. The caller leaves when nothing
// of it is needed any more.
func (s *Server) jsonBody(x *exchange, r *http.Request) (body []byte, leave func(), p *api.Problem) {
	leave = func() {}
	if n := r.ContentLength; !x.route.files || n >= 0 && n <= s.config.MaxBody {
		body, p = readBody(x, r, s.config.MaxBody, s.bodyWait)
		return body, leave, p
	}
	enough, p := s.enter(s.filled, "creations of workers with files")
	if p != nil {
		return nil, leave, p
	}
	// It takes longer to come than an answer may.
	control := http.NewResponseController(x)
	_ = control.SetWriteDeadline(noDeadline)
	body, p = readBody(x, r, max(s.config.MaxBody, MaxFiles), uploadWait)
	_ = control.SetWriteDeadline(s.writeBy().Add(s.config.Timeout))
	return body, enough, p
}

// enter takes one of the slots for what needs much memory, if one is free.
func (s *Server) enter(slots chan struct{}, what string) (leave func(), p *api.Problem) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	default:
		s.metrics.refused.Inc()
		return nil, api.NewProblem(api.CodeOverloaded, "too many "+what+" are under way: try again later")
	}
}

// add makes huma serve an operation with h, which gives no answer if it has
// written one to x itself, or there is none but the status.
func add[I, O any](s *Server, id string, h func(ctx context.Context, x *exchange, in *I) (*O, error)) {
	op := s.describe(id)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		x := exchangeOf(ctx)
		out, err := h(ctx, x, in)
		if err != nil {
			return nil, (*problem)(s.explain(ctx, x, err))
		}
		return out, nil
	})
	complete(op)
}

// addRaw describes an operation by the types of what it takes and gives, and
// serves it with h, which reads and writes these by itself.
func addRaw[I, O any](s *Server, id string, h handler) {
	s.handlers[id] = h
	op := s.describe(id)
	huma.Register(s.api, op, func(context.Context, *I) (*O, error) {
		panic("server: huma serves " + id)
	})
	complete(op)
}
