package promise

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

// world is an owner whose promises are in a map, and others who remember what was
// settled with which key.
type world struct {
	states map[string]State
	keys   []string
	broken error
}

func (w *world) Make(name, _ string) (Refusal, error) {
	w.states[name] = Pending
	return 0, w.broken
}

func (w *world) Take(name string) (Outcome, State, error) {
	return Outcome{Failed: w.states[name] == Failed, Value: []byte("v")}, w.states[name], w.broken
}

func (w *world) Withdraw(name string) (Refusal, error) {
	delete(w.states, name)
	return 0, w.broken
}

func (w *world) Look(name string) State { return w.states[name] }

func (w *world) Settle(_ context.Context, p id.Promise, o Outcome, key string) (Refusal, error) {
	w.keys = append(w.keys, key)
	return 0, w.broken
}

func (w *world) Webhook(p id.Promise) string { return "https://example.com/" + p.Name }

// Wait only looks.
func (w *world) Wait(deadline uint64, _ bool, list []await.Event) (await.Readiness, error) {
	r := await.Readiness{Now: deadline, Come: make([]bool, len(list))}
	for i, e := range list {
		r.Come[i] = e.Come()
	}
	return r, nil
}

// promises are those of a worker whose oplog is empty, in an invocation.
func promises(t *testing.T, worker id.Worker, w *world) *Promises {
	t.Helper()
	logs := memory.New().Logs()
	committer, err := oplog.NewCommitter(t.Context(), sched.NewGoroutines(), logs, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = committer.Close() })
	session := durable.NewSession(t.Context(), durable.Config{Worker: worker, Cursor: oplog.NewCursor(logs, worker, 1, 0), Writer: committer.NewWriter(worker, 0)})
	p := New(Config{Session: session, Events: w, Worker: worker, Owner: w, Others: w, Secret: [32]byte{7}})
	p.Begin(5)
	return p
}

func newWorld() *world { return &world{states: map[string]State{}} }

func (p *Promises) mustMake(t *testing.T, label string) string {
	t.Helper()
	name, r, err := p.Make(label)
	if r != 0 || err != nil {
		t.Fatalf("make %q: %v, %v", label, r, err)
	}
	return name
}

func TestANameFollowsFromWhoMakesThePromiseInWhichInvocationAndWhatFor(t *testing.T) {
	bob := id.Worker{Component: "shop", Name: "bob"}
	p, again := promises(t, alice, newWorld()), promises(t, alice, newWorld())
	seen := map[string]string{}
	for _, c := range []struct {
		p          *Promises
		invocation uint64
		label      string
	}{{p, 5, "a"}, {p, 5, "a"}, {p, 5, "b"}, {p, 6, "a"}, {p, 6, ""}, {promises(t, bob, newWorld()), 5, "a"}} {
		if c.p.invocation != c.invocation {
			c.p.Begin(c.invocation)
		}
		what := fmt.Sprintf("%s in %d for %q", c.p.Worker, c.invocation, c.label)
		name := c.p.mustMake(t, c.label)
		if before, twice := seen[name]; twice {
			t.Errorf("%s and %s are both %s", before, what, name)
		}
		seen[name] = what
		if parsed, err := id.ParsePromise(name); err != nil || parsed.Worker != c.p.Worker || len(parsed.Name) != 26 {
			t.Errorf("%s is named %s: %v", what, name, err)
		}
	}
	// Others are made before and after, and the first "a" is what it was.
	again.mustMake(t, "c")
	if first := again.mustMake(t, "a"); seen[first] != `shop/alice in 5 for "a"` {
		t.Errorf("the next attempt makes %s", first)
	}
}

func TestKeysOfSettlementsAreTheSameInEveryAttempt(t *testing.T) {
	var keys [2][]string
	for attempt := range keys {
		w := newWorld()
		p := promises(t, alice, w)
		for range 3 {
			if r, err := p.Settle("shop/bob/x", Outcome{}); r != 0 || err != nil {
				t.Fatal(r, err)
			}
		}
		keys[attempt] = w.keys
	}
	if !reflect.DeepEqual(keys[0], keys[1]) || keys[0][0] == keys[0][1] || keys[0][1] == keys[0][2] {
		t.Errorf("the keys are %q", keys)
	}
}

func TestWhatMakesNoSenseIsRefusedAndNotRecorded(t *testing.T) {
	w := newWorld()
	p := promises(t, alice, w)
	refused := func(what string, want Refusal) func(got Refusal, err error) {
		return func(got Refusal, err error) {
			t.Helper()
			if got != want || err != nil {
				t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
			}
		}
	}
	made := func(_ string, r Refusal, err error) (Refusal, error) { return r, err }
	took := func(_ Outcome, _ bool, r Refusal, err error) (Refusal, error) { return r, err }
	waited := func(_ []bool, r Refusal, err error) (Refusal, error) { return r, err }
	refused("a long label", TooLarge)(made(p.Make(strings.Repeat("x", MaxLabel+1))))
	refused("a label that is no text", Invalid)(made(p.Make("\xff")))
	for _, name := range []string{"", "x", "shop/bob/x", "shop/alice/", "shop/alice/../x", "shop/alice/" + strings.Repeat("x", maxName)} {
		refused("take "+name, Unknown)(took(p.Take(name)))
		refused("withdraw "+name, Unknown)(p.Withdraw(name))
		refused("webhook "+name, Unknown)(made(p.Webhook(name)))
	}
	refused("wait for many", TooMany)(waited(p.Wait(0, make([]string, MaxAwaited+1))))
	for _, name := range []string{"", "x", "a/b", "a/b/c/d", strings.Repeat("x", maxName+1)} {
		refused("settle "+name, Invalid)(p.Settle(name, Outcome{}))
	}
	refused("a long value", TooLarge)(p.Settle("shop/bob/x", Outcome{Value: make([]byte, MaxValue+1)}))
	if n := p.Session.Calls(); n != 0 {
		t.Errorf("%d calls were recorded", n)
	}
	none := New(Config{Session: p.Session})
	refused("make without an owner", Unsupported)(made(none.Make("a")))
	refused("take without an owner", Unsupported)(took(none.Take("shop/alice/x")))
	refused("wait without an owner", Unsupported)(waited(none.Wait(0, nil)))
	refused("settle without others", Unsupported)(none.Settle("shop/alice/x", Outcome{}))
	for i := range MaxLabels {
		p.mustMake(t, fmt.Sprint(i))
	}
	refused("one label too many", TooMany)(made(p.Make("another")))
	p.mustMake(t, "0")
}

func TestTheHostsTroubleEndsTheCall(t *testing.T) {
	for name, call := range map[string]func(p *Promises) error{
		"make":     func(p *Promises) error { _, _, err := p.Make("a"); return err },
		"take":     func(p *Promises) error { _, _, _, err := p.Take("shop/alice/x"); return err },
		"withdraw": func(p *Promises) error { _, err := p.Withdraw("shop/alice/x"); return err },
		"settle":   func(p *Promises) error { _, err := p.Settle("shop/bob/x", Outcome{}); return err },
	} {
		w := newWorld()
		w.broken = errors.New("no disk")
		if err := call(promises(t, alice, w)); !errors.Is(err, w.broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatIsRecordedIsReadBackAndAnythingElseRefusedOrExact(t *testing.T) {
	text := rapid.StringN(0, 40, -1)
	rapid.Check(t, func(t *rapid.T) {
		check(t, &makes, text.Draw(t, "label"), answer{Refusal(rapid.Byte().Draw(t, "refusal")), []byte(text.Draw(t, "name"))})
		check(t, &take, text.Draw(t, "name"), taken{State(rapid.IntRange(0, 3).Draw(t, "state")), []byte(text.Draw(t, "value"))})
		check(t, &settle, settlement{text.Draw(t, "promise"), Outcome{rapid.Bool().Draw(t, "failed"), []byte(text.Draw(t, "value"))}, text.Draw(t, "key")}, answer{value: []byte{}})
		hostile := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "hostile")
		for _, f := range Funcs() {
			_, _ = f.ShowRequest(hostile), f.ShowResponse(hostile)
		}
		if s, err := settle.Request.Decode(hostile); err == nil && len(settle.Request.Append(nil, s)) > len(hostile) {
			t.Fatalf("%x is read as %+v", hostile, s)
		}
	})
}

func check[Req, Resp any](t *rapid.T, f *durable.Func[Req, Resp], req Req, resp Resp) {
	if got, err := f.Request.Decode(f.Request.Append(nil, req)); err != nil || !reflect.DeepEqual(got, req) {
		t.Fatalf("%s: got the request %+v, %v, want %+v", f.Name, got, err, req)
	}
	if got, err := f.Response.Decode(f.Response.Append(nil, resp)); err != nil || !reflect.DeepEqual(got, resp) {
		t.Fatalf("%s: got the response %+v, %v, want %+v", f.Name, got, err, resp)
	}
}

func TestReadersOfAnOplogDoNotSeeWebhooks(t *testing.T) {
	b := webhook.Response.Append(nil, answer{value: []byte("https://example.com/secret")})
	if shown := webhook.ShowResponse(b); strings.Contains(shown, "secret") {
		t.Errorf("it shows %q", shown)
	}
}
