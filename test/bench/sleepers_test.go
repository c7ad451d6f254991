package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/client"
)

var sleepers = flag.Int("sleepers", 10_000, "how many workers sleep in BenchmarkSleepers")

// starters is how many clients start workers at once.
const starters = 64

// each lets clients do something for each of n workers, once, and gives how
// long it took.
func each(b *testing.B, c *client.Client, n int, act func(ctx context.Context, i int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range starters {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n) && !b.Failed(); i = next.Add(1) {
				if err := act(context.Background(), int(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return time.Since(began)
}

// nap is an invocation that sleeps.
func nap(long time.Duration) api.Call {
	return api.Call{Function: "nap", Args: json.RawMessage(fmt.Sprintf("[%d]", long.Milliseconds())), Async: true}
}

// BenchmarkSleepers has a budget: workers that sleep start at 5,000 a second, and
// after kill -9 of the server one that is due is awake within 200 ms. Each of
// them starts, sleeps for an hour in the middle of an invocation, and leaves
// memory.
func BenchmarkSleepers(b *testing.B) {
	for range b.N {
		sleep(b, *sleepers)
	}
}

func sleep(b *testing.B, n int) {
	b.Helper()
	state := b.TempDir()
	p := startServer(b, state)
	c := p.client(b)
	deploy(b, c, "kit")
	memory, disk := p.resident(b), diskUse(b, state)
	took := each(b, c, n, func(ctx context.Context, i int) error {
		_, err := c.Invoke(ctx, "kit", fmt.Sprintf("s%d", i), nap(time.Hour))
		return err
	})
	b.ReportMetric(float64(n)/took.Seconds(), "started/s")
	began := time.Now()
	await(b, "all sleep", time.Hour, func() bool { return p.metric(b, "waterbear_suspended_total") >= float64(n) })
	b.ReportMetric(float64(n)/(took+time.Since(began)).Seconds(), "asleep/s")
	b.ReportMetric(p.metric(b, "process_cpu_seconds_total")*1e6/float64(n), "CPU-µs/sleeper")
	b.ReportMetric((p.resident(b)-memory)/float64(n), "B-memory/sleeper")
	b.ReportMetric((diskUse(b, state)-disk)/float64(n), "B-disk/sleeper")
	wakeLatency(b, c, "")

	// One is due when the server comes back.
	const short = 6 * time.Second // longer than what leaves memory
	due := nap(short)
	due.Key = "due"
	if _, err := c.Invoke(context.Background(), "kit", "due", due); err != nil {
		b.Fatal(err)
	}
	at := time.Now().Add(short)
	await(b, "it sleeps, too", time.Minute, func() bool {
		w, err := c.Worker(context.Background(), "kit", "due")
		return err == nil && w.Status == api.Suspended
	})
	p.kill()
	time.Sleep(time.Until(at))
	p = startServer(b, state)
	c = p.client(b)
	inv, err := c.Await(context.Background(), "kit", "due", "due")
	b.ReportMetric(float64(time.Since(p.started).Milliseconds()), "due-ms")
	finished(b, inv, err)
	began = time.Now()
	inv, err = c.Invoke(context.Background(), "kit", "another", api.Call{Function: "inc", Args: json.RawMessage("[1]")})
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "next-ms")
	finished(b, inv, err)
	b.ReportMetric(p.resident(b)/1e6, "MB-memory-again")
	wakeLatency(b, c, "again-")
	p.kill()
}

// wakeLatency reports how late scheduled invocations of workers that are not in
// memory end.
func wakeLatency(b *testing.B, c *client.Client, prefix string) {
	b.Helper()
	const calls = 200
	var mu sync.Mutex
	var late sample
	each(b, c, calls, func(ctx context.Context, i int) error {
		due := time.Now().Add(500*time.Millisecond + time.Duration(i)*2*time.Millisecond)
		call := api.Call{Function: "inc", Args: json.RawMessage("[1]"), Key: prefix + "wake", Due: due}
		worker := fmt.Sprintf("wake%d", i)
		if _, err := c.Invoke(ctx, "kit", worker, call); err != nil {
			return err
		}
		inv, err := c.Await(ctx, "kit", worker, call.Key)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			late.took = append(late.took, inv.Ended.Sub(due))
		}
		return err
	})
	late.quantiles(b, prefix+"wake-")
}

// BenchmarkStart has a budget: at most 200 ms from the start of the process to
// its first answer with 10,000 workers stored, and then 60 MB of memory.
func BenchmarkStart(b *testing.B) {
	const stored = 10_000
	state := b.TempDir()
	p := startServer(b, state)
	c := p.client(b)
	deploy(b, c, "counter")
	add := api.Call{Function: "add", Args: json.RawMessage("[1]")}
	each(b, c, stored, func(ctx context.Context, i int) error {
		_, err := c.Invoke(ctx, "counter", fmt.Sprintf("w%d", i), add)
		return err
	})
	p.kill()
	var answered, invoked time.Duration
	var memory float64
	b.ResetTimer()
	for i := range b.N {
		p = startServer(b, state)
		memory = p.resident(b)
		c = p.client(b)
		if err := c.Ready(context.Background()); err != nil {
			b.Fatal(err)
		}
		answered += time.Since(p.started)
		inv, err := c.Invoke(context.Background(), "counter", fmt.Sprintf("w%d", i+1), add)
		finished(b, inv, err)
		invoked += time.Since(p.started)
		p.kill()
	}
	b.ReportMetric(float64(answered.Milliseconds())/float64(b.N), "ready-ms")
	b.ReportMetric(float64(invoked.Milliseconds())/float64(b.N), "invoked-ms")
	b.ReportMetric(memory/1e6, "idle-MB")
}
