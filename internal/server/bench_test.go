package server_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// unread is a ResponseWriter that costs nothing.
type unread struct {
	header http.Header
	status int
}

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }
func (u *unread) WriteHeader(status int)      { u.status = status }

// BenchmarkInvoke is what this package adds to an invocation that the platform
// answers at once, with tokens and an access log; /get-worker is what huma adds
// to an operation that it serves.
func BenchmarkInvoke(b *testing.B) {
	n := newNode()
	s, err := server.New(server.Config{Platform: n, Auth: true, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	if _, err := n.Deploy(ctx, "shop", []byte(module), nil); err != nil {
		b.Fatal(err)
	}
	if _, err := n.CreateToken(ctx, api.NewToken{Name: "t", Scopes: []api.Scope{"admin"}}); err != nil {
		b.Fatal(err)
	}
	call := api.Call{Function: "add", Args: []byte("[1]"), Key: "k"}
	if _, err := n.Invoke(ctx, "shop", "alice", call); err != nil {
		b.Fatal(err)
	}
	h := s.Handler()
	run := func(name, method, path, body string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			content := strings.NewReader(body)
			r := httptest.NewRequest(method, path, content)
			r.Host = "127.0.0.1"
			r.Header.Set("Authorization", "Bearer secret-of-t")
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "k")
			for b.Loop() {
				content.Reset(body)
				r.Body = io.NopCloser(content)
				w := &unread{header: http.Header{}}
				if h.ServeHTTP(w, r); w.status != http.StatusOK {
					b.Fatalf("got %d", w.status)
				}
			}
		})
	}
	run("rest", http.MethodPost, "/v1/workers/shop/alice/invoke/add?timeout=10s", "[1]")
	run("get-worker", http.MethodGet, "/v1/workers/shop/alice", "")
	b.Run("platform", func(b *testing.B) {
		for b.Loop() {
			if _, err := n.Invoke(ctx, "shop", "alice", call); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := server.New(server.Config{Platform: newNode()}); err != nil {
			b.Fatal(err)
		}
	}
}
