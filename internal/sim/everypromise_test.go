package sim

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// settles settles what a worker waits for, always with the same, once that is some
// seconds old.
func settles(w id.Worker) func(context.Context, *machine, *node) {
	return func(ctx context.Context, m *machine, n *node) {
		for m.sim.Sleep(ctx, time.Second) == nil {
			list, _ := n.workers.Promises(ctx, w) // the worker may not be there yet
			for _, p := range list {
				if p.State != api.PromisePending || m.sim.Now().Sub(p.Created) < 5*time.Second {
					continue
				}
				name, err := id.ParsePromise(p.Promise)
				if err == nil {
					_, err = n.workers.SettlePromise(ctx, name, api.Settlement{Value: []byte("7"), Key: "k", By: "a test"})
				}
				if err != nil && ctx.Err() == nil && !isCode(err, api.CodeNoPromise) {
					_ = m.broken("settle %s: %w", name, err)
				}
			}
		}
	}
}

// TestEveryPrefixOfAnOplogWithPromisesLeadsToTheSameAnswers recovers a worker that
// makes promises, waits for them in and out of memory, gives up waiting and fails
// in between, from everywhere.
func TestEveryPrefixOfAnOplogWithPromisesLeadsToTheSameAnswers(t *testing.T) {
	asking := id.Worker{Component: asker, Name: "asking"}
	var calls []api.Call
	for i, c := range [][2]string{{"ask", "0"}, {"insist", "2"}, {"inc", "3"}, {"ask", "500"}, {"ask", "60000"}, {"insist", "9"}, {"ask", "0"}, {"get", ""}} {
		calls = append(calls, api.Call{Function: c[0], Args: []byte("[" + c[1] + "]"), Key: fmt.Sprint("key-", i)})
	}
	for name, way := range map[string]struct {
		bounds bounds
		blobs  bool
	}{
		"replayed":    {bounds{imageAfter: -1}, false},
		"from deltas": {bounds{}, true},
		"from images": {bounds{imageSize: 1}, true},
		"in memory":   {bounds{imageAfter: -1, stay: time.Hour}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := way.bounds
			b.instances, b.running, b.residents, b.queue, b.idleAfter, b.suspendAfter = 2, 2, 10, 100, day, time.Second
			if b.stay > 0 {
				b.suspendAfter = time.Hour
			}
			e := &prefixes{
				t: t, bounds: b, worker: asking, calls: calls, beside: settles(asking),
				guests: Guests{asker: guests.Wasm(t, "asker")},
			}
			whole := memory.New()
			want := e.answers(whole)
			e.bounds.unverified = true // the answers will tell
			all := e.entries(whole)
			kinds := map[string]int{}
			for _, entry := range all {
				kinds[oplog.Name(entry.Body)]++
			}
			for length, entry := range all {
				e.begins = entry.At
				if got := e.answers(e.prefix(whole, entry.Index, way.blobs)); !slices.Equal(got, want) {
					t.Fatalf("from entry %d, %s, the answers are\n%q\nwant\n%q", length+1, oplog.Name(entry.Body), got, want)
				}
			}
			t.Logf("%d prefixes: %v", len(all), kinds)
			if kinds["PromiseSettled"] < 4 || kinds["PromiseWithdrawn"] == 0 || kinds["PromiseTaken"] < 4 || (kinds["Suspended"] == 0) != (b.stay > 0) {
				t.Errorf("there are %v", kinds)
			}
		})
	}
}
