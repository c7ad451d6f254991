package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// exchange is one request being answered: the ResponseWriter that the router
// gives to a route, which remembers what the access log and the metrics tell.
type exchange struct {
	http.ResponseWriter
	public *public
	id     string
	began  time.Time
	entry  *entry // nil until the router has found one
	own    bool   // the gateway answers by itself, without a route
	worker string // that the request was for
	status int    // 0 until the header is sent
	bytes  int64
	cut    string // why an answer that had begun broke off, or nobody waited for it
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader holds back the answers of the router itself, which are not
// problems as ours are.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
		if x.entry != nil || x.own {
			x.ResponseWriter.WriteHeader(status)
		}
	}
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.entry == nil && !x.own {
		return len(b), nil
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

const problemType = "application/problem+json"

// problem answers with p.
func (x *exchange) problem(p *api.Problem) {
	b, err := json.Marshal(p)
	if err != nil {
		panic("gateway: a problem has no JSON: " + err.Error())
	}
	h := x.Header()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	x.send(answer{p.Status, problemType, b})
}

// send sends an answer.
func (x *exchange) send(a answer) {
	h := x.Header()
	if a.media != "" {
		h.Set("Content-Type", a.media)
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	x.WriteHeader(a.status)
	_, _ = x.Write(a.body) // that the client is gone is not ours to mend
}

// finish is deferred: it answers for a handler that panicked, and tells the log
// and the metrics about the exchange.
func (x *exchange) finish(r *http.Request) {
	abort := false
	if v := recover(); v != nil {
		abort = true
		if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			x.public.Log.Error("a request handler panicked", "request", x.id, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if x.status == 0 {
				abort = false
				x.own = true
				x.problem(x.public.internal(x))
			}
		}
	}
	took := time.Since(x.began)
	route := ""
	if x.entry != nil {
		route = x.entry.route.Name
	}
	if x.public.Observe != nil {
		x.public.Observe(route, x.status, took)
	}
	if x.public.AccessLog != nil {
		x.log(r, route, took)
	}
	if abort {
		panic(http.ErrAbortHandler) // closes the connection, so that the client sees that something is missing
	}
}

// maxLogged bounds what a line of the access log quotes of each thing that the
// client chose.
const maxLogged = 256

func logged(s string) string {
	if len(s) > maxLogged {
		return strings.ToValidUTF8(s[:maxLogged], "") + "…"
	}
	return s
}

// log writes a line of the access log. It has nothing that may be a secret: of
// the query the names alone, of the header nothing but what names the client's
// program, and neither keys nor bodies.
func (x *exchange) log(r *http.Request, route string, took time.Duration) {
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = r.RemoteAddr
	}
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("remote", remote), slog.String("method", logged(r.Method)), slog.String("host", logged(r.Host)),
		slog.String("path", logged(r.URL.EscapedPath())), slog.String("protocol", r.Proto),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes), slog.Duration("duration", took),
		slog.String("request", x.id), slog.String("route", route),
	)
	if r.URL.RawQuery != "" {
		attrs = append(attrs, slog.String("query", logged(queryNames(r.URL.RawQuery))))
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, slog.String("agent", logged(agent)))
	}
	if x.worker != "" {
		attrs = append(attrs, slog.String("worker", x.worker))
	}
	if x.cut != "" {
		attrs = append(attrs, slog.String("cut", x.cut))
	}
	x.public.AccessLog.LogAttrs(r.Context(), slog.LevelInfo, "access", attrs...)
}

// queryNames are the names of a query's parameters, in order.
func queryNames(raw string) string {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "…"
	}
	return strings.Join(slices.Sorted(maps.Keys(query)), "&")
}
