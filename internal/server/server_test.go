package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// module is what the fake takes for a WebAssembly module.
const module = "\x00asm module"

// client speaks to a server under test.
type client struct {
	t      testing.TB
	node   *node
	server *server.Server
	url    string
	token  string
	log    *accessLog
}

// start serves a fake node, which has the component shop with the worker alice.
func start(t testing.TB, change func(*server.Config)) *client {
	t.Helper()
	n := newNode()
	l := &accessLog{lines: make(chan []byte, maxLines)}
	c := server.Config{Platform: n, Timeout: time.Minute, Log: slog.New(slog.NewJSONHandler(l, nil)), Version: "test"}
	if change != nil {
		change(&c)
	}
	s, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.begin(t)
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	return &client{t: t, node: n, server: s, url: h.URL, log: l}
}

// begin makes the node what it is at the beginning of a test.
func (n *node) begin(t testing.TB) {
	t.Helper()
	n.components, n.workers, n.tokens = map[string]*component{}, map[string]*instance{}, map[string]heldToken{}
	if _, err := n.Deploy(t.Context(), "shop", []byte(module), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.CreateWorker(t.Context(), "shop", "alice", api.NewWorker{}); err != nil {
		t.Fatal(err)
	}
}

// with is the client with a token of its own, which has these scopes.
func (c *client) with(scopes ...api.Scope) *client {
	c.t.Helper()
	made, err := c.node.CreateToken(c.t.Context(), api.NewToken{Name: "test", Scopes: scopes})
	if err != nil {
		c.t.Fatal(err)
	}
	other := *c
	other.token = made.Secret
	return &other
}

// accessLog keeps what a server logs, one JSON object a line.
type accessLog struct{ lines chan []byte }

// maxLines is more than a test logs.
const maxLines = 10_000

func (l *accessLog) Write(b []byte) (int, error) {
	l.lines <- bytes.Clone(b)
	return len(b), nil
}

// ended waits for the next request to end, and gives what the log says of it.
func (c *client) ended() map[string]any {
	c.t.Helper()
	for {
		select {
		case line := <-c.log.lines:
			var v map[string]any
			if err := json.Unmarshal(line, &v); err != nil {
				c.t.Fatalf("decode %s: %v", line, err)
			}
			if v["msg"] == "request" {
				return v
			}
		case <-c.t.Context().Done():
			c.t.Fatal("no request ends")
		}
	}
}

func withTokens(c *server.Config) { c.Auth = true }

// reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body []byte
}

// do sends a request. Headers are written as "Name: value"; the body is JSON
// unless they say otherwise.
func (c *client) do(method, path, body string, headers ...string) reply {
	c.t.Helper()
	resp := c.send(method, path, body, headers...)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	return reply{resp, b}
}

// send is do for answers that are streams.
func (c *client) send(method, path, body string, headers ...string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// wants fails the test unless the answer has a status, and decodes its body.
func wants[T any](t testing.TB, r reply, status int) T {
	t.Helper()
	var v T
	if r.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, want %d", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.body, status)
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil && status != http.StatusNoContent {
		t.Fatalf("%s %s: decode %s: %v", r.Request.Method, r.Request.URL.Path, r.body, err)
	}
	return v
}

// refused fails the test unless the answer is a problem with this code.
func refused(t testing.TB, r reply, code api.Code) api.Problem {
	t.Helper()
	p := wants[api.Problem](t, r, api.NewProblem(code, "").Status)
	if p.Code != code || p.Detail == "" || p.Title == "" || p.Status != r.StatusCode {
		t.Errorf("%s %s: got %+v, want code %s with title, detail and status", r.Request.Method, r.Request.URL.Path, p, code)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s %s: got Content-Type %q, want a problem", r.Request.Method, r.Request.URL.Path, got)
	}
	return p
}
