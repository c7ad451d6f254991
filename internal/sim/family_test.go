package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

func newFamily(t *testing.T, backing Backing, seed uint64) *Family {
	t.Helper()
	o := Options{Seed: seed, Backing: backing}
	if *oneSeed != "" {
		o.Trace = func(event string) { fmt.Println(event) }
	}
	return NewFamily(host(), Guests{trading: guests.Wasm(t, "components/callers")}, o)
}

func TestWhateverGoesWrongCopiesAreMadeOnceAndGoTheirOwnWays(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(backings)) {
		t.Run(name, func(t *testing.T) {
			crashes, forked, byHand, refused, histories, truncations := 0, 0, 0, 0, 0, 0
			for _, seed := range fewer(t) {
				f := newFamily(t, backings[name](seed), seed)
				if err := f.Run(); err != nil {
					t.Fatalf("%v\nagain: make sim SEED=%#x", err, seed)
				}
				crashes, refused, truncations, histories = crashes+f.Crashes(), refused+f.Refusals(), truncations+f.Truncations(), histories+f.Histories()
				some, more := f.Copies()
				forked, byHand = forked+some, byHand+more
			}
			t.Logf("%d processes did not end by themselves; %d copies were made by programs, %d by hand, and %d refused; %d times an oplog was truncated; %d copies have the history of their origins", crashes, forked, byHand, refused, truncations, histories)
			if (forked == 0 || byHand == 0 || refused == 0 || truncations == 0 || histories == 0) && *oneSeed == "" {
				t.Error("some of that never happened")
			}
		})
	}
}

// fewer gives a seventh of the seeds to run, and those that have found something: a
// Family takes longer than others.
func fewer(t *testing.T) (seeds []uint64) {
	t.Helper()
	for i, seed := range chosen(t) {
		if i%7 == 0 {
			seeds = append(seeds, seed)
		}
	}
	if *oneSeed == "" {
		seeds = append(seeds, 0x95f27132d0efa12c, 0x7a189ed77889fd51)
	}
	return seeds
}

func TestOneSeedIsOneFamily(t *testing.T) {
	for seed := range uint64(2) {
		leavesOneTrace(t, fmt.Sprintf("seed %#x", seed), func() traced { return newFamily(t, Local(seed), seed) })
	}
}

// TestFaultsOfAFamilyAreFoundOut plants faults that must not go unnoticed.
func TestFaultsOfAFamilyAreFoundOut(t *testing.T) {
	for name, plant := range map[string]func(*Family){
		"a store that acknowledges what it loses in a crash": func(f *Family) {
			f.Backing = &liar{inMemory: inMemory{store: memory.New()}}
		},
		"a copy of another worker": func(f *Family) {
			f.between = func(s familyNode) familyNode { return &confused{familyNode: s} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			for seed := range uint64(5) {
				f := newFamily(t, Memory(), seed)
				plant(f)
				if err := f.Run(); errors.Is(err, errBroken) {
					found++
				}
			}
			if t.Logf("found in %d worlds of 5", found); found < 2 {
				t.Error("hardly anybody notices")
			}
		})
	}
}

// confused makes each copy of the worker that was copied before.
type confused struct {
	familyNode
	before id.Worker
}

func (c *confused) Fork(ctx context.Context, w id.Worker, name string) (id.Worker, error) {
	if c.before.Name != "" {
		w, c.before = c.before, w
	} else {
		c.before = w
	}
	return c.familyNode.Fork(ctx, w, name)
}
