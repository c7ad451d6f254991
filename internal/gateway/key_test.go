package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/gateway"
)

const keyed = "Idempotency-Key: k1"

func adding(name, key string, methods ...string) api.Route {
	return api.Route{
		Name: name, Component: "shop", Function: "add", Path: "/" + name + "/{who}", Worker: "path.who", Key: key, Methods: methods,
		Arguments: args("n", "query.n"),
	}
}

func TestAKeyTakesEffectOnceForARouteAndAWorker(t *testing.T) {
	s := newSite(t, gateway.Options{}, adding("a", ""), adding("b", ""))
	for _, request := range []string{"POST /a/x?n=1", "POST /a/x?n=1", "POST /a/y?n=1", "POST /b/x?n=1"} {
		s.want(s.do(request, "", keyed), 200, "1")
	}
	// As the draft writes keys, in quotes, it is the same one.
	s.want(s.do("POST /a/x?n=1", "", `Idempotency-Key: "k1"`), 200, "1")
	if took := s.took(); len(took) != 3 {
		t.Errorf("took %q", took)
	}
	s.refused(s.do("POST /a/x?n=2", "", keyed), 422, api.CodeKeyReused, "another request")
	s.want(s.do("POST /a/x?n=2", "", "Idempotency-Key: k2"), 200, "2")
	s.want(s.do("POST /a/x?n=1", ""), 200, "1")
	s.want(s.do("POST /a/x?n=1", ""), 200, "1")
	if took := s.took(); len(took) != 6 {
		t.Errorf("took %q", took)
	}
}

func TestKeysComeFromWhereTheRouteSays(t *testing.T) {
	for _, c := range []struct {
		name    string
		route   api.Route
		request string
		headers []string
		times   int // that it takes effect if it is sent twice
		refused string
	}{
		{"a GET has none", adding("a", "", "GET"), "GET /a/x?n=1", []string{keyed}, 2, ""},
		{"a HEAD has none", adding("a", "", "GET"), "HEAD /a/x?n=1", []string{keyed}, 2, ""},
		{"a DELETE has", adding("a", "", "DELETE"), "DELETE /a/x?n=1", []string{keyed}, 1, ""},
		{"off", adding("a", "off"), "POST /a/x?n=1", []string{keyed}, 2, ""},
		{"another field", adding("a", "header.x-event"), "POST /a/x?n=1", []string{"X-Event: e"}, 1, ""},
		{"another field alone", adding("a", "header.x-event"), "POST /a/x?n=1", []string{keyed}, 2, ""},
		{"the request itself", adding("a", "request"), "POST /a/x?n=1", nil, 1, ""},
		{"the request itself, written otherwise", adding("a", "request"), "POST /a/x?n=1&other=2", nil, 1, ""},
		{"required", adding("a", "required"), "POST /a/x?n=1", nil, 0, "header.Idempotency-Key: it is missing"},
		{"required and there", adding("a", "required"), "POST /a/x?n=1", []string{keyed}, 1, ""},
		{"required of a GET", adding("a", "required", "GET"), "GET /a/x?n=1", nil, 2, ""},
		{"twice", adding("a", ""), "POST /a/x?n=1", []string{keyed, keyed}, 0, "it is there 2 times"},
		{"empty", adding("a", ""), "POST /a/x?n=1", []string{"Idempotency-Key: "}, 0, "a key has 1 to 255 bytes"},
		{"nothing in quotes", adding("a", ""), "POST /a/x?n=1", []string{`Idempotency-Key: ""`}, 0, "a key has 1 to 255 bytes"},
		{"long", adding("a", ""), "POST /a/x?n=1", []string{"Idempotency-Key: " + strings.Repeat("k", 255)}, 1, ""},
		{"too long", adding("a", ""), "POST /a/x?n=1", []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, 0, "a key has 1 to 255 bytes"},
		{"not ASCII", adding("a", ""), "POST /a/x?n=1", []string{"Idempotency-Key: \xff"}, 0, "visible ASCII"},
		{"one the platform makes", adding("a", ""), "POST /a/x?n=1", []string{"Idempotency-Key: i-7"}, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, gateway.Options{}, c.route)
			for range 2 {
				answer := s.do(c.request, "", c.headers...)
				if c.refused != "" {
					s.refused(answer, 400, api.CodeInvalid, c.refused)
				} else if answer.StatusCode != 200 {
					t.Errorf("got %d %s", answer.StatusCode, answer.body)
				}
			}
			if took := s.took(); len(took) != c.times {
				t.Errorf("took %q, want %d", took, c.times)
			}
		})
	}
	s := newSite(t, gateway.Options{}, adding("a", "request"))
	s.want(s.do("POST /a/x?n=1", ""), 200, "1")
	s.want(s.do("POST /a/x?n=2", ""), 200, "2")
	if took := s.took(); len(took) != 2 {
		t.Errorf("two requests took %q", took)
	}
}

func TestEachRequestsWorkerIsThatOfItsKey(t *testing.T) {
	s := newSite(t, gateway.Options{}, api.Route{Name: "r", Component: "shop", Function: "say", Path: "/x", Worker: "request", Key: "request"})
	for _, body := range []string{`"a"`, `"a"`, `"b"`} {
		s.want(s.do("POST /x", body), 204, "")
	}
	if took := s.took(); len(took) != 2 || strings.Fields(took[0])[0] == strings.Fields(took[1])[0] {
		t.Errorf("took %q", took)
	}
}

func TestAClientThatLeavesGetsTheAnswerWhenItRepeats(t *testing.T) {
	s := newSite(t, gateway.Options{}, api.Route{
		Name: "r", Component: "shop", Function: "wait", Path: "/x", Worker: "name.w", Limits: api.RouteLimits{Timeout: api.Duration(20 * time.Millisecond)},
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.try(ctx, "POST /x", "", keyed)
		left <- err
	}()
	<-s.waiting
	leave()
	if err := <-left; err == nil {
		// It may have had the timeout just before.
		t.Log("the client had an answer before it left")
	}
	s.refused(s.do("POST /x", "", keyed), 504, api.CodeTimeout, "with the same idempotency key")
	close(s.release)
	var last got
	for range 1000 {
		if last = s.do("POST /x", "", keyed); last.StatusCode == 200 {
			break
		}
	}
	s.want(last, 200, `"waited"`)
	if took := s.took(); len(took) != 1 {
		t.Errorf("took %q", took)
	}
}
