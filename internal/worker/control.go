package worker

import (
	"context"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// learnRegion lets the life know in which atomic region the program is, if the job
// has come to what is not in the oplog. It is called with r.mu held.
func (r *resident) learnRegion(out *outcome) {
	if b := r.body; b != nil && !b.session.Replaying() && !b.session.Unrecorded {
		out.lived = true
		r.machine.life.Region = b.session.Region()
		out.retry = b.own.Retry()
	}
}

// Retry implements platform.Control.
func (r *resident) Retry() platform.RetryPolicy {
	p := r.settings().Retry
	return platform.RetryPolicy{
		Attempts: p.Attempts, Initial: time.Duration(p.Initial), Max: time.Duration(p.Max), Factor: p.Factor, Jitter: p.Jitter,
	}
}

// Effect implements platform.Control.
func (r *resident) Effect(waypoint oplog.Index) platform.EffectState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return effectAt(r.machine.life, waypoint)
}

// Entries implements platform.Control.
func (r *resident) Entries(ctx context.Context, from, to oplog.Index, kinds []string) (platform.Page, error) {
	return readPage(ctx, r.ws.Store.Logs(), r.worker, r.writer, from, to, kinds)
}

// Jumps implements platform.Control.
func (r *resident) Jumps() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.life.JumpsInAll()
}

// Repeats implements platform.Control.
func (r *resident) Repeats(waypoint oplog.Index) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.life.Jumps[waypoint+1]
}
