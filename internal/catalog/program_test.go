package catalog_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

func (w *world) acquire(c *catalog.Catalog, name string, number uint64) *catalog.Program {
	w.t.Helper()
	p, err := c.Acquire(ctx, name, number)
	if err != nil {
		w.t.Fatalf("acquire revision %d of %s: %v", number, name, err)
	}
	return p
}

func (w *world) release(p *catalog.Program) {
	w.t.Helper()
	if err := p.Release(); err != nil {
		w.t.Error(err)
	}
}

func TestAProgramIsWhatWasDeployed(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", guests.Wasm(t, "kit"))
		w.deploy(c, "shop", variant(1))
	})
	w.process(func(c *catalog.Catalog) {
		p := w.acquire(c, "shop", 1)
		defer w.release(p)
		f, ok := p.Function("add")
		if !ok || p.Revision.Number != 1 || len(f.Params) != 2 || len(f.Results) != 1 {
			t.Errorf("got %+v with add as %+v", p.Revision, f)
		}
		if _, ok := p.Function("_initialize"); ok {
			t.Error("the initialization can be invoked")
		}
		in, err := p.Module().Instantiate(ctx, wasm.InstanceConfig{Hosts: []*wasm.Host{wasi}})
		if err != nil {
			t.Error(err)
			return
		}
		stack := []uint64{40, 2}
		if err := in.Call(ctx, "add", stack); err != nil || stack[0] != 42 {
			t.Errorf("got %d, %v", stack[0], err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		newest := w.acquire(c, "shop", 0)
		if newest.Revision.Number != 2 {
			t.Errorf("the newest is %+v", newest.Revision)
		}
		w.release(newest)
	})
}

func TestCodeIsLoadedOnceForAllWhoUseIt(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		w.process(func(c *catalog.Catalog) { w.deploy(c, "shop", variant(1)) })
		clear(w.calls)
		w.process(func(c *catalog.Catalog) {
			w.fault = func(string) storagetest.Fault { w.sim.Yield(); return storagetest.None }
			modules := map[*wasm.Module]bool{}
			w.tasks(5, func(int) {
				p := w.acquire(c, "shop", 0)
				modules[p.Module()] = true
				w.sim.Yield()
				w.release(p)
				w.release(p) // which changes nothing
			})
			if len(modules) != 1 || w.calls["GetBlob"] != 1 {
				t.Errorf("seed %d: %d modules were made of %d reads", seed, len(modules), w.calls["GetBlob"])
			}
		})
	}
}

// tasks runs n tasks and waits for them.
func (w *world) tasks(n int, body func(i int)) {
	tasks := make([]sched.Task, n)
	for i := range tasks {
		tasks[i] = w.sim.Go(fmt.Sprintf("task %d", i), func() { body(i) })
	}
	for _, task := range tasks {
		task.Wait()
	}
}

func TestWhatWasJustDeployedNeedNotBeLoaded(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		w.release(w.acquire(c, "shop", 0))
	})
	if n := w.calls["GetBlob"]; n != 0 {
		t.Errorf("the module was read %d times", n)
	}
}

// TestCodeInUseStaysAndOfTheRestTheLastUsed has a catalog that keeps two.
func TestCodeInUseStaysAndOfTheRestTheLastUsed(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		for i := range 5 {
			w.deploy(c, fmt.Sprintf("c%d", i), variant(i))
		}
	})
	clear(w.calls)
	w.process(func(c *catalog.Catalog) {
		loads := func(name string) bool {
			before := w.calls["GetBlob"]
			w.release(w.acquire(c, name, 0))
			return w.calls["GetBlob"] > before
		}
		used := w.acquire(c, "c0", 0)
		for _, name := range []string{"c1", "c2", "c1", "c3"} { // of which c2 has gone
			loads(name)
		}
		for _, step := range []struct {
			name string
			want bool
		}{{"c0", false}, {"c1", false}, {"c3", false}, {"c2", true}, {"c1", true}, {"c0", false}} {
			if got := loads(step.name); got != step.want {
				t.Errorf("%s was loaded: %t, want %t", step.name, got, step.want)
			}
		}
		w.release(used)
	})
}

func TestWaitingForCodeEndsWithTheContext(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) { w.deploy(c, "shop", variant(1)) })
	w.process(func(c *catalog.Catalog) {
		waiting, stop := context.WithCancelCause(ctx)
		gone := errors.New("the client has gone")
		blocked := true
		w.fault = func(call string) storagetest.Fault {
			for call == "GetBlob" && blocked {
				w.sim.Yield()
			}
			return storagetest.None
		}
		first := w.sim.Go("first", func() { w.release(w.acquire(c, "shop", 0)) })
		for w.calls["GetBlob"] == 0 {
			w.sim.Yield()
		}
		second := w.sim.Go("second", func() {
			if p, err := c.Acquire(waiting, "shop", 0); !errors.Is(err, gone) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
		for range 20 {
			w.sim.Yield()
		}
		stop(gone)
		second.Wait()
		blocked = false
		first.Wait()
	})
}

// TestALoadThatIsGivenUpGoesOnForOthers cancels the task that loads while
// another waits.
func TestALoadThatIsGivenUpGoesOnForOthers(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) { w.deploy(c, "shop", variant(1)) })
	w.process(func(c *catalog.Catalog) {
		loading, stop := context.WithCancel(ctx)
		reads := 0
		w.fault = func(call string) storagetest.Fault {
			if call != "GetBlob" {
				return storagetest.None
			}
			reads++
			for reads == 1 && loading.Err() == nil {
				w.sim.Yield()
			}
			return storagetest.None
		}
		first := w.sim.Go("first", func() {
			if p, err := c.Acquire(loading, "shop", 0); !errors.Is(err, context.Canceled) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
		for reads == 0 {
			w.sim.Yield()
		}
		second := w.sim.Go("second", func() { w.release(w.acquire(c, "shop", 0)) })
		for range 20 {
			w.sim.Yield()
		}
		stop()
		first.Wait()
		second.Wait()
		if reads != 2 {
			t.Errorf("the module was read %d times", reads)
		}
	})
}

func TestAnErrorOfLoadingIsNotKept(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		w.process(func(c *catalog.Catalog) { w.deploy(c, "shop", variant(1)) })
		w.process(func(c *catalog.Catalog) {
			reads := 0
			w.fault = func(call string) storagetest.Fault {
				w.sim.Yield()
				if call == "GetBlob" {
					reads++
				}
				if call == "GetBlob" && reads == 1 {
					return storagetest.Before
				}
				return storagetest.None
			}
			w.tasks(4, func(int) {
				if p, err := c.Acquire(ctx, "shop", 0); err == nil {
					w.release(p)
				} else if !errors.Is(err, storagetest.ErrInjected) {
					t.Errorf("seed %d: %v", seed, err)
				}
				w.release(w.acquire(c, "shop", 0))
			})
		})
	}
}

func TestAModuleThatIsMissingIsNamedAndCanBeRestored(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		w.deploy(c, "shop", variant(2))
	})
	for _, h := range w.blobs() {
		if err := w.store.Blobs().Delete(ctx, h); err != nil {
			t.Fatal(err)
		}
	}
	w.process(func(c *catalog.Catalog) {
		for number := range uint64(3) {
			_, err := c.Acquire(ctx, "shop", number)
			want := fmt.Sprintf("load revision %d of shop: its module, SHA-256 ", cmp.Or(number, 2))
			if codeOf(err) != api.CodeDamaged || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("revision %d: got %v, want %s", number, err, want)
			}
		}
		if d := w.deploy(c, "shop", variant(2)); d.New {
			t.Errorf("deployed again it is %+v", d)
		}
		w.release(w.acquire(c, "shop", 2))
		w.deploy(c, "other", variant(1))
		w.release(w.acquire(c, "shop", 1))
	})
}

func TestADeletedComponentsCodeIsNotTakenForItsSuccessors(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		old := w.acquire(c, "shop", 0)
		if err := c.Delete(ctx, "shop"); err != nil {
			t.Error(err)
		}
		if _, err := c.Acquire(ctx, "shop", 1); codeOf(err) != api.CodeNoComponent {
			t.Errorf("got %v", err)
		}
		w.deploy(c, "shop", variant(2))
		p := w.acquire(c, "shop", 1)
		if _, ok := p.Function("f2"); !ok {
			t.Errorf("the program is %+v", p.Revision)
		}
		if _, ok := old.Function("f1"); !ok {
			t.Error("a program in use has changed")
		}
		w.release(old)
		w.release(p)
	})
}

func TestAClosedCatalogGivesNoPrograms(t *testing.T) {
	w := newWorld(t, 1)
	w.process(func(c *catalog.Catalog) {
		w.deploy(c, "shop", variant(1))
		p := w.acquire(c, "shop", 0)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Acquire(ctx, "shop", 0); codeOf(err) != api.CodeStopping {
			t.Errorf("got %v", err)
		}
		w.release(p)
	})
}

func TestASweepAndADeploymentNeverMeet(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		w.process(func(c *catalog.Catalog) {
			w.fault = func(string) storagetest.Fault { w.sim.Yield(); return storagetest.None }
			w.tasks(6, func(i int) {
				if i%2 == 0 {
					w.deploy(c, "shop", variant(i))
					return
				}
				err := c.Sweep(ctx, func(used map[storage.Hash]bool) error {
					for range 5 {
						w.sim.Yield()
					}
					for _, h := range w.blobs() {
						w.sim.Yield()
						if !used[h] {
							if err := w.store.Reopen().Blobs().Delete(ctx, h); err != nil {
								return err
							}
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
		w.fault = nil
		w.process(func(c *catalog.Catalog) {
			for number := range uint64(3) {
				w.release(w.acquire(c, "shop", number+1))
			}
		})
	}
}

func TestDeploymentsAtOnceMakeOneRevisionEach(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		w.process(func(c *catalog.Catalog) {
			w.fault = func(string) storagetest.Fault { w.sim.Yield(); return storagetest.None }
			numbers := map[uint64]int{}
			w.tasks(4, func(i int) {
				d := w.deploy(c, "shop", variant(i))
				if !d.New {
					t.Errorf("seed %d: %+v", seed, d)
				}
				numbers[d.Number]++
			})
			if len(numbers) != 4 {
				t.Errorf("seed %d: the revisions are %v", seed, numbers)
			}
			fresh := 0
			w.tasks(3, func(int) {
				if w.deploy(c, "same", variant(7)).New {
					fresh++
				}
			})
			if fresh != 1 {
				t.Errorf("seed %d: the same bytes were new %d times", seed, fresh)
			}
		})
	}
}
