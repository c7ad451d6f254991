package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
)

func TestAHandlerTakesTheRequestAsItIs(t *testing.T) {
	s := newSite(
		t, gateway.Options{},
		api.Route{Name: "all", Component: "web", Path: "/{rest...}", Worker: "name.w"},
		api.Route{Name: "mount", Component: "web", Path: "/mount/{who}/{rest...}", Worker: "path.who", Below: true, Existing: true, Ephemeral: true},
		api.Route{Name: "some", Component: "web", Path: "/some", Worker: "name.w", Methods: []string{"PUT"}, Key: "required"},
	)
	for _, c := range []struct {
		request, body string
		headers       []string
		took          string
	}{
		{"GET /", "", nil, `web/w GET example.com/ key="" existing=false ephemeral=false `},
		{"GET /a%2Fb/c%20d?x=%20&y", "", nil, `web/w GET example.com/a%2Fb/c%20d?x=%20&y key="" existing=false ephemeral=false `},
		{"DELETE /x", "body", []string{keyed}, `web/w DELETE example.com/x key="all/k1" existing=false ephemeral=false body`},
		{"OPTIONS /x", "", nil, `web/w OPTIONS example.com/x key="" existing=false ephemeral=false `},
		{"GET /x", "", []string{keyed}, `web/w GET example.com/x key="" existing=false ephemeral=false `},
		{"BREW /x", "", nil, `web/w BREW example.com/x key="" existing=false ephemeral=false `},
		{"GET /mount/alice/", "", nil, `web/alice GET example.com/ key="" existing=true ephemeral=true `},
		{"POST /mount/alice/a%2Fb/c?q", "", nil, `web/alice POST example.com/a%2Fb/c?q key="" existing=true ephemeral=true `},
		{"PUT /some", "", []string{keyed}, `web/w PUT example.com/some key="some/k1" existing=false ephemeral=false `},
	} {
		before := len(s.took())
		answer := s.do(c.request, c.body, append(c.headers, "Host: example.com", "X-Forwarded-For: 1.2.3.4")...)
		if took := s.took()[before:]; len(took) != 1 || took[0] != c.took || answer.StatusCode != 200 {
			t.Errorf("%s: got %d, took %q, want %q", c.request, answer.StatusCode, took, c.took)
		}
		h := answer.Header
		if h.Get("X-Own") != "1" || h.Get("X-Own-Hop") != "" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("X-Saw-For") != "1.2.3.4, 127.0.0.1" {
			t.Errorf("%s: got the header %v", c.request, h)
		}
	}
	s.refused(s.do("PUT /some", ""), 400, api.CodeInvalid, "Idempotency-Key: it is missing")
	s.refused(s.do("GET /mount/-/", ""), 400, api.CodeInvalid, "path.who")
}

func TestWhatGoesWrongInAHandlerIsItsOwnAffair(t *testing.T) {
	s := newSite(
		t, gateway.Options{},
		api.Route{Name: "all", Component: "web", Path: "/{rest...}", Worker: "name.w", Limits: api.RouteLimits{Body: 5}, CORS: &api.CORS{Origins: []string{"https://a.example"}}},
	)
	answer := s.do("POST /fail", "")
	s.refused(answer, 500, api.CodeInvocationFailed, "failed")
	if strings.Contains(answer.body, "secret") {
		t.Errorf("anybody is told %s", answer.body)
	}
	s.refused(s.do("POST /late", ""), 504, api.CodeTimeout, "still to come")
	s.want(s.do("POST /x", "12345"), 200, "/x")
	s.refused(s.do("POST /x", "123456"), 413, api.CodeTooLarge, "too long for")
	if _, err := s.try(t.Context(), "POST /break", ""); err == nil {
		t.Error("half an answer looks like a whole one")
	}
	// The route says which pages may, and not the program.
	if got := s.do("GET /x", "", "Origin: https://a.example").Header.Get("Access-Control-Allow-Origin"); got != "https://a.example" {
		t.Errorf("got %q", got)
	}
	if got := s.do("GET /x", "", "Origin: https://b.example").Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("got %q", got)
	}
	s.refused(s.do("POST /x", "", "Origin: https://b.example"), 403, api.CodeForbidden, "")
}

func TestAResponseStreams(t *testing.T) {
	s := newSite(t, gateway.Options{}, api.Route{Name: "all", Component: "web", Path: "/{rest...}", Worker: "name.w"})
	answer, err := http.Get(s.server.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, 3)
	if _, err := io.ReadFull(answer.Body, first); err != nil || string(first) != "one" {
		t.Errorf("got %q, %v", first, err)
	}
	close(s.release)
	if rest, err := io.ReadAll(answer.Body); err != nil || string(rest) != "two" {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestAResponseThatWouldGoOnEndsWithTheServer(t *testing.T) {
	stopping, stop := context.WithCancelCause(context.Background())
	s := newSite(t, gateway.Options{Until: func(ctx context.Context) (context.Context, context.CancelCauseFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		forget := context.AfterFunc(stopping, func() { cancel(nil) })
		return ctx, func(err error) {
			forget()
			cancel(err)
		}
	}}, api.Route{Name: "all", Component: "web", Path: "/{rest...}", Worker: "name.w"})
	answer, err := http.Get(s.server.URL + "/endless")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadFull(answer.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	stop(nil)
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Error("what broke off looks whole")
	}
}

func TestARouteToAHandlerThatMakesNoSenseIsRefused(t *testing.T) {
	s := newSite(t, gateway.Options{})
	for _, c := range []struct {
		words  string
		change func(r *api.Route)
	}{
		{"function: revision 1 of shop exports no wasi:http/incoming-handler", func(r *api.Route) { r.Component = "shop" }},
		{"component: there is no component \"nope\"", func(r *api.Route) { r.Component = "nope" }},
		{"arguments: it is for routes with a function", func(r *api.Route) { r.Arguments = args("a", "body") }},
		{"status: it is for", func(r *api.Route) { r.Status = 201 }},
		{"errors: it is for", func(r *api.Route) { r.Errors = map[string]int{"*": 400} }},
		{"content: it is for", func(r *api.Route) { r.Content = "text/plain" }},
		{"async: it is for", func(r *api.Route) { r.Async = true }},
		{"key: the program of a handler", func(r *api.Route) { r.Key = "request" }},
		{"below: it is for a handler", func(r *api.Route) { r.Below, r.Path = true, "/x" }},
		{"below: it is for a handler", func(r *api.Route) { r.Below, r.Component, r.Function = true, "shop", "say" }},
	} {
		r := api.Route{Name: "r", Component: "web", Path: "/{rest...}", Worker: "name.w"}
		c.change(&r)
		p := problemOf(s.gateway.Check(t.Context(), []api.Route{r}, nil))
		if p == nil || p.Code != api.CodeInvalid || !strings.Contains(p.Detail, c.words) {
			t.Errorf("got %+v, want a refusal with %q", p, c.words)
		}
	}
}
