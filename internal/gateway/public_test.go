package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
)

func echoing(o *api.CORS) api.Route {
	return api.Route{Name: "r", Component: "shop", Function: "echo", Path: "/x", Worker: "name.w", CORS: o}
}

func TestPagesOfOtherSitesMayWhatTheRouteSays(t *testing.T) {
	const shop, evil = "https://shop.example", "https://evil.example"
	one := &api.CORS{Origins: []string{shop, "http://localhost:3000"}, Headers: []string{"X-A", "content-type"}, Expose: []string{"X-B"}, Credentials: true, MaxAge: api.Duration(time.Minute)}
	all := &api.CORS{Origins: []string{"*"}}
	preflight := func(origin string) []string {
		return []string{"Origin: " + origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-a"}
	}
	for _, c := range []struct {
		name    string
		cors    *api.CORS
		request string
		headers []string
		status  int
		want    string // of the answer's header, in order
	}{
		{"no origin", one, "POST /x", nil, 200, ""},
		{"an origin that may", one, "POST /x", []string{"Origin: " + shop}, 200, "Allow-Credentials: true; Allow-Origin: " + shop + "; Expose-Headers: X-B; Vary: Origin"},
		{"another", one, "POST /x", []string{"Origin: http://localhost:3000"}, 200, "Allow-Credentials: true; Allow-Origin: http://localhost:3000; Expose-Headers: X-B; Vary: Origin"},
		{"one that may not", one, "POST /x", []string{"Origin: " + evil}, 403, "Vary: Origin"},
		{"a part of one that may", one, "POST /x", []string{"Origin: https://shop.example.evil.example"}, 403, "Vary: Origin"},
		{"no site at all", one, "POST /x", []string{"Origin: null"}, 403, "Vary: Origin"},
		{"one that may not, reading", one, "GET /x", []string{"Origin: " + evil}, 405, ""},
		{"any", all, "POST /x", []string{"Origin: " + evil}, 200, "Allow-Origin: *"},
		{"none", nil, "POST /x", []string{"Origin: " + evil}, 403, ""},
		{"none, as a browser says it", nil, "POST /x", []string{"Sec-Fetch-Site: cross-site"}, 403, ""},
		{"the same site", nil, "POST /x", []string{"Sec-Fetch-Site: same-origin", "Origin: " + evil}, 200, ""},
		{"preflight", one, "OPTIONS /x", preflight(shop), 204, "Allow-Credentials: true; Allow-Headers: Content-Type, Idempotency-Key, X-A; Allow-Methods: POST; Allow-Origin: " + shop + "; Max-Age: 60; Vary: Access-Control-Request-Method, Access-Control-Request-Headers, Origin"},
		{"preflight of one that may not", one, "OPTIONS /x", preflight(evil), 204, "Vary: Access-Control-Request-Method, Access-Control-Request-Headers, Origin"},
		{"preflight of any", all, "OPTIONS /x", preflight(evil), 204, "Allow-Headers: Content-Type, Idempotency-Key; Allow-Methods: POST; Allow-Origin: *; Vary: Access-Control-Request-Method, Access-Control-Request-Headers"},
		{"preflight of none", nil, "OPTIONS /x", preflight(shop), 405, ""},
		{"preflight of another method", one, "OPTIONS /x", []string{"Origin: " + shop, "Access-Control-Request-Method: DELETE"}, 405, ""},
		{"OPTIONS of itself", one, "OPTIONS /x", nil, 405, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, gateway.Options{}, echoing(c.cors))
			answer := s.do(c.request, `"x"`, c.headers...)
			var said []string
			for name, values := range answer.Header {
				if short, ok := strings.CutPrefix(name, "Access-Control-"); ok || name == "Vary" {
					said = append(said, short+": "+strings.Join(values, ", "))
				}
			}
			slices.Sort(said)
			if got := strings.Join(said, "; "); answer.StatusCode != c.status || got != c.want {
				t.Errorf("got %d %q, want %d %q", answer.StatusCode, got, c.status, c.want)
			}
			if took := s.took(); (len(took) > 0) != (c.status == 200) {
				t.Errorf("took %q", took)
			}
		})
	}
}

func TestLimitsOfARouteHold(t *testing.T) {
	bounded := echoing(nil)
	bounded.Limits.Body = 10
	waiting := api.Route{Name: "w", Component: "shop", Function: "wait", Path: "/w", Worker: "request", Limits: api.RouteLimits{Concurrency: 2}}
	s := newSite(t, gateway.Options{}, bounded, waiting)
	s.want(s.do("POST /x", `"12345678"`), 200, `"12345678"`)
	s.refused(s.do("POST /x", `"123456789"`), 413, api.CodeTooLarge, "10 bytes")
	chunked, err := http.Post(s.server.URL+"/x", "application/json", io.MultiReader(strings.NewReader(`"12345`), strings.NewReader(`6789"`)))
	if err != nil {
		t.Fatal(err)
	}
	chunked.Body.Close()
	if chunked.StatusCode != 413 {
		t.Errorf("chunked: got %d", chunked.StatusCode)
	}
	done := make(chan got, 2)
	for range 2 {
		go func() {
			g, _ := s.try(t.Context(), "POST /w", "")
			done <- g
		}()
		<-s.waiting
	}
	s.refused(s.do("POST /w", ""), 503, api.CodeOverloaded, "of this route")
	// A change of the routes is no way around it.
	s.set(bounded, waiting)
	s.refused(s.do("POST /w", ""), 503, api.CodeOverloaded, "of this route")
	s.want(s.do("POST /x", `"1"`), 200, `"1"`)
	close(s.release)
	for range 2 {
		s.want(<-done, 200, `"waited"`)
	}
	s.want(s.do("POST /w", ""), 200, `"waited"`)
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	s := newSite(t, gateway.Options{Requests: 1}, api.Route{Name: "w", Component: "shop", Function: "wait", Path: "/w", Worker: "request"})
	done := make(chan got)
	go func() {
		g, _ := s.try(t.Context(), "POST /w", "")
		done <- g
	}()
	<-s.waiting
	answer := s.do("POST /w", "")
	s.refused(answer, 503, api.CodeOverloaded, "too many requests")
	if answer.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	close(s.release)
	s.want(<-done, 200, `"waited"`)
}

// last ends a connection that is still open.
const last = "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// raw sends bytes as they are, and last behind them, and gives what comes until
// the connection ends. The client does not end it: that would mean it has left.
func (s *site) raw(text string) string {
	s.t.Helper()
	c, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text+last); err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, _ := io.ReadAll(c)
	return string(b)
}

// statuses are those of the answers in what came.
func statuses(t *testing.T, raw string) (all []int) {
	r := bufio.NewReader(strings.NewReader(raw))
	for {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Errorf("an answer is not whole: %v", err)
		}
		all = append(all, answer.StatusCode)
	}
}

// TestNoRequestIsSmuggled sends what two servers in a row may take for different
// requests. What is behind such a request must not be answered as one of its own.
func TestNoRequestIsSmuggled(t *testing.T) {
	route := echoing(nil)
	route.Function, route.Arguments = "say", args("text", "raw")
	s := newSite(t, gateway.Options{}, route)
	const hidden = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nhidden"
	post := func(headers, rest string) string { return "POST /x HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + rest }
	for _, c := range []struct {
		name string
		text string
		want []int
	}{
		{"two in a row", post("Content-Length: 5\r\n", "first") + hidden, []int{204, 204, 404}},
		{"both lengths", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + hidden, []int{204}},
		{"both lengths, the other way around", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "5\r\nfirst\r\n0\r\n\r\n") + hidden, []int{204}},
		{"chunked", post("Transfer-Encoding: chunked\r\n", "5\r\nfirst\r\n0\r\n\r\n") + hidden, []int{204}},
		{"two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "first") + hidden, []int{400}},
		{"a length with a sign", post("Content-Length: +5\r\n", "first") + hidden, []int{400}},
		{"two lengths in one", post("Content-Length: 5, 6\r\n", "first") + hidden, []int{400}},
		{"an encoding in disguise", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n") + hidden, []int{501}},
		{"two encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n") + hidden, []int{501}},
		{"a blank before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n") + hidden, []int{400}},
		{"a folded line", post("X: a\r\n Content-Length: 5\r\nContent-Length: 0\r\n", "") + "", []int{204, 404}},
		{"a length that is no number", post("Content-Length: 0x5\r\n", "first") + hidden, []int{400}},
		{"a chunk of a negative size", post("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n0\r\n\r\n") + hidden, []int{400}},
		{"a chunk of an endless size", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n") + hidden, []int{400}},
		{"two hosts", "POST /x HTTP/1.1\r\nHost: h\r\nHost: i\r\nContent-Length: 0\r\n\r\n" + hidden, []int{400}},
		{"no host", "POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + hidden, []int{400}},
		{"a null byte", post("X: a\x00b\r\nContent-Length: 0\r\n", "") + hidden, []int{400}},
		{"a bare CR", post("X: a\rContent-Length: 5\r\nContent-Length: 0\r\n", "") + hidden, []int{400}},
		{"a line end in the path", "POST /x%0d%0aContent-Length:5 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", []int{404, 404}},
		{"a proxy", "GET http://127.0.0.1:4004/v1/components HTTP/1.1\r\nHost: h\r\n\r\n", []int{404, 404}},
		{"a tunnel", "CONNECT 127.0.0.1:4004 HTTP/1.1\r\nHost: h\r\n\r\n", []int{405, 404}},
		{"the server itself", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", []int{200, 404}},
		{"version 2 in plain text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{405}},
	} {
		before := len(s.took())
		text := s.raw(c.text)
		if got := statuses(t, text); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %d, want %d: %q", c.name, got, c.want, text)
		}
		took := s.took()[before:]
		if !strings.HasPrefix(c.name, "two in a row") && slices.Contains(took, `shop/w say["hidden"]`) {
			t.Errorf("%s: took %q", c.name, took)
		}
	}
}

func TestWhatAClientSendsComesIntoNoHeader(t *testing.T) {
	all := &api.CORS{Origins: []string{"https://shop.example"}}
	s := newSite(t, gateway.Options{}, echoing(all))
	for _, text := range []string{
		"POST /x HTTP/1.1\r\nHost: h\r\nOrigin: https://shop.example\r\nX-Request-Id: injected\r\nContent-Length: 3\r\n\r\n\"x\"",
		"GET /x%0d%0aX-Injected:1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"PO\tST /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"BREW%0d%0aX-Injected /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"OPTIONS /x HTTP/1.1\r\nHost: h\r\nOrigin: https://shop.example\r\nAccess-Control-Request-Method: POST%0d%0aX-Injected\r\n\r\n",
	} {
		head, _, _ := strings.Cut(s.raw(text), "\r\n\r\n")
		if strings.Contains(strings.ToLower(head), "injected") {
			t.Errorf("%q comes back as %q", text, head)
		}
	}
}

func TestASlowBodyIsCutOff(t *testing.T) {
	s := newSite(t, gateway.Options{BodyWait: 50 * time.Millisecond}, echoing(nil))
	c, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n\"")
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 400 || !answer.Close {
		t.Errorf("got %d, closing %v", answer.StatusCode, answer.Close)
	}
	if took := s.took(); len(took) != 0 {
		t.Errorf("took %q", took)
	}
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) all() (all []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			panic(err)
		}
		all = append(all, v)
	}
	return all
}

func TestTheAccessLogTellsAllButSecrets(t *testing.T) {
	var access, errs lines
	var mu sync.Mutex
	var observed []string
	s := newSite(t, gateway.Options{
		AccessLog: slog.New(slog.NewJSONHandler(&access, nil)), Log: slog.New(slog.NewJSONHandler(&errs, nil)),
		Observe: func(route string, status int, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			observed = append(observed, fmt.Sprint(route, " ", status))
		},
	}, echoing(nil), api.Route{Name: "f", Component: "shop", Function: "fail", Path: "/f", Worker: "name.w"})
	s.do("POST /x?token=hush&b=hush", `"hush"`, "Authorization: Bearer hush", "Cookie: hush", "Idempotency-Key: hush", "User-Agent: tester", "Host: example.com")
	s.do("GET /nowhere", "")
	s.do("POST /f", "")
	s.server.Close() // so that all is logged
	all := access.all()
	if len(all) != 3 {
		t.Fatalf("got %v", all)
	}
	first := all[0]
	for name, want := range map[string]any{
		"remote": "127.0.0.1", "method": "POST", "host": "example.com", "path": "/x", "protocol": "HTTP/1.1", "status": 200.0, "bytes": 6.0,
		"route": "r", "query": "b&token", "agent": "tester", "worker": "shop/w",
	} {
		if first[name] != want {
			t.Errorf("%s: got %v, want %v", name, first[name], want)
		}
	}
	if all[1]["status"] != 404.0 || all[1]["route"] != "" || all[2]["status"] != 500.0 || all[2]["route"] != "f" {
		t.Errorf("got %v", all[1:])
	}
	if text := access.b.String(); strings.Contains(text, "hush") {
		t.Errorf("a secret is in %s", text)
	}
	if !slices.Equal(observed, []string{"r 200", " 404", "f 500"}) {
		t.Errorf("observed %q", observed)
	}
	if text := errs.b.String(); !strings.Contains(text, "the secret reason") || !strings.Contains(text, fmt.Sprint(all[2]["request"])) {
		t.Errorf("who runs the server is not told why: %s", text)
	}
}

func TestErrorsOfThePlatformTellNothingOfIt(t *testing.T) {
	s := newSite(t, gateway.Options{}, echoing(nil))
	for _, c := range []struct {
		err    error
		status int
		code   api.Code
	}{
		{api.NewProblem(api.CodeWorkerFailed, "secret"), 500, api.CodeInternal},
		{api.NewProblem(api.CodeWorkerExited, "secret"), 500, api.CodeInternal},
		{api.NewProblem(api.CodeDamaged, "secret"), 500, api.CodeInternal},
		{api.NewProblem(api.CodeQueueFull, "secret"), 429, api.CodeQueueFull},
		{api.NewProblem(api.CodeOverloaded, "secret"), 503, api.CodeOverloaded},
		{api.NewProblem(api.CodeDiskFull, "secret"), 503, api.CodeOverloaded},
		{api.NewProblem(api.CodeStopping, "secret"), 503, api.CodeOverloaded},
		{fmt.Errorf("secret"), 500, api.CodeInternal},
	} {
		s.mu.Lock()
		s.err = c.err
		s.mu.Unlock()
		answer := s.do("POST /x", `"x"`)
		s.refused(answer, c.status, c.code, "")
		if strings.Contains(answer.body, "secret") {
			t.Errorf("anybody is told %s", answer.body)
		}
	}
}
