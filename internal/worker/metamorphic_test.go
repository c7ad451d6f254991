package worker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// script runs a workload that follows from seed alone, over a few workers, and
// gives every answer. between is called before each call.
func (p *platform) script(seed uint64, calls int, between func()) string {
	random := rand.New(rand.NewPCG(seed, 1))
	var said strings.Builder
	for i := range calls {
		between()
		w := named(fmt.Sprint("w", random.IntN(4)))
		function, args := "", []any{}
		switch random.IntN(12) {
		case 0, 1, 2:
			function, args = "inc", []any{random.IntN(100)}
		case 3:
			function, args = "file_inc", []any{random.IntN(100)}
		case 4:
			function, args = "put", []any{random.IntN(100)}
		case 5:
			function, args = "print", []any{random.IntN(4)}
		case 6:
			function, args = "fail", nil
		case 7:
			function, args = "grow", []any{random.IntN(2)}
		case 8:
			function, args = "steps", []any{random.IntN(50)}
		case 9:
			function, args = "fill", []any{random.IntN(100_000)}
		case 10:
			function, args = "half64", []any{random.Float64()}
		case 11:
			w = id.Worker{Component: "ledger", Name: "l"}
			function, args = "run", []any{[]string{"add", "show", "nonsense"}[random.IntN(3)], fmt.Sprint(random.IntN(9))}
		}
		v, err := p.invoke(w, function, args...)
		must(p.t, err)
		said.WriteString(fmt.Sprintf("%d %s %s%v: %s %s", i, w, function, args, v.State, v.Result))
		if v.Failure != nil {
			said.WriteString(fmt.Sprint(" ", v.Failure.Code, v.Failure.Reason, v.Failure.Stderr))
		}
		said.WriteString("\n")
	}
	for i := range 4 {
		for _, function := range []string{"get", "count"} {
			v, err := p.invoke(named(fmt.Sprint("w", i)), function)
			must(p.t, err)
			said.WriteString(fmt.Sprintln(i, function, string(v.Result)))
		}
	}
	return said.String()
}

func TestNobodyCanTellHowWorkersAreKept(t *testing.T) {
	calls := 60
	if testing.Short() {
		calls = 25
	}
	evicting := func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.IdleAfter = 1, 1, 5*time.Millisecond }
	saving := func(after time.Duration, size uint64, change func(*worker.Config)) func(*worker.Config) {
		return func(c *worker.Config) {
			change(c)
			c.ImageAfter, c.Defaults.Images.Size = after, size
		}
	}
	staying := func(*worker.Config) {}
	disk := func(t *testing.T) func() storage.Store {
		dir := t.TempDir()
		return func() storage.Store {
			store, err := local.Open(t.Context(), vfs.OS(), dir, local.Options{})
			must(t, err)
			return store
		}
	}
	for seed := range uint64(2) {
		want := ""
		type way struct {
			name    string
			setup   func(t *testing.T) setup
			restart int // after so many calls each
		}
		ways := []way{
			{"never evicted", func(*testing.T) setup { return setup{} }, 0},
			{"evicted after each call", func(*testing.T) setup { return setup{change: evicting} }, 0},
			{"never saved", func(*testing.T) setup { return setup{change: saving(-1, 0, evicting)} }, 9},
			{"saved after each call", func(*testing.T) setup { return setup{change: saving(0, 0, staying)} }, 0},
			{"saved and evicted after each call", func(*testing.T) setup { return setup{change: saving(0, 0, evicting)} }, 0},
			{"saved as a whole and evicted after each call", func(*testing.T) setup { return setup{change: saving(0, 1, evicting)} }, 0},
			{"saved now and then", func(*testing.T) setup { return setup{change: saving(100*time.Microsecond, 2000, staying)} }, 13},
			{"restarted after each call", func(*testing.T) setup { return setup{} }, 1},
			{"saved and restarted now and then", func(*testing.T) setup { return setup{change: saving(0, 1000, evicting)} }, 7},
			{"truncated and restarted now and then", func(*testing.T) setup {
				return setup{change: func(c *worker.Config) {
					evicting(c)
					keeping(api.Retention{Oplog: api.KeepInvocations(2), Results: api.KeepInvocations(2), Logs: api.KeepInvocations(2)})(c)
				}}
			}, 9},
			{"interpreted", func(*testing.T) setup { return setup{engine: wasm.Config{Interpreter: true}} }, 50},
			{"on disk", func(t *testing.T) setup { return setup{open: disk(t)} }, 20},
		}
		for _, tracker := range wasm.Trackers() {
			ways = append(ways,
				way{"found by " + string(tracker), func(*testing.T) setup {
					return setup{change: saving(0, 0, staying), engine: wasm.Config{Tracker: tracker}}
				}, 25},
				way{"found by " + string(tracker) + " and evicted", func(*testing.T) setup {
					return setup{change: saving(0, 0, evicting), engine: wasm.Config{Tracker: tracker}}
				}, 0},
			)
		}
		for _, way := range ways {
			t.Run(fmt.Sprintf("%d/%s", seed, way.name), func(t *testing.T) {
				p := way.setup(t).platform(t)
				p.deploy("ledger", guests.Wasm(t, "ledger"))
				p.create(named("w0"), api.NewWorker{Args: []string{"x"}})
				n := 0
				got := p.script(seed, calls, func() {
					if n++; way.restart > 0 && n%way.restart == 0 {
						p.restart()
					}
				})
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("seed %d: the answers differ:\n%s\nwant\n%s", seed, got, want)
				}
			})
		}
	}
}
