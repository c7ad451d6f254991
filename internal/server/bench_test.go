package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// elsewhere is a platform whose invocations end at once, in another goroutine, as
// they do in earnest.
type elsewhere struct {
	server.Platform
	calls chan chan api.Invocation
}

func (e elsewhere) Invoke(context.Context, string, string, api.Call) (api.Invocation, error) {
	done := make(chan api.Invocation)
	e.calls <- done
	return <-done, nil
}

// work answers until there are no more calls.
func (e elsewhere) work() {
	ended := epoch.Add(time.Millisecond)
	for done := range e.calls {
		done <- api.Invocation{
			Worker: "shop/alice", Key: "i-2f7k3m9q4w8x1z5c", Function: "echo", Args: []byte(`["hi"]`), State: api.StateFinished, Index: 3,
			Accepted: epoch, Attempts: 1, Ended: &ended, Result: []byte(`["hi"]`), From: 4, To: 5,
		}
	}
}

// ours serves as the binary does, which writes many lines of the log at a time.
func (e elsewhere) ours(b *testing.B, l net.Listener) (stop func()) {
	s, err := server.New(server.Config{Platform: e, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(ctx, l, nil) })
	return func() {
		cancel()
		serving.Wait()
	}
}

// bare is the least of Go's own server that gives the same answers.
func (e elsewhere) bare(_ *testing.B, l net.Listener) (stop func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/workers/{component}/{worker}/invoke/{function}", func(w http.ResponseWriter, r *http.Request) {
		args, _ := io.ReadAll(r.Body)
		i, _ := e.Invoke(r.Context(), r.PathValue("component"), r.PathValue("worker"), api.Call{Args: args})
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(i)
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	return func() {
		_ = s.Close()
		serving.Wait()
	}
}

// BenchmarkServe is what HTTP costs an invocation, over connections that are kept
// and with their clients in the same process, which is all that cpu-µs/op counts.
func BenchmarkServe(b *testing.B) {
	const clients = 16
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as a busy server has it
	for _, one := range []struct {
		name  string
		serve func(e elsewhere, b *testing.B, l net.Listener) (stop func())
	}{{"ours", elsewhere.ours}, {"bare", elsewhere.bare}} {
		b.Run(one.name, func(b *testing.B) {
			e := elsewhere{newNode(), make(chan chan api.Invocation)}
			var working sync.WaitGroup
			for range clients {
				working.Go(e.work)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			stop := one.serve(e, b, l)
			b.ReportAllocs()
			send(b, l.Addr().String(), clients)
			stop()
			close(e.calls)
			working.Wait()
		})
	}
}

// send lets clients send one request after the other, b.N together.
func send(b *testing.B, address string, clients int) {
	request := []byte("POST /v1/workers/shop/alice/invoke/echo HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: Go-http-client/1.1\r\n" +
		"Content-Length: 6\r\nContent-Type: application/json\r\n\r\n" + `["hi"]`)
	var left atomic.Int64
	left.Store(int64(b.N))
	var sending sync.WaitGroup
	before := computed(b)
	b.ResetTimer()
	for range clients {
		sending.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			answer := make([]byte, 4096)
			for left.Add(-1) >= 0 {
				_, err := c.Write(request)
				for n := 0; err == nil && !bytes.HasSuffix(bytes.TrimSpace(answer[:n]), []byte("}")); {
					var more int
					more, err = c.Read(answer[n:])
					n += more
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	b.StopTimer()
	b.ReportMetric(float64((computed(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// computed is the processor time that the process has used.
func computed(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
