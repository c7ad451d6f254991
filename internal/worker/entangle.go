package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// awaited is an invocation that a worker waits for. A worker is in one invocation
// at a time, which waits for at most one; so whoever follows from worker to worker
// comes to an end, or back.
type awaited struct {
	of   id.Worker
	key  string
	call bool // it is also called
	// turn counts those who began to wait, so that of several who close a circle the
	// last one is told. It is 0 of one who waited when its oplog was read, and has
	// not come there again.
	turn uint64
}

// maxCircle bounds the workers that an error names.
const maxCircle = 8

// entangle notes that r waits for an invocation. It refuses a wait that could not
// end, because the worker waited for waits for r, directly or through others. A call
// is entangled before it is accepted, and one that is refused does not take place.
func (ws *Workers) entangle(ctx context.Context, r *resident, of id.Worker, key string, call bool) error {
	mine := &awaited{of: of, key: key, call: call}
	ws.mu.Lock()
	ws.turns++
	mine.turn = ws.turns
	r.awaits = mine
	ws.mu.Unlock()
	circle, err := ws.circle(ctx, r.worker)
	if err != nil || circle == nil {
		return err
	}
	for i, a := range circle {
		ended, running, err := ws.progress(ctx, a)
		switch {
		case err != nil:
			return err
		case ended:
			return nil // whoever waited for it goes on
		case a.call && running && i == 0:
			// It was accepted before and cannot be taken back. Whoever closes the circle
			// is refused, also if that was in a life before.
			return nil
		case a.call && running:
		case a.turn > mine.turn:
			return nil // that one has closed the circle
		}
	}
	if call {
		if withdrawn, err := ws.withdraw(ctx, of, key); err != nil || !withdrawn {
			return err
		}
	}
	ws.untangle(r)
	return &platform.WorkerError{Kind: platform.WorkerCycle, Message: describeCircle(r.worker, circle)}
}

// withdraw takes an invocation back that has not begun. It reports whether there is
// none, now or because of that.
func (ws *Workers) withdraw(ctx context.Context, w id.Worker, key string) (bool, error) {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return true, ignoreProblem(err)
	}
	defer ws.release(r)
	r.mu.Lock()
	life := r.machine.life
	k, ok := life.Keys[key]
	if !ok {
		r.mu.Unlock()
		return true, nil
	}
	p := life.Find(k.Accepted)
	if p == nil || p.Failures > 0 || life.Begun != 0 && life.Attempt.Accepted == p.Index {
		r.mu.Unlock()
		return false, nil
	}
	r.apply(canceled{p.Index})
	r.mu.Unlock()
	return true, r.commit(ctx)
}

// untangle notes that r waits for nothing any more.
func (ws *Workers) untangle(r *resident) {
	ws.mu.Lock()
	r.awaits = nil
	ws.mu.Unlock()
}

// waitsFor is the invocation of another worker that r waits for, for people.
func (r *resident) waitsFor() *api.Caller {
	r.ws.mu.Lock()
	defer r.ws.mu.Unlock()
	if r.awaits == nil {
		return nil
	}
	return &api.Caller{Worker: r.awaits.of.String(), Key: r.awaits.key}
}

// circle follows who waits for whom from w on. It gives the way if that comes back.
func (ws *Workers) circle(ctx context.Context, w id.Worker) (way []*awaited, err error) {
	seen := map[id.Worker]bool{}
	for at := w; !seen[at]; {
		seen[at] = true
		r, err := ws.open(ctx, at)
		if err != nil {
			return nil, ignoreProblem(err)
		}
		ws.mu.Lock()
		a := r.awaits
		ws.mu.Unlock()
		ws.release(r)
		if a == nil {
			return nil, nil
		}
		if way, at = append(way, a), a.of; at == w {
			return way, nil
		}
	}
	return nil, nil // those who go round in circles are told themselves
}

// ignoreProblem takes a worker that cannot be opened for one that waits for nobody,
// unless it is only that it cannot be read.
func ignoreProblem(err error) error {
	if told := told(err, false); errors.Is(told, errPeer) {
		return told
	}
	return nil
}

// progress reports whether an invocation has ended, or is under way.
func (ws *Workers) progress(ctx context.Context, a *awaited) (ended, running bool, err error) {
	r, err := ws.open(ctx, a.of)
	if err != nil {
		return false, false, ignoreProblem(err)
	}
	defer ws.release(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	index := madeKey(a.key)
	if k, ok := life.Keys[a.key]; ok {
		index = k.Accepted
	}
	if index == 0 {
		return false, false, nil // it is about to be accepted
	}
	return life.Find(index) == nil, life.Begun != 0 && life.Attempt.Accepted == index, nil
}

func describeCircle(w id.Worker, circle []*awaited) string {
	names := []string{w.String()}
	for _, a := range circle {
		names = append(names, a.of.String())
	}
	if n := len(names); n > maxCircle {
		names = append(append(slices.Clone(names[:maxCircle-1]), "…"), names[n-1])
	}
	return fmt.Sprintf("%s: each would wait for the next, and none could go on; call without waiting (start), or let another worker wait", strings.Join(names, " waits for "))
}

// recall notes what a worker waits for by its oplog. It is called with r.mu held.
func (r *resident) recall() {
	life := r.machine.life
	if life.Begun == 0 || life.Open == nil {
		return
	}
	worker, key, call, ok := platform.Awaited(life.Open.Func, life.Open.Request)
	if !ok {
		return
	}
	of, err := id.ParseWorker(worker)
	if err != nil {
		return
	}
	r.ws.mu.Lock()
	r.awaits = &awaited{of: of, key: key, call: call}
	r.ws.mu.Unlock()
}

// awaitsNothing forgets what an attempt waited for that has ended.
func (r *resident) awaitsNothing(body oplog.Body) {
	if _, ok := body.(*oplog.InvocationFailed); ok {
		r.ws.untangle(r)
	}
}
