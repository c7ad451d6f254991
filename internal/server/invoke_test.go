package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/server"
)

func TestAnInvocationGivesItsResult(t *testing.T) {
	c := start(t, nil)
	i := wants[api.Invocation](t, c.do("POST", alice+"/invoke/add", " [2]\n"), http.StatusOK)
	if i.State != api.StateFinished || string(i.Result) != "[2]" || i.Key != "i-2" {
		t.Errorf("got %+v", i)
	}
	i = wants[api.Invocation](t, c.do("POST", "/v1/workers/shop/new/invoke/add", "[5]"), http.StatusOK)
	if string(i.Result) != "[5]" {
		t.Errorf("a new worker: got %+v", i)
	}
}

func TestAKeyIsOneInvocation(t *testing.T) {
	c := start(t, nil)
	for range 3 {
		i := wants[api.Invocation](t, c.do("POST", alice+"/invoke/add", "[2]", "Idempotency-Key: k/1"), http.StatusOK)
		if string(i.Result) != "[2]" || i.Key != "k/1" {
			t.Errorf("got %+v", i)
		}
	}
	refused(t, c.do("POST", alice+"/invoke/add", "[3]", "Idempotency-Key: k/1"), api.CodeKeyReused)
	wants[api.Invocation](t, c.do("GET", alice+"/invocations/k%2F1", ""), http.StatusOK)
	for _, bad := range []string{"a b", "ü", ".", "..", strings.Repeat("x", 257)} {
		refused(t, c.do("POST", alice+"/invoke/add", "[2]", "Idempotency-Key: "+bad), api.CodeInvalid)
	}
	wants[api.Invocation](t, c.do("POST", alice+"/invoke/add", "[2]", "Idempotency-Key: "+strings.Repeat("~", 256)), http.StatusOK)
}

func TestAcceptedInvocationsAreFoundAtTheirLocation(t *testing.T) {
	c := start(t, nil)
	for _, key := range []string{"plain", "a/b?c#d%", "...", "./..", "~!@"} {
		for _, query := range []string{"?async=true", "?in=1h", "?at=2031-01-01T00:00:00Z"} {
			key := key + query[1:3]
			r := c.do("POST", "/v1/workers/shop/w"+query[1:3]+"/invoke/forever"+query, "[]", "Idempotency-Key: "+key)
			i := wants[api.Invocation](t, r, http.StatusAccepted)
			if i.Key != key || i.State.Done() {
				t.Errorf("got %+v", i)
			}
			found := wants[api.Invocation](t, c.do("GET", r.Header.Get("Location"), ""), http.StatusOK)
			if found.Key != key || found.Index != i.Index {
				t.Errorf("at %s: got %+v, want %+v", r.Header.Get("Location"), found, i)
			}
		}
	}
}

func TestAFailedInvocationIsAProblemWithAllOfIt(t *testing.T) {
	c := start(t, nil)
	for range 2 {
		p := refused(t, c.do("POST", alice+"/invoke/trap", "", "Idempotency-Key: k"), api.CodeInvocationFailed)
		if p.Invocation == nil || p.Invocation.Failure == nil || p.Invocation.Failure.Reason != "unreachable" {
			t.Errorf("got %+v", p)
		}
	}
	i := wants[api.Invocation](t, c.do("GET", alice+"/invocations/k?wait=true", ""), http.StatusOK)
	if i.State != api.StateFailed {
		t.Errorf("got %+v", i)
	}
	refused(t, c.do("DELETE", alice+"/invocations/k", ""), api.CodeNotCancelable)
}

func TestWaitingEndsWithTheTimeoutAndTheInvocationGoesOn(t *testing.T) {
	c := start(t, nil)
	p := refused(t, c.do("POST", alice+"/invoke/forever?timeout=10ms", "", "Idempotency-Key: k"), api.CodeTimeout)
	if p.Invocation == nil || p.Invocation.State != api.StateStarted {
		t.Errorf("got %+v", p)
	}
	p = refused(t, c.do("GET", alice+"/invocations/k?wait=true&timeout=10ms", ""), api.CodeTimeout)
	if p.Invocation == nil {
		t.Errorf("got %+v", p)
	}
	answer := make(chan reply)
	go func() { answer <- c.do("GET", alice+"/invocations/k?wait=true", "") }()
	wants[api.Invocation](t, c.do("DELETE", alice+"/invocations/k", ""), http.StatusOK)
	if i := wants[api.Invocation](t, <-answer, http.StatusOK); i.State != api.StateCanceled {
		t.Errorf("got %+v", i)
	}
	short := start(t, func(c *server.Config) { c.Timeout = 10 * time.Millisecond })
	refused(t, short.do("POST", alice+"/invoke/forever?timeout=1h", ""), api.CodeTimeout)
}

func TestCallsThatMakeNoSenseAreRefused(t *testing.T) {
	c := start(t, nil)
	for _, query := range []string{
		"async=yes", "async", "at=now", "at=0001-01-01T00:00:00Z", "in=5", "in=-1s", "timeout=0s", "timeout=-1s", "timeout=x",
		"at=2031-01-01T00:00:00Z&in=1s", "nonsense=1", "in=1s&in=2s", "%zz", "a;b",
	} {
		refused(t, c.do("POST", alice+"/invoke/add?"+query, "[1]"), api.CodeInvalid)
	}
	for _, body := range []string{"1", "{}", "[1", "[1],", "null", `"[]"`, "\x00"} {
		refused(t, c.do("POST", alice+"/invoke/add", body), api.CodeInvalid)
	}
	refused(t, c.do("POST", alice+"/invoke/"+strings.Repeat("x", 1025), "[1]"), api.CodeInvalid)
	refused(t, c.do("POST", alice+"/invoke/none", "[1]"), api.CodeNoFunction)
	refused(t, c.do("POST", alice+"/invoke/add", "[]"), api.CodeBadArguments)
	refused(t, c.do("POST", "/v1/workers/none/alice/invoke/add", "[1]"), api.CodeNoComponent)
}

func TestOurOwnErrorsAndPanicsShowNothingOfTheInside(t *testing.T) {
	c := start(t, nil)
	for _, function := range []string{"error", "panic"} {
		p := refused(t, c.do("POST", alice+"/invoke/"+function, ""), api.CodeInternal)
		if strings.Contains(p.Detail, "platform") || !strings.Contains(p.Detail, "request ") {
			t.Errorf("got %q, want no more than the request's id", p.Detail)
		}
		logged := string(<-c.log.lines)
		if !strings.Contains(logged, "platform") {
			t.Errorf("logged %q, want the cause", logged)
		}
		c.ended()
	}
}

func TestRequestsThatFailByTheServersFaultAreNotAmongTheRest(t *testing.T) {
	access := &accessLog{lines: make(chan []byte, maxLines)}
	c := start(t, func(c *server.Config) { c.AccessLog = slog.New(slog.NewJSONHandler(access, nil)) })
	rest := *c
	rest.log = access
	c.do("POST", alice+"/invoke/error", "")
	c.do("POST", alice+"/invoke/none", "")
	if got := c.ended(); got["status"] != float64(500) || got["level"] != "WARN" {
		t.Errorf("the log has %v", got)
	}
	if got := rest.ended(); got["status"] != float64(404) || got["level"] != "INFO" {
		t.Errorf("the access log has %v", got)
	}
	if len(c.log.lines)+len(access.lines) > 0 {
		t.Error("there is more")
	}
}

func TestAClientThatLeavesDoesNotKeepARequest(t *testing.T) {
	c := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+alice+"/invoke/forever", nil)
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(r)
		left <- err
	}()
	if err := c.node.await(t.Context(), func() bool { return len(c.node.workers["shop/alice"].invocations) > 0 }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-left; err == nil {
		t.Error("got an answer")
	}
	if got := c.ended(); got["status"] != float64(499) || got["level"] != "INFO" {
		t.Errorf("logged %v, want that the client left", got)
	}
}
