package worker

import (
	"context"
	"fmt"
	"sync"

	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// keeper carries out the retention of workers, of one after the other and a
// piece at a time: whoever commits meanwhile waits for no more than one write
// of it.
type keeper struct {
	changed sched.Condition

	mu    sync.Mutex
	asked []*resident // each once, and in use
}

// askKeeper lets the keeper look after r if there is something to do. It is
// called with r.mu held, and never waits.
func (r *resident) askKeeper() {
	if r.asked || r.gone || r.damage != nil || !r.exists() {
		return
	}
	if p := r.going(); p.cut == 0 && !p.forgets && !r.unsettled {
		return
	}
	r.asked = true
	ws := r.ws
	ws.mu.Lock()
	r.users++ // so that it stays the one that appends to the oplog
	ws.mu.Unlock()
	k := &ws.keeper
	k.mu.Lock()
	k.asked = append(k.asked, r)
	k.mu.Unlock()
	k.changed.Wake()
}

// keep carries out what the keeper was asked for, until ctx is done.
func (ws *Workers) keep(ctx context.Context) {
	k := &ws.keeper
	for {
		var next *resident
		if k.changed.Wait(ctx, func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			if len(k.asked) == 0 {
				return false
			}
			next = k.asked[0]
			k.asked[0], k.asked = nil, k.asked[1:]
			return true
		}) != nil {
			return
		}
		next.retain(ctx)
		ws.release(next)
	}
}

// retain carries out the retention of the worker.
func (r *resident) retain(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	r.mu.Lock()
	r.asked = false
	if r.gone {
		r.mu.Unlock()
		return
	}
	r.ending = end
	r.mu.Unlock()
	err := r.retainAll(ctx)
	r.mu.Lock()
	if r.ending = nil; err == nil {
		r.why = ""
	} else if ctx.Err() == nil {
		r.why = err.Error()
	}
	r.mu.Unlock()
	r.changed.Wake()
}

func (r *resident) retainAll(ctx context.Context) error {
	for {
		if err := r.settleRetention(ctx); err != nil {
			return err
		}
		r.mu.Lock()
		w := r.newPiece()
		r.mu.Unlock()
		if w == nil {
			return nil
		}
		if err := w.carryOut(ctx); err != nil {
			return err
		}
	}
}

// settleRetention does what the newest Archiving or Archived entry asks for.
func (r *resident) settleRetention(ctx context.Context) error {
	r.mu.Lock()
	settled := !r.unsettled
	below := r.machine.life.Retained.Below
	_, loose := r.machine.life.Retained.Blobs()
	r.mu.Unlock()
	if settled {
		return nil
	}
	// The entries that say so first, and the image that makes it possible.
	if err := r.writer.Commit(ctx); err != nil {
		return err
	}
	if below > 1 {
		if err := r.truncate(ctx, below); err != nil {
			return err
		}
	}
	if err := r.ws.deleteBlobs(ctx, loose); err != nil {
		return fmt.Errorf("delete archives: %w", err)
	}
	r.mu.Lock()
	r.unsettled = false
	r.mu.Unlock()
	return nil
}

func (r *resident) truncate(ctx context.Context, below oplog.Index) error {
	logs, c := r.ws.Store.Logs(), r.ws.Committer
	was, _, err := logs.Bounds(ctx, r.worker)
	if err != nil || was >= below {
		return err
	}
	if err := logs.Truncate(ctx, c.Shard(), c.Epoch(), r.worker, below); err != nil {
		return fmt.Errorf("truncate the oplog of %s: %w", r.worker, err)
	}
	is, _, err := logs.Bounds(ctx, r.worker)
	if err != nil || is == was {
		return err
	}
	r.ws.stats.truncations.Add(1)
	r.ws.stats.truncated.Add(is - was)
	r.mu.Lock()
	r.counted, r.bytes = 0, 0
	r.cutAt = r.writer.Bytes()
	r.mu.Unlock()
	return nil
}

// stopRetention ends what the keeper does for the worker, and waits until it
// has.
func (r *resident) stopRetention(ctx context.Context) error {
	r.mu.Lock()
	if r.ending != nil {
		r.ending()
	}
	r.mu.Unlock()
	return r.changed.Wait(ctx, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.ending == nil
	})
}
