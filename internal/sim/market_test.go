package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

func newMarket(t *testing.T, backing Backing, seed uint64) *Market {
	t.Helper()
	o := Options{Seed: seed, Backing: backing}
	if *oneSeed != "" {
		o.Trace = func(event string) { fmt.Println(event) }
	}
	return NewMarket(host(), Guests{trading: guests.Wasm(t, "components/callers")}, o)
}

func TestWhateverGoesWrongNothingIsPaidTwiceOrLost(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(backings)) {
		t.Run(name, func(t *testing.T) {
			crashes, made, refused := 0, 0, 0
			seeds := chosen(t)
			if *oneSeed == "" {
				seeds = append(seeds, 0x7, 0x937eab2af15fc475, 0xcfe2c0683bce4593, 0xddf55a0a12fccd23) // each has found something
			}
			for _, seed := range seeds {
				m := newMarket(t, backings[name](seed), seed)
				if err := m.Run(); err != nil {
					t.Fatalf("%v\nagain: make sim SEED=%#x", err, seed)
				}
				ok, not := m.Payments()
				crashes, made, refused = crashes+m.Crashes(), made+ok, refused+not
			}
			t.Logf("%d processes did not end by themselves; %d payments were made, %d refused", crashes, made, refused)
			if (made == 0 || refused == 0) && *oneSeed == "" {
				t.Error("some of that never happened")
			}
		})
	}
}

func TestOneSeedIsOneMarket(t *testing.T) {
	for seed := range uint64(3) {
		leavesOneTrace(t, fmt.Sprintf("seed %#x", seed), func() traced { return newMarket(t, Local(seed), seed) })
	}
}

// TestFaultsOfAMarketAreFoundOut plants faults that must not go unnoticed.
func TestFaultsOfAMarketAreFoundOut(t *testing.T) {
	for name, plant := range map[string]func(*Market){
		"a store that acknowledges what it loses in a crash": func(m *Market) {
			m.Backing = &liar{inMemory: inMemory{store: memory.New()}}
		},
		"an agenda that loses workers": func(m *Market) {
			m.beside = func(ctx context.Context, n *node) {
				for i := 0; m.sim.Sleep(ctx, time.Millisecond) == nil && m.present.faulty; i++ {
					n.agenda.Forget(traderNamed(i % traders))
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			for seed := range uint64(20) {
				m := newMarket(t, Memory(), seed)
				plant(m)
				if err := m.Run(); errors.Is(err, errBroken) {
					found++
				}
			}
			if t.Logf("found in %d worlds of 20", found); found < 3 {
				t.Error("hardly anybody notices")
			}
		})
	}
}
