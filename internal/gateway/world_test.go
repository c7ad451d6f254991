package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
	"github.com/waterbear-run/waterbear/internal/worker"
	"github.com/waterbear-run/waterbear/wit"
)

// shopWIT are the types of the functions that a town's component shop has.
const shopWIT = `package test:shop;
interface shop {
  record item { sku: string, qty: u8, note: option<string> }
  enum color { red, deep-blue }
  flags rights { read, write }
  variant problem { sold-out, too-many(u8), other(string) }
  variant size { small, large }

  echo: func(text: string) -> string;
  add: func(n: s64) -> s64;
  put: func(i: item) -> item;
  place: func(cart: string, sku: string, qty: u8, note: option<string>) -> string;
  many: func(ns: list<u16>, c: color, r: rights, big: u64, ok: bool, ch: char, f: f64, s: size) -> bool;
  buy: func(sku: string) -> result<item, problem>;
  check: func(ok: bool) -> result;
  bytes: func(b: list<u8>) -> list<u8>;
  say: func(text: string);
  maybe: func(n: option<u8>) -> option<u8>;
  fail: func();
  wait: func() -> string;
}
world w { export shop; }`

// town is a platform in memory with the component shop, whose functions are done
// by Go, a core module "core" and a command "cmd".
type town struct {
	t     testing.TB
	types map[string]*wit.Func

	mu       sync.Mutex
	revision uint64
	calls    []string // that took place
	asked    []api.Call
	ended    map[string]chan struct{} // by worker and key
	results  map[string]api.Invocation
	existing map[string]bool
	release  chan struct{} // lets wait end
	waiting  chan struct{} // has one for each that waits
	err      error         // what the platform says, if it is set
}

func newTown(t testing.TB) *town {
	doc, err := wit.Parser{}.Parse([]wit.Source{{Name: "shop.wit", Text: shopWIT}})
	if err != nil {
		t.Fatal(err)
	}
	w := &town{
		t: t, types: map[string]*wit.Func{}, revision: 1, ended: map[string]chan struct{}{}, results: map[string]api.Invocation{},
		existing: map[string]bool{}, release: make(chan struct{}), waiting: make(chan struct{}, 100),
	}
	for _, f := range doc.Packages[0].Interfaces[0].Funcs {
		w.types[f.Name.Name] = f.Type
	}
	return w
}

func (w *town) Revision(component string) api.Revision {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.described(component)
	if err != nil {
		return api.Revision{}
	}
	return r
}

func (w *town) described(component string) (api.Revision, error) {
	r := api.Revision{Component: component, Number: w.revision, Kind: api.Library}
	switch component {
	case "shop":
		r.Typed = true
		for name := range w.types {
			r.Exports = append(r.Exports, api.Function{Name: name})
		}
	case "core":
		r.Exports = []api.Function{{Name: "mul", Params: []string{"i32", "f64"}, Results: []string{"f64"}}, {Name: "both", Results: []string{"i32", "i32"}}, {Name: "nop"}}
	case "web":
		r.Typed, r.HTTP = true, true
	case "cmd":
		r.Kind = api.Command
		r.Exports = []api.Function{{Name: api.RunFunction, Params: []string{"string..."}, Results: []string{"i32"}}}
	default:
		return r, api.NewProblem(api.CodeNoComponent, "there is no component "+component)
	}
	return r, nil
}

func (w *town) Signature(_ context.Context, component, function string) (s gateway.Signature, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.described(component)
	if err != nil {
		return s, err
	}
	f, err := worker.FindFunction(r, function)
	if err != nil {
		return s, err
	}
	s = gateway.Signature{Revision: r.Number, Kind: r.Kind, Function: *f}
	if r.Typed {
		s.Type = w.types[f.Name]
	}
	return s, nil
}

// Invoke does what the platform does, but for durability.
func (w *town) Invoke(ctx context.Context, component, name string, c api.Call) (api.Invocation, error) {
	w.mu.Lock()
	r, err := w.described(component)
	if err == nil {
		err = w.err
	}
	if err == nil && c.Existing && !w.existing[component+"/"+name] {
		err = api.NewProblem(api.CodeNoWorker, "there is no worker")
	}
	if err == nil {
		var typed func(string) (*wit.Func, bool)
		if r.Typed {
			typed = func(name string) (*wit.Func, bool) {
				f, ok := w.types[name]
				return f, ok
			}
		}
		err = worker.CheckCall(r, typed, &c)
	}
	if err != nil {
		w.mu.Unlock()
		return api.Invocation{}, err
	}
	w.asked = append(w.asked, c)
	id := component + "/" + name + " " + c.Key
	ended := w.ended[id]
	if ended == nil || c.Key == "" {
		ended = make(chan struct{})
		w.calls = append(w.calls, fmt.Sprintf("%s/%s %s%s", component, name, c.Function, c.Args))
		if c.Key != "" {
			w.ended[id] = ended
			w.results[id] = api.Invocation{Function: c.Function, Args: c.Args}
		}
		i := api.Invocation{Worker: component + "/" + name, Key: c.Key, Function: c.Function, Args: c.Args, State: api.StateFinished}
		go func() {
			w.perform(&i)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.results[id] = i
			close(ended)
		}()
	} else if before := w.results[id]; before.Function != c.Function || !bytes.Equal(before.Args, c.Args) {
		w.mu.Unlock()
		return api.Invocation{}, api.NewProblem(api.CodeKeyReused, "the key was used for "+before.Function)
	}
	w.mu.Unlock()
	if c.Async {
		return api.Invocation{State: api.StateQueued}, nil
	}
	select {
	case <-ended:
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.results[id], nil
	case <-ctx.Done():
		return api.Invocation{}, api.NewProblem(api.CodeTimeout, "the invocation goes on")
	}
}

// Exchange answers with what it was asked, or as the path says.
func (w *town) Exchange(ctx context.Context, component, name string, c api.Call, r *http.Request, _ time.Duration) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, api.NewProblem(api.CodeInvalid, "the body of the request did not arrive whole")
	}
	w.mu.Lock()
	w.calls = append(w.calls, fmt.Sprintf("%s/%s %s %s%s key=%q existing=%v ephemeral=%v %s", component, name, r.Method, r.Host, r.URL.RequestURI(), c.Key, c.Existing, c.Ephemeral, body))
	w.mu.Unlock()
	answer := &http.Response{StatusCode: 200, Header: http.Header{"X-Own": {"1"}, "Access-Control-Allow-Origin": {"*"}, "Connection": {"X-Own-Hop"}, "X-Own-Hop": {"1"}}}
	answer.Header["X-Saw-For"] = r.Header["X-Forwarded-For"]
	switch r.URL.Path {
	case "/fail":
		p := api.NewProblem(api.CodeInvocationFailed, "shop/w has not answered: secret")
		p.Invocation = &api.Invocation{Function: "secret"}
		return nil, p
	case "/late":
		return nil, api.NewProblem(api.CodeTimeout, "later")
	case "/break":
		answer.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))
	case "/stream":
		from, to := io.Pipe()
		answer.Body = from
		go func() {
			_, _ = io.WriteString(to, "one")
			<-w.release
			_, _ = io.WriteString(to, "two")
			_ = to.Close()
		}()
	case "/endless":
		answer.Body = io.NopCloser(io.MultiReader(strings.NewReader("begun"), untilDone{ctx}))
	default:
		answer.Body = io.NopCloser(strings.NewReader(r.URL.Path))
	}
	return answer, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("it broke off") }

type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}

// perform does what the functions do.
func (w *town) perform(i *api.Invocation) {
	var args []json.RawMessage
	if err := json.Unmarshal(i.Args, &args); err != nil {
		panic(err)
	}
	result := "[]"
	switch i.Function {
	case "echo", "add", "put", "maybe", "bytes":
		result = "[" + string(args[0]) + "]"
	case "place":
		quoted, _ := json.Marshal(string(bytes.Join([][]byte{args[0], args[1], args[2], args[3]}, []byte(" "))))
		result = "[" + string(quoted) + "]"
	case "many":
		result = "[true]"
	case "buy":
		switch string(args[0]) {
		case `"gone"`:
			result = `[{"error":"sold-out"}]`
		case `"lots"`:
			result = `[{"error":{"too-many":3}}]`
		case `"odd"`:
			result = `[{"error":{"other":"why"}}]`
		default:
			result = `[{"ok":{"sku":` + string(args[0]) + `,"qty":1,"note":null}}]`
		}
	case "check":
		result = `[{"ok":null}]`
		if string(args[0]) == "false" {
			result = `[{"error":null}]`
		}
	case "fail":
		i.State, i.Failure = api.StateFailed, &api.Failure{Code: api.FailedTrap, Reason: "the secret reason", Stack: []string{"secret"}}
		return
	case "wait":
		w.waiting <- struct{}{}
		<-w.release
		result = `["waited"]`
	case "mul":
		result = "[2.5]"
	case "both":
		result = "[1,2]"
	case "run":
		result = "[3]"
	}
	i.Result = json.RawMessage(result)
}

func (w *town) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.calls...)
}

// site is a gateway that is served over HTTP.
type site struct {
	*town
	gateway *gateway.Gateway
	server  *httptest.Server
}

func newSite(t *testing.T, o gateway.Options, routes ...api.Route) *site {
	t.Helper()
	s := &site{town: newTown(t)}
	s.gateway = gateway.New(s.town)
	s.set(routes...)
	s.server = httptest.NewServer(s.gateway.Handler(o))
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

func (s *site) set(routes ...api.Route) {
	s.t.Helper()
	if err := s.gateway.Check(context.Background(), routes, nil); err != nil {
		s.t.Fatal(err)
	}
	if err := s.gateway.Set(routes); err != nil {
		s.t.Fatal(err)
	}
}

// got is an answer.
type got struct {
	*http.Response
	body string
}

// do sends "METHOD PATH" with a body and headers as "Name: value".
func (s *site) do(request, body string, headers ...string) got {
	s.t.Helper()
	g, err := s.try(context.Background(), request, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func (s *site) try(ctx context.Context, request, body string, headers ...string) (got, error) {
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(ctx, method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		return got{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		if name == "Content-Type" || name == "Content-Length" {
			r.Header.Del(name)
		}
		r.Header.Add(name, value)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return got{}, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return got{answer, string(b)}, err
}

func (s *site) want(g got, status int, body string) {
	s.t.Helper()
	if g.StatusCode != status || g.body != body {
		s.t.Errorf("%s %s: got %d %s, want %d %s", g.Request.Method, g.Request.URL.RequestURI(), g.StatusCode, g.body, status, body)
	}
}

// refused wants a problem of a code, whose detail has some words.
func (s *site) refused(g got, status int, code api.Code, words string) {
	s.t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(g.body), &p); err != nil || g.Header.Get("Content-Type") != "application/problem+json" {
		s.t.Errorf("%s %s: got %d %s, want a problem", g.Request.Method, g.Request.URL.RequestURI(), g.StatusCode, g.body)
		return
	}
	if g.StatusCode != status || p.Status != status || p.Code != code || !strings.Contains(p.Detail, words) {
		s.t.Errorf("%s %s: got %d %s, want %d %s with %q", g.Request.Method, g.Request.URL.RequestURI(), g.StatusCode, g.body, status, code, words)
	}
}

func problemOf(err error) *api.Problem {
	var p *api.Problem
	errors.As(err, &p)
	return p
}
