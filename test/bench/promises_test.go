package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

// BenchmarkPromises lets as many workers wait for a promise each as sleep in
// BenchmarkSleepers, kills the server, and completes some of the promises: of a
// worker that waits there is no more in memory than of one that sleeps, and a
// restart leaves it alone.
func BenchmarkPromises(b *testing.B) {
	for range b.N {
		promises(b, *sleepers)
	}
}

func promises(b *testing.B, n int) {
	b.Helper()
	state := b.TempDir()
	p := startServer(b, state)
	c := p.client(b)
	deploy(b, c, "asker")
	memory, disk := p.resident(b), diskUse(b, state)
	began := time.Now()
	took := each(b, c, n, func(ctx context.Context, i int) error {
		call := api.Call{Function: "ask", Args: json.RawMessage("[0]"), Key: "ask", Async: true}
		_, err := c.Invoke(ctx, "asker", worker(i-1), call)
		return err
	})
	b.ReportMetric(float64(n)/took.Seconds(), "started/s")
	await(b, "all wait out of memory", time.Hour, func() bool { return p.metric(b, "waterbear_suspended_total") >= float64(n) })
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "waiting/s")
	b.ReportMetric(p.metric(b, "process_cpu_seconds_total")*1e6/float64(n), "CPU-µs/waiter")
	await(b, "nobody has them in mind", time.Hour, func() bool { return p.metric(b, "waterbear_workers") == 0 })
	b.ReportMetric((p.resident(b)-memory)/float64(n), "B-memory/waiter")
	b.ReportMetric((diskUse(b, state)-disk)/float64(n), "B-disk/waiter")
	goOn(b, p, c, 0, "")
	p.kill()
	p = startServer(b, state)
	c = p.client(b)
	// After a crash the agenda may have some too many: those that were there last.
	if sleeping := p.metric(b, "waterbear_sleeping"); sleeping > answers {
		b.Errorf("%g workers are on the agenda, of which none waits for a time", sleeping)
	}
	goOn(b, p, c, answers, "again-")
	if recovered := p.metric(b, "waterbear_recoveries_total"); recovered != answers {
		b.Errorf("%g workers were recovered, want those %d whose promises were completed", recovered, answers)
	}
	p.kill()
}

// answers is how many promises goOn completes.
const answers = 200

// goOn completes the promises of workers of which nothing is in memory, one after
// the other, and reports how long it takes from then, as it is recorded, until
// their invocations have ended.
func goOn(b *testing.B, p *process, c *client.Client, from int, prefix string) {
	b.Helper()
	ctx := context.Background()
	var names []string
	for i := range answers {
		list, err := c.Promises(ctx, "asker", worker(from+i))
		if err != nil || len(list) != 1 {
			b.Fatalf("%s has the promises %+v, %v", worker(from+i), list, err)
		}
		names = append(names, path.Base(list[0].Promise))
	}
	await(b, "nobody has them in mind", time.Hour, func() bool { return p.metric(b, "waterbear_workers") == 0 })
	var late sample
	for i, name := range names {
		settled, err := c.SettlePromise(ctx, "asker", worker(from+i), name, api.Settlement{Value: []byte("7")})
		if err != nil {
			b.Fatal(err)
		}
		inv, err := c.Await(ctx, "asker", worker(from+i), "ask")
		finished(b, inv, err)
		late.took = append(late.took, inv.Ended.Sub(*settled.Settled))
	}
	late.quantiles(b, prefix+"wake-")
}

func worker(i int) string { return fmt.Sprintf("w%d", i) }
