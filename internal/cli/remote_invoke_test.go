package cli

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
)

// finished is what an invocation with these results answers.
func finished(result string) func(string, string, map[string][]string) (api.Invocation, *api.Problem) {
	return func(string, string, map[string][]string) (api.Invocation, *api.Problem) {
		return api.Invocation{Key: "i-9", State: api.StateFinished, Result: json.RawMessage(result), From: 3, To: 5}, nil
	}
}

func TestArgumentsAreSentByTheTypesOfTheFunction(t *testing.T) {
	s := newRemoteServer(t)
	s.invoke = finished("[]")
	for _, c := range []struct{ words, body string }{
		{"shop/alice add 2 3", "[2,3]"},
		{"shop/alice add -2 -9223372036854775808", "[-2,-9223372036854775808]"},
		{"shop/alice add +2 18446744073709551615", "[2,18446744073709551615]"},
		{"shop/alice add 0xff -0x10", "[255,-16]"},
		{"shop/alice add 007 -0", "[7,0]"},
		{"shop/new add 2 3 --key k", "[2,3]"},
		{"shop/alice add -- 2 3", "[2,3]"},
		{"shop/alice half -1.50", "[-1.5]"},
		{"shop/alice half -inf", `["-Infinity"]`},
		{"shop/alice half NaN", `["NaN"]`},
		{"shop/alice half 1e300", "[1e+300]"},
		{"shop/alice nothing", "[]"},
		{"--json-args [1,-2] shop/alice add", "[1,-2]"},
		{"shop/alice add --json-args [1,-2]", "[1,-2]"},
		{"shop/old old", "[]"},
		{"report/nightly run --verbose --key -3 x", `["--verbose","--key","-3","x"]`},
		{"report/nightly run -- x", `["--","x"]`},
		{"report/nightly run", "[]"},
	} {
		s.body = ""
		s.invoke = finished("[]")
		if strings.HasPrefix(c.words, "report") {
			s.invoke = finished("[0]")
		}
		got := s.typeTo(append([]string{"invoke"}, strings.Fields(c.words)...)...)
		if got.code != 0 || s.body != c.body {
			t.Errorf("%s: sent %s, want %s; exit code %d, %s", c.words, s.body, c.body, got.code, got.errs)
		}
	}
}

func TestArgumentsThatDoNotFitAreNotSent(t *testing.T) {
	s := newRemoteServer(t)
	s.invoke = finished("[]")
	for words, c := range map[string]struct {
		code int
		errs string
	}{
		"shop/alice add 2":                                     {2, "add(i32, i64) -> i64 wants 2 arguments, got 1"},
		"shop/alice add 2 x":                                   {2, "argument 2 of add(i32, i64) -> i64: x: want an integer, for i64"},
		"shop/alice add 2 1.5":                                 {2, "want an integer"},
		"shop/alice half 1e999":                                {2, "too large"},
		"shop/alice ad 2 3":                                    {1, `revision 2 of shop has no function "ad"; it has add, half, nothing`},
		"shop/old add 2 3":                                     {1, "revision 1 of shop has no function"},
		"report/nightly 2026":                                  {1, "write `run 2026`"},
		"alice add":                                            {2, "alice names no worker; write COMPONENT/WORKER"},
		"shop/alice":                                           {2, "wants COMPONENT/WORKER and a function"},
		"shop/alice add 2 3 --keys k":                          {2, "unknown flag: --keys"},
		"shop/alice add 2 3 --key":                             {2, "flag needs an argument"},
		"--key= shop/alice nothing":                            {2, "a key is not empty"},
		"shop/alice add 2 3 --server x":                        {2, "give --server before COMPONENT/WORKER"},
		"shop/alice add 2 3 --at soon":                         {2, "want a time"},
		"--at 2026-11-22T18:00:00Z --in 1s a/b f":              {1, "no component"},
		"--in 1s shop/alice nothing --at 2026-11-22T18:00:00Z": {2, "give one"},
		"--in -1s shop/alice nothing":                          {2, "is not later"},
		"--timeout 0s shop/alice nothing":                      {2, "no time to wait"},
		"--json-args 7 shop/alice add":                         {2, "want an array"},
		"--json-args [] shop/alice add 2":                      {2, "comes besides --json-args"},
	} {
		got := s.typeTo(append([]string{"invoke"}, strings.Fields(words)...)...)
		got.want(t, c.code, "", c.errs)
	}
	if asked := s.lastAsked(); asked != "" {
		t.Errorf("sent %s", asked)
	}
}

func TestResultsArePrintedOnePerLine(t *testing.T) {
	s := newRemoteServer(t)
	s.invoke = finished(`[5, -1.5, "NaN", "\u001b[31m"]`)
	s.typeTo("invoke", "shop/alice", "nothing").want(t, 0, "5\n-1.5\nNaN\n\\x1b[31m\n", "")
	got := s.typeTo("invoke", "shop/alice", "nothing", "--json", "--key", "k")
	var i api.Invocation
	if err := json.Unmarshal([]byte(got.out), &i); err != nil || i.Key != "k" || i.State != api.StateFinished || got.code != 0 {
		t.Errorf("got %+v: %v", got, err)
	}
}

func TestACallThatIsNotAwaitedPrintsItsKey(t *testing.T) {
	s := newRemoteServer(t)
	var query url.Values
	s.invoke = func(_, _ string, q map[string][]string) (api.Invocation, *api.Problem) {
		query = q
		return api.Invocation{Key: "i-9", State: api.StateQueued}, nil
	}
	s.typeTo("invoke", "shop/alice", "nothing", "--async").want(t, 0, "i-9\n", "")
	if query.Get("async") != "true" {
		t.Errorf("asked %v", query)
	}
	s.typeTo("invoke", "--at", "2126-11-22T18:00:00+01:00", "shop/alice", "nothing").want(t, 0, "i-9\n", "")
	if at, err := time.Parse(time.RFC3339, query.Get("at")); err != nil || at.Year() != 2126 {
		t.Errorf("asked %v", query)
	}
	s.typeTo("invoke", "--in", "24h", "shop/alice", "nothing").want(t, 0, "i-9\n", "")
	if query.Get("in") != "24h0m0s" {
		t.Errorf("asked %v", query)
	}
	s.typeTo("invoke", "--async", "--json", "shop/alice", "nothing").want(t, 0, `"state":"Queued"`, "")
	s.invoke = finished("[5]")
	s.typeTo("invoke", "--async", "shop/alice", "nothing").want(t, 0, "i-9\n", "")
	s.invoke = func(string, string, map[string][]string) (api.Invocation, *api.Problem) {
		return api.Invocation{Key: "i-9", State: api.StateFailed}, api.NewProblem(api.CodeInvocationFailed, "unreachable")
	}
	s.typeTo("invoke", "--async", "shop/alice", "nothing").want(t, 0, "i-9\n", "")
}

func TestAFailureTellsReasonStackAndStderr(t *testing.T) {
	s := newRemoteServer(t)
	s.logs = []api.LogChunk{{Index: 3, Stream: "stderr", Text: "panic: x\n"}}
	failure := &api.Failure{Code: api.FailedTrap, Reason: "unreachable", Stack: []string{"deep\x1b[2J", "add"}, Stderr: "panic: x\n"}
	s.invoke = func(string, string, map[string][]string) (api.Invocation, *api.Problem) {
		return api.Invocation{Key: "i-9", State: api.StateFailed, Failure: failure, From: 3, To: 5}, api.NewProblem(api.CodeInvocationFailed, "unreachable")
	}
	const told = "waterbear: nothing of shop/alice failed: unreachable\n  in deep\\x1b[2J\n  in add\nwaterbear: it wrote to stderr:\n  panic: x\n"
	s.typeTo("invoke", "shop/alice", "nothing").want(t, 1, "", told)
	s.typeTo("invoke", "report/nightly", "run").want(t, 1, "", "panic: x\nwaterbear: run of report/nightly failed: unreachable\n  in deep")
	s.typeTo("invoke", "--json", "shop/alice", "nothing").want(t, 1, `"stack":["deep`, "failed: unreachable")

	s.result = api.Invocation{Key: "i-9", Function: "nothing", State: api.StateFailed, Failure: failure}
	s.typeTo("result", "shop/alice", "i-9").want(t, 1, "", told)
	s.result = api.Invocation{Key: "i-9", Function: "nothing", State: api.StateFailed}
	s.typeTo("result", "shop/alice", "i-9").want(t, 1, "", "does not say why")
}

func TestACommandPassesOnItsOutputAndExitCode(t *testing.T) {
	s := newRemoteServer(t)
	s.logs = []api.LogChunk{
		{Index: 3, Stream: "stdout", Text: "out\n"}, {Index: 4, Stream: "stderr", Text: "err\n"}, {Index: 5, Stream: "stdout", Base64: []byte("\xff")},
	}
	s.invoke = finished("[42]")
	s.typeTo("invoke", "report/nightly", "run").want(t, 42, "out\n\xff", "err\n")
	if want := "GET /v1/workers/report/nightly/logs?from=3&to=5"; s.lastAsked() != want {
		t.Errorf("asked %s, want %s", s.lastAsked(), want)
	}
	s.typeTo("invoke", "--json", "report/nightly", "run").want(t, 42, `"result":[42]`, "")
	s.result = api.Invocation{Key: "i-9", Function: "run", State: api.StateFinished, Result: json.RawMessage("[0]"), From: 3, To: 5}
	s.typeTo("result", "report/nightly", "i-9").want(t, 0, "out\n\xff", "err\n")
	s.result.Result = json.RawMessage(`["x"]`)
	s.typeTo("result", "report/nightly", "i-9").want(t, 1, "out", "no exit code")
}

func TestAResultThatIsStillToComeSaysHowToWait(t *testing.T) {
	s := newRemoteServer(t)
	s.invoke = func(string, string, map[string][]string) (api.Invocation, *api.Problem) {
		return api.Invocation{State: api.StateStarted}, api.NewProblem(api.CodeTimeout, "still to come")
	}
	s.typeTo("invoke", "--timeout", "50ms", "--key", "k", "shop/alice", "nothing").
		want(t, 1, "", "invocation k of shop/alice is Started; wait for it with `waterbear result --wait shop/alice k`")
	typeWith(nil, "invoke", "--server", s.url, "--timeout", "50ms", "--key", "k", "shop/alice", "nothing").
		want(t, 1, "", "`waterbear result --server "+s.url+" --wait shop/alice k`")
	s.result = api.Invocation{Key: "k", State: api.StateQueued}
	s.typeTo("result", "shop/alice", "k").want(t, 1, "", "k of shop/alice is Queued; wait")
	s.typeTo("result", "--json", "shop/alice", "k").want(t, 1, `"state":"Queued"`, "is Queued")
	s.typeTo("result", "--timeout", "50ms", "shop/alice", "k").want(t, 1, "", "is Queued")
	s.result.State = api.StateCanceled
	s.typeTo("result", "--wait", "shop/alice", "k").want(t, 1, "", "was canceled")
	s.typeTo("cancel", "--json", "shop/alice", "k").want(t, 0, `"state":"Canceled"`, "")
	s.typeTo("cancel", "shop/alice", "k").want(t, 0, "", "")
	if want := "DELETE /v1/workers/shop/alice/invocations/k"; s.lastAsked() != want {
		t.Errorf("asked %s, want %s", s.lastAsked(), want)
	}
}
