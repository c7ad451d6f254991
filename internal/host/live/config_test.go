package live

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/config"
)

func valuesOf(t *testing.T, source, component string) (map[string]string, error) {
	t.Helper()
	s, err := ConfigSource(source)
	if err != nil {
		t.Fatal(err)
	}
	return s.Values(context.Background(), component)
}

func wantValues(t *testing.T, source, component string, want map[string]string) {
	t.Helper()
	if got, err := valuesOf(t, source, component); err != nil || !maps.Equal(got, want) {
		t.Errorf("%s has %v for %s, %v; want %v", source, got, component, err, want)
	}
}

func TestFilesOfAComponentAreItsValues(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("shop/url", "there\n")
	write("shop/two", "a\nb\n\n")
	write("shop/.hidden", "x")
	write("shop/directory/file", "x")
	write("other/url", "elsewhere")
	if err := os.Symlink("url", filepath.Join(dir, "shop/link")); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "dir:"+dir, "shop", map[string]string{"url": "there", "two": "a\nb\n", "link": "there"})
	wantValues(t, "dir:"+dir, "nobody", nil)
	write("shop/large", strings.Repeat("x", config.MaxBytes+1))
	if _, err := valuesOf(t, "dir:"+dir, "shop"); err == nil || !strings.Contains(err.Error(), "shop/large") {
		t.Errorf("a large file: %v", err)
	}
	write("shop/large", "\xff")
	if _, err := valuesOf(t, "dir:"+dir, "shop"); err == nil {
		t.Error("what is not UTF-8 is taken")
	}
}

func TestVariablesOfAComponentAreItsValues(t *testing.T) {
	t.Setenv("APP_MY_SHOP_2__url", "there")
	t.Setenv("APP_MY_SHOP_2__", "no name")
	t.Setenv("APP_MY_SHOP__url", "elsewhere")
	wantValues(t, "env:APP_", "my-shop.2", map[string]string{"url": "there"})
	wantValues(t, "env:OTHER_", "my-shop.2", map[string]string{})
}

func TestAServiceGivesAComponentsValues(t *testing.T) {
	t.Setenv(configAuthorization, "Bearer abc")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/shop", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"url": "there", "who": %q}`, r.Header.Get("Authorization"))
	})
	mux.Handle("GET /v1/away", http.RedirectHandler("/v1/shop", http.StatusFound))
	mux.HandleFunc("GET /v1/list", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `["x"]`) })
	mux.HandleFunc("GET /v1/large", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"x": %q}`, strings.Repeat("x", 3*config.MaxBytes))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	wantValues(t, s.URL+"/v1", "shop", map[string]string{"url": "there", "who": "Bearer abc"})
	wantValues(t, s.URL+"/v1/", "nobody", nil)
	for _, component := range []string{"away", "list", "large"} {
		if v, err := valuesOf(t, s.URL+"/v1", component); err == nil || !strings.Contains(err.Error(), component) {
			t.Errorf("%s: got %d values, %v", component, len(v), err)
		}
	}
	s.Close()
	if _, err := valuesOf(t, s.URL, "shop"); err == nil {
		t.Error("a service that is down answers")
	}
}

func TestWhatIsNoSourceIsRefused(t *testing.T) {
	for _, text := range []string{"", "dir:", "env:", "file:/x", "http://", "ftp://host/", "https://host/?a=b", "https://host/#a", "x"} {
		if _, err := ConfigSource(text); err == nil || !strings.Contains(err.Error(), "dir:PATH") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
