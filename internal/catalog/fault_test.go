package catalog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
)

// outcome is what a process said of what it did.
type outcome struct {
	deployed, configured, deleted, made error
}

// do makes the changes whose durability is tested.
func (w *world) do(c *catalog.Catalog) (o outcome) {
	_, o.deployed = c.Deploy(ctx, "shop", variant(2), nil)
	_, o.configured = c.Configure(ctx, "shop", api.Settings{Limits: api.Limits{Queue: 7}})
	o.deleted = c.Delete(ctx, "old")
	_, o.made = c.Deploy(ctx, "new", variant(3), nil)
	return o
}

// TestChangesAreAllOrNothingWhateverFails lets the k-th call to the store fail,
// before or after it has done what it is for, and some that follow it, all of
// them if the process is to end there; for k = 1, 2, 3… until none fails.
func TestChangesAreAllOrNothingWhateverFails(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Before, storagetest.After} {
		for _, more := range []int{0, 1, 3, crash} {
			for k := 1; ; k++ {
				faulted := false
				t.Run(fmt.Sprintf("%d/%d/%d", fault, more, k), func(t *testing.T) {
					faulted = survives(t, fault, k, more)
				})
				if !faulted {
					break
				}
			}
		}
	}
}

// crash stands for all calls that follow.
const crash = 1 << 20

// survives reports whether there was a k-th call.
func survives(t *testing.T, fault storagetest.Fault, k, more int) (faulted bool) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		w.deploy(c, "old", variant(4))
		w.deploy(c, "old", variant(5))
	})
	calls := 0
	w.fault = func(string) storagetest.Fault {
		calls++
		switch {
		case calls == k:
			return fault
		case calls > k && calls <= k+more:
			return storagetest.Before
		}
		return storagetest.None
	}
	var said outcome
	err := w.sim.Run(func() {
		c, err := w.open()
		if err != nil {
			said = outcome{err, err, err, err}
			return
		}
		said = w.do(c)
		if more != crash {
			// The same process goes on, and sees what there is.
			w.check(c, said)
			w.complete(c)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.fault = nil
	w.process(func(c *catalog.Catalog) {
		w.check(c, said)
		w.complete(c)
	})
	w.process(func(c *catalog.Catalog) { w.check(c, outcome{}) })
	want := []string{"component/new", "component/shop", "revision/new/0000000001", "revision/shop/0000000001", "revision/shop/0000000002"}
	if got := w.cells(); !slices.Equal(got, want) {
		t.Errorf("the store has %v, want %v", got, want)
	}
	return calls >= k
}

// check holds a catalog to what was said.
func (w *world) check(c *catalog.Catalog, said outcome) {
	w.t.Helper()
	shop, err := c.Component(ctx, "shop")
	if err != nil || said.deployed == nil && shop.Latest.Number != 2 || said.configured == nil && shop.Settings.Limits.Queue != 7 {
		w.t.Errorf("after %+v: shop is %+v, %v", said, shop, err)
	}
	old, oldErr := c.Component(ctx, "old")
	if said.deleted == nil && codeOf(oldErr) != api.CodeNoComponent || said.deleted != nil && oldErr == nil && old.Latest.Number != 2 {
		w.t.Errorf("after %+v: old is %+v, %v", said, old, oldErr)
	}
	if k, err := c.Component(ctx, "new"); said.made == nil && err != nil || err != nil && codeOf(err) != api.CodeNoComponent {
		w.t.Errorf("after %+v: new is %+v, %v", said, k, err)
	}
	// What is there can be used, whoever it was made for.
	all, err := c.Components(ctx)
	if err != nil {
		w.t.Error(err)
	}
	for _, k := range all {
		for number := range k.Latest.Number {
			p, err := c.Acquire(ctx, k.Name, number+1)
			if err != nil && !errors.Is(err, storagetest.ErrInjected) {
				w.t.Errorf("after %+v: revision %d of %s: %v", said, number+1, k.Name, err)
			}
			if err == nil {
				w.release(p)
			}
		}
	}
}

// complete makes the changes again, until each is said to be made.
func (w *world) complete(c *catalog.Catalog) {
	w.t.Helper()
	for range 6 {
		o := w.do(c)
		if codeOf(o.deleted) == api.CodeNoComponent {
			o.deleted = nil
		}
		if o != (outcome{}) {
			continue
		}
		w.check(c, o)
		// The name is free again.
		if _, err := c.Deploy(ctx, "old", variant(6), nil); err == nil && c.Delete(ctx, "old") == nil {
			return
		}
	}
	w.t.Error("the changes cannot be made any more")
}

func TestAnUnfinishedRevisionGoesWithItsComponent(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		puts := 0
		w.fault = func(call string) storagetest.Fault {
			if call == "PutCell" {
				puts++
			}
			if puts == 2 { // of the component
				return storagetest.Before
			}
			return storagetest.None
		}
		if _, err := c.Deploy(ctx, "shop", variant(2), nil); !errors.Is(err, storagetest.ErrInjected) {
			t.Errorf("got %v", err)
		}
		w.fault = nil
		if n := len(w.cells()); n != 3 {
			t.Errorf("there are %d cells, want an unfinished third", n)
		}
		if err := c.Delete(ctx, "shop"); err != nil {
			t.Error(err)
		}
	})
	if got := w.cells(); len(got) > 0 {
		t.Errorf("the store has %v", got)
	}
}

func TestAModuleThatMayBeInUseIsNotSwept(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		puts := 0
		w.fault = func(call string) storagetest.Fault {
			if call == "PutCell" {
				puts++
			}
			if puts == 2 { // of the component
				return storagetest.After
			}
			return storagetest.None
		}
		if _, err := c.Deploy(ctx, "shop", variant(1), nil); !errors.Is(err, storagetest.ErrInjected) {
			t.Errorf("got %v", err)
		}
		w.fault = nil
		err := c.Sweep(ctx, func(used map[storage.Hash]bool) error {
			if !used[sha256.Sum256(variant(1))] {
				t.Error("the module of a deployment that was made, though it failed, counts for nothing")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestAFullDiskIsSaidAndHarmsNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) { w.deploy(c, "shop", variant(1)) })
	full := fullCells{Cells: w.store.Cells()}
	err := w.sim.Run(func() {
		c, err := catalog.Open(ctx, catalog.Config{Sched: w.sim, Cells: full, Blobs: w.store.Blobs(), Engine: engine})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Deploy(ctx, "shop", variant(2), nil); codeOf(err) != api.CodeDiskFull || !strings.HasPrefix(err.Error(), "deploy shop: ") {
			t.Errorf("deploy: %v", err)
		}
		if _, err := c.Configure(ctx, "shop", api.Settings{}); codeOf(err) != api.CodeDiskFull {
			t.Errorf("configure: %v", err)
		}
		if r, ok := c.Latest("shop"); !ok || r.Number != 1 {
			t.Errorf("the latest is %+v", r)
		}
		w.release(w.acquire(c, "shop", 0))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fullCells are cells on a full disk.
type fullCells struct{ storage.Cells }

func (fullCells) Put(context.Context, string, uint64, []byte) (uint64, error) {
	return 0, fmt.Errorf("write the log: %w", storage.ErrFull)
}

func TestADamagedRecordIsNamedAndHarmsNoOther(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		for _, name := range []string{"bad", "good", "tip"} {
			w.deploy(c, name, variant(1))
			w.deploy(c, name, variant(2))
		}
	})
	w.overwrite("component/bad", "{")
	w.overwrite("revision/tip/0000000002", `{"format":1,"revision":{"component":"good","number":2,"hash":"00"}}`)
	w.overwrite("revision/good/0000000001", `{"format":0}`)
	w.process(func(c *catalog.Catalog) {
		all, err := c.Components(ctx)
		if err != nil || len(all) != 3 || all[0].Name != "bad" || all[2].Latest.Number != 2 {
			t.Errorf("got %+v, %v", all, err)
		}
		damaged := map[string]error{}
		_, damaged["component bad"] = c.Component(ctx, "bad")
		_, damaged["deploy bad"] = c.Deploy(ctx, "bad", variant(3), nil)
		_, damaged["acquire bad"] = c.Acquire(ctx, "bad", 1)
		_, damaged["component tip"] = c.Component(ctx, "tip")
		_, damaged["revision 2 of tip"] = c.Revision(ctx, "tip", 0)
		_, damaged["acquire tip 2"] = c.Acquire(ctx, "tip", 0)
		_, damaged["revision 1 of good"] = c.Revision(ctx, "good", 1)
		_, damaged["acquire good 1"] = c.Acquire(ctx, "good", 1)
		for what, err := range damaged {
			if codeOf(err) != api.CodeDamaged {
				t.Errorf("%s: %v", what, err)
			}
		}
		if revisions, err := c.Revisions(ctx, "good"); err != nil || len(revisions) != 2 || revisions[1].Number != 1 || revisions[1].Hash != "" {
			t.Errorf("got %+v, %v", revisions, err)
		}
		var corrupt *storage.CorruptError
		if err := c.Sweep(ctx, func(map[storage.Hash]bool) error { t.Error("it was swept"); return nil }); !errors.As(err, &corrupt) {
			t.Errorf("a sweep gave %v", err)
		}
		w.release(w.acquire(c, "good", 2))
		w.release(w.acquire(c, "tip", 1))
		if d := w.deploy(c, "tip", variant(2)); !d.New || d.Number != 3 {
			t.Errorf("deployed over the damage it is %+v", d)
		}
		if _, err := c.Configure(ctx, "bad", api.Settings{}); codeOf(err) != api.CodeDamaged {
			t.Errorf("configure: %v", err)
		}
		for _, name := range []string{"tip", "good", "bad"} {
			if err := c.Delete(ctx, name); err != nil {
				t.Error(err)
			}
		}
		if got := w.cells(); len(got) > 0 {
			t.Errorf("the store has %v", got)
		}
		w.deploy(c, "bad", variant(1))
	})
}

// spoiledCells are cells of which some cannot be read.
type spoiledCells struct {
	storage.Cells
	spoiled map[string]bool
	known   bool // their versions are
}

func (s spoiledCells) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	value, version, err := s.Cells.Get(ctx, key)
	if err != nil || !s.spoiled[key] {
		return value, version, err
	}
	if !s.known {
		version = 0
	}
	return nil, version, &storage.CorruptError{Where: key, Cause: errors.New("rotten")}
}

func (s spoiledCells) Put(ctx context.Context, key string, expected uint64, value []byte) (uint64, error) {
	version, err := s.Cells.Put(ctx, key, expected, value)
	if err == nil {
		delete(s.spoiled, key)
	}
	return version, err
}

func TestAComponentWhoseCellsRotCanBeDeleted(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := newWorld(t, 1)
		w.process(func(c *catalog.Catalog) {
			for n := range 3 {
				w.deploy(c, "bad", variant(n))
			}
			w.deploy(c, "good", variant(1))
		})
		cells := spoiledCells{w.store.Reopen().Cells(), map[string]bool{"component/bad": true, "revision/bad/0000000002": true}, known}
		err := w.sim.Run(func() {
			c, err := catalog.Open(ctx, catalog.Config{Sched: w.sim, Cells: cells, Blobs: w.store.Blobs(), Engine: engine})
			if err != nil {
				t.Error(err)
				return
			}
			err = c.Delete(ctx, "bad")
			if !known && codeOf(err) != api.CodeDamaged || known && err != nil {
				t.Errorf("deleting with the version known %t gives %v", known, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := w.cells(); known && len(got) != 2 {
			t.Errorf("the store has %v", got)
		}
	}
}

func TestARecordOfANewerFormatIsNotGuessedAt(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) { w.deploy(c, "shop", variant(1)) })
	w.overwrite("revision/shop/0000000001", `{"format":2,"module":{}}`)
	err := w.sim.Run(func() {
		if _, err := w.open(); !errors.Is(err, storage.ErrNewerFormat) {
			t.Errorf("got %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// overwrite changes what is stored behind the catalog's back.
func (w *world) overwrite(key, value string) {
	w.t.Helper()
	cells := w.store.Reopen().Cells()
	_, version, err := cells.Get(ctx, key)
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		_, err = cells.Put(ctx, key, version, []byte(value))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// The stored form, format 1. These are never edited: what is stored anywhere
// has to stay readable.
const (
	goldenComponent = `{"format":1,"name":"shop","created":"2030-01-01T00:00:00.000000001Z","latest":1,"settings":{"limits":{"memory":1048576,"storage":2,"files":3,"cpuTime":"4s","logRate":5,"oplogRate":6,"queue":7},"retry":{"attempts":8,"initial":"9s","max":"10m0s","factor":1.5,"jitter":0.25}}}`
	goldenRevision  = `{"format":1,"revision":{"component":"shop","number":1,"hash":"HASH","size":36,"created":"2030-01-01T00:00:00.000000001Z","kind":"library","exports":[{"name":"f1","params":["i32"],"results":["i64"]}],"imports":[]}}`
)

func TestTheStoredFormStaysReadable(t *testing.T) {
	w := newWorld(t, 1)
	hash := storage.Hash(sha256.Sum256(variant(1)))
	revision := strings.Replace(goldenRevision, "HASH", hash.String(), 1)
	w.overwrite("component/shop", goldenComponent)
	w.overwrite("revision/shop/0000000001", revision)
	w.process(func(c *catalog.Catalog) {
		k, err := c.Component(ctx, "shop")
		want := api.Settings{
			Limits: api.Limits{Memory: 1 << 20, Storage: 2, Files: 3, CPUTime: 4e9, LogRate: 5, OplogRate: 6, Queue: 7},
			Retry:  api.Retry{Attempts: 8, Initial: 9e9, Max: 600e9, Factor: 1.5, Jitter: 0.25},
		}
		if err != nil || !reflect.DeepEqual(k.Settings, want) || k.Created.Nanosecond() != 1 || k.Latest.Hash != hash.String() {
			t.Errorf("got %+v, %v", k, err)
		}
		if d := w.deploy(c, "shop", variant(1)); d.New { // which puts the module
			t.Errorf("got %+v", d)
		}
		w.deploy(c, "shop", variant(2))
		if _, err := c.Configure(ctx, "shop", want); err != nil {
			t.Error(err)
		}
		if r, err := c.Revision(ctx, "shop", 1); err != nil || !reflect.DeepEqual(r, k.Latest) {
			t.Errorf("got %+v, %v, want %+v", r, err, k.Latest)
		}
	})
	// What is written is of the same form.
	text, _, err := w.store.Cells().Get(ctx, "component/shop")
	if want := strings.Replace(goldenComponent, `"latest":1`, `"latest":2`, 1); err != nil || string(text) != want {
		t.Errorf("the component is stored as\n%s, %v, want\n%s", text, err, want)
	}
	text, _, err = w.store.Cells().Get(ctx, "revision/shop/0000000002")
	shape := func(s string) string { return strings.Split(s, `"number"`)[0] + s[strings.Index(s, `"kind"`):] }
	if want := strings.Replace(shape(revision), "f1", "f2", 1); err != nil || shape(string(text)) != want {
		t.Errorf("the revision is stored as\n%s, %v, want\n%s", shape(string(text)), err, want)
	}
}
