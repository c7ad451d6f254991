package sim

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

var (
	oneSeed = flag.String("sim.seed", "", "run the simulation with this seed only, and print what happens")
	seeds   = flag.Int("sim.seeds", 20, "how many random seeds to run beside the fixed ones")
)

// fixedSeeds is how many seeds, from 0, are run always, besides those that have
// found something.
const fixedSeeds = 20

var fruitfulSeeds = []uint64{
	0xaa8ac7b9fd84e9d2, 0xcada6c2ab71d1112, 0x32287d464f0c5895, 0x4f51d1b6fe2e3924,
	0x8d28ccde2c128015, 0x1373c16fc57f2863, 0xcfe2c0683bce4593, 0xb4abff5ba5c001c8,
}

// host compiles guests once for all tests.
var host = sync.OnceValue(func() Host {
	dir, err := os.MkdirTemp("", "waterbear-sim")
	if err != nil {
		panic(err)
	}
	engine, err := wasm.New(context.Background(), wasm.Config{CacheDir: dir})
	if err != nil {
		panic(err)
	}
	hosts, err := engine.Hosts(append(platform.Modules(), wasip1.Module())...)
	if err != nil {
		panic(err)
	}
	return Host{Engine: engine, Hosts: hosts}
})

var backings = map[string]func(seed uint64) Backing{
	"memory": func(uint64) Backing { return Memory() },
	"local":  Local,
}

// chosen gives the seeds to run.
func chosen(t *testing.T) []uint64 {
	if *oneSeed != "" {
		seed, err := strconv.ParseUint(*oneSeed, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	all := slices.Clone(fruitfulSeeds)
	for seed := range uint64(fixedSeeds) {
		all = append(all, seed)
	}
	for range *seeds {
		all = append(all, rand.Uint64())
	}
	return all
}

func compare(t *testing.T, what string, got map[string]Result) {
	t.Helper()
	want := undisturbed(t)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		w, g := want[name], got[name]
		if g.Exit != w.Exit {
			t.Errorf("%s: %s ends with %s, undisturbed with %s", what, name, g.Exit, w.Exit)
		}
		if g.Stdout != w.Stdout {
			t.Errorf("%s: stdout of %s:\n%s\nundisturbed:\n%s", what, name, g.Stdout, w.Stdout)
		}
		if g.Stderr != w.Stderr {
			t.Errorf("%s: stderr of %s:\n%s\nundisturbed:\n%s", what, name, g.Stderr, w.Stderr)
		}
		if !maps.Equal(g.Files, w.Files) {
			t.Errorf("%s: files of %s: %q\nundisturbed: %q", what, name, g.Files, w.Files)
		}
	}
}

func TestWhateverGoesWrongNobodyCanTell(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(backings)) {
		t.Run(name, func(t *testing.T) {
			crashes := 0
			for _, seed := range chosen(t) {
				w := newWorld(t, name, seed)
				got, err := w.Run()
				if err != nil {
					t.Fatalf("%v\nagain: make sim SEED=%#x", err, seed)
				}
				crashes += w.Crashes()
				compare(t, fmt.Sprintf("seed %#x", seed), got)
				again(t, w, seed)
				if t.Failed() {
					t.Fatalf("again: make sim SEED=%#x", seed)
				}
			}
			t.Logf("%d processes did not end by themselves", crashes)
		})
	}
}

// newWorld runs some of the programs beside each other.
func newWorld(t *testing.T, backing string, seed uint64) *World {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0x90067a35))
	some := slices.Clone(programs(t))
	r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	some = some[:1+r.IntN(3)]
	o := Options{Seed: seed, Backing: backings[backing](seed)}
	if *oneSeed != "" {
		o.Trace = func(event string) { fmt.Println(event) }
	}
	return New(host(), some, o)
}

// again recovers the programs from all that was recorded but their end, and
// from a prefix.
func again(t *testing.T, w *World, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0xa6a1))
	for what, keep := range map[string]func(oplog.Index) oplog.Index{
		"replay": func(last oplog.Index) oplog.Index { return last - 1 },
		"prefix": func(last oplog.Index) oplog.Index { return 1 + r.Uint64N(last-1) },
	} {
		a, err := w.Again(keep)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Run()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		compare(t, fmt.Sprintf("seed %#x, %s", seed, what), got)
	}
}

func TestOneSeedIsOneWorld(t *testing.T) {
	for backing := range backings {
		for seed := range uint64(10) {
			var traces [2]uint64
			for i := range traces {
				w := newWorld(t, backing, seed)
				if _, err := w.Run(); err != nil {
					t.Fatal(err)
				}
				traces[i] = w.TraceHash()
			}
			if traces[0] != traces[1] {
				t.Errorf("seed %#x on %s gave the traces %x and %x", seed, backing, traces[0], traces[1])
			}
		}
	}
}
