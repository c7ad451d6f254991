package worker_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// ailing is a remote that answers so many times as it is told to before it is
// well.
func ailing(t *testing.T, times int, ill http.HandlerFunc) *remote {
	n := 0
	return newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		if n++; n <= times {
			ill(w, q)
			return
		}
		fmt.Fprint(w, "well")
	})
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}

// again gives the reasons of a worker's repetitions.
func (p *platform) again() (reasons []string) {
	p.t.Helper()
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), fetcher, 1, 0) {
		must(p.t, err)
		if b, is := e.Body.(*oplog.HostCallRepeated); is {
			reasons = append(reasons, fmt.Sprint(b.Attempt, " ", b.Reason))
		}
	}
	return reasons
}

func TestARequestThatFailsInAWayThatPassesIsSentAgain(t *testing.T) {
	soon := api.HTTPRetries{Attempts: 3, Initial: api.Duration(time.Millisecond), Max: api.Duration(5 * time.Millisecond)}
	for _, c := range []struct {
		name     string
		times    int
		ill      http.HandlerFunc
		settings api.HTTP
		call     string
		want     string
		again    []string
	}{
		{"a status", 2, status(503, ""), api.HTTP{Retries: soon}, "get", `[{"ok":"well"}]`, []string{"2 status 503", "3 status 503"}},
		{"a status too often", 3, status(503, ""), api.HTTP{Retries: soon}, "get", `[{"error":"status 503"}]`, []string{"2 status 503", "3 status 503"}},
		{"a status that stays", 1, status(500, ""), api.HTTP{Retries: soon}, "get", `[{"error":"status 500"}]`, nil},
		{"a connection that is lost", 1, hangUp, api.HTTP{Retries: soon}, "post", `[{"ok":"well"}]`, []string{"2 connection-terminated"}},
		{"a POST without a key", 1, status(503, ""), api.HTTP{Retries: soon, Keys: api.KeysOff}, "post", `[{"error":"status 503"}]`, nil},
		{"by default", 1, status(503, ""), api.HTTP{}, "get", `[{"error":"status 503"}]`, nil},
		{"a response that wants no wait", 1, status(429, "0"), api.HTTP{Retries: soon}, "get", `[{"ok":"well"}]`, []string{"2 status 429"}},
		{"one that wants a long wait", 1, status(429, "3600"), api.HTTP{Retries: soon}, "get", `[{"error":"status 429"}]`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ailing(t, c.times, c.ill)
			p := fetches(t, setup{}, c.settings)
			args := []any{r.URL}
			if c.call == "post" {
				args = append(args, "x")
			}
			if got := p.sends(c.call, args...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := p.again(); fmt.Sprint(got) != fmt.Sprint(c.again) {
				t.Errorf("it was sent again for %q, want %q", got, c.again)
			}
			if keys := r.forget(); c.settings.Keys != api.KeysOff && len(keys) > 1 {
				t.Errorf("the keys were %v", keys)
			}
		})
	}
}

// TestAConnectionThatWasGivenUpCostsNoRequest has a remote take a request over a
// connection that it has answered before, and close it. The request is sent again, if
// it may be, and that is recorded, though the policy lets nothing be sent again.
func TestAConnectionThatWasGivenUpCostsNoRequest(t *testing.T) {
	for call, keys := range map[string]string{"get": "", "post": api.KeysAuto, "post without a key": api.KeysOff} {
		t.Run(call, func(t *testing.T) {
			var conns sync.Map
			r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
				if _, known := conns.LoadOrStore(q.RemoteAddr, true); known {
					hangUp(w, q)
				}
			})
			p := fetches(t, setup{}, api.HTTP{Keys: keys})
			function, _, _ := strings.Cut(call, " ")
			args := []any{r.URL, "x"}
			if function == "get" {
				args = args[:1]
			}
			want, again := `[{"ok":""}]`, []string{"2 connection-terminated"}
			if got := p.sends(function, args...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if keys == api.KeysOff {
				want, again = `[{"error":"ErrorCode::ConnectionTerminated"}]`, nil
			}
			if got := p.sends(function, args...); got != want {
				t.Errorf("over a connection that was kept: got %s, want %s", got, want)
			}
			if got := p.again(); !slices.Equal(got, again) || len(r.requests()) != 2+len(again) {
				t.Errorf("it was sent again for %q, want %q; the remote was asked %q", got, again, r.requests())
			}
		})
	}
}

// TestAStreamedBodyIsSentAgainWhole is of a remote that is ill until the body has
// come for the second time.
func TestAStreamedBodyIsSentAgainWhole(t *testing.T) {
	r := ailing(t, 1, status(502, ""))
	p := fetches(t, setup{}, api.HTTP{Retries: api.HTTPRetries{Attempts: 2, Initial: api.Duration(time.Millisecond)}})
	if got := p.sends("stream", streaming("PUT", r.URL), 500_000, 60_000, 0, []any{}); !strings.Contains(got, `"body":"well"`) {
		t.Errorf("got %.300s", got)
	}
	asked := r.requests()
	if len(asked) != 2 || asked[0] != asked[1] || !strings.Contains(asked[0], letters(500_000)) {
		t.Errorf("the remote was asked %d times", len(asked))
	}
}

// TestALongPauseBeforeAnAttemptIsSpentOutOfMemory lets a worker leave memory, and
// its process end, before it sends a request again.
func TestALongPauseBeforeAnAttemptIsSpentOutOfMemory(t *testing.T) {
	r := ailing(t, 1, status(503, "1"))
	p := fetches(t, setup{change: func(c *worker.Config) { c.SuspendAfter = 100 * time.Millisecond }},
		api.HTTP{Retries: api.HTTPRetries{Attempts: 2, Initial: api.Duration(time.Millisecond), Max: api.Duration(time.Minute)}})
	p.async(fetcher, "k", "get", r.URL)
	p.becomes(fetcher, api.Suspended)
	p.restart()
	p.ends(fetcher, "k", api.StateFinished, `[{"ok":"well"}]`)
	if got := fmt.Sprintf("%q", p.again()); got != `["2 status 503" "2 the pause is over"]` {
		t.Errorf("it was sent again for %s", got)
	}
	if n := len(r.requests()); n != 2 {
		t.Errorf("the remote was asked %d times", n)
	}
}

// TestATimerBesideAPauseComesInTime waits for a second at most, while a request
// that failed pauses for longer.
func TestATimerBesideAPauseComesInTime(t *testing.T) {
	r := ailing(t, 1, status(503, "3600"))
	p := fetches(t, setup{}, api.HTTP{Retries: api.HTTPRetries{Attempts: 2, Max: api.Duration(2 * time.Hour)}})
	if got := p.sends("patience", r.URL, 100); got != "[null]" {
		t.Errorf("got %s", got)
	}
}
