package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// slice is how long one server is measured before the other has its turn.
const slice = time.Second

// against measures the same calls on our server and on the bare one, in turns.
func against(b *testing.B, clients int, ours, raw *process, target, bare, body string) {
	b.Helper()
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxClients}}
	b.Cleanup(h.CloseIdleConnections)
	turn := func(url string, long time.Duration) sample {
		return drive(b, clients, long, func(i int) error { return call(h, fmt.Sprintf(url, i), body) })
	}
	target, bare = ours.url+target, raw.url+bare
	turn(target, slice/4)
	turn(bare, slice/4)
	var mine, floor sample
	b.ResetTimer()
	for range b.N {
		mine.add(turn(target, slice))
		floor.add(turn(bare, slice))
	}
	if b.Failed() {
		return
	}
	mine.report(b, "")
	floor.report(b, "raw-")
	b.ReportMetric(100*mine.rate()/floor.rate(), "%-of-raw")
}

// BenchmarkCounter has a budget: with 1 client p50 at most 1.5 times that of the
// bare server, with 100 clients at least half of its calls.
func BenchmarkCounter(b *testing.B) {
	for _, clients := range []int{1, maxClients} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			ours, raw := startServer(b, b.TempDir()), startRaw(b)
			deploy(b, ours.client(b), "counter")
			against(b, clients, ours, raw, "/v1/workers/counter/w%d/invoke/add", "/v1/workers/counter/w%d/invoke/add", "[1]")
		})
	}
}

// BenchmarkEcho has a budget: 64 clients get at least 40 % of the calls that they
// get of a bare server. Each call has an instance of its own, and leaves its
// record; the bare server keeps nothing.
func BenchmarkEcho(b *testing.B) {
	ours, raw := startServer(b, b.TempDir()), startRaw(b)
	c := ours.client(b)
	deploy(b, c, "kit")
	const clients = 64
	for i := range clients {
		if _, err := c.CreateWorker(context.Background(), "kit", fmt.Sprintf("w%d", i), api.NewWorker{Ephemeral: true}); err != nil {
			b.Fatal(err)
		}
	}
	against(b, clients, ours, raw, "/v1/workers/kit/w%d/invoke/add", "/v1/workers/kit/w%d/invoke/echo", "[2,3]")
}

// BenchmarkEmbedded is the counter without HTTP, in this process.
func BenchmarkEmbedded(b *testing.B) {
	for _, clients := range []int{1, maxClients} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			ctx := context.Background()
			node, err := waterbear.Open(ctx, waterbear.Options{Dir: b.TempDir(), Platform: &waterbear.PlatformOptions{}})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = node.Close() })
			p := node.Platform()
			if _, err := p.Deploy(ctx, "counter", guests.Wasm(b, "counter"), nil); err != nil {
				b.Fatal(err)
			}
			add := func(i int) error {
				inv, err := p.Invoke(ctx, "counter", fmt.Sprintf("w%d", i), api.Call{Function: "add", Args: json.RawMessage("[1]")})
				if err == nil && inv.State != api.StateFinished {
					err = fmt.Errorf("the invocation is %+v", inv)
				}
				return err
			}
			drive(b, clients, slice/4, add)
			var all sample
			b.ResetTimer()
			for range b.N {
				all.add(drive(b, clients, slice, add))
			}
			all.report(b, "")
		})
	}
}
