package worker_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
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

// BenchmarkBeginning calls components that begin anew: in each invocation of an
// ephemeral worker, and in each worker that is new and leaves, as those do whose
// time is short. Their initialization runs, or what comes of it is given to them.
func BenchmarkBeginning(b *testing.B) {
	for _, initialization := range []string{"run", "given"} {
		for _, workers := range []string{"ephemeral", "new"} {
			b.Run(fmt.Sprintf("workers=%s/initialization=%s", workers, initialization), func(b *testing.B) {
				p := newPlatform(b, func(c *worker.Config) { c.MaxInstances, c.MaxRunning = 1, 1 })
				p.deploy("rust", guests.Wasm(b, "kit/rust"))
				if initialization == "run" {
					must(b, p.RunAlways(b.Context(), "rust"))
				}
				w := id.Worker{Component: "rust", Name: "w"}
				if workers == "ephemeral" {
					p.create(w, api.NewWorker{Ephemeral: true})
				}
				call := api.Call{Function: "add", Args: json.RawMessage("[1]")}
				n := 0
				b.ReportAllocs()
				before := computed(b)
				for b.Loop() {
					if n++; workers == "new" {
						w.Name = fmt.Sprint("w", n)
					}
					if _, err := p.Invoke(b.Context(), w, call); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((computed(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// computed is the processor time that the process has used.
func computed(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
