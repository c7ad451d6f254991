package bench

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
)

// BenchmarkRecovery opens a node anew and asks a worker of so many invocations,
// with images and without.
func BenchmarkRecovery(b *testing.B) {
	for _, invocations := range []int{1_000, 10_000, 100_000} {
		for name, after := range map[string]time.Duration{"image": 0, "replay": -1} {
			b.Run(fmt.Sprintf("invocations=%d/engine=%s", invocations, name), func(b *testing.B) {
				old{invocations: invocations, each: 1, after: after}.recover(b)
			})
		}
	}
}

// BenchmarkRecoveryByCalls has a budget: a worker that has recorded 10,000,000
// host calls is back within 50 ms, and within twice the time of one that has
// recorded 1,000.
func BenchmarkRecoveryByCalls(b *testing.B) {
	const each = 500
	for _, calls := range []int{1_000, 100_000, 10_000_000} {
		b.Run(fmt.Sprintf("calls=%d", calls), func(b *testing.B) {
			old{invocations: calls / each, each: each}.recover(b)
		})
	}
}

// old is a worker with a past.
type old struct {
	invocations int
	each        int           // host calls of each invocation
	after       time.Duration // when images are taken: waterbear.PlatformOptions
}

func (o old) open(b *testing.B, dir string) *waterbear.Node {
	node, err := waterbear.Open(b.Context(), waterbear.Options{Dir: dir, Platform: &waterbear.PlatformOptions{
		ImageAfter: o.after, Defaults: api.Settings{Limits: api.Limits{OplogRate: 1 << 40}},
	}})
	must(b, err)
	return node
}

func (o old) call(b *testing.B, node *waterbear.Node, function, args string) api.Invocation {
	v, err := node.Platform().Invoke(b.Context(), "kit", "old", api.Call{Function: function, Args: json.RawMessage(args)})
	if err != nil || v.State != api.StateFinished {
		b.Errorf("%s%s: %+v, %v", function, args, v, err)
	}
	return v
}

// live lets the worker have its past.
func (o old) live(b *testing.B, node *waterbear.Node) {
	_, err := node.Platform().Deploy(b.Context(), "kit", guests.Wasm(b, "kit"), nil)
	must(b, err)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range maxClients {
		wait.Go(func() {
			for next.Add(1) <= int64(o.invocations) && !b.Failed() {
				o.call(b, node, "steps", fmt.Sprintf("[%d]", o.each))
			}
		})
	}
	wait.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func (o old) recover(b *testing.B) {
	dir := b.TempDir()
	node := o.open(b, dir)
	o.live(b, node)
	var opening, first, recovery []time.Duration
	var computed time.Duration
	var replayed uint64
	for b.Loop() {
		must(b, node.Close())
		runtime.GC() // what the node before has left
		began, before := time.Now(), processTime(b)
		node = o.open(b, dir)
		opened := time.Now()
		if v := o.call(b, node, "get", ""); string(v.Result) != fmt.Sprintf("[%d]", o.invocations*o.each) {
			b.Fatalf("got %s, want [%d]", v.Result, o.invocations*o.each)
		}
		opening, first = append(opening, opened.Sub(began)), append(first, time.Since(opened))
		computed += processTime(b) - before
		s := node.Platform().Stats()
		recovery = append(recovery, time.Duration(s.Recovery*float64(time.Second)))
		replayed += s.Replayed
	}
	for name, all := range map[string][]time.Duration{"open-ms": opening, "first-ms": first, "recovery-ms": recovery} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name)
	}
	b.ReportMetric(float64(computed.Microseconds())/1000/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(replayed)/float64(b.N), "replayed")
	must(b, node.Close())
}
