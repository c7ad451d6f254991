package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// exchange is one request being answered: the ResponseWriter that every handler
// gets, which remembers what the access log and the metrics tell.
type exchange struct {
	http.ResponseWriter
	id     string
	began  time.Time
	route  *route // nil until the router has found one
	token  api.Token
	status int // 0 until the header is sent
	bytes  int64
	// cut is why an answer that had begun broke off.
	cut error
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader holds back the answers of the router itself, which are not
// problems as ours are.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
		if x.route != nil {
			x.ResponseWriter.WriteHeader(status)
		}
	}
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.route == nil {
		return len(b), nil
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// exchangeKey finds the exchange in the context of a request that huma handles.
type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		panic("server: a handler's context has no exchange")
	}
	return x
}

// json answers with v.
func (x *exchange) json(status int, v any) error {
	b, err := json.Marshal(v)
	return x.sendJSON(status, b, err)
}

func (x *exchange) invocation(status int, i api.Invocation) error {
	b, err := invocationJSON(i)
	return x.sendJSON(status, b, err)
}

func (x *exchange) sendJSON(status int, b []byte, err error) error {
	if err != nil {
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	h := x.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	x.WriteHeader(status)
	_, _ = x.Write(b) // that the client is gone is not ours to mend
	return nil
}

// problem answers with p.
func (x *exchange) problem(p *api.Problem) {
	b, err := json.Marshal(p)
	if err != nil { // an Invocation may hold bytes that are not JSON
		p = api.NewProblem(api.CodeInternal, "the answer could not be written")
		b, _ = json.Marshal(p)
	}
	h := x.Header()
	maps.Copy(h, problemHeaders(p))
	h.Set("Content-Type", problemType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	// Before it answers, net/http reads what is left of a body, of which nobody may
	// send any.
	_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(drainWait))
	x.WriteHeader(p.Status)
	_, _ = x.Write(b)
}

// drainWait is how long a client whose request is refused has to send the rest of
// it, so that its connection can be used again.
const drainWait = time.Second

// statusLeft is what the log and the metrics have for requests whose client did
// not wait for the answer. It is no fault of the server, and nobody gets it.
const statusLeft = 499

var errLeft = errors.New("the client left")

// Values of headers that nearly every answer has. Nobody changes them in place.
var (
	noSniff  = []string{"nosniff"}
	noStore  = []string{"no-store"}
	typeJSON = []string{mediaJSON}
)

// serve answers one request, whatever it is.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, id: s.requestID(r.Header.Get("X-Request-Id")), began: time.Now()}
	h := w.Header()
	h["X-Request-Id"] = []string{x.id}
	h["X-Content-Type-Options"], h["Cache-Control"] = noSniff, noStore
	defer s.finish(x, r)
	if p := s.refuse(r); p != nil {
		x.route = unrouted
		x.problem(p)
		return
	}
	s.mux.ServeHTTP(x, r)
	if x.route == nil {
		s.answerUnrouted(x, r)
	}
}

// unrouted is the route of requests that have none.
var unrouted = &route{operation{id: "none", path: "none"}}

// answerUnrouted turns the router's own answer into a problem.
func (s *Server) answerUnrouted(x *exchange, r *http.Request) {
	x.route = unrouted
	allow := x.Header().Get("Allow")
	methodKnown := x.status == http.StatusMethodNotAllowed
	x.status = 0
	if methodKnown {
		x.problem(api.NewProblem(api.CodeMethod, fmt.Sprintf("this path does not have the method %.20q, but: %s", r.Method, allow)))
		return
	}
	x.problem(api.NewProblem(api.CodeNoRoute, "this path is none of the interface's: /openapi.json describes them all"))
}

// finish is deferred: it answers for a handler that panicked, and tells the log
// and the metrics about the exchange.
func (s *Server) finish(x *exchange, r *http.Request) {
	abort := false
	if v := recover(); v != nil {
		abort = true
		if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			s.config.Log.Error("a request handler panicked", "request", x.id, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if x.status == 0 || x.route == nil {
				x.route, x.status, abort = orElse(x.route, unrouted), 0, false
				x.problem(api.NewProblem(api.CodeInternal, internalDetail(x.id)))
			}
		}
	}
	took := time.Since(x.began)
	if errors.Is(x.cut, errLeft) {
		x.status = statusLeft
	}
	s.metrics.request(x.route.id, x.status, took)
	log, level := s.config.AccessLog, slog.LevelInfo
	switch {
	case x.status >= http.StatusInternalServerError:
		log, level = s.config.Log, slog.LevelWarn
	case x.route.probe:
		level = slog.LevelDebug
	}
	if log.Enabled(r.Context(), level) {
		x.log(log, level, r, took)
	}
	if abort {
		panic(http.ErrAbortHandler) // closes the connection, so that the client sees that something is missing
	}
}

func (x *exchange) log(to *slog.Logger, level slog.Level, r *http.Request, took time.Duration) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs,
		slog.String("method", knownMethod(r.Method)),
		slog.String("path", x.route.path),
		slog.Int("status", x.status),
		slog.Duration("duration", took),
		slog.Int64("bytes", x.bytes),
		slog.String("request", x.id),
	)
	if x.token.Name != "" {
		attrs = append(attrs, slog.String("token", x.token.Name))
	}
	if x.cut != nil {
		attrs = append(attrs, slog.String("cut", x.cut.Error()))
	}
	to.LogAttrs(r.Context(), level, "request", attrs...)
}

// knownMethod keeps what a client makes up out of the log.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// cutOff ends an answer that has begun and cannot go on, so that the client sees
// that it is not whole.
func (x *exchange) cutOff(err error) {
	x.cut = err
	panic(http.ErrAbortHandler)
}

// accepts reports whether the client asks for a media type by name.
func accepts(accept, media string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), media) {
			return true
		}
	}
	return false
}
