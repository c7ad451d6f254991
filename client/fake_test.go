package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

// adder is a server whose workers have one function, "add", which adds its
// arguments to a sum and returns that. It keeps the contract: the same key
// takes effect once.
type adder struct {
	mu    sync.Mutex
	sum   int
	done  map[string]api.Invocation
	posts int
}

func (s *adder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/workers/shop/alice/invoke/add" {
		answerProblem(w, api.NewProblem(api.CodeNoRoute, r.Method+" "+r.URL.Path))
		return
	}
	answer(w, http.StatusOK, s.invoke(r))
}

func (s *adder) invoke(r *http.Request) api.Invocation {
	var args []int
	if err := json.NewDecoder(r.Body).Decode(&args); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts++
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		key = fmt.Sprintf("i-%d", s.posts)
	}
	if known, ok := s.done[key]; ok {
		return known
	}
	for _, n := range args {
		s.sum += n
	}
	i := api.Invocation{
		Worker: "shop/alice", Key: key, Function: "add", State: api.StateFinished,
		Result: json.RawMessage(fmt.Sprintf("[%d]", s.sum)),
	}
	s.done[key] = i
	return i
}

// total is the sum and how many calls were posted.
func (s *adder) total() (sum, posts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum, s.posts
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func answerProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", typeProblem)
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		panic(err)
	}
}

// fault is one thing that goes wrong with a request on its way through next.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

func none(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

// dropBefore loses the connection before the server has seen the request.
func dropBefore(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// dropAfter loses the answer.
func dropAfter(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// dropWithin loses the second half of the answer.
func dropWithin(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
	b := whole.Body.Bytes()
	_, _ = w.Write(b[:len(b)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// late performs the call, but says that the answer is still to come.
func late(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	p := api.NewProblem(api.CodeTimeout, "the invocation goes on; ask again with its key")
	p.Invocation = &api.Invocation{}
	if err := json.Unmarshal(whole.Body.Bytes(), p.Invocation); err != nil {
		panic(err)
	}
	p.Invocation.State, p.Invocation.Result = api.StateStarted, nil
	answerProblem(w, p)
}

// refuse answers a problem that passes, without doing anything.
func refuse(code api.Code) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		p := api.NewProblem(code, "not now")
		p.RetryAfter = 0
		answerProblem(w, p)
	}
}

// gateway is what a proxy says whose server is away.
func gateway(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.WriteHeader(http.StatusBadGateway)
	_, _ = io.WriteString(w, "<html>Bad Gateway</html>")
}

// faulty lets the faults happen to the first requests, one each.
func faulty(next http.Handler, faults ...fault) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		f := fault(none)
		if len(faults) > 0 {
			f, faults = faults[0], faults[1:]
		}
		mu.Unlock()
		f(w, r, next)
	})
}

// serve gives a client of a server on the loopback address.
func serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	s.Start()
	t.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// direct is a transport that calls a handler without a network, so that it
// works where time is virtual. A handler that panics is a lost connection.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	defer func() {
		if recover() != nil {
			answer, err = nil, io.ErrUnexpectedEOF
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	answer = w.Result()
	answer.Request = r
	return answer, nil
}

// within gives a client that calls a handler without a network.
func within(t *testing.T, h http.Handler) *Client {
	t.Helper()
	c, err := New(Config{HTTP: &http.Client{Transport: direct{h}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantProblem(t *testing.T, err error, code api.Code) *api.Problem {
	t.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Code != code {
		t.Fatalf("got %v, want a problem %q", err, code)
	}
	return p
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not have %q", err, part)
		}
	}
}

// event writes one server-sent event.
func sendEvent(w io.Writer, name, id string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var e bytes.Buffer
	if id != "" {
		fmt.Fprintf(&e, "id: %s\n", id)
	}
	fmt.Fprintf(&e, "event: %s\ndata: %s\n\n", name, b)
	_, _ = w.Write(e.Bytes())
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
