package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/server"
)

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// headerPatience is for the headers of requests to what beside serves.
const headerPatience = 2 * time.Second

// beside serves a node and, at another address, what answers every request with
// its path.
func beside(t *testing.T) (rest, public string, end func() error) {
	at, other := listen(t), listen(t)
	s, err := server.New(server.Config{Platform: newNode(), Public: &server.Public{
		Listener: other,
		Handler: func(observe func(string, int, time.Duration), until func(context.Context) (context.Context, context.CancelCauseFunc)) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					ctx, cancel := until(r.Context())
					<-ctx.Done()
					cancel(nil)
				}
				observe("some", http.StatusTeapot, time.Millisecond)
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, r.URL.Path)
			})
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.SetHeaderWait(headerPatience)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, at, nil) }()
	end = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		default:
		}
	})
	return at.Addr().String(), other.Addr().String(), end
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.DefaultTransport.RoundTrip(must(http.NewRequest(http.MethodGet, url, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestWhatControlsTheNodeIsNotAtThePublicAddress(t *testing.T) {
	rest, public, end := beside(t)
	for _, path := range []string{"/v1/components", "/v1/tokens", "/metrics", "/healthz", "/openapi.json", "/"} {
		if status, body := get(t, "http://"+public+path); status != http.StatusTeapot || body != path {
			t.Errorf("%s: got %d %s at the public address", path, status, body)
		}
		if status, _ := get(t, "http://"+rest+path); status != http.StatusOK {
			t.Errorf("%s: got %d at the address of the REST interface", path, status)
		}
	}
	// Nor by asking for it in the form that proxies are asked in.
	c, err := net.Dial("tcp", public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET http://%s/v1/components HTTP/1.1\r\nHost: %s\r\n\r\n", rest, rest)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusTeapot {
		t.Errorf("got %d", r.StatusCode)
	}
	if _, metrics := get(t, "http://"+rest+"/metrics"); !strings.Contains(metrics, `waterbear_route_request_seconds_count{class="4xx",route="some"} 7`) {
		t.Errorf("requests of routes are not measured: %s", metrics)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestAHeaderThatIsTooLongIsRefusedAtThePublicAddress(t *testing.T) {
	_, public, _ := beside(t)
	c, err := net.Dial("tcp", public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: h\r\nX: ")
		for range 100 {
			if _, err := io.WriteString(c, strings.Repeat("x", 1<<10)); err != nil {
				return
			}
		}
	}()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", r.StatusCode)
	}
}

func TestAClientThatTakesItsTimeForAHeaderIsCutOff(t *testing.T) {
	rest, public, _ := beside(t)
	for _, at := range []string{rest, public} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ")
		_ = c.SetReadDeadline(time.Now().Add(20 * headerPatience))
		b, err := io.ReadAll(c)
		if err != nil || strings.Contains(string(b), " 200 ") || strings.Contains(string(b), " 418 ") {
			t.Errorf("got %q, %v, want an end", b, err)
		}
	}
}

func TestRequestsOfRoutesEndWithTheServer(t *testing.T) {
	_, public, end := beside(t)
	c, err := net.Dial("tcp", public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	answered := make(chan int, 1)
	go func() {
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			r.Body.Close()
			answered <- r.StatusCode
		}
		close(answered)
	}()
	get(t, "http://"+public+"/") // the other one is likely to be there by now
	if err := end(); err != nil {
		t.Error(err)
	}
	if status, ok := <-answered; ok && status != http.StatusTeapot {
		t.Errorf("got %d", status)
	}
}

func TestAServerThatCannotServeOneAddressServesNone(t *testing.T) {
	at, other := listen(t), listen(t)
	other.Close()
	s, err := server.New(server.Config{Platform: newNode(), Public: &server.Public{
		Listener: other, Handler: func(func(string, int, time.Duration), func(context.Context) (context.Context, context.CancelCauseFunc)) http.Handler {
			return http.NotFoundHandler()
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), at, nil); err == nil || !strings.Contains(err.Error(), "serve routes on ") {
		t.Errorf("got %v", err)
	}
	if c, err := net.Dial("tcp", at.Addr().String()); err == nil {
		c.Close()
		t.Error("the other address is still served")
	}
}
