package waterbear_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
)

func TestWorkersAnswerRequestsOverHTTP(t *testing.T) {
	dir := t.TempDir()
	node := openPlatform(t, dir)
	p := node.Platform()
	if _, err := p.Deploy(t.Context(), "web", guests.Wasm(t, "components/http"), nil); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p.Handler(alice))
	ask := func(method, path, key string, body []byte) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "text/x")
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s %s", a.StatusCode, a.Header.Get("Content-Type"), b)
	}
	long := strings.Repeat("0123456789", 30_000)
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %.300q, want %.300q", got, want)
		}
	}
	check(ask("GET", "/?a=%20b", "k", nil), "200 text/plain request 1: GET a=%20b\n")
	check(ask("PUT", "/echo", "", []byte(long)), "200 text/x "+long)
	check(ask("HEAD", "/", "", nil), "200 text/plain ")
	if got := ask("GET", "/trap", "", nil); !strings.HasPrefix(got, "500 application/problem+json ") || strings.Contains(got, "unreachable") || strings.Contains(got, "stack") {
		t.Errorf("got %s", got)
	}
	check(ask("GET", "/?a=%20b", "k", nil), "200 text/plain request 1: GET a=%20b\n")
	s.Close()
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}

	node = openPlatform(t, dir)
	defer node.Close()
	s = httptest.NewServer(node.Platform().Handler(alice))
	defer s.Close()
	check(ask("GET", "/?a=%20b", "k", nil), "200 text/plain request 1: GET a=%20b\n")
	check(ask("GET", "/", "", nil), "200 text/plain request 4: GET \n")
}

func alice(*http.Request) (component, name string, err error) { return "web", "alice", nil }
