package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestAFanOutOverKillsCallsEveryWorkerOnce lets one worker call many and wait for
// all, and others call through each other, while the server is killed.
func TestAFanOutOverKillsCallsEveryWorkerOnce(t *testing.T) {
	random := randomOf(t, 200)
	called := 1000
	if *kills <= shortKills {
		called = 200
	}
	s := startServer(t, restless...)
	c := s.client()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	if _, err := c.Deploy(ctx, "callers", guests.Wasm(t, "components/callers"), nil); err != nil {
		t.Fatal(err)
	}
	begin := func(worker, function, args string) {
		if _, err := c.Invoke(ctx, "callers", worker, api.Call{Function: function, Args: json.RawMessage(args), Key: "k", Async: true}); err != nil {
			t.Fatal(err)
		}
	}
	begin("boss", "steps", fmt.Sprintf(`[["fan callers/x %d"]]`, called))
	const chain = 5
	for i := range chain { // a passes to b, b to c, …, and each of these to the next
		path := []string{}
		for j := i + 1; j <= chain; j++ {
			path = append(path, fmt.Sprintf("callers/p%d", j))
		}
		args, _ := json.Marshal([]any{path, 10})
		begin(fmt.Sprintf("p%d", i), "pay", string(args))
	}
	n := share(2)
	s.restart(n, 400, random)
	v, err := c.Await(ctx, "callers", "boss", "k")
	if want := fmt.Sprintf(`[["%d"]]`, called); err != nil || string(v.Result) != want {
		t.Fatalf("the boss was told %s, %v, want %s (seed %d)", v.Result, err, want, *seed)
	}
	has := func(worker string) string {
		v, err := c.Invoke(ctx, "callers", worker, api.Call{Function: "add", Args: json.RawMessage("[0]")})
		if err != nil {
			t.Fatal(err)
		}
		return string(v.Result)
	}
	for i := range called {
		if got := has(fmt.Sprintf("x%d", i)); got != "[1]" {
			t.Errorf("x%d has %s, want [1] (seed %d)", i, got, *seed)
		}
	}
	for i := range chain {
		if v, err := c.Await(ctx, "callers", fmt.Sprintf("p%d", i), "k"); err != nil || v.State != api.StateFinished {
			t.Errorf("p%d ends as %s %+v, %v", i, v.State, v.Failure, err)
		}
	}
	for i := range chain + 1 { // each has given its own 10, and the last one has all
		want := "[-10]"
		if i == chain {
			want = fmt.Sprintf("[%d]", 10*chain)
		}
		if got := has(fmt.Sprintf("p%d", i)); got != want {
			t.Errorf("p%d has %s, want %s (seed %d)", i, got, want, *seed)
		}
	}
	t.Logf("%d kills", n)
}
