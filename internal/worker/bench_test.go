package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// BenchmarkInvoke awaits a trivial function of a worker in memory, over a store
// that is as fast as there is.
func BenchmarkInvoke(b *testing.B) {
	p := newPlatform(b, func(c *worker.Config) { c.ImageAfter = -1 })
	call := api.Call{Function: "add", Args: json.RawMessage("[1,2]")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Invoke(b.Context(), shop, call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLongQueue accepts and works off a long queue.
func BenchmarkLongQueue(b *testing.B) {
	const n = 10_000
	p := newPlatform(b, func(c *worker.Config) { c.Defaults.Limits.Queue, c.ImageAfter = 2*n, -1 })
	_, err := p.Invoke(b.Context(), shop, api.Call{Function: "get", Key: "later", Due: time.Now().Add(time.Hour)})
	must(b, err)
	round := 0
	for b.Loop() {
		round++
		must(b, p.Interrupt(b.Context(), shop, "to fill the queue"))
		for i := range n {
			_, err := p.Invoke(b.Context(), shop, api.Call{Function: "get", Key: fmt.Sprint(round, "-", i), Async: true})
			must(b, err)
		}
		must(b, p.Resume(b.Context(), shop))
		_, err := p.Invoke(b.Context(), shop, api.Call{Function: "get"})
		must(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/invocation")
}
