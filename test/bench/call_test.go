package bench

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// callsInARow is how many calls of another worker an invocation makes.
const callsInARow = 100

// BenchmarkCallOfAWorker has a budget: a call of another worker and its result take
// less than 1 ms for the program that calls, in the middle of all calls.
func BenchmarkCallOfAWorker(b *testing.B) {
	ctx := context.Background()
	node, err := waterbear.Open(ctx, waterbear.Options{Dir: b.TempDir(), Platform: &waterbear.PlatformOptions{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = node.Close() })
	p := node.Platform()
	if _, err := p.Deploy(ctx, "callers", guests.Wasm(b, "components/callers"), nil); err != nil {
		b.Fatal(err)
	}
	sum := 0.0
	for range b.N {
		inv, err := p.Invoke(ctx, "callers", "a", api.Call{
			Function: "steps", Args: json.RawMessage(`[["time callers/b ` + strconv.Itoa(callsInARow) + `"]]`),
		})
		if err != nil || inv.State != api.StateFinished {
			b.Fatalf("%v %+v", err, inv)
		}
		var took [][]string
		if err := json.Unmarshal(inv.Result, &took); err != nil {
			b.Fatal(err)
		}
		median, err := strconv.ParseFloat(took[0][0], 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += median
	}
	b.ReportMetric(sum/float64(b.N), "p50-µs")
	b.ReportMetric(float64(b.N*callsInARow)/b.Elapsed().Seconds(), "calls/s")
}
