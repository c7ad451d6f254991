package worker

import (
	"context"
	"time"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// evictIdle drops instances and records that have had nothing to do for a
// while, and records at once while there are as many as there may be.
func (ws *Workers) evictIdle(ctx context.Context) {
	every := min(max(ws.IdleAfter/4, 10*time.Millisecond), time.Second)
	for pause := every; ws.Sched.Sleep(ctx, pause) == nil; {
		now := ws.Sched.Monotonic()
		ws.sendAway(now-ws.SuspendAfter, 0)
		all := ws.all()
		pressing := len(all) >= ws.MaxResident
		kept := uint64(0)
		for _, r := range all {
			r.mu.Lock()
			idle := now - r.lastUsed
			old := r.loaded && idle >= ws.IdleAfter
			bare := r.loaded && r.body == nil && idle >= min(bareAfter, ws.IdleAfter)
			if bare && r.saved != nil && len(all) <= maxSaved {
				kept += r.saved.kept()
				bare = kept > maxKept
			}
			r.tickIfDue()
			r.mu.Unlock()
			if old {
				ws.evict(r)
			}
			if old || bare || pressing {
				ws.forget(r)
			}
		}
		if pause = every; pressing {
			pause = min(every, pressedPause)
		}
	}
}

// tickIfDue begins what has become due of a worker in mind. The wakers see to
// that too, but may all be waiting for room. It is called with r.mu held.
func (r *resident) tickIfDue() {
	if !r.loaded || r.damage != nil || r.driving || !r.exists() {
		return
	}
	now := oplog.At(r.ws.Sched.Now())
	if at := r.machine.wake(now); at != 0 && at <= now || r.alarm.Load() {
		r.apply(tick{})
	}
}

// bareAfter is how long a worker without an instance is kept in mind: those who
// go to sleep for long do so one after the other.
const bareAfter = time.Second

// A worker with a saved state at hand is kept in mind although it has no
// instance, unless there are more than maxSaved workers or such states take more
// than maxKept bytes of the disk.
const (
	maxSaved = 16 << 10
	maxKept  = 8 << 30
)

// pressedPause is how long evictIdle rests while there are too many records.
const pressedPause = 50 * time.Millisecond

// relieve makes room because there is no memory left for r, by dropping instances
// that no worker has and an eighth of those at rest, those that have rested longest.
// Unless r is pressed, which is when that was not enough, those that r can take over
// are kept: their memory is what it needs. relieve reports whether there were any.
func (ws *Workers) relieve(ctx context.Context, r *resident, pressed bool) bool {
	// One at a time: what the first has made room for is enough for many.
	if ws.relief.acquire(ctx, nil) != nil {
		return false
	}
	defer ws.relief.release()
	r.mu.Lock()
	revision := revisionKey{component: r.worker.Component, number: r.machine.life.Create.Revision}
	r.mu.Unlock()
	useful := func(s shell) bool {
		return !pressed && s.program.Revision.Component == revision.component && s.program.Revision.Number == revision.number
	}
	if ws.shells.any(useful) {
		return true
	}
	freed := ws.shells.empty(useful)
	ws.mu.Lock()
	oldest := ws.atRest.oldest(8, maxShells)
	ws.mu.Unlock()
	for _, r := range oldest {
		ws.evict(r)
	}
	return ws.shells.empty(useful) || freed || len(oldest) > 0
}

// evict drops an instance if it is at rest.
func (ws *Workers) evict(r *resident) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := r.lastUsed
	if !r.saveAndLeave() {
		ws.busy(r)
		return
	}
	r.apply(evicted{})
	r.lastUsed = used // being evicted is no use
	if r.machine.phase == absent {
		ws.stats.evictions.Add(1)
	}
}

// room waits until there may be one instance more, and counts it.
func (ws *Workers) room(ctx context.Context) error { return ws.bodies.acquire(ctx, ws.makeRoom) }

// makeRoom drops instances at rest that are too many, and others as long as somebody
// waits for their place. If there are none it makes those leave that only wait.
func (ws *Workers) makeRoom() {
	for {
		waiting := ws.bodies.waiting()
		ws.mu.Lock()
		next := ws.atRest.next(waiting > 0)
		ws.mu.Unlock()
		switch {
		case next != nil:
			ws.evict(next)
			if waiting == 0 {
				ws.forget(next) // as little as there is to it is soon read
			}
			continue
		case waiting > 0:
			ws.sendAway(-1, waiting)
		}
		return
	}
}

// rested notes that an instance has nothing to do, busy that it has again, if it had
// nothing, and dropped that it is gone. The first two are called with r.mu held.
func (ws *Workers) rested(r *resident) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.atRest.add(r, r.slight() && !r.reused)
}

func (ws *Workers) busy(r *resident) (rested bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.atRest.remove(r)
}

func (ws *Workers) dropped(r *resident) {
	ws.busy(r)
	ws.bodies.release()
}
