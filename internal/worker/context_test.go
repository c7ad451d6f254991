package worker_test

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// durablePlatform has both forms of what asks the platform about itself: the
// component control and the module durable.
func durablePlatform(t *testing.T) *platform {
	p := newPlatform(t, nil)
	p.deploy("control", guests.Wasm(t, "components/control"))
	p.deploy("durable", guests.GoLibrary(t, "internal/worker/testdata/durable"))
	return p
}

// lines are those that a worker has printed, those of failed attempts too.
func (p *platform) lines(w id.Worker) []string {
	p.t.Helper()
	var b strings.Builder
	for e, err := range oplog.Read(p.t.Context(), p.store.Logs(), w, 1, 0) {
		must(p.t, err)
		if log, ok := e.Body.(*oplog.Log); ok && log.Stream == oplog.Stdout {
			b.Write(log.Bytes)
		}
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestAProgramKnowsWhoItIs(t *testing.T) {
	p := durablePlatform(t)
	for _, c := range []struct {
		component, function string
		args                []any
		result              string
	}{
		{"control", "steps", []any{[]string{"current"}}, "[1]"},
		{"durable", "current", nil, "[]"},
	} {
		w := id.Worker{Component: c.component, Name: "alice"}
		p.async(w, "first", c.function, c.args...)
		p.ends(w, "first", api.StateFinished, c.result)
		want := c.component + "/alice revision 1 since true, invocation first, attempt 1"
		if got := p.lines(w); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
		// It remembers what it was told when nobody is there to say it again.
		p.restart()
		p.async(w, "second", c.function, c.args...)
		p.ends(w, "second", api.StateFinished, map[bool]string{true: "[]", false: "[2]"}[c.result == "[]"])
	}
}

func TestAKeyIsTheSameWheneverTheProgramComesHereAgain(t *testing.T) {
	p := durablePlatform(t)
	all := map[string]bool{}
	for _, c := range []struct {
		component, function string
		args                []any
		result              string
	}{
		{"control", "steps", []any{[]string{"key", "key", "trap-before 2"}}, "[3]"},
		{"durable", "keys", nil, "[]"},
	} {
		for _, name := range []string{"alice", "bob"} {
			w := id.Worker{Component: c.component, Name: name}
			p.async(w, "first", c.function, c.args...)
			p.ends(w, "first", api.StateFinished, c.result)
			got := p.lines(w)
			if len(got) != 4 || got[0] != got[2] || got[1] != got[3] {
				t.Errorf("two attempts of %s got %q, want the same two keys in each", w, got)
			}
			for _, key := range got[:2] {
				if all[key] {
					t.Errorf("%s was given the key %s, which another call has", w, key)
				}
				all[key] = true
			}
		}
	}
}

func TestHostilePointersAreTheirProgramsFault(t *testing.T) {
	p := durablePlatform(t)
	p.deploy("bare", guests.GoLibrary(t, "internal/worker/testdata/bare"))
	for _, c := range []struct {
		component, function string
		pointer             any
		reason              string
	}{
		{"durable", "hostile", 0xfffffff0, "a pointer leads out of the memory"},
		{"durable", "hostile", 1, "a pointer is not aligned"},
		{"durable", "hostile-realloc", 0xfffffff0, "a pointer leads out of the memory"},
		{"bare", "key", nil, "exports no cabi_realloc"},
	} {
		w := id.Worker{Component: c.component, Name: "mallory"}
		var args []any
		if c.pointer != nil {
			args = []any{c.pointer}
		}
		v, err := p.invoke(w, c.function, args...)
		must(t, err)
		if v.Failure == nil || v.Failure.Code != api.FailedTrap || !strings.Contains(v.Failure.Reason, c.reason) {
			t.Errorf("%s %s %v: got %+v, want a trap because %s", w, c.function, c.pointer, v.Failure, c.reason)
		}
	}
	p.async(id.Worker{Component: "durable", Name: "mallory"}, "after", "current")
	p.ends(id.Worker{Component: "durable", Name: "mallory"}, "after", api.StateFinished, "[]")
}
