package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var years = flag.Int("sim.years", 1, "how many years to simulate")

func newYear(t *testing.T, backing Backing, length time.Duration, seed uint64) *Year {
	t.Helper()
	o := Options{Seed: seed, Backing: backing}
	if *oneSeed != "" {
		o.Trace = func(event string) { fmt.Println(event) }
	}
	return NewYear(host(), platformGuests(t), length, o)
}

func TestAYearOfTimersAndCrashesLosesNothing(t *testing.T) {
	for n := range *years {
		seed := rand.Uint64()
		if *oneSeed != "" {
			seed = chosen(t)[0]
		}
		y := newYear(t, []Backing{Local(seed), Memory()}[n%2], 365*day, seed)
		if err := y.Run(); err != nil {
			t.Fatalf("%v\nagain: make year SEED=%#x", err, seed)
		}
		calls, scheduled := 0, 0
		for _, d := range y.diaries {
			calls += len(d.calls)
			for _, c := range d.calls {
				if !c.Due.IsZero() {
					scheduled++
				}
			}
		}
		t.Logf("seed %#x: %d processes, %d of which did not end by themselves; %d calls, %d of them scheduled; %d recoveries, %d evictions, %d images, %d deltas",
			seed, y.life, y.Crashes(), calls, scheduled, y.stats.Recoveries, y.stats.Evictions, y.stats.Images, y.stats.Deltas)
		for what, n := range map[string]uint64{
			"crashes": uint64(y.Crashes()), "scheduled calls": uint64(scheduled), "evictions": y.stats.Evictions, "images": y.stats.Images, "deltas": y.stats.Deltas,
			"truncations": uint64(y.past.times),
		} {
			if n < 10 {
				t.Errorf("there were %d %s (seed %#x)", n, what, seed)
			}
		}
	}
}

func TestOneSeedIsOneYear(t *testing.T) {
	leavesOneTrace(t, "one seed", func() traced { return newYear(t, Local(7), 30*day, 7) })
}

// TestFaultsOfAYearAreFoundOut plants faults that must not go unnoticed.
func TestFaultsOfAYearAreFoundOut(t *testing.T) {
	for name, plant := range map[string]func(*Year){
		"a store that acknowledges what it loses in a crash": func(y *Year) {
			y.Backing = &liar{inMemory: inMemory{store: memory.New()}}
		},
		"a worker that forgets a key": func(y *Year) {
			y.between = func(s service) service { return &forgetful{s, rand.New(rand.NewPCG(y.Seed, 1))} }
		},
		"an agenda that loses a worker now and then": func(y *Year) {
			y.beside = func(ctx context.Context, n *node) {
				for y.sim.Sleep(ctx, day) == nil {
					for _, d := range y.diaries {
						n.agenda.Forget(d.worker)
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYear(t, Memory(), 60*day, 3)
			plant(y)
			if err := y.Run(); !errors.Is(err, errBroken) {
				t.Errorf("nobody noticed; it ended with %v", err)
			}
		})
	}
}
