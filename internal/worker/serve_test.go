package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

var web = id.Worker{Component: "web", Name: "alice"}

// serving is a platform with the component web, which answers requests.
func serving(t testing.TB, s setup) *platform {
	t.Helper()
	change := s.change
	s.change = func(c *worker.Config) {
		c.Defaults.HTTP.MaxRequest = 8 << 20
		if change != nil {
			change(c)
		}
	}
	p := s.platform(t)
	p.deploy("web", guests.Wasm(t, "components/http"))
	return p
}

// ask sends a request and gives its answer, which may not have begun.
func (p *platform) request(w id.Worker, key, method, path string, body io.Reader) (*worker.Answer, error) {
	return p.Serve(p.t.Context(), w, api.Call{Key: key}, inbound.Request{
		Method: method, Scheme: "http", Authority: "example.com", Path: path,
		Fields: []inbound.Field{{Name: "Content-Type", Value: []byte("text/x")}},
	}, body, nil)
}

// all reads an answer to its end: status, fields, body, trailers.
func all(ctx context.Context, a *worker.Answer) (text string, err error) {
	defer a.Close()
	var b strings.Builder
	for {
		part, err := a.Next(ctx)
		if err != nil {
			return b.String(), err
		}
		if part.Status != 0 {
			fmt.Fprint(&b, part.Status, " ")
			for _, f := range part.Fields {
				fmt.Fprintf(&b, "%s=%s ", f.Name, f.Value)
			}
		}
		b.Write(part.Bytes)
		if part.End {
			return b.String(), nil
		}
	}
}

// answers sends a request, and demands what is answered.
func (p *platform) answers(w id.Worker, want, key, method, path string, body io.Reader) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	a, err := p.request(w, key, method, path, body)
	must(p.t, err)
	got, err := all(ctx, a)
	must(p.t, err)
	if got != want {
		p.t.Fatalf("%s %s: got %.200q (%d bytes), want %.200q (%d)", method, path, got, len(got), want, len(want))
	}
}

func TestAWorkerAnswersRequests(t *testing.T) {
	p := serving(t, setup{})
	p.answers(web, "200 content-type=text/plain request 1: POST a=b\n", "", "POST", "/?a=b", nil)
	p.answers(web, "404 content-type=text/plain not found\n", "", "GET", "/none", nil)
	p.answers(web, "200 content-type=text/plain request 3: GET \n", "", "GET", "/", nil)
	p.restart()
	p.answers(web, "200 content-type=text/plain request 4: GET \n", "", "GET", "/", nil)
}

// patternOf is a body that is the same nowhere.
func patternOf(n int) []byte {
	b := make([]byte, 0, n+16)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "%d,", i)
	}
	return b[:n]
}

func TestBodiesOfAnySizeGoThere(t *testing.T) {
	p := serving(t, setup{})
	for _, n := range []int{0, 1, 4095, 4096, inbound.MaxInline, inbound.MaxInline + 1, inbound.MaxPiece, 3*inbound.MaxPiece + 17} {
		body := patternOf(n)
		for range 2 { // the second time from the record
			p.answers(web, "200 content-type=text/x "+string(body), fmt.Sprint("echo-", n), "PUT", "/echo", bytes.NewReader(body))
		}
	}
	p.restart()
	body := patternOf(3*inbound.MaxPiece + 17)
	p.answers(web, "200 content-type=text/x "+string(body), fmt.Sprint("echo-", len(body)), "PUT", "/echo", bytes.NewReader(body))
	if n := p.count(web, func(b oplog.Body) bool { _, ok := b.(*oplog.InvocationStarted); return ok }); n != 9 {
		t.Errorf("%d attempts, want one for each body, and one to initialize", n)
	}
}

func TestAKeyIsOneRequest(t *testing.T) {
	p := serving(t, setup{})
	for range 3 {
		p.answers(web, "200 content-type=text/plain request 1: GET a\n", "k", "GET", "/?a", nil)
	}
	for _, c := range []struct {
		method, path string
		body         string
	}{{"POST", "/?a", ""}, {"GET", "/?b", ""}, {"GET", "/?a", "x"}, {"GET", "/?a", string(patternOf(inbound.MaxInline + 1))}} {
		if _, err := p.request(web, "k", c.method, c.path, strings.NewReader(c.body)); code(err) != api.CodeKeyReused || strings.Contains(err.Error(), "text/x") {
			t.Errorf("%s %s: got %v, want another key", c.method, c.path, err)
		}
	}
	// What clients say of themselves may be another.
	a, err := p.Serve(t.Context(), web, api.Call{Key: "k"}, inbound.Request{Method: "GET", Scheme: "http", Authority: "example.com", Path: "/?a"}, nil, nil)
	must(t, err)
	got, err := all(t.Context(), a)
	must(t, err)
	if got != "200 content-type=text/plain request 1: GET a\n" {
		t.Errorf("got %q", got)
	}
	p.answers(web, "200 content-type=text/plain request 2: GET \n", "other", "GET", "/", nil)
}

func TestARequestThatTrapsHasNoAnswer(t *testing.T) {
	p := serving(t, setup{})
	p.answers(web, "200 content-type=text/plain request 1: GET \n", "", "GET", "/", nil)
	for range 2 {
		a, err := p.request(web, "t", "GET", "/trap", nil)
		must(t, err)
		got, err := all(t.Context(), a)
		var problem *api.Problem
		if !errors.As(err, &problem) || problem.Code != api.CodeInvocationFailed || got != "" {
			t.Fatalf("got %q, %v", got, err)
		}
		if f := problem.Invocation.Failure; f == nil || f.Code != api.FailedTrap || strings.Contains(problem.Detail, f.Reason) {
			t.Errorf("got %+v, %q: the trap is for those who look at the worker", f, problem.Detail)
		}
	}
	p.answers(web, "200 content-type=text/plain request 2: GET \n", "", "GET", "/", nil)
}

func TestOnlyWhoAnswersRequestsIsAsked(t *testing.T) {
	p := serving(t, setup{})
	if _, err := p.request(shop, "", "GET", "/", nil); code(err) != api.CodeNoFunction {
		t.Errorf("got %v", err)
	}
	if _, err := p.request(id.Worker{Component: "nothing", Name: "x"}, "", "GET", "/", nil); code(err) != api.CodeNoComponent {
		t.Errorf("got %v", err)
	}
	if _, err := p.invoke(web, "handle"); code(err) != api.CodeNoFunction {
		t.Errorf("got %v", err)
	}
}

// noise is a body without an end.
type noise struct{ given int }

func (n *noise) Read(p []byte) (int, error) {
	n.given += len(p)
	return len(p), nil
}

func TestRequestsAreBounded(t *testing.T) {
	p := serving(t, setup{})
	var endless noise
	if _, err := p.request(web, "", "PUT", "/echo", &endless); code(err) != api.CodeTooLarge || endless.given > 9<<20 {
		t.Errorf("got %v after %d bytes", err, endless.given)
	}
	long := strings.Repeat("x", inbound.MaxHead)
	if _, err := p.request(web, "", "GET", "/?"+long, nil); code(err) != api.CodeTooLarge {
		t.Errorf("got %v", err)
	}
	if _, err := p.Serve(t.Context(), web, api.Call{}, inbound.Request{Method: "GET", Path: "/"}, nil, func() []inbound.Field {
		return []inbound.Field{{Name: "t", Value: []byte(long)}}
	}); code(err) != api.CodeTooLarge {
		t.Errorf("got %v", err)
	}
	broken := errors.New("the client is gone")
	if _, err := p.request(web, "", "PUT", "/echo", io.MultiReader(bytes.NewReader(patternOf(1<<20)), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	p.answers(web, "200 content-type=text/plain request 1: GET \n", "", "GET", "/", nil)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestAFetchEventInJavaScriptAnswers has an engine that takes one request in its
// life, so its workers are ephemeral.
func TestAFetchEventInJavaScriptAnswers(t *testing.T) {
	component := guests.Built(t, "http-javascript")
	p := serving(t, setup{change: func(c *worker.Config) { c.Defaults.Limits.Memory = 256 << 20 }})
	p.deploy("js", component)
	w := id.Worker{Component: "js", Name: "a"}
	p.create(w, api.NewWorker{Ephemeral: true})
	body := patternOf(3*inbound.MaxPiece + 1)
	for range 2 {
		p.answers(w, "200 Content-Length=19 Content-Type=text/plain;charset=UTF-8 request 1: GET a=b\n", "", "GET", "/?a=b", nil)
		p.answers(w, "200 content-type=text/x "+string(body), "echo", "PUT", "/echo", bytes.NewReader(body))
	}
}
