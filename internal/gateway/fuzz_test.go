package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
)

// FuzzRequest sends anything to routes that take from everywhere. What they answer
// has to be whole, and nothing may be the gateway's own fault.
func FuzzRequest(f *testing.F) {
	for _, s := range []struct{ method, path, media, body, key string }{
		{"POST", "/carts/a", "application/json", `{"sku":"x","qty":1,"note":null}`, ""},
		{"POST", "/carts/a", "application/x-www-form-urlencoded", "sku=x&qty=1", "k"},
		{"POST", "/carts/a", "application/json; charset=x", `{"sku":"x","sku":"y"}`, `"k"`},
		{"GET", "/many?ns=1&c=red&r=read&big=1&ok=true&ch=x&f=1&s=large", "", "", ""},
		{"POST", "/many", "application/json", `{"ns":[1],"c":"red","r":[],"big":"1","ok":true,"ch":"x","f":"NaN","s":"large"}`, ""},
		{"POST", "/bytes", "image/png", "\x00\xff", ""},
		{"POST", "/bytes", "application/json", `"AP8="`, ""},
		{"POST", "/core", "application/json", "[1,2]", ""},
		{"PUT", "/cmd/x", "text/plain", "y\x00", ""},
		{"OPTIONS", "/core", "", "", ""},
		{"POST", "/%2e%2e", "", "", ""},
	} {
		f.Add(s.method, s.path, s.media, s.body, s.key)
	}
	w := newTown(f)
	g := gateway.New(w)
	routes := []api.Route{
		{Name: "place", Component: "shop", Function: "place", Path: "/carts/{cart}", Worker: "path.cart"},
		{Name: "get", Component: "shop", Function: "many", Methods: []string{"GET"}, Path: "/many", Worker: "pool.w.3"},
		{Name: "many", Component: "shop", Function: "many", Path: "/many", Worker: "request", Key: "request"},
		{Name: "bytes", Component: "shop", Function: "bytes", Path: "/bytes", Worker: "name.w", Content: "image/png"},
		{Name: "core", Component: "core", Function: "mul", Path: "/core", Worker: "name.w", CORS: &api.CORS{Origins: []string{"*"}}},
		{Name: "cmd", Component: "cmd", Function: "run", Methods: []string{"PUT"}, Path: "/cmd/{a}", Worker: "name.w", Arguments: args("1", "path.a", "2", "raw")},
	}
	if err := g.Check(f.Context(), routes, nil); err != nil {
		f.Fatal(err)
	}
	if err := g.Set(routes); err != nil {
		f.Fatal(err)
	}
	h := g.Handler(gateway.Options{})
	f.Fuzz(func(t *testing.T, method, path, media, body, key string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://h/", strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		if r.URL, err = r.URL.Parse(path); err != nil || r.URL.Host != "h" {
			return
		}
		r.Header.Set("Content-Type", media)
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		if answer.Code >= http.StatusInternalServerError {
			t.Errorf("got %d %s", answer.Code, answer.Body)
		}
		if of := answer.Header().Get("Content-Type"); strings.HasSuffix(of, "json") && !json.Valid(answer.Body.Bytes()) {
			t.Errorf("got %d %s: %s", answer.Code, of, answer.Body)
		}
	})
}
