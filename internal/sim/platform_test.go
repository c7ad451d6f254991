package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// newPlatform is a world of clients on a disk.
func newPlatform(t *testing.T, backing Backing, seed uint64) *Platform {
	t.Helper()
	o := Options{Seed: seed, Backing: backing}
	if *oneSeed != "" {
		o.Trace = func(event string) { fmt.Println(event) }
	}
	return NewPlatform(host(), platformGuests(t), o)
}

func platformGuests(t *testing.T) Guests {
	t.Helper()
	return Guests{
		module: guests.Wasm(t, "kit"), component: guests.Wasm(t, "components/keeper"), asker: guests.Wasm(t, "asker"),
	}
}

func TestWhateverGoesWrongClientsGetWhatTheyWerePromised(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(backings)) {
		t.Run(name, func(t *testing.T) {
			crashes, deeds, truncations, answers := 0, 0, 0, 0
			for _, seed := range chosen(t) {
				w := newPlatform(t, backings[name](seed), seed)
				if err := w.Run(); err != nil {
					t.Fatalf("%v\nagain: make sim SEED=%#x", err, seed)
				}
				checkLinear(t, fmt.Sprintf("seed %#x", seed), w.Deeds())
				if err := w.Again(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Fatalf("again: make sim SEED=%#x", seed)
				}
				crashes += w.Crashes()
				deeds += len(w.Deeds())
				truncations += w.Truncations()
				answers += w.Answers()
			}
			t.Logf("%d processes did not end by themselves; %d deeds of clients; %d times an oplog was truncated; %d promises were settled", crashes, deeds, truncations, answers)
			if (truncations == 0 || answers == 0) && *oneSeed == "" {
				t.Error("no oplog was truncated, or no promise settled")
			}
		})
	}
}

func TestOneSeedIsOneWorldOfClients(t *testing.T) {
	for backing, open := range backings {
		for seed := range uint64(10) {
			leavesOneTrace(t, fmt.Sprintf("seed %#x on %s", seed, backing), func() traced { return newPlatform(t, open(seed), seed) })
		}
	}
}

// traced is a world that leaves a trace.
type traced interface {
	Run() error
	TraceHash() uint64
}

// leavesOneTrace demands that two worlds of one seed take the same course.
func leavesOneTrace(t *testing.T, seed string, world func() traced) {
	t.Helper()
	var traces [2]uint64
	for i := range traces {
		w := world()
		if err := w.Run(); err != nil {
			t.Fatal(err)
		}
		traces[i] = w.TraceHash()
	}
	if traces[0] != traces[1] {
		t.Errorf("%s gave the traces %x and %x", seed, traces[0], traces[1])
	}
}

// TestFaultsOfAPlatformAreFoundOut plants faults that clients must not see, and
// counts the worlds in which somebody notices.
func TestFaultsOfAPlatformAreFoundOut(t *testing.T) {
	const worlds, enough = 20, 5
	for name, plant := range map[string]func(*Platform){
		"a store that acknowledges what it loses in a crash": func(w *Platform) {
			w.Backing = &liar{inMemory: inMemory{store: memory.New()}}
		},
		"a worker that forgets a key": func(w *Platform) {
			w.between = func(s service) service { return &forgetful{s, rand.New(rand.NewPCG(w.Seed, 1))} }
		},
		"an agenda that loses a worker": func(w *Platform) { w.beside = w.loseOfAgenda },
		"a settlement that is acknowledged and not kept": func(w *Platform) {
			w.between = func(s service) service { return &careless{s, rand.New(rand.NewPCG(w.Seed, 1))} }
		},
		"a result that is another the second time": func(w *Platform) {
			w.between = func(s service) service { return &fickle{service: s} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			for seed := range uint64(worlds) {
				w := newPlatform(t, Memory(), seed)
				plant(w)
				if err := w.Run(); errors.Is(err, errBroken) {
					found++
				} else if err != nil {
					t.Logf("seed %d: %v", seed, err)
				}
			}
			if found < enough {
				t.Errorf("%d of %d worlds were found out", found, worlds)
			}
		})
	}
}

// careless loses some settlements of promises.
type careless struct {
	service
	random *rand.Rand
}

func (l *careless) SettlePromise(ctx context.Context, p id.Promise, s api.Settlement) (api.Promise, error) {
	if l.random.IntN(4) == 0 {
		return api.Promise{}, nil
	}
	return l.service.SettlePromise(ctx, p, s)
}

// forgetful takes some calls under a key for calls without one.
type forgetful struct {
	service
	random *rand.Rand
}

func (f *forgetful) Invoke(ctx context.Context, w id.Worker, c api.Call) (api.Invocation, error) {
	key := c.Key
	if f.random.IntN(3) == 0 {
		c.Key = ""
	}
	v, err := f.service.Invoke(ctx, w, c)
	if key != "" && err == nil {
		v.Key = key
	}
	return v, err
}

// fickle answers now and then with another result than there is.
type fickle struct {
	service
	asked int
}

func (f *fickle) Invocation(ctx context.Context, w id.Worker, key string, wait bool) (api.Invocation, error) {
	v, err := f.service.Invocation(ctx, w, key, wait)
	if f.asked++; f.asked%5 == 0 && len(v.Result) > 2 {
		v.Result = []byte("[0]")
	}
	return v, err
}

// loseOfAgenda takes workers off the agenda that are to be looked at.
func (w *Platform) loseOfAgenda(ctx context.Context, n *node) {
	for pause := time.Millisecond; w.sim.Sleep(ctx, pause) == nil; pause += pause / 50 {
		for _, name := range w.workers {
			n.agenda.Forget(name)
		}
	}
}
