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
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// what tells of an entry what does not depend on the time and the seed, nor on when
// the state is saved.
func what(e oplog.Entry) string {
	switch b := e.Body.(type) {
	case *oplog.InvocationAccepted:
		return fmt.Sprintf("accepted %s%s\n", b.Function, b.Args)
	case *oplog.InvocationStarted:
		return fmt.Sprintf("started, attempt %d\n", b.Attempt)
	case *oplog.InvocationFinished:
		return fmt.Sprintf("finished: %s\n", b.Result)
	case *oplog.InvocationFailed:
		return fmt.Sprintf("failed: %s, retry: %t\n", b.Reason, b.Retry != 0)
	case *oplog.Delta, *oplog.Image, *oplog.Recovered:
		return ""
	}
	return fmt.Sprintf("%T\n", e.Body)
}

// history tells what the oplog of a worker has.
func (p *platform) history(w id.Worker) string {
	p.t.Helper()
	var said strings.Builder
	said.WriteString(fmt.Sprintf("%s:\n", w))
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		said.WriteString(what(e))
	}
	return said.String()
}

// TestNobodyCanTellWhereComponentsBegin has workers of components make the same
// calls: with what the programs are after their initialization given to them, with
// that running, and now this and now that. They have the same oplogs in the end.
func TestNobodyCanTellWhereComponentsBegin(t *testing.T) {
	evicted := func(c *worker.Config) {
		c.MaxInstances, c.MaxRunning, c.IdleAfter, c.ImageAfter = 1, 1, 5*time.Millisecond, 0
	}
	for name, functions := range map[string][]string{
		"begins": {"look", "add", "add", "grow", "trap"},
		"turns":  {"add", "keep", "grow", "trap", "recurse", "set-table", "call-table"},
	} {
		want := ""
		for _, way := range []struct {
			name   string
			change func(*worker.Config)
			run    func(restart int) bool // the initialization
		}{
			{"run", nil, func(int) bool { return true }},
			{"given", nil, func(int) bool { return false }},
			{"now and then given", nil, func(n int) bool { return n%2 == 0 }},
			{"run and evicted", evicted, func(int) bool { return true }},
			{"given and evicted", evicted, func(int) bool { return false }},
			{"now and then given and evicted", evicted, func(n int) bool { return n%2 == 1 }},
		} {
			t.Run(name+"/"+way.name, func(t *testing.T) {
				p := newPlatform(t, func(c *worker.Config) {
					verified(t, c)
					if way.change != nil {
						way.change(c)
					}
				})
				p.deploy(name, guests.Wasm(t, "components/"+name))
				workers := make([]id.Worker, 4)
				for i := range workers {
					workers[i] = id.Worker{Component: name, Name: fmt.Sprint(i)}
					p.create(workers[i], api.NewWorker{Ephemeral: i >= 2, Settings: api.Settings{Retry: api.Retry{Attempts: 1}}})
				}
				ever := false
				random := rand.New(rand.NewPCG(1, 2))
				for restart := range 10 {
					p.restart()
					if way.run(restart) {
						must(t, p.RunAlways(t.Context(), name))
					}
					for range 8 {
						_, err := p.invoke(workers[random.IntN(len(workers))], functions[random.IntN(len(functions))], random.IntN(2))
						must(t, err)
					}
					given := p.Begins() > 0
					if given && way.run(restart) {
						t.Error("it is known what it begins as")
					}
					ever = ever || given
				}
				if ever == (way.run(0) && way.run(1)) {
					t.Errorf("it was ever known what it begins as: %t", ever)
				}
				p.restart()
				var got strings.Builder
				for _, w := range workers {
					got.WriteString(p.history(w))
				}
				if want == "" {
					want = got.String()
				}
				if got.String() != want {
					t.Errorf("the oplogs differ:\n%s\nwant\n%s", got.String(), want)
				}
			})
		}
	}
}

// TestAComponentThatAsksBeginsByItself: what it is told at its beginning is its own,
// for as long as it lives.
func TestAComponentThatAsksBeginsByItself(t *testing.T) {
	p := newPlatform(t, nil)
	p.deploy("asks", guests.Wasm(t, "components/asks"))
	answers := map[string]bool{}
	ask := func(w id.Worker) string {
		v, err := p.invoke(w, "drawn")
		must(t, err)
		return string(v.Result)
	}
	for i := range 3 {
		kept, ephemeral := id.Worker{Component: "asks", Name: fmt.Sprint("kept", i)}, id.Worker{Component: "asks", Name: fmt.Sprint(i)}
		p.create(ephemeral, api.NewWorker{Ephemeral: true})
		first := ask(kept)
		answers[first], answers[ask(ephemeral)], answers[ask(ephemeral)] = true, true, true
		p.restart()
		if again := ask(kept); again != first {
			t.Errorf("%s has drawn %s and, after a restart, %s", kept, first, again)
		}
	}
	if len(answers) != 9 {
		t.Errorf("of 9 instances %d have begun as nobody else", len(answers))
	}
}
