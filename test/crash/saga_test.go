package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// TestOrdersOfAServerThatIsKilledAreDeliveredOrUndone takes orders that services
// refuse at random, and fail at random to answer.
func TestOrdersOfAServerThatIsKilledAreDeliveredOrUndone(t *testing.T) {
	const orders = 60
	random := randomOf(t, 1200)
	services := startWorld(t, "saga/services", "-refuse", "0.25")
	s := startServer(t, append(restless, "--http-allow", "127.0.0.1")...)
	c := s.client()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	if _, err := c.Deploy(ctx, "saga", guests.Wasm(t, "saga"), nil); err != nil {
		t.Fatal(err)
	}
	for i := range orders {
		number := fmt.Sprint("o", i)
		args, err := json.Marshal([]string{number, "lamp", services.url})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Invoke(ctx, "saga", fmt.Sprint("w", i%12), api.Call{Function: "order", Args: args, Key: number, Async: true}); err != nil {
			t.Fatal(err)
		}
	}
	n := share(2)
	s.restart(n, 400, random)
	undone := 0
	for i := range orders {
		number := fmt.Sprint("o", i)
		v, err := c.Await(ctx, "saga", fmt.Sprint("w", i%12), number)
		if err != nil || v.State != api.StateFinished {
			t.Fatalf("%s ends with %s %+v, %v (seed %d)", number, v.State, v.Failure, err, *seed)
		}
		var did []string // in order; what was refused in brackets
		for _, e := range services.effects() {
			if e.Body != number+" lamp" {
				continue
			}
			what := e.Path[strings.LastIndexByte(e.Path, '/')+1:]
			if e.Status != 200 {
				what = "(" + what + ")"
			}
			did = append(did, what)
		}
		delivered := strings.HasPrefix(string(v.Result), `[{"ok":`)
		ways := []string{"reserve charge ship"}
		if !delivered {
			undone++
			ways = []string{"(reserve)", "reserve (charge) release", "reserve charge (ship) refund release"}
		}
		if !slices.Contains(ways, strings.Join(did, " ")) {
			t.Errorf("%s ends with %s and was %q (seed %d)", number, v.Result, did, *seed)
		}
	}
	if undone == 0 || undone == orders {
		t.Errorf("%d of %d orders were undone: that shows too little (seed %d)", undone, orders, *seed)
	}
	requests, effects := 0, services.effects()
	for _, e := range effects {
		requests += e.Requests
	}
	t.Logf("%d kills, %d of %d orders undone, %d requests for %d steps", n, undone, orders, requests, len(effects))
}
