package cli

import "testing"

// TestABusyServerMayHaveMoreGarbageUntilItIsQuiet follows a server of which 64 MiB
// are alive through a burst of work.
func TestABusyServerMayHaveMoreGarbageUntilItIsQuiet(t *testing.T) {
	const alive = 64 << 20
	var p garbagePace
	for i, look := range []struct {
		collections uint64
		percent     int
		over        bool
	}{
		{0, 100, false}, {1, 100, false}, // nothing to speak of
		{8, 200, false}, {1, 200, false}, {0, 200, false}, {0, 200, false}, {1, 200, false}, // busy, with pauses
		{0, 200, false}, {0, 200, false}, {0, 100, true}, {0, 100, false}, // quiet again
		{1, 100, false}, {2, 200, false},
	} {
		if percent, over := p.look(look.collections, alive); percent != look.percent || over != look.over {
			t.Errorf("look %d, with %d collections: %d %%, over: %t; want %d %%, %t", i, look.collections, percent, over, look.percent, look.over)
		}
	}
}

// TestGarbageIsBoundedByWhatIsAlive is of busy servers of any size.
func TestGarbageIsBoundedByWhatIsAlive(t *testing.T) {
	for alive, want := range map[uint64]int{0: 400, 1 << 20: 400, 32 << 20: 400, 40 << 20: 320, 128 << 20: 100, 1 << 40: 100} {
		p := garbagePace{busy: true}
		if got, _ := p.look(5, alive); got != want {
			t.Errorf("with %d bytes alive: got %d %%, want %d %%", alive, got, want)
		}
	}
}
