package wasm_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// TestNothingIsLeftInAMemoryThatIsUsedAgain scribbles in few pages and in many, in
// what the base image has and in what it has not, and zeros too: whatever was there,
// the instance is as if it was new, and keeps its pages if they are few.
func TestNothingIsLeftInAMemoryThatIsUsedAgain(t *testing.T) {
	for _, tracker := range wasm.Trackers() {
		t.Run(string(tracker), func(t *testing.T) {
			e, err := wasm.New(context.Background(), wasm.Config{Tracker: tracker})
			if err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
			m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
			in, fresh := instantiate(t, m, wasm.InstanceConfig{}), instantiate(t, m, wasm.InstanceConfig{})
			random := rand.New(rand.NewPCG(3, uint64(len(tracker))))
			const rounds = 300
			gone := 0
			for round := range rounds {
				size := uint64(len(in.Memory()))
				if round%10 == 9 {
					if err := call(in, "grow", 1+random.Uint64N(3)); err != nil {
						t.Fatal(err)
					}
					size = uint64(len(in.Memory()))
				}
				for range 1 + random.IntN(24) {
					page := random.Uint64N(size / wasm.PageSize)
					if random.IntN(3) == 0 {
						page = 2 + 3*random.Uint64N(2) // the base image
					}
					at, n := page*wasm.PageSize, 1+random.Uint64N(wasm.PageSize)
					if err := call(in, "fill", at, random.Uint64N(3), n); err != nil {
						t.Fatal(err)
					}
				}
				if err := in.Recycle(wasm.InstanceConfig{}); err != nil {
					t.Fatal(err)
				}
				pages, err := in.OwnPages()
				if err != nil {
					t.Fatal(err)
				}
				if pages == 0 {
					gone++
				}
				if !bytes.Equal(in.Memory(), fresh.Memory()) {
					t.Fatalf("round %d: something is left", round)
				}
			}
			if tracker != wasm.TrackCompare && (gone == 0 || gone == rounds) {
				t.Errorf("of %d times the pages were gone %d times", rounds, gone)
			}
		})
	}
}
