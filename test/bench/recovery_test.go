package bench

import (
	"encoding/json"
	"fmt"
	"sync"
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
				benchRecovery(b, invocations, after)
			})
		}
	}
}

func benchRecovery(b *testing.B, invocations int, after time.Duration) {
	dir := b.TempDir()
	open := func() *waterbear.Node {
		node, err := waterbear.Open(b.Context(), waterbear.Options{Dir: dir, Platform: &waterbear.PlatformOptions{ImageAfter: after}})
		if err != nil {
			b.Fatal(err)
		}
		return node
	}
	node := open()
	if _, err := node.Platform().Deploy(b.Context(), "kit", guests.Wasm(b, "kit"), nil); err != nil {
		b.Fatal(err)
	}
	call := func(p *waterbear.Platform, function, args string) api.Invocation {
		v, err := p.Invoke(b.Context(), "kit", "old", api.Call{Function: function, Args: json.RawMessage(args)})
		if err != nil || v.State != api.StateFinished {
			b.Errorf("%s%s: %+v, %v", function, args, v, err)
		}
		return v
	}
	const clients = 100
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			for range invocations / clients {
				call(node.Platform(), "steps", "[1]")
			}
		})
	}
	wait.Wait()
	var first, recovery time.Duration
	var replayed uint64
	for b.Loop() {
		if err := node.Close(); err != nil {
			b.Fatal(err)
		}
		node = open()
		began := time.Now()
		if v := call(node.Platform(), "get", ""); string(v.Result) != fmt.Sprintf("[%d]", invocations) {
			b.Fatalf("got %s, want [%d]", v.Result, invocations)
		}
		first += time.Since(began)
		s := node.Platform().Stats()
		recovery += time.Duration(s.Recovery * float64(time.Second))
		replayed += s.Replayed
	}
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "first-ms")
	b.ReportMetric(float64(recovery.Microseconds())/1000/float64(b.N), "recovery-ms")
	b.ReportMetric(float64(replayed)/float64(b.N), "replayed")
	if err := node.Close(); err != nil {
		b.Fatal(err)
	}
}
