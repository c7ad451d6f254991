package worker_test

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// given is a response of a person, as the oplog has it.
func given(t *testing.T, body string) oplog.Opaque {
	t.Helper()
	for _, f := range exchange.Funcs() {
		if _, name, _ := f.Declaration(); name == "http.send" {
			b, err := f.TakeGiven(fmt.Appendf(nil, `{"status": 200, "body": %q}`, body))
			must(t, err)
			return b
		}
	}
	t.Fatal("there is no http.send")
	return nil
}

// TestACallInDoubtWaitsForAPersonAndForNothingElse kills a worker behind the intent
// of a POST, and lets a person answer in each way, at each restart.
func TestACallInDoubtWaitsForAPersonAndForNothingElse(t *testing.T) {
	settings := api.HTTP{Keys: api.KeysOff, InDoubt: api.InDoubtHold}
	r := newRemote(t, func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.ReadAll(q.Body)
		fmt.Fprint(w, "of the remote")
	})
	first := record(t, settings, r, "post", r.URL+"/x", "hello")
	intent := oplog.Index(first.at(t, "HostCallStarted") + 1)
	for _, c := range []struct {
		name   string
		said   oplog.CallResolved
		asked  int
		result string
	}{
		{"done", oplog.CallResolved{How: oplog.CallDone, Response: given(t, "of a person")}, 0, `[{"ok":"of a person"}]`},
		{"done, with a long body", oplog.CallResolved{How: oplog.CallDone, Response: given(t, fmt.Sprintf("%070000d", 1))}, 0, fmt.Sprintf(`[{"ok":"%070000d"}]`, 1)},
		{"done, without a body", oplog.CallResolved{How: oplog.CallDone, Response: given(t, "")}, 0, `[{"ok":""}]`},
		{"sent again", oplog.CallResolved{How: oplog.CallSendAgain}, 1, first.result},
		{"failed", oplog.CallResolved{How: oplog.CallFail}, 0, `[{"error":"ErrorCode::ConnectionTerminated"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.said.Started = intent
			p := first.revive(t, settings, int(intent))
			held := func() {
				t.Helper()
				v := p.becomes(fetcher, api.Suspended)
				p.eventually("it has left memory", func() bool {
					v, err := p.Worker(t.Context(), fetcher)
					must(t, err)
					return !v.Resident
				})
				if !reflect.DeepEqual(v.Held, []uint64{intent}) || v.Wake != nil || p.Stats().Held != 1 || p.Stats().Sleeping != 0 {
					t.Fatalf("it is held for %v until %v; %d workers are held, %d sleep", v.Held, v.Wake, p.Stats().Held, p.Stats().Sleeping)
				}
				if list := p.Held(fetcher, 10); len(list) != 0 {
					t.Errorf("behind it there are %v", list)
				}
			}
			held()
			p.restart()
			held()
			p.refused(p.Resolve(t.Context(), fetcher, oplog.CallResolved{Started: intent + 1, How: oplog.CallFail}), api.CodeNotHeld)
			must(t, p.Interrupt(t.Context(), fetcher, "to look at it"))
			must(t, p.Resolve(t.Context(), fetcher, c.said))
			must(t, p.Resolve(t.Context(), fetcher, c.said)) // as if the answer had been lost
			p.refused(p.Resolve(t.Context(), fetcher, oplog.CallResolved{Started: intent, How: oplog.CallDone, Response: given(t, "another")}), api.CodeNotHeld)
			p.restart()
			must(t, p.Resume(t.Context(), fetcher))
			p.ends(fetcher, "k", api.StateFinished, c.result)
			if n := p.Stats().Held; n != 0 {
				t.Errorf("%d workers are held", n)
			}
			p.restart()
			p.ends(fetcher, "k", api.StateFinished, c.result)
			total := 0
			for _, times := range r.forget() {
				total += times
			}
			if total != c.asked {
				t.Errorf("the remote was asked %d times, want %d", total, c.asked)
			}
		})
	}
}

func TestAnInvocationWithACallThatIsHeldCanBeCanceled(t *testing.T) {
	settings := api.HTTP{Keys: api.KeysOff, InDoubtRules: []string{"* 127.0.0.1=hold"}}
	r := newRemote(t, nil)
	first := record(t, settings, r, "post", r.URL+"/x", "hello")
	p := first.revive(t, settings, first.at(t, "HostCallStarted")+1)
	p.becomes(fetcher, api.Suspended)
	_, err := p.Cancel(t.Context(), fetcher, "k")
	must(t, err)
	if v, err := p.Worker(t.Context(), fetcher); err != nil || v.Status != api.Idle || len(v.Held) > 0 || p.Stats().Held != 0 {
		t.Errorf("got %s, held for %v, of %d (%v)", v.Status, v.Held, p.Stats().Held, err)
	}
	p.restart()
	if n := p.Stats().Held; n != 0 {
		t.Errorf("%d workers are held", n)
	}
}

// TestRulesSayWhatBecomesOfRequestsInDoubt has a GET that is not sent again and a
// POST that is.
func TestRulesSayWhatBecomesOfRequestsInDoubt(t *testing.T) {
	const terminated = `[{"error":"ErrorCode::ConnectionTerminated"}]`
	settings := api.HTTP{Keys: api.KeysOff, InDoubtRules: []string{"GET 127.0.0.1=fail", "POST 127.0.0.0/8=retry", "*=fail"}}
	r := newRemote(t, nil)
	for function, args := range map[string][]any{"get": {r.URL + "/x"}, "post": {r.URL + "/x", "hello"}} {
		first := record(t, settings, r, function, args...)
		got := first.resume(t, settings, first.at(t, "HostCallStarted")+1)
		asked := len(r.requests())
		r.forget()
		if function == "get" && (got != terminated || asked != 0) || function == "post" && (got != first.result || asked != 1) {
			t.Errorf("%s: got %s after %d requests", function, got, asked)
		}
	}
}
