package cli

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// How often a server collects its garbage. Go collects when there is as much of it
// as there is alive, which of a small server is little: a busy one collects all the
// time.
const (
	// spareGarbage is how many bytes of it a busy server may have in any case.
	spareGarbage = 128 << 20
	// mostGarbage is in percent of what is alive, and leastGarbage what Go has.
	mostGarbage, leastGarbage = 400, 100
	// busyCollections is how many in one look make a server busy, and quietLooks how
	// many looks without any make it quiet again.
	busyCollections, quietLooks = 2, 3
	garbageLook                 = time.Second
)

// garbagePace says how much garbage there may be, by what is seen once in a while.
type garbagePace struct {
	busy  bool
	quiet int // looks without a collection
}

// look takes how often garbage was collected since the last look, and how many bytes
// are alive, and gives how much of it there may be, in percent of that. over says
// that the server has been busy and is quiet now.
func (p *garbagePace) look(collections, alive uint64) (percent int, over bool) {
	if p.quiet++; collections > 0 {
		p.quiet = 0
	}
	switch {
	case collections >= busyCollections:
		p.busy = true
	case p.quiet >= quietLooks:
		over, p.busy = p.busy, false
	}
	if !p.busy {
		return leastGarbage, over
	}
	return int(min(max(100*spareGarbage/max(alive, 1), leastGarbage), mostGarbage)), false
}

// paceGarbage lets a busy server collect less often, and one that is quiet again give
// back what it does not need, until stop is called. Whoever sets GOGC knows better.
func (a *app) paceGarbage() (stop func()) {
	if a.env.get("GOGC") != "" {
		return func() {}
	}
	var task sync.WaitGroup
	done := make(chan struct{})
	task.Go(func() {
		defer debug.SetGCPercent(leastGarbage)
		ticks := time.NewTicker(garbageLook)
		defer ticks.Stop()
		seen := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
		metrics.Read(seen)
		var pace garbagePace
		for before, now := seen[0].Value.Uint64(), leastGarbage; ; {
			select {
			case <-done:
				return
			case <-ticks.C:
			}
			metrics.Read(seen)
			percent, over := pace.look(seen[0].Value.Uint64()-before, seen[1].Value.Uint64())
			// To set it stops everything for a moment.
			if change := percent - now; change != 0 && (percent == leastGarbage || max(change, -change) > now/4) {
				now = percent
				debug.SetGCPercent(percent)
			}
			if over {
				debug.FreeOSMemory()
				metrics.Read(seen)
			}
			before = seen[0].Value.Uint64()
		}
	})
	return func() {
		close(done)
		task.Wait()
	}
}
