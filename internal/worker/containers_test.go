package worker_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// holds is a platform with the component blobs, whose containers lie in cells and may
// have limit bytes.
func holds(t *testing.T, limit uint64, cells func(storage.Cells) storage.Cells) *platform {
	t.Helper()
	p := setup{change: func(c *worker.Config) {
		shared := once.NewCells(cells(c.Store.Cells()), c.Sched, func(string) uint64 { return limit })
		c.Containers = blobstore.NewStore(shared, c.Sched.Now, func(b []byte) error { _, err := rand.Read(b); return err })
	}}.platform(t)
	p.deploy("blobs", guests.Wasm(t, "components/blobs"))
	return p
}

func asTheyAre(c storage.Cells) storage.Cells { return c }

var holder = id.Worker{Component: "blobs", Name: "alice"}

// moment is a state of the containers, and how many entries of the worker were
// durable when they came to it.
type moment struct {
	entries uint64
	cells   map[string][]byte
}

// watchedCells note each moment.
type watchedCells struct {
	storage.Cells
	entries func() uint64
	mu      sync.Mutex
	moments []moment
}

func (c *watchedCells) Put(ctx context.Context, key string, expected uint64, value []byte) (uint64, error) {
	version, err := c.Cells.Put(ctx, key, expected, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(c.moments[len(c.moments)-1].cells)
	next[key] = value
	c.moments = append(c.moments, moment{c.entries(), next})
	return version, err
}

// TestContainersAreAsPromisedWhereverAWorkerDies kills a worker behind every entry,
// and behind every change of its containers, and lets it go on.
func TestContainersAreAsPromisedWhereverAWorkerDies(t *testing.T) {
	script := []string{
		"create", "put a one", "fill b 300000", "fill c 600000", "get a", "check c", "copy a d", "move a e", "move b b2", "has a",
		"begin late", "many 0 270000", "open c 100 599999", "next 200", "put c new", "next 300000", "more tail", "end", "names", "read 2", "skip 1",
		"delete d", "delete-many e nothing", "list 10", "get late",
	}
	theirs := `[["b2,c,late true","300000 of 300000","new","270004 bytes `
	diesAnywhere(t, 0, 0, script, `"b2,c,late true"`, []string{"list 10", "check b2", "get c", "get late"}, theirs)
}

// TestARefusalForWantOfRoomIsTheSameWhereverAWorkerDies does so where there is room
// for some of it.
func TestARefusalForWantOfRoomIsTheSameWhereverAWorkerDies(t *testing.T) {
	long, longer := strings.Repeat("x", 3000), strings.Repeat("y", 2500)
	script := []string{
		"create", "put a " + long, "put b " + longer, "copy a c", "get a", "delete a", "copy b c", "move c d", "delete c", "move b e", "put f " + long + longer[:1000], "put f z", "list 10",
	}
	diesAnywhere(t, 6500, 3, script, `"e,f true"`, []string{"list 10", "get e"}, `[["e,f true","2500 bytes `)
}

// diesAnywhere kills a worker whose component may have limit bytes behind every entry
// of a script, and behind every change of its containers. What the script comes to
// has part in it and so many refusals, and is the same each time; what another
// worker's steps come to begins with theirs.
func diesAnywhere(t *testing.T, limit uint64, refusals int, script []string, part string, others []string, theirs string) {
	t.Helper()
	args, err := json.Marshal([]any{"box", script})
	must(t, err)
	var p *platform
	watched := &watchedCells{moments: []moment{{0, map[string][]byte{}}}, entries: func() uint64 {
		_, last, err := p.store.Logs().Bounds(context.Background(), holder)
		must(t, err)
		return last
	}}
	p = holds(t, limit, func(c storage.Cells) storage.Cells { watched.Cells = c; return watched })
	v, err := p.Invoke(t.Context(), holder, api.Call{Function: "steps", Args: args, Key: "k"})
	must(t, err)
	must(t, p.committer.Close())
	want := string(v.Result)
	if v.State != api.StateFinished || !strings.Contains(want, part) {
		t.Fatalf("the call ended with %s %+v", want, v.Failure)
	}
	if got, want := strings.Count(want, "limits.shared"), refusals; got != want {
		t.Fatalf("%d steps were refused, want %d", got, want)
	}
	logs := p.store.Logs()
	entries, accepted := 0, 0
	for e, err := range oplog.Read(t.Context(), logs, holder, 1, 0) {
		must(t, err)
		entries++
		if _, is := e.Body.(*oplog.InvocationAccepted); is {
			accepted = entries
		}
	}
	// behind gives the containers as they were when n entries were durable.
	behind := func(n uint64) moment {
		last := watched.moments[0]
		for _, m := range watched.moments {
			if m.entries < n {
				last = m
			}
		}
		return moment{n, last.cells}
	}
	crashes := watched.moments
	for n := accepted; n < entries; n++ {
		crashes = append(crashes, behind(uint64(n)))
	}
	for i, m := range crashes {
		if m.entries < uint64(accepted) || testing.Short() && i%5 != 0 {
			continue
		}
		p := holds(t, limit, asTheyAre)
		for key, value := range m.cells {
			_, err := p.store.Cells().Put(t.Context(), key, 0, value)
			must(t, err)
		}
		w := p.committer.NewWriter(holder, 0)
		for e, err := range oplog.Read(t.Context(), logs, holder, 1, m.entries) {
			must(t, err)
			_, err := w.Append(t.Context(), e.Body)
			must(t, err)
		}
		must(t, w.Commit(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		v, err := p.Invocation(ctx, holder, "k", true)
		must(t, err)
		if string(v.Result) != want {
			t.Errorf("crash %d, behind %d entries: got %s %+v, want %s", i, m.entries, v.Result, v.Failure, want)
		}
		other, err := p.invoke(id.Worker{Component: "blobs", Name: "bob"}, "steps", "box", others)
		must(t, err)
		if got := string(other.Result); !strings.HasPrefix(got, theirs) {
			t.Errorf("crash %d, behind %d entries: another worker sees %s", i, m.entries, got)
		}
		cancel()
		p.close()
	}
	t.Logf("%d entries, %d changes of the containers, %d crashes", entries, len(watched.moments)-1, len(crashes))
}
