package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/server"
)

// target is a server whose platform checks, too, that it is not given what the
// contract forbids.
type target struct {
	*node
	t *testing.T
	h http.Handler
}

func (n *target) check(component, name string) {
	if err := (id.Worker{Component: component, Name: name}).Check(); err != nil {
		n.t.Errorf("the platform was asked for %q/%q: %v", component, name, err)
	}
}

func newTarget(f *testing.F) *target {
	n := &target{node: newNode()}
	s, err := server.New(server.Config{Platform: n.node, MaxBody: 1 << 16, Log: slog.New(slog.NewJSONHandler(n, nil))})
	if err != nil {
		f.Fatal(err)
	}
	n.h = s.Handler()
	return n
}

// begin forgets what was before.
func (n *target) begin(t *testing.T) {
	n.t = t
	n.node.begin(t)
}

// Write takes the log, in which there must be no error of ours.
func (n *target) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(`"level":"ERROR"`)) {
		n.t.Errorf("logged %s", b)
	}
	return len(b), nil
}

// ask sends a request that no client would make, and checks that the answer is
// one of ours.
func (n *target) ask(method, target string, header http.Header, body []byte) *httptest.ResponseRecorder {
	u, err := url.Parse("http://localhost" + target)
	if err != nil || u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") {
		return nil // net/http would not have let it in
	}
	r := &http.Request{
		Method: method, URL: u, Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	w := httptest.NewRecorder()
	n.h.ServeHTTP(w, r.WithContext(n.t.Context()))
	answer := w.Result()
	if answer.StatusCode >= 300 {
		var p api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != answer.StatusCode || api.NewProblem(p.Code, "").Status != p.Status {
			n.t.Errorf("%s %q answered %d with %q, which is no problem", method, target, answer.StatusCode, w.Body)
		}
		if p.Code == api.CodeInternal {
			n.t.Errorf("%s %q: internal error", method, target)
		}
	}
	return w
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/v1/workers/shop/alice", "/v1/workers/shop/%61lice", "/v1/workers/shop/..%2f..", "/v1/workers/%00/x", "/v1/workers/shop/alice/files/a/../b",
		"/v1/workers/shop/alice/files/%2e%2e/%2e%2e/etc", "/v1/components/-", "//v1", "/v1/workers/shop/alice/invocations/%2E", "/", "/%", "/?%zz", "/v1/workers/shop/alice/invoke/add",
	} {
		f.Add("GET", s)
	}
	f.Add("DELETE", "/v1/workers/shop/alice/invocations/%7F")
	f.Add("POST", "/v1/workers/shop/a b/resume")
	f.Add("P T", "/")
	n := newTarget(f)
	f.Fuzz(func(t *testing.T, method, path string) {
		n.begin(t)
		n.ask(method, path, http.Header{}, nil)
		for key := range n.workers {
			component, name, _ := strings.Cut(key, "/")
			n.check(component, name)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"component=shop&revision=1&status=Idle&name=*&env=A=b&createdAfter=2020-01-01T00:00:00Z&limit=7", "limit=-1", "limit=1e3", "limit=0x10",
		"name=%5B", "cursor=%00", "createdBefore=9999-12-31T23:59:60Z", "status=", "limit", "&&&", "a;b", "revision=18446744073709551616", "limit=1&limit=1001",
	} {
		f.Add(s)
	}
	n := newTarget(f)
	f.Fuzz(func(t *testing.T, query string) {
		if strings.ContainsAny(query, "#") {
			return
		}
		n.begin(t)
		for _, name := range []string{"a", "b", "c"} {
			if _, _, err := n.CreateWorker(t.Context(), "shop", name, api.NewWorker{}); err != nil {
				t.Fatal(err)
			}
		}
		w := n.ask(http.MethodGet, "/v1/workers?"+query, http.Header{}, nil)
		if w == nil || w.Code != http.StatusOK {
			return
		}
		var page api.Page[api.Worker]
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Items) > 1000 {
			t.Errorf("%q: got %s, %v", query, w.Body, err)
		}
		n.ask(http.MethodGet, "/v1/workers/shop/a/logs?"+query, http.Header{"Last-Event-Id": {query}}, nil)
	})
}

func FuzzInvoke(f *testing.F) {
	f.Add("add", "async=true", "k", []byte("[1]"))
	f.Add("add", "in=1h", "", []byte(""))
	f.Add("add", "at=2030-01-01T00:00:00+14:00", "~", []byte(" [ 18446744073709551616 ] "))
	f.Add("add", "timeout=1ns", "a b", []byte("[1,]"))
	f.Add("trap", "async=&in=&at=", strings.Repeat("k", 257), []byte("[\xff]"))
	f.Add("é", "in=9223372036854775807ns", "k", []byte(strings.Repeat("[", 20000)))
	n := newTarget(f)
	f.Fuzz(func(t *testing.T, function, query, key string, body []byte) {
		if function == "forever" || function == "panic" || function == "error" || strings.Contains(query, "#") {
			return // what the fake has for tests
		}
		n.begin(t)
		header := jsonHeader()
		if key != "" {
			header["Idempotency-Key"] = []string{key}
		}
		n.ask(http.MethodPost, "/v1/workers/shop/alice/invoke/"+url.PathEscape(function)+"?"+query, header, body)
		for used, i := range n.workers["shop/alice"].invocations {
			if key != "" && used != key || !json.Valid(i.Args) || i.Args[0] != '[' || i.Function != function {
				t.Errorf("invoked %+v for key %q and body %q", i, key, body)
			}
		}
	})
}

func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"limits":{"memory":65536,"cpuTime":"1s"},"retry":{"jitter":0.5}}`))
	f.Add([]byte(`{"revision":1,"args":["a"],"env":["K=V"],"files":{"/a":"aGk="},"ephemeral":true,"settings":{"limits":{}}}`))
	f.Add([]byte(`{"name":"x","scopes":["read"],"expires":"2030-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"reason":null}`))
	f.Add([]byte(`{"limits":{"memory":1e30}}`))
	f.Add([]byte(`{"files":{"":{}}}`))
	f.Add([]byte(strings.Repeat(`{"limits":`, 3000)))
	f.Add([]byte(`{"args":[` + strings.Repeat("1,", 100) + `1]}`))
	n := newTarget(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		n.begin(t)
		n.ask(http.MethodPut, shop+"/settings", jsonHeader(), body)
		n.ask(http.MethodPut, "/v1/workers/shop/bob", jsonHeader(), body)
		n.ask(http.MethodPost, alice+"/interrupt", jsonHeader(), body)
		n.ask(http.MethodPost, "/v1/tokens", jsonHeader(), body)
		n.ask(http.MethodPut, shop, http.Header{"Content-Type": {"application/wasm"}}, body)
	})
}
