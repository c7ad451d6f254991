package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

func TestWorkersThatTakeTurnsInOneInstanceShareNothing(t *testing.T) {
	for _, images := range []time.Duration{0, -1} {
		p := newPlatform(t, func(c *worker.Config) { c.MaxInstances, c.MaxRunning, c.ImageAfter = 1, 1, images })
		for round := range 4 {
			for n := range 5 {
				w := id.Worker{Component: "kit", Name: fmt.Sprint("w", n)}
				p.want(w, fmt.Sprintf("[%d]", (n+1)*(round+1)), "inc", n+1)
				p.want(w, fmt.Sprintf("[%d]", (n+1)*(round+1)), "file_inc", n+1)
				before := 0
				if round > 0 {
					before = round*100 + n
				}
				p.want(w, fmt.Sprintf("[%d]", before), "put", (round+1)*100+n)
			}
			_, err := p.invoke(id.Worker{Component: "kit", Name: "w0"}, "recurse", 1)
			must(t, err) // its instance is of no use to anybody
		}
	}
}

func TestWhoHasRestedLongestLeavesWhenMemoryRunsOut(t *testing.T) {
	p := setup{engine: wasm.Config{MaxMemory: 1 << 20}}.platform(t) // five of kit's
	for round := range 3 {
		for n := range 12 {
			p.want(id.Worker{Component: "kit", Name: fmt.Sprint("w", n)}, fmt.Sprintf("[%d]", round+1), "inc", 1)
		}
	}
	if s := p.Stats(); s.Evictions == 0 {
		t.Error("nobody was evicted")
	}
	// One that grows has room as well.
	p.want(id.Worker{Component: "kit", Name: "w0"}, "[13]", "grow", 10)
}
