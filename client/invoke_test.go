package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

var quiet = log.New(io.Discard, "", 0)

func call(args string) api.Call {
	return api.Call{Function: "add", Args: json.RawMessage(args)}
}

func TestAnAwaitedInvocationTakesEffectOnceThroughAnyFaults(t *testing.T) {
	faults := map[string]fault{
		"dropped before": dropBefore, "dropped after": dropAfter, "dropped within": dropWithin, "late": late,
		"overloaded": refuse(api.CodeOverloaded), "queue full": refuse(api.CodeQueueFull), "stopping": refuse(api.CodeStopping),
		"gateway": gateway,
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			s := &adder{done: map[string]api.Invocation{}}
			c := serve(t, faulty(s, f, f))
			got, err := c.Invoke(t.Context(), "shop", "alice", call("[2,3]"))
			if sum, _ := s.total(); err != nil || string(got.Result) != "[5]" || sum != 5 {
				t.Errorf("got %s, %v, sum %d; want [5], sum 5", got.Result, err, sum)
			}
		})
	}
}

func TestManyInvocationsThroughRandomFaultsTakeEffectOnceEach(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := []fault{none, dropBefore, dropAfter, dropWithin, late, refuse(api.CodeOverloaded), gateway}
	synctest.Test(t, func(t *testing.T) {
		s := &adder{done: map[string]api.Invocation{}}
		c := within(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kinds[random.IntN(len(kinds))](w, r, s)
		}))
		for i := 1; i <= 500; i++ {
			got, err := c.Invoke(t.Context(), "shop", "alice", call("[1]"))
			if err != nil || string(got.Result) != "["+strconv.Itoa(i)+"]" {
				t.Fatalf("invocation %d: got %s, %v", i, got.Result, err)
			}
		}
	})
}

func TestAnAwaitedInvocationSurvivesARestartOfTheServer(t *testing.T) {
	s := &adder{done: map[string]api.Invocation{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	accepted := make(chan struct{})
	first := &httptest.Server{Listener: l, Config: &http.Server{
		ErrorLog: quiet,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s.invoke(r)
			close(accepted)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}),
	}}
	first.Start()
	refused := make(chan error, 100)
	c, err := New(Config{URL: "http://" + address, Retrying: func(cause error, _ time.Duration) { refused <- cause }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got api.Invocation
	done := make(chan error)
	go func() {
		var err error
		got, err = c.Invoke(t.Context(), "shop", "alice", call("[7]"))
		done <- err
	}()
	<-accepted
	_ = first.Config.Close()
	<-refused // the connection that was lost
	<-refused // and one that nobody took
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	second := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	second.Start()
	defer second.Close()
	err = <-done
	if sum, _ := s.total(); err != nil || string(got.Result) != "[7]" || sum != 7 {
		t.Errorf("got %s, %v, sum %d; want [7]", got.Result, err, sum)
	}
}

func TestRetryAfterIsHonored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &adder{done: map[string]api.Invocation{}}
		c := within(t, faulty(s, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Retry-After", "42")
			answerProblem(w, api.NewProblem(api.CodeOverloaded, "later"))
		}))
		began := time.Now()
		if _, err := c.Invoke(t.Context(), "shop", "alice", call("[1]")); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 42*time.Second {
			t.Errorf("waited %v, want 42s", waited)
		}
	})
}

func TestWaitingForAnInvocationEndsWithItsContextAndTellsTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &adder{done: map[string]api.Invocation{}}
		asked := 0
		c := within(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			slice, err := time.ParseDuration(r.URL.Query().Get("timeout"))
			if err != nil {
				t.Error(err)
			}
			time.Sleep(slice)
			late(w, r, s)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*waitSlice-time.Second)
		defer cancel()
		got, err := c.Invoke(ctx, "shop", "alice", call("[1]"))
		if !errors.Is(err, context.DeadlineExceeded) || got.Key == "" || got.State != api.StateStarted || asked > 6 {
			t.Errorf("got %+v, %v, asked %d times", got, err, asked)
		}
		wantText(t, err, got.Key, "it goes on")
	})
}

func TestAServerThatNeverAnswersIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &adder{done: map[string]api.Invocation{}}
		c := within(t, faulty(s, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }))
		got, err := c.Invoke(t.Context(), "shop", "alice", call("[1]"))
		if err != nil || string(got.Result) != "[1]" {
			t.Errorf("got %s, %v", got.Result, err)
		}
	})
}

func TestAServerThatIsStillBusyAtOnceIsNotAskedWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &adder{done: map[string]api.Invocation{}}
		asked := 0
		c := within(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			late(w, r, s)
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Invoke(ctx, "shop", "alice", call("[1]")); err == nil || asked > 40 {
			t.Errorf("asked %d times in a minute: %v", asked, err)
		}
	})
}

func TestAnAsynchronousInvocationWithoutAKeyIsTriedOnce(t *testing.T) {
	for _, one := range []api.Call{
		{Function: "add", Args: json.RawMessage("[1]"), Async: true},
		{Function: "add", Args: json.RawMessage("[1]"), Due: time.Now().Add(time.Hour)},
	} {
		s := &adder{done: map[string]api.Invocation{}}
		c := serve(t, faulty(s, dropAfter))
		_, err := c.Invoke(t.Context(), "shop", "alice", one)
		if _, posts := s.total(); err == nil || posts != 1 {
			t.Errorf("posted %d times, %v; want once and an error", posts, err)
		}
		one.Key = "mine"
		c = serve(t, faulty(s, dropAfter, dropBefore))
		got, err := c.Invoke(t.Context(), "shop", "alice", one)
		if sum, _ := s.total(); err != nil || sum != 2 || got.Key != "mine" {
			t.Errorf("with a key: sum %d, %+v, %v; want 2", sum, got, err)
		}
	}
}

func TestARefusalIsNotTriedAgain(t *testing.T) {
	for _, code := range []api.Code{
		api.CodeKeyReused, api.CodeBadArguments, api.CodeNoFunction, api.CodeUnauthorized, api.CodeWorkerFailed, api.CodeInternal,
	} {
		asked := 0
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			answerProblem(w, api.NewProblem(code, "no"))
		}))
		_, err := c.Invoke(t.Context(), "shop", "alice", call("[1]"))
		if wantProblem(t, err, code); asked != 1 {
			t.Errorf("%s: asked %d times", code, asked)
		}
	}
}

func TestAFailedInvocationIsAnErrorOfInvokeAndAStateOfAwait(t *testing.T) {
	failed := &api.Invocation{
		Worker: "shop/alice", Key: "k", State: api.StateFailed,
		Failure: &api.Failure{Code: api.FailedTrap, Reason: "unreachable"},
	}
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := api.NewProblem(api.CodeInvocationFailed, "unreachable")
		p.Invocation = failed
		answerProblem(w, p)
	}))
	got, err := c.Invoke(t.Context(), "shop", "alice", call("[]"))
	wantProblem(t, err, api.CodeInvocationFailed)
	for _, ask := range []func(context.Context, string, string, string) (api.Invocation, error){c.Await, c.Invocation} {
		if got.Failure == nil || got.Failure.Reason != "unreachable" {
			t.Errorf("got %+v", got)
		}
		if got, err = ask(t.Context(), "shop", "alice", "k"); err != nil {
			t.Error(err)
		}
	}
}

func TestCallsAreSentAsTheContractHasThem(t *testing.T) {
	var got *http.Request
	var body []byte
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		answer(w, http.StatusAccepted, api.Invocation{Key: "k", State: api.StateScheduled})
	}))
	due := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	_, err := c.Invoke(t.Context(), "shop", "alice", api.Call{Function: "a/b c", Key: "k", Due: due})
	if err != nil || got.URL.EscapedPath() != "/v1/workers/shop/alice/invoke/a%2Fb%20c" || string(body) != "[]" ||
		got.URL.Query().Get("at") != "2026-11-22T18:00:00Z" || got.Header.Get("Idempotency-Key") != "k" {
		t.Errorf("sent %v %q %v: %v", got.URL, body, got.Header, err)
	}
	_, err = c.InvokeAfter(t.Context(), "shop", "alice", call("[1]"), 90*time.Second)
	if err != nil || got.URL.Query().Get("in") != "1m30s" {
		t.Errorf("sent %v: %v", got.URL, err)
	}
	if _, err := c.Cancel(t.Context(), "shop", "alice", "k/1"); err != nil ||
		got.Method != http.MethodDelete || got.URL.EscapedPath() != "/v1/workers/shop/alice/invocations/k%2F1" {
		t.Errorf("sent %s %v: %v", got.Method, got.URL, err)
	}
	_, err = c.Invoke(t.Context(), "shop", "alice", api.Call{Function: "add", Key: "two\nlines"})
	wantProblem(t, err, api.CodeInvalid)
}
