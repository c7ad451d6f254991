package worker_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestWorkersThatLeaveAndComeBackAreNotReplayed(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { c.MaxInstances, c.ImageAfter = 1, time.Hour })
	for i := range 50 {
		for _, name := range []string{"a", "b", "c"} {
			p.want(named(name), fmt.Sprintf("[%d]", 2*(i+1)), "inc", 2)
			p.want(named(name), fmt.Sprintf("[%d]", 3*(i+1)), "file_inc", 3)
		}
	}
	if s := p.Stats(); s.Evictions < 100 || s.Replayed > 3*s.Evictions+3*8 { // what begins the invocation that wakes it; and each is replayed once
		t.Errorf("%d evictions, and %d entries replayed", s.Evictions, s.Replayed)
	}
	// They come back from the oplog too.
	p.restart()
	p.want(named("b"), "[102]", "inc", 2)
	if s := p.Stats(); s.Replayed > 4 {
		t.Errorf("%d entries replayed", s.Replayed)
	}
}

// appendTo appends an entry to a worker's oplog while the platform is closed.
func (p *platform) appendTo(w id.Worker, body func(last oplog.Index) oplog.Body) oplog.Index {
	p.t.Helper()
	ctx := context.Background()
	_, last, err := p.store.Logs().Bounds(ctx, w)
	must(p.t, err)
	c, err := oplog.NewCommitter(ctx, sched.NewGoroutines(), p.store.Logs(), 0)
	must(p.t, err)
	writer := c.NewWriter(w, last)
	index, err := writer.Append(ctx, body(last))
	must(p.t, err)
	must(p.t, writer.Commit(ctx))
	must(p.t, c.Close())
	return index
}

func TestADeltaThatCannotBeUsedCostsTimeAlone(t *testing.T) {
	valid := &image.Delta{Changes: []*wasm.Change{{Size: 1 << 17, Globals: []uint64{1}, Runs: []wasm.Run{{Offset: 1<<17 - 1, Bytes: []byte{1}}}}}}
	// changed is valid with another change.
	changed := func(change func(c *wasm.Change)) func() []byte {
		return func() []byte {
			d, c := *valid, *valid.Changes[0]
			change(&c)
			d.Changes = []*wasm.Change{&c}
			return d.Append(nil)
		}
	}
	for name, state := range map[string]func() []byte{
		"empty":                     func() []byte { return nil },
		"garbage":                   func() []byte { return []byte("no delta at all") },
		"a flipped bit":             func() []byte { b := valid.Append(nil); b[len(b)-3] ^= 4; return b },
		"a newer format":            func() []byte { b := valid.Append(nil); b[0]++; return b },
		"another base":              func() []byte { d := *valid; d.Base[3] = 1; return d.Append(nil) },
		"too many globals":          changed(func(c *wasm.Change) { c.Globals = make([]uint64, 9) }),
		"a memory that shrank":      changed(func(c *wasm.Change) { c.Size, c.Runs = 1<<16, nil }),
		"a memory over its maximum": changed(func(c *wasm.Change) { c.Size = 1 << 32 }),
		"too many cores": func() []byte {
			d := *valid
			d.Changes = append(d.Changes, d.Changes[0])
			return d.Append(nil)
		},
		"damaged files": func() []byte { d := *valid; d.Files = []byte("WBFS?"); return d.Append(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, func(c *worker.Config) { c.ImageAfter = 0 })
			p.everything(shop)
			p.close()
			deltas := entriesOf[*oplog.Delta](p, shop)
			_, last, err := p.store.Logs().Bounds(t.Context(), shop)
			must(t, err)
			bad := p.appendTo(shop, func(last oplog.Index) oplog.Body {
				return &oplog.Delta{At: 1, Covers: last, After: last, State: state()}
			})
			p.open()
			p.want(shop, "[6]", "inc", 3)
			p.want(shop, "[8]", "file_inc", 4)
			d, err := p.Worker(t.Context(), shop)
			must(t, err)
			if want := fmt.Sprintf("the delta at entry %d cannot be used", bad); !strings.Contains(d.Mode, want) {
				t.Errorf("the mode is %q, want one with %q", d.Mode, want)
			}
			if len(deltas) == 0 || d.Status != api.Idle {
				t.Errorf("%d deltas before entry %d, and now %+v", len(deltas), last, d)
			}
		})
	}
}

func TestImagesAreNotNeeded(t *testing.T) {
	p := newPlatform(t, wholeImages)
	for range 40 {
		p.everything(shop)
	}
	p.close()
	images, _ := p.images(shop)
	for _, image := range images {
		must(t, p.store.Blobs().Delete(t.Context(), image.Blob))
	}
	p.open()
	if p.want(shop, "[123]", "inc", 3); len(images) == 0 {
		t.Error("there were no images")
	}
	p.want(shop, "[164]", "file_inc", 4)
}

// fullBlobs has no room for blobs as long as full says so.
type fullBlobs struct {
	storage.Blobs
	full func() bool
}

func (b fullBlobs) Put(ctx context.Context, r io.Reader) (storage.Hash, int64, error) {
	if b.full() {
		return storage.Hash{}, 0, storage.ErrFull
	}
	return b.Blobs.Put(ctx, r)
}

type fullStore struct {
	storage.Store
	full func() bool
}

func (s fullStore) Blobs() storage.Blobs { return fullBlobs{s.Store.Blobs(), s.full} }

func TestAFullDiskWhileTheStateIsSavedCostsTimeAlone(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	p := newPlatform(t, func(c *worker.Config) {
		verified(t, c)
		c.Defaults.Images.Size = 1
		c.Store = fullStore{c.Store, full.Load}
	})
	for i := range 20 {
		p.want(shop, fmt.Sprintf("[%d]", 3*(i+1)), "inc", 3)
		p.want(shop, "[0]", "fill", 30000) // a file that is too large for a delta
	}
	p.eventually("it is told", func() bool {
		d, err := p.Worker(t.Context(), shop)
		must(t, err)
		return strings.Contains(d.Mode, "could not be saved") && strings.Contains(d.Mode, "disk full")
	})
	full.Store(false)
	for i := range 20 {
		p.want(shop, fmt.Sprintf("[%d]", 3*(i+21)), "inc", 3)
		p.want(shop, "[0]", "fill", 30000)
	}
	p.restart()
	p.want(shop, "[123]", "inc", 3)
	if s := p.Stats(); s.Replayed > 20 {
		t.Errorf("%d entries replayed although there was room for images", s.Replayed)
	}
}

// TestExamplesAreSavedAsReplayComesTo runs every example program as a worker.
func TestExamplesAreSavedAsReplayComesTo(t *testing.T) {
	for _, e := range guests.Examples(t) {
		if e.Stdin != "" {
			continue // workers have no input
		}
		t.Run(e.Name, func(t *testing.T) {
			p := newPlatform(t, func(c *worker.Config) { verified(t, c) })
			p.deploy(e.Name, e.Program(t))
			w := id.Worker{Component: e.Name, Name: "a"}
			files := map[string]string{}
			for path, content := range e.Files {
				files["/"+path] = base64.StdEncoding.EncodeToString(content)
			}
			p.create(w, api.NewWorker{Files: files})
			var args []any
			for _, arg := range e.Short {
				args = append(args, arg)
			}
			for run := range 2 { // the second one finds the files of the first
				v, err := p.invoke(w, "run", args...)
				must(t, err)
				if v.State != api.StateFinished || run == 0 && string(v.Result) != fmt.Sprintf("[%d]", e.ShortExit) {
					t.Errorf("%s %s %+v", v.State, v.Result, v.Failure)
				}
			}
			if p.restart(); len(entriesOf[*oplog.Delta](p, w))+len(entriesOf[*oplog.Image](p, w)) != 2 {
				t.Error("its state was not saved twice")
			}
		})
	}
}

func TestWorkersWithOneOriginShareNoRandomStream(t *testing.T) {
	p := newPlatform(t, func(c *worker.Config) { verified(t, c) })
	seen := map[string]string{}
	for round := range 3 {
		for _, name := range []string{"a", "b", "c"} {
			v, err := p.invoke(named(name), "roll")
			must(t, err)
			who := fmt.Sprintf("%s in round %d", name, round)
			if other := seen[string(v.Result)]; other != "" {
				t.Errorf("%s rolled %s, as did %s", who, v.Result, other)
			}
			seen[string(v.Result)] = who
		}
		p.restart()
	}
}
