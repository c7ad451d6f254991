package worker_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
)

// TestWithoutIdempotenceACallInDoubtFailsTheInvocation ends the process while a
// remote has got a request and not answered it. A GET is sent again, unless the
// program wants no call in doubt to be repeated.
func TestWithoutIdempotenceACallInDoubtFailsTheInvocation(t *testing.T) {
	for name, c := range map[string]struct {
		idempotence string
		state       api.InvocationState
		asked       int
	}{
		"on":  {"on", api.StateFinished, 2},
		"off": {"off", api.StateFailed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan bool, 10)
			release := make(chan bool)
			r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
				arrived <- true
				select {
				case <-release:
				case <-q.Context().Done():
				}
			})
			p := fetches(t, setup{}, api.HTTP{})
			p.deploy("control", guests.Wasm(t, "components/control"))
			w := id.Worker{Component: "control", Name: "alice"}
			address := strings.TrimPrefix(r.URL, "http://") + "/x"
			p.async(w, "k", "steps", []string{"idempotence " + c.idempotence, "get " + address, "say after"})
			<-arrived
			p.restart()
			close(release)
			v, err := p.Invocation(t.Context(), w, "k", true)
			must(t, err)
			if v.State != c.state || len(r.requests()) != c.asked {
				t.Errorf("it is %s (%+v), has printed %q, and the remote was asked %d times; want %s and %d", v.State, v.Failure, p.lines(w), len(r.requests()), c.state, c.asked)
			}
			if c.state == api.StateFailed && (v.Failure == nil || v.Failure.Code != api.FailedDoubt) {
				t.Errorf("it failed with %+v", v.Failure)
			}
			// The next invocation begins with idempotence on.
			p.async(w, "next", "steps", []string{"idempotence"})
			ends(p, w, "next")
			if got := p.lines(w); got[len(got)-1] != "idempotence true" {
				t.Errorf("it has printed %q", got)
			}
		})
	}
}

// TestAnEffectInDoubtIsToldSo ends the process in the middle of an effect.
func TestAnEffectInDoubtIsToldSo(t *testing.T) {
	for name, c := range map[string]struct {
		steps []string
		want  string
		state api.InvocationState
	}{
		"a write": {
			[]string{"say before", "effect charge", "sleep 600", "end-effect paid", "say after"},
			"before / perform charge, begun 0 times before / perform charge, begun 1 times before / after", api.StateFinished,
		},
		"a write without idempotence": {
			[]string{"idempotence off", "effect charge", "sleep 600", "end-effect paid", "say after"},
			"idempotence false / perform charge, begun 0 times before", api.StateFailed,
		},
		"a read without idempotence": {
			[]string{"idempotence off", "ask look", "sleep 600", "end-effect paid", "say after"},
			"idempotence false / perform look, begun 0 times before / perform look, begun 1 times before / after", api.StateFinished,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := durablePlatform(t)
			w := id.Worker{Component: "control", Name: "alice"}
			p.async(w, "k", "steps", c.steps)
			p.eventually("the effect has begun", func() bool { return strings.Contains(fmt.Sprint(p.lines(w)), "perform") })
			p.restart()
			v, err := p.Invocation(t.Context(), w, "k", true)
			must(t, err)
			if got := strings.Join(p.lines(w), " / "); v.State != c.state || got != c.want {
				t.Errorf("it is %s, and has printed %q; want %s and %q", v.State, got, c.state, c.want)
			}
			if c.state == api.StateFinished {
				p.exact(w)
			}
		})
	}
}

func TestAProgramReadsItsOwnHistory(t *testing.T) {
	p := durablePlatform(t)
	w := id.Worker{Component: "control", Name: "alice"}
	p.async(w, "k", "steps", []string{"repeat 250 hello", "history Log", "history Nothing", "history InvocationStarted Create"})
	p.ends(w, "k", api.StateFinished, "[4]")
	got := p.lines(w)[250:]
	want := []string{"250 entries in 3 pages", `the last is Log {"stream":"stdout","bytes":{"text":"hello\n"}}`, "0 entries in 1 pages", "3 entries in 1 pages"}
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			t.Fatalf("it has printed %q, want %q", got, want)
		}
	}
	if !strings.HasPrefix(got[4], `the last is InvocationStarted {"at":`) {
		t.Errorf("the last line is %q", got[4])
	}
	p.exact(w)
}
