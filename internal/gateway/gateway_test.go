package gateway_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
)

// args names where parameters come from, by turns.
func args(said ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(said); i += 2 {
		m[said[i]] = said[i+1]
	}
	return m
}

func TestARequestBecomesArgumentsByTheirTypes(t *testing.T) {
	s := newSite(t, gateway.Options{})
	for _, c := range []struct {
		route   api.Route
		request string
		body    string
		headers []string
		took    string // or
		status  int
		words   string
	}{
		{route: api.Route{Path: "/e/{text}", Methods: []string{"GET"}, Function: "echo"}, request: "GET /e/a%22%2Fb", took: `shop/w echo["a\"/b"]`},
		{route: api.Route{Path: "/e/{text...}", Methods: []string{"GET"}, Function: "echo"}, request: "GET /e/a/b%20c", took: `shop/w echo["a/b c"]`},
		{route: api.Route{Path: "/e", Methods: []string{"GET"}, Function: "echo"}, request: "GET /e?text=1", took: `shop/w echo["1"]`},
		{route: api.Route{Path: "/e", Methods: []string{"GET"}, Function: "echo"}, request: "GET /e?text=%FF", status: 400, words: "query.text: it is not valid UTF-8"},
		{route: api.Route{Path: "/e", Methods: []string{"GET"}, Function: "echo"}, request: "GET /e?text=1&text=2", status: 400, words: "query.text: it is there 2 times"},
		{route: api.Route{Path: "/e", Methods: []string{"GET"}, Function: "echo"}, request: "GET /e?text=%zz", status: 400, words: "query"},
		{route: api.Route{Path: "/e", Function: "echo"}, request: "POST /e", body: "hi", headers: []string{"Content-Type: text/plain"}, took: `shop/w echo["hi"]`},
		{route: api.Route{Path: "/e", Function: "echo"}, request: "POST /e", body: `"hi"`, took: `shop/w echo["hi"]`},
		{route: api.Route{Path: "/e", Function: "echo"}, request: "POST /e", body: `"hi"`, headers: []string{"Content-Type: image/png"}, status: 415},
		{route: api.Route{Path: "/e", Function: "echo"}, request: "POST /e", status: 400, words: "body: it is empty"},
		{route: api.Route{Path: "/e", Function: "echo"}, request: "POST /e", body: `"a","b"`, status: 400, words: "body: it is not valid JSON"},
		{route: api.Route{Path: "/e", Function: "echo", Arguments: args("text", "header.x-text")}, request: "POST /e", headers: []string{"X-Text: h"}, took: `shop/w echo["h"]`},
		{route: api.Route{Path: "/e", Function: "echo", Arguments: args("text", "raw")}, request: "POST /e", body: `{"a":1}`, took: `shop/w echo["{\"a\":1}"]`},
		{route: api.Route{Path: "/a", Methods: []string{"GET"}, Function: "add"}, request: "GET /a?n=-5", took: `shop/w add[-5]`},
		{route: api.Route{Path: "/a", Methods: []string{"GET"}, Function: "add"}, request: "GET /a?n=1],[2", status: 422, words: "query.n: it is the string"},
		{route: api.Route{Path: "/a", Methods: []string{"GET"}, Function: "add"}, request: "GET /a?n=x", status: 422, words: "query.n: "},
		{route: api.Route{Path: "/a", Function: "add", Arguments: args("n", "body.n")}, request: "POST /a", body: `{"n":5}`, took: `shop/w add[5]`},
		{route: api.Route{Path: "/a", Function: "add", Arguments: args("n", "body.n")}, request: "POST /a", body: `{"n":5,"n":6}`, status: 400, words: `the field "n" is there twice`},
		{route: api.Route{Path: "/a", Function: "add", Arguments: args("n", "body.n")}, request: "POST /a", body: `{"m":5}`, status: 400, words: `there is no field "m": there are n`},
		{route: api.Route{Path: "/a", Function: "add", Arguments: args("n", "body.n")}, request: "POST /a", body: `7`, status: 400, words: "it is no object"},
		{route: api.Route{Path: "/a", Function: "add", Arguments: args("n", "body.n")}, request: "POST /a", body: "n=5", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, took: `shop/w add[5]`},
		{route: api.Route{Path: "/a", Function: "add", Arguments: args("n", "body.n")}, request: "POST /a", body: "n=5&m=1", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 400, words: `no field "m"`},
		{route: api.Route{Path: "/m", Function: "many"}, request: "POST /m", body: `{"c":"red","big":1,"ok":true,"ch":"x","f":1,"s":"large"}`, status: 400, words: "body.ns: it is missing: give a list<u16>"},
		{route: api.Route{Path: "/m", Function: "many"}, request: "POST /m", status: 400, words: "body.ns: it is missing"},
		{route: api.Route{Path: "/m", Function: "many"}, request: "POST /m", body: "c=red&big=1&ok=true&ch=x&f=1&s=large", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, took: `shop/w many[[],"red",[],1,true,"x",1,"large"]`},
		{route: api.Route{Path: "/p", Function: "put"}, request: "POST /p", body: `{"qty":2,"sku":"x"}`, took: `shop/w put[{"sku":"x","qty":2,"note":null}]`},
		{route: api.Route{Path: "/p", Function: "put"}, request: "POST /p", body: `{"qty":300,"sku":"x"}`, status: 422, words: "body: field qty: 300 is out of range"},
		{route: api.Route{Path: "/carts/{cart}", Function: "place"}, request: "POST /carts/c1", body: `{"sku":"x","qty":2}`, took: `shop/w place["c1","x",2,null]`},
		{route: api.Route{Path: "/carts/{cart}", Methods: []string{"DELETE"}, Function: "place"}, request: "DELETE /carts/c1?sku=x&qty=2&note=n", took: `shop/w place["c1","x",2,"n"]`},
		{route: api.Route{Path: "/carts/{cart}", Methods: []string{"DELETE"}, Function: "place"}, request: "DELETE /carts/c1?sku=x", status: 400, words: "query.qty: it is missing: give a u8"},
		{
			route: api.Route{Path: "/m", Methods: []string{"GET"}, Function: "many"}, request: "GET /m?ns=1&ns=2&c=red&r=write&r=read&big=18446744073709551615&ok=true&ch=%C3%A9&f=NaN&s=large",
			took: `shop/w many[[1,2],"red",["read","write"],18446744073709551615,true,"é","NaN","large"]`,
		},
		{route: api.Route{Path: "/m", Methods: []string{"GET"}, Function: "many"}, request: "GET /m?c=blue&big=1&ok=true&ch=x&f=1&s=large", status: 422, words: "query.c: there is no case"},
		{route: api.Route{Path: "/m", Methods: []string{"GET"}, Function: "many"}, request: "GET /m?c=red&big=1&ok=yes&ch=x&f=1&s=large", status: 422, words: "query.ok: it is the string"},
		{route: api.Route{Path: "/y", Methods: []string{"GET"}, Function: "maybe"}, request: "GET /y", took: `shop/w maybe[null]`},
		{route: api.Route{Path: "/y", Methods: []string{"GET"}, Function: "maybe"}, request: "GET /y?n=7", took: `shop/w maybe[7]`},
		{route: api.Route{Path: "/y", Function: "maybe"}, request: "POST /y", took: `shop/w maybe[null]`},
		{route: api.Route{Path: "/b", Function: "bytes"}, request: "POST /b", body: "\x00\xff", headers: []string{"Content-Type: image/png"}, took: `shop/w bytes[[0,255]]`},
		{route: api.Route{Path: "/b", Function: "bytes"}, request: "POST /b", body: `"AP8="`, took: `shop/w bytes[[0,255]]`},
		{route: api.Route{Path: "/c/{x}", Component: "core", Function: "mul", Arguments: args("1", "path.x", "2", "query.y"), Methods: []string{"GET"}}, request: "GET /c/3?y=0.5", took: `core/w mul[3,0.5]`},
		{route: api.Route{Path: "/c/{x}", Component: "core", Function: "mul", Arguments: args("1", "path.x", "2", "query.y"), Methods: []string{"GET"}}, request: "GET /c/3?y=q", status: 422, words: "query.y: "},
		{route: api.Route{Path: "/c", Component: "core", Function: "mul"}, request: "POST /c", body: `[3,0.5]`, took: `core/w mul[3,0.5]`},
		{route: api.Route{Path: "/c", Component: "core", Function: "mul"}, request: "POST /c", body: `[3,0.5,1]`, status: 400, words: "it has 3 elements"},
		{route: api.Route{Path: "/r/{a}", Component: "cmd", Function: "run", Arguments: args("1", "path.a", "2", "raw")}, request: "POST /r/x", body: "y", took: `cmd/w run["x","y"]`},
	} {
		c.route.Name, c.route.Worker = "r", "name.w"
		if c.route.Component == "" {
			c.route.Component = "shop"
		}
		s.set(c.route)
		before := len(s.took())
		answer := s.do(c.request, c.body, c.headers...)
		if c.took == "" {
			code := map[int]api.Code{400: api.CodeInvalid, 415: api.CodeMediaType, 422: api.CodeBadArguments}[c.status]
			s.refused(answer, c.status, code, c.words)
			continue
		}
		if took := s.took()[before:]; len(took) != 1 || took[0] != c.took {
			t.Errorf("%s %s: %d %s: took %q, want %q", c.request, c.body, answer.StatusCode, answer.body, took, c.took)
		}
	}
}

func TestResultsBecomeAnswers(t *testing.T) {
	s := newSite(t, gateway.Options{})
	for _, c := range []struct {
		route  api.Route
		query  string
		status int
		media  string
		body   string
	}{
		{route: api.Route{Function: "echo"}, query: "text=x", status: 200, media: "application/json", body: `"x"`},
		{route: api.Route{Function: "echo", Status: 201}, query: "text=x", status: 201, media: "application/json", body: `"x"`},
		{route: api.Route{Function: "echo", Content: "text/html; charset=utf-8"}, query: "text=%3Cb%3E", status: 200, media: "text/html; charset=utf-8", body: `<b>`},
		{route: api.Route{Function: "bytes", Content: "image/png"}, query: "b=AP8%3D", status: 200, media: "image/png", body: "\x00\xff"},
		{route: api.Route{Function: "say"}, query: "text=x", status: 204},
		{route: api.Route{Function: "say", Status: 201}, query: "text=x", status: 201},
		{route: api.Route{Function: "maybe"}, status: 200, media: "application/json", body: "null"},
		{route: api.Route{Function: "buy"}, query: "sku=x", status: 200, media: "application/json", body: `{"sku":"x","qty":1,"note":null}`},
		{route: api.Route{Function: "buy"}, query: "sku=gone", status: 422, media: "application/json", body: `"sold-out"`},
		{route: api.Route{Function: "buy", Errors: map[string]int{"sold-out": 410, "too-many": 429, "*": 400}}, query: "sku=gone", status: 410, media: "application/json", body: `"sold-out"`},
		{route: api.Route{Function: "buy", Errors: map[string]int{"sold-out": 410, "too-many": 429, "*": 400}}, query: "sku=lots", status: 429, media: "application/json", body: `{"too-many":3}`},
		{route: api.Route{Function: "buy", Errors: map[string]int{"sold-out": 410, "too-many": 429, "*": 400}}, query: "sku=odd", status: 400, media: "application/json", body: `{"other":"why"}`},
		{route: api.Route{Function: "check"}, query: "ok=true", status: 204},
		{route: api.Route{Function: "check", Errors: map[string]int{"*": 409}}, query: "ok=false", status: 409},
		{route: api.Route{Function: "echo", Async: true}, query: "text=x", status: 202},
		{route: api.Route{Component: "core", Function: "both"}, status: 200, media: "application/json", body: "[1,2]"},
		{route: api.Route{Component: "core", Function: "nop"}, status: 204},
		{route: api.Route{Component: "cmd", Function: "run"}, status: 200, media: "application/json", body: "3"},
	} {
		c.route.Name, c.route.Worker, c.route.Path, c.route.Methods = "r", "name.w", "/x", []string{"GET"}
		if c.route.Component == "" {
			c.route.Component = "shop"
		}
		s.set(c.route)
		answer := s.do("GET /x?"+c.query, "")
		s.want(answer, c.status, c.body)
		if media := answer.Header.Get("Content-Type"); media != c.media {
			t.Errorf("%s: got the type %q, want %q", c.route.Function, media, c.media)
		}
		if answer.Header.Get("X-Content-Type-Options") != "nosniff" || answer.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: got the header %v", c.route.Function, answer.Header)
		}
	}
	s.set(api.Route{Name: "r", Worker: "name.w", Path: "/x", Component: "shop", Function: "fail"})
	answer := s.do("POST /x", "")
	s.refused(answer, 500, api.CodeInvocationFailed, "failed")
	if strings.Contains(answer.body, "secret") {
		t.Errorf("anybody is told %s", answer.body)
	}
}

func TestTheWorkerIsTheOneThatTheRouteSays(t *testing.T) {
	s := newSite(t, gateway.Options{})
	worker := func(r api.Route, request string, headers ...string) string {
		t.Helper()
		r.Name, r.Component, r.Function = "r", "shop", "say"
		if r.Arguments == nil {
			r.Arguments = args("text", "query.text")
		}
		s.set(r)
		before := len(s.took())
		answer := s.do(request, "", headers...)
		took := s.took()[before:]
		if len(took) != 1 {
			t.Fatalf("%s: got %d %s, took %q", request, answer.StatusCode, answer.body, took)
		}
		name, _, _ := strings.Cut(took[0], " ")
		return name
	}
	for _, c := range []struct {
		route   api.Route
		request string
		headers []string
		want    string
	}{
		{api.Route{Path: "/{who}/x", Worker: "path.who"}, "POST /alice/x?text=1", nil, "shop/alice"},
		{api.Route{Path: "/x", Worker: "query.who"}, "POST /x?text=1&who=bob", nil, "shop/bob"},
		{api.Route{Path: "/x", Worker: "header.X-Who"}, "POST /x?text=1", []string{"X-Who: carol"}, "shop/carol"},
		{api.Route{Path: "/x", Worker: "name.dave"}, "POST /x?text=1", nil, "shop/dave"},
		{api.Route{Path: "/x", Worker: "pool.eve.1"}, "POST /x?text=1", nil, "shop/eve-1"},
	} {
		if got := worker(c.route, c.request, c.headers...); got != c.want {
			t.Errorf("%s of %s: got %s, want %s", c.request, c.route.Worker, got, c.want)
		}
	}
	each := api.Route{Path: "/x", Worker: "request"}
	one, other := worker(each, "POST /x?text=1"), worker(each, "POST /x?text=1")
	keyed := worker(each, "POST /x?text=1", "Idempotency-Key: a")
	if !strings.HasPrefix(one, "shop/r-") || one == other || keyed == one {
		t.Errorf("got %s, %s and %s", one, other, keyed)
	}
	s.set(api.Route{Name: "r", Component: "shop", Function: "say", Path: "/{who}/x", Worker: "path.who"})
	for _, bad := range []string{"-x", "a%2Fb", "%00", "sh%20op", strings.Repeat("x", 129)} {
		s.refused(s.do("POST /"+bad+"/x", `"1"`), 400, api.CodeInvalid, "path.who: ")
	}
	s.set(api.Route{Name: "r", Component: "shop", Function: "say", Path: "/x", Worker: "query.who"})
	s.refused(s.do("POST /x", `"1"`), 400, api.CodeInvalid, "query.who: it is there 0 times")
	s.refused(s.do("POST /x?who=a&who=b", `"1"`), 400, api.CodeInvalid, "query.who: it is there 2 times")
}

func TestAPoolSharesOutWorkAndKeepsKeysTogether(t *testing.T) {
	s := newSite(t, gateway.Options{}, api.Route{Name: "r", Component: "shop", Function: "wait", Path: "/x", Worker: "pool.p.8"})
	done := make(chan got)
	for range 8 {
		go func() {
			g, _ := s.try(t.Context(), "POST /x", "")
			done <- g
		}()
		<-s.waiting // so that it is counted
	}
	close(s.release)
	for range 8 {
		s.want(<-done, 200, `"waited"`)
	}
	took := s.took()
	slices.Sort(took)
	if len(slices.Compact(took)) != 8 {
		t.Errorf("8 requests at once were for %q", took)
	}
	before := len(s.took())
	for range 3 {
		s.want(s.do("POST /x", "", "Idempotency-Key: k"), 200, `"waited"`)
	}
	if took := s.took()[before:]; len(took) != 1 {
		t.Errorf("a key led to %q", took)
	}
}

func TestExistingWorkersAlone(t *testing.T) {
	s := newSite(t, gateway.Options{}, api.Route{Name: "r", Component: "shop", Function: "say", Path: "/{who}", Worker: "path.who", Existing: true})
	s.refused(s.do("POST /alice", `"1"`), 404, api.CodeNoRoute, "nothing here")
	s.existing["shop/alice"] = true
	s.want(s.do("POST /alice", `"1"`), 204, "")
}

func TestRoutesChooseByHostMethodAndPath(t *testing.T) {
	r := func(name, host, method, path string) api.Route {
		return api.Route{
			Name: name, Host: host, Methods: strings.Fields(method), Path: path, Component: "shop", Function: "echo", Worker: "name.w",
			Arguments: args("text", "header.X-None"), Content: "text/plain",
		}
	}
	routes := []api.Route{
		r("root", "", "GET", "/"), r("one", "", "GET POST", "/x"), r("wild", "", "GET", "/{any}"), r("deep", "", "GET", "/x/{rest...}"),
		r("host", "shop.example.com", "GET", "/x"),
	}
	for i := range routes {
		routes[i].Arguments = args("text", "query.t")
		routes[i].Status = 200 + i
	}
	s := newSite(t, gateway.Options{}, routes...)
	for _, c := range []struct {
		request, host string
		status        int
	}{
		{"GET /", "", 200},
		{"GET /x", "", 201},
		{"POST /x", "", 201},
		{"GET /y", "", 202},
		{"GET /x/y/z", "", 203},
		{"GET /x", "shop.example.com", 204},
		{"GET /x", "SHOP.example.com:8080", 204},
		{"GET /x", "shop.example.com.", 204},
		{"GET /x", "other.example.com", 201},
		{"HEAD /y", "", 202},
		{"PUT /x", "", 405},
		{"POST /", "", 405},
		{"GET /y/", "", 404},
		{"GET /y/z", "", 404},
		{"GET //x", "", 404},
		{"GET /x/../y", "", 404},
		{"GET /x/%2e%2e/y", "", 404},
		{"GET /x/.%2E", "", 404},
		{"GET /x/https%3A%2F%2Fy", "", 203},
	} {
		headers := []string{}
		if c.host != "" {
			headers = append(headers, "Host: "+c.host)
		}
		path := c.request + "?t=1"
		if answer := s.do(path, "", headers...); answer.StatusCode != c.status || answer.Header.Get("Location") != "" {
			t.Errorf("%s of %q: got %d %s %v, want %d", c.request, c.host, answer.StatusCode, answer.body, answer.Header, c.status)
		}
	}
	s.set()
	s.refused(s.do("GET /x", ""), 404, api.CodeNoRoute, "nothing here")
}

func TestARouteThatMakesNoSenseIsRefused(t *testing.T) {
	s := newSite(t, gateway.Options{})
	good := api.Route{Name: "r", Component: "shop", Function: "place", Path: "/carts/{cart}", Worker: "path.cart"}
	for _, c := range []struct {
		words  string
		change func(r *api.Route)
	}{
		{"name: invalid name", func(r *api.Route) { r.Name = "a/b" }},
		{"path: \"x\" does not begin", func(r *api.Route) { r.Path = "x" }},
		{"path: {cart} is there twice", func(r *api.Route) { r.Path = "/{cart}/{cart}" }},
		{"path: {cart...} stands for the rest", func(r *api.Route) { r.Path = "/{cart...}/x" }},
		{"path: {my-cart}: a wildcard has a name", func(r *api.Route) { r.Path = "/{cart}/{my-cart}" }},
		{"a wildcard stands for a whole element", func(r *api.Route) { r.Path = "/{cart}/x{y}" }},
		{"has the element \"..\"", func(r *api.Route) { r.Path = "/{cart}/../x" }},
		{"has the element \"\"", func(r *api.Route) { r.Path = "//{cart}" }},
		{"a character that no path has", func(r *api.Route) { r.Path = "/{cart}/a b" }},
		{"a character that no path has", func(r *api.Route) { r.Path = "/{cart}/%41" }},
		{"methods: there is no method \"TRACE\"", func(r *api.Route) { r.Methods = []string{"TRACE"} }},
		{"methods: POST is there twice", func(r *api.Route) { r.Methods = []string{"POST", "POST"} }},
		{"host: \"a:80\" is no host", func(r *api.Route) { r.Host = "a:80" }},
		{"host: \"A.example\" is no host", func(r *api.Route) { r.Host = "A.example" }},
		{"host: \"*.example\" is no host", func(r *api.Route) { r.Host = "*.example" }},
		{"worker: the path has no {who}", func(r *api.Route) { r.Worker = "path.who" }},
		{"worker: \"cart\" names no worker", func(r *api.Route) { r.Worker = "cart" }},
		{"worker: \"body.x\" names no worker", func(r *api.Route) { r.Worker = "body.x" }},
		{"says no pool", func(r *api.Route) { r.Worker = "pool.x.0" }},
		{"says no pool", func(r *api.Route) { r.Worker = "pool.x.100000" }},
		{"says no pool", func(r *api.Route) { r.Worker = "pool.x" }},
		{"existing: a worker for each request", func(r *api.Route) { r.Worker, r.Existing = "request", true }},
		{"component: there is no component nope", func(r *api.Route) { r.Component = "nope" }},
		{"function: revision 1 of shop exports no function \"nope\"", func(r *api.Route) { r.Function = "nope" }},
		{"arguments.sku: \"nowhere\" is no part", func(r *api.Route) { r.Arguments = args("sku", "nowhere") }},
		{"arguments.sku: \"query.\" names nothing", func(r *api.Route) { r.Arguments = args("sku", "query.") }},
		{"arguments.sku: \"a b\" is no field", func(r *api.Route) { r.Arguments = args("sku", "header.a b") }},
		{"arguments.sku: the path has no {x}", func(r *api.Route) { r.Arguments = args("sku", "path.x") }},
		{"arguments.x: place has no parameter \"x\": it has cart, sku, qty, note", func(r *api.Route) { r.Arguments = args("x", "body") }},
		{"more than one parameter takes the body", func(r *api.Route) { r.Arguments = args("sku", "body") }},
		{"arguments.i: a item cannot be written in a query", func(r *api.Route) { r.Function, r.Arguments = "put", args("i", "query.i") }},
		{"arguments.ns: a list<u16> comes from the query", func(r *api.Route) { r.Function, r.Arguments = "many", args("ns", "header.n") }},
		{"arguments.qty: the body's bytes are no u8", func(r *api.Route) { r.Arguments = args("qty", "raw") }},
		{"arguments.2: run has no parameter", func(r *api.Route) { r.Component, r.Function, r.Arguments = "cmd", "run", args("2", "raw") }},
		{"key: \"query.k\" says no idempotency key", func(r *api.Route) { r.Key = "query.k" }},
		{"status: 404 is not from 200 to 299", func(r *api.Route) { r.Status = 404 }},
		{"errors: the function returns no result", func(r *api.Route) { r.Errors = map[string]int{"*": 400} }},
		{"errors.nope: the error has no such case", func(r *api.Route) { r.Function, r.Errors = "buy", map[string]int{"nope": 400} }},
		{"errors.sold-out: 200 is not from 400 to 599", func(r *api.Route) { r.Function, r.Errors = "buy", map[string]int{"sold-out": 200} }},
		{"content: \"x\\r\\ny: z\" is no media type", func(r *api.Route) { r.Content = "x\r\ny: z" }},
		{"content: the result is no string", func(r *api.Route) { r.Function, r.Content = "add", "text/plain" }},
		{"async: the answer is 202", func(r *api.Route) { r.Async, r.Status = true, 201 }},
		{"limits.body: ", func(r *api.Route) { r.Limits.Body = 1 << 40 }},
		{"limits.concurrency: ", func(r *api.Route) { r.Limits.Concurrency = 1 << 40 }},
		{"limits.timeout: ", func(r *api.Route) { r.Limits.Timeout = -1 }},
		{"cors.origins: there are none", func(r *api.Route) { r.CORS = &api.CORS{} }},
		{"cors.origins: \"https://x/\" is no origin", func(r *api.Route) { r.CORS = &api.CORS{Origins: []string{"https://x/"}} }},
		{"cors.credentials: no browser", func(r *api.Route) { r.CORS = &api.CORS{Origins: []string{"*"}, Credentials: true} }},
		{"cors.headers: \"a b\" is no field", func(r *api.Route) { r.CORS = &api.CORS{Origins: []string{"*"}, Headers: []string{"a b"}} }},
		{"cors.maxAge: ", func(r *api.Route) { r.CORS = &api.CORS{Origins: []string{"*"}, MaxAge: -1} }},
	} {
		r := good
		c.change(&r)
		p := problemOf(s.gateway.Check(t.Context(), []api.Route{r}, nil))
		if p == nil || p.Code != api.CodeInvalid || !strings.Contains(p.Detail, c.words) || len(p.Errors) == 0 {
			t.Errorf("got %+v, want a refusal with %q", p, c.words)
		}
	}
	if err := s.gateway.Check(t.Context(), []api.Route{good, good}, nil); err == nil || !strings.Contains(err.Error(), "two routes of this name") {
		t.Errorf("got %v", err)
	}
	// What was there before a component changed does not keep others from changes.
	gone := good
	gone.Function = "gone"
	other := good
	other.Name, other.Path = "other", "/o/{cart}"
	if err := s.gateway.Check(t.Context(), []api.Route{gone, other}, []api.Route{gone}); err != nil {
		t.Error(err)
	}
}

func TestRoutesThatOverlapAreRefused(t *testing.T) {
	s := newSite(t, gateway.Options{})
	r := func(name, host, method, path string) api.Route {
		return api.Route{Name: name, Host: host, Methods: strings.Fields(method), Path: path, Component: "shop", Function: "fail", Worker: "name.w"}
	}
	for _, c := range []struct {
		one, other api.Route
		overlap    bool
	}{
		{r("a", "", "GET", "/x"), r("b", "", "GET", "/x"), true},
		{r("a", "", "GET", "/x"), r("b", "", "POST", "/x"), false},
		{r("a", "", "GET POST", "/x"), r("b", "", "POST", "/x"), true},
		{r("a", "", "GET", "/{p}"), r("b", "", "GET", "/{q}"), true},
		{r("a", "", "GET", "/{p}"), r("b", "", "GET", "/x"), false},
		{r("a", "", "GET", "/{p}/x"), r("b", "", "GET", "/y/{q}"), true},
		{r("a", "h.example", "GET", "/{p}/x"), r("b", "", "GET", "/y/{q}"), false}, // the narrower one
		{r("a", "h.example", "GET", "/x"), r("b", "i.example", "GET", "/x"), false},
		{r("a", "h.example", "GET", "/x"), r("b", "", "GET", "/x"), false},
		{r("a", "", "HEAD", "/x"), r("b", "", "GET", "/x"), false}, // the narrower one
		{r("a", "", "HEAD", "/{p}"), r("b", "", "GET", "/x"), true},
	} {
		err := s.gateway.Check(t.Context(), []api.Route{c.one, c.other}, nil)
		p := problemOf(err)
		switch {
		case !c.overlap && err != nil:
			t.Errorf("%v and %v: %v", c.one, c.other, err)
		case c.overlap && (p == nil || p.Code != api.CodeRouteConflict || !strings.Contains(p.Detail, "route a (") || !strings.Contains(p.Detail, "route b (")):
			t.Errorf("%v and %v: got %v", c.one, c.other, err)
		}
	}
}

func TestARouteFollowsItsComponent(t *testing.T) {
	s := newSite(t, gateway.Options{}, api.Route{Name: "r", Component: "shop", Function: "add", Path: "/x", Worker: "name.w"})
	s.want(s.do("POST /x", "5"), 200, "5")
	s.refused(s.do("POST /x", "now a text", "Content-Type: text/plain"), 415, api.CodeMediaType, "")
	s.mu.Lock()
	s.types["add"] = s.types["echo"]
	s.revision++
	s.mu.Unlock()
	s.want(s.do("POST /x", "now a text", "Content-Type: text/plain"), 200, `"now a text"`)
	s.mu.Lock()
	delete(s.types, "add")
	s.revision++
	s.mu.Unlock()
	s.refused(s.do("POST /x", `"now a text"`), 500, api.CodeInternal, "under request")
}

func TestDifferenceIsWhatChanges(t *testing.T) {
	a, b, c := api.Route{Name: "a", Path: "/a"}, api.Route{Name: "b", Path: "/b"}, api.Route{Name: "c", Path: "/c"}
	changed := b
	changed.Path = "/bb"
	again := a
	again.Methods = []string{} // says the same
	got := gateway.Difference([]api.Route{a, b}, []api.Route{c, again, changed})
	if len(got) != 2 || got[0].Name != "b" || got[0].Change != api.RouteChanged || got[0].Before.Path != "/b" || got[0].After.Path != "/bb" ||
		got[1].Name != "c" || got[1].Change != api.RouteAdded || got[1].Before != nil || got[1].After.Path != "/c" {
		t.Errorf("got %+v", got)
	}
	if got := gateway.Difference([]api.Route{a}, nil); len(got) != 1 || got[0].Change != api.RouteRemoved || got[0].Before.Name != "a" || got[0].After != nil {
		t.Errorf("got %+v", got)
	}
}
