package server_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

// village has four components, each with two workers.
func village(t *testing.T) *client {
	c := start(t, withTokens)
	for _, component := range []string{"baker", "smith", "tailor"} {
		if _, err := c.node.Deploy(t.Context(), component, []byte(module), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, component := range []string{"baker", "shop", "smith", "tailor"} {
		for _, name := range []string{"1", "2"} {
			if _, _, err := c.node.CreateWorker(t.Context(), component, component+name, api.NewWorker{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

func TestATokenForSomeComponentsSeesNoOthers(t *testing.T) {
	c := village(t)
	if got := c.with("read").names("limit=3"); got != "baker1 baker2 alice shop1 shop2 smith1 smith2 tailor1 tailor2" {
		t.Errorf("read: got %q", got)
	}
	limited := c.with("read:tailor", "invoke:baker", "deploy:smith", "read:tailor", "read:none")
	for _, query := range []string{"limit=1", "limit=2", "limit=100"} {
		if got := limited.names(query); got != "baker1 baker2 tailor1 tailor2" {
			t.Errorf("%s: got %q", query, got)
		}
	}
	if got := limited.names("component=tailor"); got != "tailor1 tailor2" {
		t.Errorf("got %q", got)
	}
	page := wants[api.Page[api.Component]](t, limited.do("GET", "/v1/components", ""), http.StatusOK)
	var names []string
	for _, item := range page.Items {
		names = append(names, item.Name)
	}
	if got := strings.Join(names, " "); got != "baker smith tailor" {
		t.Errorf("components: got %q", got)
	}
	for _, cursor := range []string{"x", "shop/", "none", base64.RawURLEncoding.EncodeToString([]byte("shop/shop/shop1")), base64.RawURLEncoding.EncodeToString([]byte("shop"))} {
		refused(t, limited.do("GET", "/v1/workers?cursor="+cursor, ""), api.CodeInvalid)
		refused(t, limited.do("GET", "/v1/calls?cursor="+cursor, ""), api.CodeInvalid)
	}
	var calls []string
	for cursor := ""; ; {
		page := wants[api.CallPage](t, limited.do("GET", "/v1/calls?limit=1&cursor="+cursor, ""), http.StatusOK)
		for _, v := range page.Items {
			calls = append(calls, v.Worker)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if got := strings.Join(calls, " "); got != "baker/baker1 baker/baker2 tailor/tailor1 tailor/tailor2" {
		t.Errorf("calls: got %q", got)
	}
	refused(t, limited.do("GET", "/v1/calls?component=shop", ""), api.CodeForbidden)
	refused(t, limited.do("GET", "/v1/calls?worker=alice", ""), api.CodeInvalid)
}

func TestWhatATokenIsNotForLooksTheSameWhetherItExistsOrNot(t *testing.T) {
	c := village(t).with("read:tailor", "invoke:tailor", "deploy:tailor")
	for _, q := range []struct{ method, path, body string }{
		{"GET", "/v1/components/%", ""},
		{"GET", "/v1/components/%/revisions", ""},
		{"GET", "/v1/workers?component=%", ""},
		{"GET", "/v1/calls?component=%", ""},
		{"GET", "/v1/workers/%/alice/calls/7", ""},
		{"POST", "/v1/workers/%/alice/calls/7/resolve", `{"how":"fail"}`},
		{"GET", "/v1/workers/%/alice", ""},
		{"GET", "/v1/workers/%/alice/logs", ""},
		{"POST", "/v1/workers/%/alice/invoke/add", "[1]"},
		{"POST", "/v1/workers/%/alice/invoke/add", "nonsense"},
		{"DELETE", "/v1/workers/%/alice", ""},
	} {
		there := c.do(q.method, strings.Replace(q.path, "%", "shop", 1), q.body)
		missing := c.do(q.method, strings.Replace(q.path, "%", "gone", 1), q.body)
		refused(t, there, api.CodeForbidden)
		if want := strings.ReplaceAll(string(there.body), "shop", "gone"); string(missing.body) != want {
			t.Errorf("%s %s: got %s for what is not there, %s for what is", q.method, q.path, missing.body, there.body)
		}
	}
}

func TestADeletedTokenStopsWorking(t *testing.T) {
	c := start(t, withTokens)
	admin := c.with("admin")
	made := wants[api.CreatedToken](t, admin.do("POST", "/v1/tokens", `{"name":"ci","scopes":["read:shop"]}`), http.StatusCreated)
	ci := *c
	ci.token = made.Secret
	wants[api.WorkerDetail](t, ci.do("GET", alice, ""), http.StatusOK)
	list := admin.do("GET", "/v1/tokens", "")
	if strings.Contains(string(list.body), made.Secret) {
		t.Error("the list has the secret")
	}
	if r := admin.do("DELETE", "/v1/tokens/ci", ""); r.StatusCode != http.StatusNoContent {
		t.Fatalf("got %d %s", r.StatusCode, r.body)
	}
	refused(t, ci.do("GET", alice, ""), api.CodeUnauthorized)
	refused(t, admin.do("DELETE", "/v1/tokens/ci", ""), api.CodeNoToken)
	refused(t, admin.do("POST", "/v1/tokens", `{"name":"x","scopes":[]}`), api.CodeInvalid)
	refused(t, admin.do("POST", "/v1/tokens", `{"name":"x","scopes":["read"],"Secret":"mine"}`), api.CodeInvalid)
}

func TestNoBodyIsReadBeforeTheTokenIsKnown(t *testing.T) {
	c := start(t, withTokens)
	refused(t, c.do("PUT", shop, strings.Repeat("x", 1<<20), "Content-Type: text/plain"), api.CodeUnauthorized)
}

func TestWebPagesOfOthersAreRefused(t *testing.T) {
	c := start(t, func(c *server.Config) { c.Hosts = []string{"bear.example", "den.example:8080"} })
	for _, host := range []string{"localhost", "LOCALHOST:1234", "127.0.0.1", "127.0.0.1:99", "[::1]:4004", "[::1]", "10.1.2.3", "bear.example", "bear.example:4004", "den.example:8080"} {
		if r := c.do("GET", alice, "", "Host: "+host); r.StatusCode != http.StatusOK {
			t.Errorf("host %s: got %d %s", host, r.StatusCode, r.body)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:4004", "localhost.evil.example", "den.example", "127.0.0.1.evil.example"} {
		refused(t, c.do("GET", alice, "", "Host: "+host), api.CodeForbidden)
	}
	own := "Origin: " + c.url
	if r := c.do("POST", alice+"/invoke/add", "[1]", own, "Sec-Fetch-Site: same-origin"); r.StatusCode != http.StatusOK {
		t.Errorf("from its own origin: got %d %s", r.StatusCode, r.body)
	}
	for _, header := range []string{"Origin: http://evil.example", "Origin: null", "Origin: x", "Origin: http://127.0.0.1:1", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
		refused(t, c.do("POST", alice+"/invoke/add", "[1]", header), api.CodeForbidden)
	}
	refused(t, c.do("GET", alice, "", "Origin: http://evil.example"), api.CodeForbidden)
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/jsonx", "json", ","} {
		refused(t, c.do("POST", alice+"/invoke/add", "[1]", "Content-Type: "+media), api.CodeMediaType)
		refused(t, c.do("POST", alice+"/resume", "", "Content-Type: "+media), api.CodeMediaType)
	}
	if r := c.do("POST", alice+"/invoke/add", "[1]", "Content-Type: application/json; charset=UTF-8"); r.StatusCode != http.StatusOK {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
	if r := c.do("OPTIONS", alice, "", "Access-Control-Request-Method: PUT"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: got %d %v", r.StatusCode, r.Header)
	}
	secure := start(t, withTokens) // whose secrets no web page has
	refused(t, secure.do("GET", alice, "", "Host: any.example"), api.CodeUnauthorized)
}
