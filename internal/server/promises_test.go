package server_test

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
)

func TestAWebhookNeedsNoTokenAndWorksOnce(t *testing.T) {
	c := start(t, withTokens)
	for _, path := range []string{"/v1/webhooks/hoo", "/v1/webhooks/hookk", "/v1/webhooks/%00"} {
		refused(t, c.do("POST", path, "yes"), api.CodeNoPromise)
	}
	r := c.do("POST", "/v1/webhooks/hook?from=mail", "ok=yes", "Content-Type: application/x-www-form-urlencoded")
	if r.StatusCode != 200 || !strings.Contains(string(r.body), `"by":"a webhook"`) {
		t.Fatalf("got %d %s", r.StatusCode, r.body)
	}
	refused(t, c.do("POST", "/v1/webhooks/hook", "ok=no"), api.CodePromiseSettled)
	refused(t, c.do("GET", "/v1/webhooks/hook", ""), api.CodeMethod)
	if p, _ := c.node.Promise(t.Context(), "shop", "alice", "p"); *p.Value != "ok=yes" {
		t.Errorf("the value is %q", *p.Value)
	}
}

func TestTheLogDoesNotTellWebhooks(t *testing.T) {
	c := start(t, nil)
	c.do("POST", "/v1/webhooks/hook", "yes")
	if line := string(<-c.log.lines); strings.Contains(line, "webhooks/hook") || !strings.Contains(line, "/v1/webhooks/{hook}") {
		t.Errorf("the log says %s", line)
	}
}

func TestAWebhookTakesNoMoreThanABody(t *testing.T) {
	c := start(t, nil)
	refused(t, c.do("POST", "/v1/webhooks/hook", strings.Repeat("x", 1<<20+1)), api.CodeTooLarge)
}

func TestWhoSettledAPromiseIsTold(t *testing.T) {
	c := start(t, withTokens).with("invoke:shop")
	r := c.do("POST", alice+"/promises/p/complete", `{"ok":true}`, "Content-Type: application/json", "Idempotency-Key: k")
	if r.StatusCode != 200 || !strings.Contains(string(r.body), `"by":"a client with the token `) {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
	if again := c.do("POST", alice+"/promises/p/complete", `{"ok":true}`, "Content-Type: application/json", "Idempotency-Key: k"); again.StatusCode != 200 {
		t.Errorf("the same again: got %d %s", again.StatusCode, again.body)
	}
	refused(t, c.do("POST", alice+"/promises/p/fail", `{"message":"no"}`), api.CodePromiseSettled)
	refused(t, c.do("POST", alice+"/promises/p/complete", `{"ok":`, "Content-Type: application/json"), api.CodeInvalid)
}
