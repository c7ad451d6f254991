package waterbear_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestRoutesLeadToWorkers has routes to a function and to a handler, over a
// restart and a new revision.
func TestRoutesLeadToWorkers(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	p := node.Platform()
	for name, guest := range map[string]string{"kit": "kit/rust", "web": "components/http", "core": "kit"} {
		if _, err := p.Deploy(t.Context(), name, guests.Wasm(t, guest), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []api.Route{
		{Name: "divide", Component: "kit", Function: "values.divide", Methods: []string{"GET"}, Path: "/divide", Worker: "pool.w.2", Ephemeral: true, Errors: map[string]int{"*": 400}},
		{Name: "add", Component: "kit", Function: "add", Path: "/{who}", Worker: "path.who"},
		{Name: "there", Component: "kit", Function: "total", Methods: []string{"GET"}, Path: "/there/{who}", Worker: "path.who", Existing: true},
		{Name: "each", Component: "kit", Function: "add", Path: "/each/one", Worker: "request"},
		{Name: "web", Component: "web", Path: "/web/{rest...}", Worker: "name.w", Below: true},
		{Name: "lasting", Component: "kit", Function: "total", Methods: []string{"GET"}, Path: "/alice", Worker: "name.alice", Ephemeral: true},
		{Name: "inc", Component: "core", Function: "inc", Methods: []string{"GET"}, Path: "/inc", Worker: "name.w", Arguments: map[string]string{"1": "query.by"}},
	} {
		c, err := p.SetRoute(t.Context(), r)
		if err != nil || len(c.Changes) != 1 || c.Changes[0].Change != api.RouteAdded {
			t.Fatalf("got %+v, %v", c, err)
		}
	}
	var s *httptest.Server
	ask := func(want int, method, path, body, key string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != want {
			t.Errorf("%s %s: got %d %s, %v, want %d", method, path, a.StatusCode, b, err, want)
		}
		return string(b)
	}
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	s = httptest.NewServer(p.RouteHandler(waterbear.RouteOptions{}))
	check(ask(200, "GET", "/divide?dividend=7&divisor=2", "", ""), "3")
	check(ask(400, "GET", "/divide?dividend=7&divisor=0", "", ""), `"division by zero"`)
	check(ask(200, "POST", "/alice", "5", "k"), "5")
	check(ask(200, "POST", "/each/one", "5", ""), "5")
	check(ask(200, "POST", "/each/one", "6", ""), "6")
	check(ask(200, "GET", "/there/alice", "", ""), "5")
	ask(404, "GET", "/there/bob", "", "")
	ask(500, "GET", "/alice", "", "") // it lasts
	check(ask(200, "GET", "/inc?by=4", "", ""), "4")
	check(ask(200, "GET", "/web/?a=b", "", ""), "request 1: GET a=b\n")
	ask(422, "POST", "/alice", "6", "k")
	s.Close()
	if _, err := p.Worker(t.Context(), "kit", "bob"); problem(err) != api.CodeNoWorker {
		t.Errorf("a worker was made that was to be there: %v", err)
	}
	if w, err := p.Worker(t.Context(), "kit", "w-1"); err != nil || !w.Ephemeral {
		t.Errorf("got %+v, %v", w, err)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}

	node = openPlatform(t, dir)
	defer node.Close()
	p = node.Platform()
	s = httptest.NewServer(p.RouteHandler(waterbear.RouteOptions{}))
	defer s.Close()
	check(ask(200, "POST", "/alice", "5", "k"), "5")
	check(ask(200, "POST", "/alice", "5", "k2"), "10")
	check(ask(200, "GET", "/web/?a=b", "", ""), "request 2: GET a=b\n")
	if err := p.DeleteRoute(t.Context(), "add"); err != nil {
		t.Fatal(err)
	}
	ask(405, "POST", "/alice", "5", "")
	if err := p.DeleteRoute(t.Context(), "add"); problem(err) != api.CodeUnknownRoute {
		t.Errorf("got %v", err)
	}
	// A revision without the function leaves the route there, and it says so.
	if _, err := p.Deploy(t.Context(), "kit", guests.Wasm(t, "components/http"), nil); err != nil {
		t.Fatal(err)
	}
	ask(500, "GET", "/divide?dividend=7&divisor=2", "", "")
	if _, err := p.SetRoute(t.Context(), api.Route{Name: "more", Component: "web", Path: "/more", Worker: "name.w"}); err != nil {
		t.Errorf("a route that does not fit any more keeps another from being added: %v", err)
	}
	list, err := p.Routes(t.Context())
	if err != nil || len(list) != 7 {
		t.Errorf("got %+v, %v", list, err)
	}
	all, err := p.ApplyRoutes(t.Context(), api.Routes{}, true)
	if err != nil || len(all.Changes) != 7 || all.Applied {
		t.Errorf("got %+v, %v", all, err)
	}
	if r, err := p.Route(t.Context(), "more"); err != nil || r.Path != "/more" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func problem(err error) api.Code {
	var p *api.Problem
	errors.As(err, &p)
	if p == nil {
		return ""
	}
	return p.Code
}
