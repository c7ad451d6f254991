package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// keepsAll is a store that deletes no blob, so that every image of an oplog is
// there.
type keepsAll struct{ storage.Store }

type keptBlobs struct{ storage.Blobs }

func (s keepsAll) Blobs() storage.Blobs { return keptBlobs{s.Store.Blobs()} }

func (keptBlobs) Delete(context.Context, storage.Hash) error { return nil }

// prefixes are recoveries of one worker of the component from each prefix of its
// oplog.
type prefixes struct {
	t      *testing.T
	bounds bounds
	guests Guests
	worker id.Worker
	calls  []api.Call
	begins oplog.Time // when a process does, by the wall clock; 0: when all began
	// beside, if set, goes on beside the calls until ctx is done.
	beside func(ctx context.Context, m *machine, n *node)
}

var keeping1 = id.Worker{Component: component, Name: "keeping"}

// on lets a process work on a store, without faults.
func (e *prefixes) on(s *memory.Store, work func(ctx context.Context, m *machine, store storage.Store) error) {
	e.t.Helper()
	m := newMachine(host(), Options{Calm: true, Backing: &inMemory{store: s}})
	err := m.run(func(*plan) (bool, error) {
		store, err := m.Backing.open(context.Background())
		if err == nil {
			err = work(context.Background(), &m, store)
		}
		return true, err
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// answers makes the calls, each under its key, and gives what they are answered
// with.
func (e *prefixes) answers(s *memory.Store) (answers []string) {
	e.t.Helper()
	e.on(s, func(ctx context.Context, m *machine, store storage.Store) error {
		if e.begins > 0 {
			m.sim.JumpWall(e.begins.Time().Sub(m.sim.Now()))
		}
		n := &node{}
		err := n.open(m, keepsAll{store}, e.guests, e.bounds, entropy)
		if err == nil && e.beside != nil {
			beside, stop := context.WithCancel(ctx)
			task := m.sim.Go("beside", func() { e.beside(beside, m, n) })
			defer task.Wait()
			defer stop()
		}
		for _, call := range e.calls {
			var v api.Invocation
			if err == nil {
				v, err = n.workers.Invoke(ctx, e.worker, call)
			}
			answers = append(answers, fmt.Sprintf("%s %s%s: %s %s %+v", call.Key, call.Function, call.Args, v.State, v.Result, v.Failure))
		}
		return errors.Join(err, n.close(ctx))
	})
	return answers
}

// bodies are the entries of the worker's oplog.
func (e *prefixes) bodies(s *memory.Store) (all []oplog.Body) {
	for _, entry := range e.entries(s) {
		all = append(all, entry.Body)
	}
	return all
}

func (e *prefixes) entries(s *memory.Store) (all []oplog.Entry) {
	e.on(s, func(ctx context.Context, _ *machine, store storage.Store) error {
		for entry, err := range oplog.Read(ctx, store.Logs(), e.worker, 1, 0) {
			if err != nil {
				return err
			}
			all = append(all, entry)
		}
		return nil
	})
	return all
}

// prefix copies so many entries, and blobs if wanted.
func (e *prefixes) prefix(from *memory.Store, length oplog.Index, blobs bool) *memory.Store {
	to := memory.New()
	e.on(to, func(ctx context.Context, m *machine, store storage.Store) error {
		committer, err := oplog.NewCommitter(ctx, m.sim, store.Logs(), 0)
		if err != nil {
			return err
		}
		source := from.Reopen()
		_, err = copyEntries(ctx, committer, source, e.worker, func(oplog.Index) oplog.Index { return length })
		if blobs {
			err = errors.Join(err, copyBlobs(ctx, store, source))
		}
		return errors.Join(err, committer.Close())
	})
	return to
}

// everyCall has each function of keeper that does the same at any time, with all
// there is open in many states.
func everyCall() []api.Call {
	var calls []api.Call
	for i, c := range [][2]string{
		{"append", "7"},
		{"inc", "3"},
		{"append", "8"},
		{"next", ""},
		{"mint", "5"},
		{"arm", "900000"},
		{"mint", "6"},
		{"fail", ""},
		{"next", ""},
		{"roll", ""},
		{"append", "9"},
		{"spend", ""},
		{"ring", ""},
		{"file-inc", "4"},
		{"print", "2"},
		{"next", ""},
		{"next", ""},
		{"nap", "100000"},
		{"arm", "20"},
		{"put", "1"},
		{"append", "10"},
		{"next", ""},
		{"spend", ""},
		{"ring", ""},
		{"get", ""},
	} {
		calls = append(calls, api.Call{Function: c[0], Args: []byte("[" + c[1] + "]"), Key: fmt.Sprint("key-", i)})
	}
	return calls
}

func TestEveryPrefixOfAWorkersOplogLeadsToTheSameAnswers(t *testing.T) {
	for name, way := range map[string]struct {
		bounds bounds
		blobs  bool
	}{
		"replayed":                  {bounds{imageAfter: -1}, false},
		"from deltas":               {bounds{}, true},
		"from images":               {bounds{imageSize: 1}, true},
		"images that are not there": {bounds{imageSize: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := way.bounds
			b.instances, b.running, b.residents, b.queue, b.idleAfter, b.suspendAfter = 2, 2, 10, 100, day, yearly.suspendAfter
			e := &prefixes{t: t, bounds: b, worker: keeping1, calls: everyCall(), guests: Guests{component: guests.Wasm(t, "components/keeper")}}
			whole := memory.New()
			want := e.answers(whole)
			e.bounds.unverified = true // the answers will tell
			all := e.bodies(whole)
			images := 0
			for _, body := range all {
				if _, ok := body.(*oplog.Image); ok {
					images++
				}
			}
			for length := range oplog.Index(len(all)) {
				if testing.Short() && length%5 != 0 {
					continue
				}
				if got := e.answers(e.prefix(whole, length+1, way.blobs)); !slices.Equal(got, want) {
					t.Fatalf("from entry %d, %s, the answers are\n%q\nwant\n%q", length+1, oplog.Name(all[length]), got, want)
				}
			}
			t.Logf("%d prefixes, %d images", len(all), images)
			if (images > 0) != (b.imageSize == 1) {
				t.Errorf("there are %d images", images)
			}
		})
	}
}
