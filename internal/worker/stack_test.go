package worker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// intents are the entries with those of a worker's HTTP requests; entries is how many
// its oplog has.
func (p *platform) intents(w id.Worker) (list []oplog.Index, entries oplog.Index) {
	p.t.Helper()
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		if b, ok := e.Body.(*oplog.HostCallStarted); ok && b.Func == 31 { // http.send
			list = append(list, e.Index)
		}
		entries = e.Index
	}
	return list, entries
}

// TestAStackIsOfTheMomentOfItsCall asks where the calls of a worker were made: in
// attempts that failed and in a region that was repeated, too, and however the worker
// is kept.
func TestAStackIsOfTheMomentOfItsCall(t *testing.T) {
	for name, change := range map[string]func(*worker.Config){
		"from deltas": func(*worker.Config) {},
		"from images": func(c *worker.Config) { c.ImageAfter, c.Defaults.Images.Size = 0, 1 },
		"replayed":    func(c *worker.Config) { c.ImageAfter = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(t, nil)
			p := fetches(t, setup{change: func(c *worker.Config) {
				change(c)
				c.Defaults.Retry.Initial = api.Duration(time.Millisecond)
			}}, api.HTTP{})
			p.deploy("control", guests.Wasm(t, "components/control"))
			w := id.Worker{Component: "control", Name: "alice"}
			get := "get " + strings.TrimPrefix(r.URL, "http://")
			for key, steps := range map[string][]string{
				"region": {get + "/1", "begin r", get + "/2", "trap-until 2 r", get + "/3", "end", get + "/4"},
				"fails":  {"say no", get + "/5", "trap"},
			} {
				p.async(w, key, "steps", steps)
				ends(p, w, key)
			}
			p.restart()
			p.async(w, "last", "steps", []string{get + "/6"})
			ends(p, w, "last")
			all, entries := p.intents(w)
			// The second of the region is sent three times, and the fifth in each attempt.
			if len(all) < 6+2+2 {
				t.Fatalf("there are %d requests: %q", len(all), r.requests())
			}
			asked := len(r.requests())
			var first []string
			for _, index := range all {
				stack, err := p.Stack(t.Context(), w, index)
				must(t, err)
				if first == nil {
					first = stack
				}
				if len(stack) < 3 || !slices.Equal(stack, first) {
					t.Errorf("the call at entry %d was made in %q, and the first one in %q", index, stack, first)
				}
			}
			if _, after := p.intents(w); after != entries || len(r.requests()) != asked {
				t.Errorf("looking has made %d entries, and sent %d requests", after-entries, len(r.requests())-asked)
			}
		})
	}
}

// TestAStackHasTheNamesOfTheProgram is of a program that has kept them.
func TestAStackHasTheNamesOfTheProgram(t *testing.T) {
	r := newRemote(t, nil)
	p := fetches(t, setup{}, api.HTTP{})
	p.sends("post", r.URL, "x")
	p.sends("get", r.URL)
	all, _ := p.intents(fetcher)
	for i, function := range []string{"post", "get"} {
		stack, err := p.Stack(t.Context(), fetcher, all[i])
		must(t, err)
		has := func(part string) int {
			return slices.IndexFunc(stack, func(name string) bool { return strings.Contains(name, part) })
		}
		if inner, outer := has("fetch::start"), has(function); inner < 0 || outer <= inner {
			t.Errorf("%s has sent its request in %q", function, stack)
		}
	}
}
