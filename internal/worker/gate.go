package worker

import (
	"context"
	"sync"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// gate counts, and lets wait for zero.
type gate struct {
	changed sched.Condition
	mu      sync.Mutex
	n       int
}

func (g *gate) add(n int) {
	g.mu.Lock()
	g.n += n
	g.mu.Unlock()
	g.changed.Wake()
}

func (g *gate) wait(ctx context.Context) error {
	return g.changed.Wait(ctx, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.n == 0
	})
}
