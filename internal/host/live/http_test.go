package live

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/reach"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// client is an HTTP of real tasks, and waits for what it gives.
type client struct {
	*HTTP
	t       *testing.T
	policy  exchange.Policy
	changed sched.Condition
}

func newClient(t *testing.T, allow ...string) *client {
	t.Helper()
	rules, err := reach.Parse(allow)
	if err != nil {
		t.Fatal(err)
	}
	s := sched.NewGoroutines()
	c := &client{HTTP: NewHTTP(s), t: t, policy: exchange.Policy{Reach: rules, MaxBody: 1 << 20}, changed: s.NewCondition()}
	t.Cleanup(c.Close)
	return c
}

func (c *client) begin(r exchange.Request) exchange.Reply {
	reply := c.Begin(c.t.Context(), &r, c.policy, atOnce, c.changed.Wake)
	c.t.Cleanup(reply.Close) // before the client's
	return reply
}

// atOnce is when requests may leave here.
func atOnce(context.Context) error { return nil }

// await waits until it is so.
func (c *client) await(so func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	if err := c.changed.Wait(ctx, so); err != nil {
		c.t.Fatal("nothing came in ten seconds")
	}
}

// all gives what comes back, all of it.
func (c *client) all(reply exchange.Reply) (h exchange.Head, body string, end exchange.Piece) {
	c.t.Helper()
	c.await(func() (ok bool) {
		h, ok = reply.Head()
		return ok
	})
	for !end.End {
		c.await(reply.Ready)
		p, ok := reply.Read(1000)
		if !ok || len(p.Bytes) > 1000 {
			c.t.Fatalf("it was ready, and gave %v, %d bytes", ok, len(p.Bytes))
		}
		body, end = body+string(p.Bytes), p
	}
	return h, body, end
}

// fails sends a request that is to fail, at its beginning or in its body.
func (c *client) fails(want exchange.Reason, r exchange.Request) *exchange.Failure {
	c.t.Helper()
	h, _, end := c.all(c.begin(r))
	f := h.Failure
	if f == nil {
		f = end.Failure
	}
	if f == nil || f.Reason != want {
		c.t.Errorf("%s %s%s: got %v, want %s", r.Method, r.Authority, r.Path, f, want)
		return &exchange.Failure{}
	}
	return f
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// certificatesOf is what has to be trusted for a server, as PEM.
func certificatesOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func get(s *httptest.Server, path string) exchange.Request {
	scheme, authority, _ := strings.Cut(s.URL, "://")
	return exchange.Request{Method: "GET", Scheme: scheme, Authority: authority, Path: path}
}

func TestRequestAndResponseArriveAsTheyAre(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("Content-Encoding", "gzip") // which nobody undoes
		w.Header().Add("X-Two", "b")
		w.Header().Add("X-Two", "a")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q %v %v %v", q.Method, q.Host, q.RequestURI, body, q.Header["X-A"], q.Header["User-Agent"], q.Header["Accept-Encoding"])
		w.Header().Set("X-Sum", "7:"+q.Trailer.Get("X-T"))
	})
	c := newClient(t, "127.0.0.1")
	r := get(s, "/a%2Fb?c=%20d")
	r.Method, r.Body = "BREW", []byte("hello")
	r.Headers = []exchange.Field{{Name: "x-a", Value: []byte("1")}, {Name: "X-A", Value: []byte("2")}}
	r.Trailers = []exchange.Field{{Name: "x-t", Value: []byte("8")}}
	h, body, end := c.all(c.begin(r))
	want := fmt.Sprintf("BREW %s /a%%2Fb?c=%%20d \"hello\" [1 2] [] []", r.Authority)
	if h.Status != http.StatusTeapot || body != want {
		t.Errorf("got %d %s, want %s", h.Status, body, want)
	}
	var two []string
	for _, f := range h.Headers {
		if f.Name == "x-two" {
			two = append(two, string(f.Value))
		}
	}
	if fmt.Sprint(two) != "[b a]" || len(end.Trailers) != 1 || string(end.Trailers[0].Value) != "7:8" {
		t.Errorf("got fields %v and trailers %s", two, end.Trailers)
	}
}

func TestRedirectsAreThePrograms(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/elsewhere", http.StatusFound) })
	c := newClient(t, "127.0.0.1")
	if h, _, _ := c.all(c.begin(get(s, "/"))); h.Status != http.StatusFound {
		t.Errorf("got %d", h.Status)
	}
}

// TestHostsThatAreNotAllowedAreNotReached tries to reach a server of this machine
// in every way there is: not one connection may come.
func TestHostsThatAreNotAllowedAreNotReached(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was reached") })
	s.Config.ConnState = func(net.Conn, http.ConnState) { t.Error("a connection came") }
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := newClient(t, reach.Public, "*.example.com", "localhost:1")
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]", "169.254.169.254", "10.0.0.1"} {
		f := c.fails(exchange.Denied, exchange.Request{Method: "GET", Scheme: "http", Authority: host + ":" + port, Path: "/"})
		if !strings.Contains(f.Text, "--http-allow") {
			t.Errorf("%s: the reason does not say what to do: %q", host, f.Text)
		}
	}
	// No rule speaks of this name, so it is not even looked up.
	newClient(t, "a.example").fails(exchange.Denied, exchange.Request{Method: "GET", Scheme: "http", Authority: "b.example", Path: "/"})
	for _, r := range []exchange.Request{
		{Method: "GET", Scheme: "http", Authority: "a.example", Path: ".evil.example/"},
		{Method: "GET", Scheme: "http", Authority: "a.example", Path: "@localhost/"},
		{Method: "GET", Scheme: "http", Authority: "user@localhost", Path: "/"},
		{Method: "GET", Scheme: "http", Authority: "localhost/x?", Path: "/"},
	} {
		c.fails(exchange.URIInvalid, r)
	}
}

func TestConnectionsAreNotSharedWithThoseWhoMayNotMakeThem(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") })
	c := newClient(t, "127.0.0.1")
	c.all(c.begin(get(s, "/"))) // leaves a connection
	c.policy.Reach = reach.Rules{}
	c.fails(exchange.Denied, get(s, "/"))
}

func TestFieldsCannotBeSmuggled(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") })
	c := newClient(t, "127.0.0.1")
	for _, f := range []exchange.Field{
		{Name: "a", Value: []byte("b\r\nc: d")}, {Name: "a\r\nb", Value: nil}, {Name: "a b", Value: nil}, {Name: "", Value: nil},
	} {
		r := get(s, "/")
		r.Headers = []exchange.Field{f}
		c.fails(exchange.ProtocolError, r)
	}
}

func TestNothingIsWaitedForLongerThanAllowed(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/half" {
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	t.Cleanup(func() { close(release) })
	c := newClient(t, "127.0.0.1")
	short := uint64(20 * time.Millisecond)
	r := get(s, "/never")
	r.Timeouts.FirstByte = short
	c.fails(exchange.ResponseTimeout, r)
	r = get(s, "/half")
	r.Timeouts.BetweenBytes = short
	c.fails(exchange.ReadTimeout, r)
	// A listener whose backlog nobody takes from answers no TLS handshake.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c.fails(exchange.ConnectionTimeout, exchange.Request{
		Method: "GET", Scheme: "https", Authority: l.Addr().String(), Path: "/", Timeouts: exchange.Timeouts{Connect: short},
	})
}

func TestResponsesAreBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/head" {
			w.Header().Set("x", strings.Repeat("y", 2*maxResponseHead))
			return
		}
		for range 100 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	c := newClient(t, "127.0.0.1")
	c.fails(exchange.ResponseHeaderSize, get(s, "/head"))
	if f := c.fails(exchange.ResponseBodySize, get(s, "/body")); f.Size <= c.policy.MaxBody {
		t.Errorf("it was %d bytes", f.Size)
	}
}

func TestABodyIsNotReadFarAheadOfTheProgram(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	c := newClient(t, "127.0.0.1")
	reply := c.begin(get(s, "/")).(*httpReply)
	full := func() bool {
		reply.mu.Lock()
		defer reply.mu.Unlock()
		return len(reply.buffer) >= bodyBuffer
	}
	c.await(full)
	if _, body, end := c.all(reply); len(body) != 1<<20 || end.Failure != nil {
		t.Errorf("got %d bytes, %v", len(body), end.Failure)
	}
	if cap(reply.buffer) > 4*bodyBuffer {
		t.Errorf("the buffer was %d bytes", cap(reply.buffer))
	}
}

func TestConnectionsThatFailSaySo(t *testing.T) {
	c := newClient(t, "127.0.0.1", "no-such-host.invalid")
	dead := serve(t, nil)
	dead.Close()
	c.fails(exchange.ConnectionRefused, get(dead, "/"))
	hijack := func(say string) *httptest.Server {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, say)
				_ = conn.Close()
			}
		})
	}
	c.fails(exchange.ConnectionTerminated, get(hijack(""), "/"))
	c.fails(exchange.ResponseIncomplete, get(hijack("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "/"))
	c.fails(exchange.ProtocolError, get(hijack("HELLO\r\n\r\n"), "/"))
	c.fails(exchange.UpgradeFailed, get(hijack("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "/"))
	plain := get(serve(t, func(http.ResponseWriter, *http.Request) {}), "/")
	plain.Scheme = "https"
	c.fails(exchange.TLSProtocol, plain)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }))
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	if f := c.fails(exchange.TLSCertificate, get(secure, "/")); !strings.Contains(f.Text, "unknown authority") {
		t.Errorf("the certificate is refused because of %q", f.Text)
	}
	trusting := newClient(t, "127.0.0.1")
	trusting.policy.Egress.Roots = certificatesOf(secure)
	if _, body, _ := trusting.all(trusting.begin(get(secure, "/"))); body != "secret" {
		t.Errorf("got %q over TLS", body)
	}
}

func TestWhatIsHungUpEnds(t *testing.T) {
	gone := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, q *http.Request) {
		<-q.Context().Done()
		close(gone)
	})
	c := newClient(t, "127.0.0.1")
	reply := c.begin(get(s, "/"))
	c.Begin(t.Context(), &exchange.Request{}, c.policy, atOnce, func() {}).Close()
	time.AfterFunc(10*time.Millisecond, reply.Close)
	<-gone
}

// TestNothingLeavesBeforeItMay lets a request be overtaken by another one, and one
// end that may never leave.
func TestNothingLeavesBeforeItMay(t *testing.T) {
	asked := make(chan string, 3)
	s := serve(t, func(w http.ResponseWriter, q *http.Request) { asked <- q.URL.Path })
	c := newClient(t, "127.0.0.1")
	r, may := get(s, "/first"), make(chan struct{})
	first := c.Begin(t.Context(), &r, c.policy, func(context.Context) error { <-may; return nil }, c.changed.Wake)
	defer first.Close()
	c.all(c.begin(get(s, "/second")))
	if got := <-asked; got != "/second" {
		t.Errorf("it was asked for %s before it could be", got)
	}
	close(may)
	if h, _, _ := c.all(first); h.Status != 200 || <-asked != "/first" {
		t.Errorf("got %+v", h)
	}
	never := c.Begin(t.Context(), &r, c.policy, func(context.Context) error { return errors.New("the disk is gone") }, c.changed.Wake)
	defer never.Close()
	if h, _, _ := c.all(never); h.Failure == nil || len(asked) > 0 {
		t.Errorf("got %+v after %d more requests", h, len(asked))
	}
}

// TestConnectionsAreUsedAgain sends as many requests at the same time as a program
// can, twice: the second time no connection is made.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var made atomic.Int64
	var all sync.WaitGroup
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all.Done()
		all.Wait() // so that each has a connection of its own
		fmt.Fprint(w, "hello")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := newClient(t, "127.0.0.1")
	for range 2 {
		all.Add(maxIdlePerHost)
		var replies []exchange.Reply
		for range maxIdlePerHost {
			replies = append(replies, c.begin(get(s, "/")))
		}
		for _, reply := range replies {
			if _, body, _ := c.all(reply); body != "hello" {
				t.Errorf("got %q", body)
			}
		}
	}
	if n := made.Load(); n != maxIdlePerHost {
		t.Errorf("%d connections were made, want %d", n, maxIdlePerHost)
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	c := newClient(t, "127.0.0.1")
	c.underWay = maxUnderWay
	c.fails(exchange.ConnectionLimit, exchange.Request{Method: "GET", Scheme: "http", Authority: "127.0.0.1", Path: "/"})
	c.underWay = 0
}
