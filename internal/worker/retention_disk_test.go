package worker_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// crowd invokes a function of a worker n times, some at once.
func (p *platform) crowd(w id.Worker, n int, c api.Call) {
	p.t.Helper()
	const clients = 32
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			for range (n + clients - 1 - i) / clients {
				if v, err := p.Invoke(p.t.Context(), w, c); err != nil || v.State != api.StateFinished {
					p.t.Errorf("got %+v, %v", v, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestRetentionBoundsTheDiskThatABusyWorkerUses(t *testing.T) {
	const rounds, invocations, kept = 6, 2000, 300
	for name, ephemeral := range map[string]bool{"durable": false, "ephemeral": true} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMemory(1)
			s := setup{
				change: func(c *worker.Config) {
					c.ImageAfter, c.CutAfter = 0, 256 // whatever that costs
					c.Defaults.Retention = api.Retention{Oplog: api.KeepInvocations(kept), Results: api.KeepInvocations(2 * kept), Logs: api.KeepInvocations(2 * kept)}
				},
				open: func() storage.Store {
					store, err := local.Open(t.Context(), disk, "state", local.Options{FileBytes: 128 << 10, AllocateBytes: 32 << 10, FlushWeight: 1 << 10, FlushBytes: 64 << 10})
					must(t, err)
					return store
				},
			}
			p := s.platform(t)
			p.create(shop, api.NewWorker{Ephemeral: ephemeral})
			var used [rounds]int64
			var written int64
			for round := range rounds {
				before := p.committer.Bytes()
				p.crowd(shop, invocations, api.Call{Function: "print", Args: json.RawMessage("[1]")})
				if round == 0 {
					written = int64(p.committer.Bytes() - before)
				}
				p.restart() // ends what is under way
				p.keepHouse()
				used[round] = disk.Used()
			}
			t.Logf("a round writes %d bytes; used after each: %v", written, used)
			// It does not grow: what is there at the end is less than a few rounds.
			if last := used[rounds-1]; last > 3*written || last > 3*used[1] {
				t.Errorf("the disk has %d bytes", last)
			}
			d, err := p.Worker(t.Context(), shop)
			must(t, err)
			if d.Entries < rounds*invocations*4 || d.Entries-d.First > 5*kept*5 || d.Archived == nil || d.Archived.Results > 6*kept {
				t.Errorf("entries %d to %d are kept, and %+v", d.First, d.Entries, d.Archived)
			}
			// So is what an image has of it.
			if d.Image == nil || d.Image.Size > 256<<10 {
				t.Errorf("the image is %+v", d.Image)
			}
			p.want(shop, "[0]", "get")
		})
	}
}

// keepHouse lets the store tidy up.
func (p *platform) keepHouse() {
	p.t.Helper()
	keeper, ok := p.store.(storage.Housekeeper)
	if !ok {
		p.t.Fatal(errors.New("nobody keeps house"))
	}
	for more := true; more; {
		var err error
		more, err = keeper.Housekeep(p.t.Context())
		must(p.t, err)
	}
}
