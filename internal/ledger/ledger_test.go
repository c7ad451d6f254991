package ledger

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

func text(show string) durable.Codec[string] {
	return durable.Codec[string]{
		Append: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
		Show:   func(s string) string { return show + s },
	}
}

// The functions of the tests: pay reaches outside, nap only waits.
var (
	pay = durable.Func[string, string]{
		Code: 1, Name: "pay", Effect: durable.WriteRemote, Request: text("pay "), Response: text("got "),
		OfRequest: func(s string) durable.Facts { return durable.Facts{Key: "key of " + s, Lines: []string{"to: " + s}} },
		OfResponse: func(s string) durable.Facts {
			return durable.Facts{Lines: []string{"from: " + s}, Fate: map[string]durable.Fate{"refused": durable.NotSent, "lost": durable.Unknown}[s]}
		},
	}
	nap = durable.Func[string, string]{Code: 2, Name: "nap", Effect: durable.ReadRemote, Request: text(""), Response: text("")}
)

// book is an oplog that tests write.
type book struct {
	t     *testing.T
	store *memory.Store
}

// write appends entries, so many at a time that there are many chunks.
func write(t *testing.T, bodies []oplog.Body) *book {
	b := &book{t, memory.New()}
	sim := sched.NewSimulation(1)
	err := sim.Run(func() {
		c, err := oplog.NewCommitter(context.Background(), sim, b.store.Logs(), 0)
		if err != nil {
			t.Error(err)
			return
		}
		w := c.NewWriter(alice, 0)
		for i, body := range bodies {
			if _, err := w.Append(context.Background(), body); err != nil {
				t.Error(err)
			}
			if i%100 == 99 || len(bodies) < 10 {
				if err := w.Commit(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
		if err := w.Commit(context.Background()); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *book) ledgers() *Ledgers {
	return New(Config{
		Logs: b.store.Logs(), Functions: []durable.Declared{&pay, &nap},
		Key: func(a *oplog.InvocationAccepted, index oplog.Index) string { return fmt.Sprint(a.Key, "@", index) },
	})
}

// all reads page after page.
func (b *book) all(q Query) (calls []api.ExternalCall, pages int) {
	b.t.Helper()
	q.Worker = alice
	for l := b.ledgers(); ; pages++ {
		p, err := l.Page(context.Background(), q)
		if err != nil || len(p.Problems) > 0 {
			b.t.Fatal(err, p.Problems)
		}
		if len(p.Calls) > q.Limit {
			b.t.Fatalf("a page has %d calls, with a limit of %d", len(p.Calls), q.Limit)
		}
		calls = append(calls, p.Calls...)
		if p.Next == 0 {
			return calls, pages + 1
		}
		if q.Below != 0 && p.Next >= q.Below {
			b.t.Fatalf("behind the page below %d comes that below %d", q.Below, p.Next)
		}
		q.Below = p.Next
	}
}

// life are entries of a worker that does what workers do, and what its ledger is,
// the oldest call first.
type life struct {
	bodies []oplog.Body
	calls  []api.ExternalCall
	held   []oplog.Index
}

func (l *life) add(body oplog.Body) oplog.Index {
	l.bodies = append(l.bodies, body)
	return oplog.Index(len(l.bodies))
}

// draw makes a life of some invocations.
func draw(t *rapid.T) *life {
	l := &life{}
	l.add(&oplog.Create{})
	for n := range rapid.IntRange(1, 5).Draw(t, "invocations") {
		accepted := l.add(&oplog.InvocationAccepted{Key: fmt.Sprint("k", n), Function: fmt.Sprint("f", n)})
		for attempt := uint64(1); ; attempt++ {
			began := l.add(&oplog.InvocationStarted{Accepted: accepted, Attempt: attempt})
			first := len(l.calls)
			open := map[oplog.Index]int{} // places in calls
			for range rapid.IntRange(0, 8).Draw(t, "steps") {
				l.step(t, began, func(v *api.ExternalCall) {
					v.Invocation, v.Called, v.Attempt = fmt.Sprint("k", n, "@", accepted), fmt.Sprint("f", n), attempt
				}, open)
			}
			if attempt == 3 || rapid.Bool().Draw(t, "well") {
				l.add(&oplog.InvocationFinished{Accepted: accepted, Started: began})
				break
			}
			l.add(&oplog.InvocationFailed{Accepted: accepted, Started: began, Attempt: attempt, Retry: 1})
			for i := first; i < len(l.calls); i++ {
				l.calls[i].Undone = true
			}
		}
	}
	return l
}

// step is one thing that a program does, or a crash.
func (l *life) step(t *rapid.T, began oplog.Index, place func(*api.ExternalCall), open map[oplog.Index]int) {
	var some oplog.Index
	if len(open) > 0 {
		var list []oplog.Index
		for i := range open {
			list = append(list, i)
		}
		slices.Sort(list)
		some = rapid.SampledFrom(list).Draw(t, "call")
	}
	switch what := rapid.IntRange(0, 6).Draw(t, "what"); {
	case what == 0:
		for range rapid.SampledFrom([]int{1, 3, window}).Draw(t, "calls") {
			l.add(&oplog.HostCall{Func: 7})
		}
	case what == 1:
		started := l.add(&oplog.HostCallStarted{Func: nap.Code, Within: began})
		l.add(&oplog.HostCallFinished{Started: started})
	case some == 0 || what == 2:
		request := fmt.Sprint("r", len(l.bodies))
		index := l.add(&oplog.HostCallStarted{Func: pay.Code, Request: []byte(request), Within: began})
		v := api.ExternalCall{
			Worker: alice.String(), Index: index, Function: "pay", State: api.CallInDoubt, Request: "pay " + request,
			Key: "key of " + request, Attempts: 1,
		}
		place(&v)
		open[index] = len(l.calls)
		l.calls = append(l.calls, v)
	case what == 3:
		v := &l.calls[open[some]]
		v.Attempts++
		l.add(&oplog.HostCallRepeated{Started: some, Attempt: v.Attempts})
	case what == 4 && l.calls[open[some]].State == api.CallInDoubt:
		l.add(&oplog.CallHeld{Started: some})
		if rapid.Bool().Draw(t, "for long") {
			l.calls[open[some]].State = api.CallHeld
			l.held = append(l.held, some)
			delete(open, some)
			return
		}
		l.add(&oplog.CallResolved{Started: some, How: oplog.CallFail})
		l.add(&oplog.HostCallFinished{Started: some, Response: []byte("lost")})
		l.calls[open[some]].State, l.calls[open[some]].Response = api.CallFailed, "got lost"
		delete(open, some)
	default:
		response := rapid.SampledFrom([]string{"thanks", "refused", "lost"}).Draw(t, "response")
		v := &l.calls[open[some]]
		l.add(&oplog.HostCallFinished{Started: some, Response: []byte(response)})
		v.Response = "got " + response
		switch {
		case response == "thanks":
			v.State = api.CallDone
		case response == "refused" && v.Attempts == 1:
			v.State = api.CallNotSent
		}
		delete(open, some)
	}
}

// untimed leaves out what depends on the clock.
func untimed(calls []api.ExternalCall) []api.ExternalCall {
	all := make([]api.ExternalCall, len(calls))
	for i, v := range calls {
		v.Began, v.Ended = alwaysBegan, nil
		all[i] = v
	}
	return all
}

var alwaysBegan = oplog.Time(0).Time()

func TestPagesHaveEveryCallOnceTheNewestFirst(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := draw(rt)
		b := write(t, l.bodies)
		want := untimed(l.calls)
		slices.Reverse(want)
		state := rapid.SampledFrom(append(api.CallStates(), "", "", "")).Draw(rt, "state")
		if state != "" {
			want = slices.DeleteFunc(want, func(v api.ExternalCall) bool { return v.State != state })
		}
		got, _ := b.all(Query{State: state, Limit: rapid.IntRange(1, 9).Draw(rt, "limit"), Standing: Standing{Held: l.held}})
		if got := untimed(got); !reflect.DeepEqual(got, want) {
			rt.Fatalf("got %d calls\n%s\nwant %d\n%s", len(got), lines(got), len(want), lines(want))
		}
		for _, v := range l.calls {
			one, err := b.ledgers().Call(context.Background(), alice, v.Index, Standing{Held: l.held})
			if err != nil || one == nil {
				rt.Fatalf("call %d: %v", v.Index, err)
			}
			if one.State != v.State || one.Attempts != v.Attempts || uint64(len(one.Repeats)) != v.Attempts-1 || len(one.RequestDetail) != 1 || (one.Resolved != nil) != (v.State == api.CallFailed) {
				rt.Fatalf("got %+v, want %+v", one, v)
			}
		}
	})
}

func lines(calls []api.ExternalCall) string {
	var b strings.Builder
	for _, v := range calls {
		fmt.Fprintf(&b, "%+v\n", v)
	}
	return b.String()
}

func TestWhatHasNoOutcomeIsUnderWayWhileItsWorkerLives(t *testing.T) {
	b := write(t, []oplog.Body{
		&oplog.Create{},
		&oplog.InvocationAccepted{Function: "f"}, &oplog.InvocationStarted{Accepted: 2, Attempt: 1},
		&oplog.HostCallStarted{Func: pay.Code, Request: []byte("a"), Within: 3}, &oplog.InvocationFailed{Accepted: 2, Started: 3},
		&oplog.InvocationAccepted{Function: "f"}, &oplog.InvocationStarted{Accepted: 6, Attempt: 1},
		&oplog.HostCallStarted{Func: pay.Code, Request: []byte("b"), Within: 7},
		&oplog.HostCallStarted{Func: nap.Code, Within: 7},
		&oplog.HostCallStarted{Func: 99, Within: 7},
	})
	for _, live := range []bool{true, false} {
		got, _ := b.all(Query{Limit: 10, Reads: true, Standing: Standing{Live: live}})
		var states []string
		for _, v := range got {
			states = append(states, fmt.Sprintf("%s %s", v.Function, v.State))
		}
		want := "function 99 in-doubt, nap in-doubt, pay in-doubt, pay in-doubt"
		if live {
			want = "function 99 under-way, nap under-way, pay under-way, pay in-doubt"
		}
		if got := strings.Join(states, ", "); got != want {
			t.Errorf("in memory: %t: got %s, want %s", live, got, want)
		}
	}
}

func TestAPageReadsNoMoreThanItMay(t *testing.T) {
	bodies := []oplog.Body{&oplog.Create{}, &oplog.HostCallStarted{Func: pay.Code, Request: []byte("old")}}
	for range maxLooked + 3*window {
		bodies = append(bodies, &oplog.HostCall{Func: 7})
	}
	b := write(t, bodies)
	p, err := b.ledgers().Page(t.Context(), Query{Worker: alice, Limit: 5})
	if err != nil || len(p.Calls) > 0 || p.Next == 0 {
		t.Fatalf("the first page has %d calls, the next is below %d, %v", len(p.Calls), p.Next, err)
	}
	if got, pages := b.all(Query{Limit: 5}); len(got) != 1 || pages != 2 {
		t.Errorf("there are %d calls on %d pages", len(got), pages)
	}
}

func TestATruncatedOplogSaysSo(t *testing.T) {
	b := write(t, []oplog.Body{
		&oplog.Create{},
		&oplog.HostCallStarted{Func: pay.Code, Request: []byte("a")}, &oplog.HostCallFinished{Started: 2, Response: []byte("thanks")},
		&oplog.HostCallStarted{Func: pay.Code, Request: []byte("b"), Within: 2}, &oplog.HostCallFinished{Started: 4, Response: []byte("thanks")},
	})
	truncate(t, b, 3)
	p, err := b.ledgers().Page(t.Context(), Query{Worker: alice, Limit: 5})
	if err != nil || len(p.Calls) != 1 || p.Calls[0].Request != "pay b" {
		t.Fatalf("got %+v, %v", p.Calls, err)
	}
	if len(p.Problems) != 1 || p.Problems[0].Code != api.CodeExpired {
		t.Errorf("the problems are %+v", p.Problems)
	}
}

func truncate(t *testing.T, b *book, below oplog.Index) {
	t.Helper()
	if err := b.store.Logs().Truncate(t.Context(), 0, 1, alice, below); err != nil {
		t.Fatal(err)
	}
}
