package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// listen runs Serve on a listener of its own until stop is called, which returns
// what Serve does.
func (c *client) listen(secure *tls.Config) (listening *client, stop func() error) {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.server.Serve(ctx, l, secure) }()
	listening = &client{t: c.t, node: c.node, server: c.server, log: c.log, url: "http://" + l.Addr().String()}
	return listening, func() error {
		cancel()
		return <-ended
	}
}

func withGrace(grace time.Duration) func(*server.Config) {
	return func(c *server.Config) { c.Grace = grace }
}

func TestServeEndsStreamsAndLetsRequestsEnd(t *testing.T) {
	c, stop := start(t, withGrace(time.Minute)).listen(nil)
	s := c.stream(t, alice+"/logs?follow=true")
	answer := make(chan reply)
	go func() { answer <- c.do("POST", alice+"/invoke/forever", "", "Idempotency-Key: k") }()
	if err := c.node.await(t.Context(), func() bool { return len(c.node.workers["shop/alice"].invocations) > 0 }); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	e, err := s.next()
	if err != nil || e.name != "problem" || !strings.Contains(e.data, `"stopping"`) {
		t.Errorf("got %+v, %v, want a problem", e, err)
	}
	s.wantEnd()
	if _, err := http.Get(c.url + "/healthz"); err == nil {
		t.Error("a new connection was accepted")
	}
	if _, err := c.node.Cancel(t.Context(), "shop", "alice", "k"); err != nil {
		t.Fatal(err)
	}
	refused(t, <-answer, api.CodeInvocationFailed)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServeTellsThoseThatWaitTooLong(t *testing.T) {
	c, stop := start(t, withGrace(10*time.Millisecond)).listen(nil)
	answer := make(chan reply)
	go func() { answer <- c.do("POST", alice+"/invoke/forever", "", "Idempotency-Key: k") }()
	if err := c.node.await(t.Context(), func() bool { return len(c.node.workers["shop/alice"].invocations) > 0 }); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	p := refused(t, <-answer, api.CodeStopping)
	if p.Invocation == nil || p.RetryAfter == 0 {
		t.Errorf("got %+v, want the invocation and when to ask again", p)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	s := start(t, nil).server
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(t.Context(), l, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := server.New(server.Config{}); err == nil {
		t.Error("a server without a platform was made")
	}
	if _, err := server.New(server.Config{Platform: newNode(), Timeout: -1}); err == nil {
		t.Error("a negative timeout was taken")
	}
}

func TestServeSpeaksHTTP2OverTLS(t *testing.T) {
	known := httptest.NewUnstartedServer(nil) // for its certificate
	known.StartTLS()
	defer known.Close()
	c, stop := start(t, nil).listen(&tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS12})
	trusted := x509.NewCertPool()
	trusted.AddCert(known.Certificate())
	for protocol, major := range map[string]int{"h2": 2, "http/1.1": 1} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: major == 2}
		h := &http.Client{Transport: transport}
		url := strings.Replace(c.url, "http:", "https:", 1)
		resp, err := h.Get(url + alice)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != major {
			t.Errorf("%s: got %s %d", protocol, resp.Proto, resp.StatusCode)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+alice+"/logs?follow=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		resp, err = h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		c.print("x")
		b := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "id:" {
			t.Errorf("%s: the stream has %q, %v", protocol, b, err)
		}
		resp.Body.Close()
		transport.CloseIdleConnections()
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestAConnectionServesManyRequests is about deadlines, which one request must
// not leave to the next.
func TestAConnectionServesManyRequests(t *testing.T) {
	c, stop := start(t, nil).listen(nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, request := range []string{
		"GET " + alice + "/logs HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
		"POST " + alice + "/invoke/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]",
		"GET " + alice + "/files/hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	} {
		fmt.Fprint(conn, request)
		c.ended()
	}
	all, err := io.ReadAll(conn)
	if n := strings.Count(string(all), "HTTP/1.1 "); err != nil || n != 4 {
		t.Errorf("got %d answers, want 4: %q, %v", n, all, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	c, stop := start(t, func(c *server.Config) { c.MaxRequests = 2 }).listen(nil)
	const most = 2 * server.ConnectionsPerRequest
	var open []net.Conn
	ask := func() (answered bool) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		n, _ := io.ReadFull(conn, make([]byte, 12))
		return n == 12
	}
	for range most {
		if !ask() {
			t.Error("a connection within the bound was closed")
		}
	}
	if ask() {
		t.Error("a connection beyond the bound was served")
	}
	for _, conn := range open {
		conn.Close()
	}
	for !ask() { // once the server has seen that they are closed
		if t.Context().Err() != nil {
			t.Fatal("closed connections make no room")
		}
	}
	open[len(open)-1].Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestRequestsHaveAnID(t *testing.T) {
	c := start(t, nil)
	for given, taken := range map[string]bool{
		"abc-DEF_1.2": true, strings.Repeat("x", 64): true, "": false, strings.Repeat("x", 65): false, "a b": false, "ä": false, `"`: false,
	} {
		headers := []string{}
		if given != "" {
			headers = append(headers, "X-Request-Id: "+given)
		}
		got := c.do("GET", alice, "", headers...).Header.Get("X-Request-Id")
		if (got == given) != taken || got == "" {
			t.Errorf("given %q, got %q", given, got)
		}
		if logged := c.ended(); logged["request"] != got || logged["path"] != "/v1/workers/{component}/{worker}" || logged["method"] != "GET" {
			t.Errorf("logged %v, want request %s", logged, got)
		}
	}
	secure := start(t, withTokens).with("read")
	secure.do("GET", alice, "")
	if got := secure.ended(); got["token"] != "test" || got["status"] != float64(200) || got["bytes"] == float64(0) || got["duration"] == nil {
		t.Errorf("logged %v", got)
	}
}

func TestPathsAndMethodsThatAreNotThereAreProblems(t *testing.T) {
	c := start(t, withTokens)
	for _, path := range []string{"/v2", "/v1", "/v1/", "/docs", "/schemas/Worker.json", "/openapi-3.0.json", "//", "/v1//workers", "/v1/workers/", alice + "/", alice + "/nothing", "/v1/./workers", "/%2e%2e/x", "/v1/../metrics"} {
		refused(t, c.do("GET", path, ""), api.CodeNoRoute)
	}
	for _, q := range []string{"POST /v1/workers", "PATCH " + alice, "DELETE /", "PUT /healthz", "GET " + alice + "/resume", "BREW " + shop} {
		method, path, _ := strings.Cut(q, " ")
		r := c.do(method, path, "")
		refused(t, r, api.CodeMethod)
		if r.Header.Get("Allow") == "" {
			t.Errorf("%s: there is no Allow", q)
		}
	}
	if r := c.with("read").do("HEAD", alice, ""); r.StatusCode != http.StatusOK || len(r.body) > 0 {
		t.Errorf("HEAD: got %d %q", r.StatusCode, r.body)
	}
}
