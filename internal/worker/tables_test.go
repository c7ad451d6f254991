package worker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

var tables = id.Worker{Component: "tables", Name: "a"}

// timesSaved restarts, so that nothing is under way, and counts how often the
// worker's state was saved.
func (p *platform) timesSaved(w id.Worker) int {
	p.t.Helper()
	p.restart()
	return len(entriesOf[*oplog.Image](p, w)) + len(entriesOf[*oplog.Delta](p, w))
}

// modeSays waits until the worker's mode has begun and gone on like this.
func (p *platform) modeSays(w id.Worker, begins, contains string) {
	p.t.Helper()
	mode := ""
	p.eventually(fmt.Sprintf("the mode is %q with %q", begins, contains), func() bool {
		v, err := p.Worker(p.t.Context(), w)
		must(p.t, err)
		mode = v.Mode
		return strings.HasPrefix(mode, begins) && strings.Contains(mode, contains)
	})
}

func TestWorkerThatChangesATableIsReplayedFromThenOn(t *testing.T) {
	for _, c := range []struct {
		function string
		args     []any
		why      string
		after    map[string]string // what functions give then
	}{
		{"set", []any{0, 1}, "changed a table", map[string]string{"call[0]": "[20]"}},
		{"grow", []any{2}, "changed a table", map[string]string{"call[5]": "[10]", "size[]": "[6]"}},
		{"fill", []any{0, 1, 4}, "changed a table", map[string]string{"call[3]": "[20]"}},
		{"copy", []any{1, 0, 2}, "changed a table", map[string]string{"call[2]": "[20]"}},
		{"init", []any{2}, "changed a table", map[string]string{"call[3]": "[40]"}},
		{"drop", nil, "elem.drop", map[string]string{"call[0]": "[10]"}},
		{"hold", []any{1}, "a reference", map[string]string{"held[]": "[1]"}},
		{"splat", []any{7}, "v128", map[string]string{"lane[]": "[7]"}},
	} {
		t.Run(c.function, func(t *testing.T) {
			p := newPlatform(t, func(c *worker.Config) { verified(t, c) })
			p.deploy("tables", guests.Wasm(t, "tables"))
			for i := range 5 {
				p.want(tables, fmt.Sprintf("[%d]", i+1), "inc", 1)
			}
			p.want(tables, "[10]", "call", 0)
			p.modeSays(tables, "image: ", "")
			saved := p.timesSaved(tables)
			if saved == 0 {
				t.Fatal("nothing was saved before the change")
			}
			if v, err := p.invoke(tables, c.function, c.args...); err != nil || v.Failure != nil {
				t.Fatalf("%v, %+v", err, v.Failure)
			}
			for round := range 3 {
				for i := range 4 {
					p.want(tables, fmt.Sprintf("[%d]", 6+4*round+i), "inc", 1)
				}
				for call, want := range c.after {
					function, args, _ := strings.Cut(strings.TrimSuffix(call, "]"), "[")
					var list []any
					for arg := range strings.FieldsSeq(args) {
						list = append(list, int(arg[0]-'0'))
					}
					p.want(tables, want, function, list...)
				}
				p.modeSays(tables, "image: ", c.why) // the older one goes on to serve
				if n := p.timesSaved(tables); n != saved {
					t.Errorf("round %d: saved %d times, %d before the change", round, n, saved)
				}
			}
			p.want(tables, "[18]", "inc", 1)
			if s := p.Stats(); s.Recoveries != 1 || s.Replayed == 0 || s.Replayed > 100 {
				t.Errorf("%d recoveries replayed %d entries", s.Recoveries, s.Replayed)
			}
		})
	}
}

func TestAFailedChangeOfATableChangesNothing(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { verified(t, c) })
	p.deploy("tables", guests.Wasm(t, "tables"))
	p.want(tables, "[1]", "inc", 1)
	saved := p.timesSaved(tables)
	for i := range 3 {
		if v, err := p.invoke(tables, "fail"); err != nil || v.Failure == nil {
			t.Fatalf("%v, %+v", err, v)
		}
		p.want(tables, fmt.Sprintf("[%d]", i+2), "inc", 1)
		p.want(tables, "[10]", "call", 0)
		now := p.timesSaved(tables)
		if now <= saved {
			t.Errorf("saved %d times before the failure, %d after it", saved, now)
		}
		saved = now
	}
	p.want(tables, "[10]", "call", 0)
}

func TestACommandThatChangesATableIsImagedWhenItHasEnded(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { verified(t, c) })
	p.deploy("command", guests.Wasm(t, "odd/grow-table"))
	w := id.Worker{Component: "command", Name: "a"}
	p.want(w, "[0]", "run")
	if p.timesSaved(w) == 0 {
		t.Error("nothing was saved")
	}
	p.want(w, "[0]", "run")
	if s := p.Stats(); s.Recoveries != 1 || s.Replayed > 4 {
		t.Errorf("%d recoveries replayed %d entries, want one and next to none", s.Recoveries, s.Replayed)
	}
}

// tableScript makes calls that follow from seed alone, to a few workers of
// which some never change a table, and gives every answer.
func (p *platform) tableScript(seed uint64, calls int, between func(i int)) string {
	random := rand.New(rand.NewPCG(seed, 2))
	var said strings.Builder
	small := func(n int) (args []any) {
		for range n {
			args = append(args, random.IntN(5))
		}
		return args
	}
	changes := []struct {
		function string
		args     int
	}{{"set", 2}, {"grow", 1}, {"fill", 3}, {"copy", 3}, {"init", 1}, {"drop", 0}, {"hold", 1}, {"splat", 1}, {"fail", 0}}
	looks := []struct {
		function string
		args     int
	}{{"inc", 1}, {"call", 1}, {"size", 0}, {"held", 0}, {"lane", 0}}
	for i := range calls {
		between(i)
		n := random.IntN(4)
		from := looks
		if n > 1 && random.IntN(2) == 0 {
			from = changes
		}
		c := from[random.IntN(len(from))]
		args := small(c.args)
		v, err := p.invoke(id.Worker{Component: "tables", Name: fmt.Sprint("w", n)}, c.function, args...)
		must(p.t, err)
		fmt.Fprintf(&said, "%d w%d %s%v: %s %s", i, n, c.function, args, v.State, v.Result)
		if v.Failure != nil {
			fmt.Fprint(&said, " ", v.Failure.Reason)
		}
		said.WriteByte('\n')
	}
	return said.String()
}

func TestNobodyCanTellHowWorkersThatChangeTablesAreKept(t *testing.T) {
	for seed := range uint64(3) {
		want := ""
		for _, way := range []struct {
			name    string
			change  func(c *worker.Config)
			restart int
		}{
			{"never saved or evicted", func(c *worker.Config) { c.ImageAfter = -1 }, 0},
			{"saved after each call", func(c *worker.Config) { verified(t, c) }, 0},
			{"imaged after each call", func(c *worker.Config) { verified(t, c); wholeImages(c) }, 7},
			{"saved and evicted", func(c *worker.Config) {
				verified(t, c)
				c.MaxInstances, c.MaxRunning, c.IdleAfter = 1, 1, 5*time.Millisecond
			}, 0},
			{"saved and restarted", func(c *worker.Config) { verified(t, c) }, 5},
			{"restarted", func(c *worker.Config) { c.ImageAfter = -1 }, 9},
		} {
			t.Run(fmt.Sprintf("%d/%s", seed, way.name), func(t *testing.T) {
				p := newPlatform(t, way.change)
				p.deploy("tables", guests.Wasm(t, "tables"))
				got := p.tableScript(seed, 60, func(i int) {
					if way.restart > 0 && i%way.restart == way.restart-1 {
						p.restart()
					}
				})
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("the answers differ:\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}
