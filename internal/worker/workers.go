package worker

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Config is what the workers of deployed components live by.
type Config struct {
	Runtime
	Catalog *catalog.Catalog
	Agenda  *agenda.Agenda
	// Defaults are the settings where neither a component nor a worker has its
	// own; all of them are set.
	Defaults api.Settings
	// MaxInstances bounds the instances in memory, MaxRunning the invocations
	// that compute at once, MaxResident the workers that the node has in mind.
	MaxInstances, MaxRunning, MaxResident int
	// IdleAfter is how long an instance stays in memory with nothing to do.
	// SuspendAfter is the wait for which it leaves.
	IdleAfter, SuspendAfter time.Duration
	// Stay is how long a worker that waits for promises stays in memory at least,
	// however cheap it is to come back; but not for longer than SuspendAfter.
	Stay time.Duration
	// ImageAfter is the replay that has to be saved for an image to be taken, by
	// the time it would take; 0 takes one after every invocation, and less than
	// that none ever.
	ImageAfter time.Duration
	// CutAfter is for how many entries an oplog is truncated; 0 for what is worth
	// the work.
	CutAfter oplog.Index
	// Webhook gives the URL by which anybody can complete a promise, once; nil if
	// there is no such thing here.
	Webhook func(id.Promise) string
	// Verify, if set, hears of every time that a worker's state is saved, and
	// how it differs from a replay of all entries: nil if it does not, an
	// ErrDiffers if it does, and any other error if that is not known. It takes
	// as long as the worker is old.
	Verify func(w id.Worker, difference error)
}

// Workers are the workers of a node: those it has in mind, and the way to all
// others.
type Workers struct {
	Config
	slots   *slots  // to compute
	bodies  *slots  // instances in memory
	relief  *slots  // to make room where memory has run out
	shells  shells  // instances without a worker
	origins origins // what these begin with
	drivers gate    // workers whose jobs are carried out
	crew    *crew   // by these
	keeper  keeper
	stats   stats
	tasks   []sched.Task
	end     context.CancelCauseFunc // of the tasks
	writing context.Context         // done once nothing can be made durable and the node stops
	giveUp  context.CancelCauseFunc // of writing

	changed sched.Condition // when there is room, or a record is gone

	mu        sync.Mutex
	residents map[id.Worker]*resident
	atRest    resting
	common    map[string]*merged // of workers without settings of their own, by component
	revisions map[revisionKey]*api.Revision
	lingering lingerers // whose instances wait for what may be long in coming
	turns     uint64    // of those who wait for others: see awaited
	closing   bool
	components
}

// revisionKey is a revision for ever, also if its component is deleted and
// another deployed under its name.
type revisionKey struct {
	component string
	number    uint64
	program   storage.Hash
}

// maxRevisions is how many revisions are kept in mind.
const maxRevisions = 256

// wakers is how many tasks look after workers whose time has come.
const wakers = 4

// NewWorkers starts looking after what the agenda has.
func NewWorkers(c Config) *Workers {
	ws := &Workers{
		Config: c, slots: newSlots(c.Sched, c.MaxRunning), bodies: newSlots(c.Sched, c.MaxInstances), relief: newSlots(c.Sched, 1), crew: newCrew(c.Sched), changed: c.Sched.NewCondition(),
		residents: map[id.Worker]*resident{}, atRest: newResting(c.MaxInstances), common: map[string]*merged{}, lingering: lingerers{all: list.New()},
		revisions: map[revisionKey]*api.Revision{}, components: newComponents(),
	}
	ws.drivers.changed, ws.keeper.changed = c.Sched.NewCondition(), c.Sched.NewCondition()
	ws.origins.limits = c.Defaults.Limits
	ctx, end := context.WithCancelCause(context.Background())
	ws.end = end
	ws.writing, ws.giveUp = context.WithCancelCause(context.Background())
	for range wakers {
		ws.tasks = append(ws.tasks, c.Sched.Go("wake", func() { ws.wakeDue(ctx) }))
	}
	ws.tasks = append(ws.tasks, c.Sched.Go("evict", func() { ws.evictIdle(ctx) }), c.Sched.Go("keep", func() { ws.keep(ctx) }))
	return ws
}

// Close stops every worker where it is, once the invocations under way have had
// until grace is done. They go on when the node is opened again. Those who wait
// for invocations are told CodeStopping.
func (ws *Workers) Close(grace context.Context) {
	ws.mu.Lock()
	ws.closing = true
	ws.mu.Unlock()
	ws.end(errClosing)
	hope, end := context.WithCancel(context.Background())
	watch := ws.Sched.Go("close", func() { ws.watchDisk(hope) })
	for _, t := range ws.tasks {
		t.Wait()
	}
	ws.tell(drained{errClosing})
	_ = ws.drivers.wait(grace)
	ws.tell(closed{errClosing})
	_ = ws.drivers.wait(context.Background())
	end()
	watch.Wait()
	ws.giveUp(errClosing)
	ws.crew.close()
	for _, r := range ws.all() {
		r.mu.Lock()
		r.drop()
		r.forgetSaved()
		r.settleAll(stopping())
		r.mu.Unlock()
	}
	ws.shells.close()
	ws.origins.close()
}

// watchDisk ends waiting for what is not going to be durable. Whoever waits for
// the disk to have room may do so as long as there is hope.
func (ws *Workers) watchDisk(ctx context.Context) {
	for ws.Sched.Sleep(ctx, stalledPause) == nil {
		if ws.Committer.Stalled() != nil {
			ws.giveUp(errClosing)
		}
	}
}

// stalledPause is how often a node that stops looks whether the disk is full.
const stalledPause = 20 * time.Millisecond

// tell gives every worker an event.
func (ws *Workers) tell(e event) {
	for _, r := range ws.all() {
		r.mu.Lock()
		if r.machine.life != nil {
			r.apply(e)
		}
		r.mu.Unlock()
	}
}

var errClosing = &halt{reason: "the node is stopping"}

func stopping() *api.Problem {
	return api.NewProblem(api.CodeStopping, "the server is stopping; what it has accepted goes on when it is back, and the request can be sent again then")
}

func (ws *Workers) isClosing() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.closing
}

// all are the workers the node has in mind, in an order that follows from
// which they are.
func (ws *Workers) all() []*resident {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := make([]*resident, 0, len(ws.residents))
	for _, r := range ws.residents {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *resident) int { return a.worker.Compare(b.worker) })
	return all
}

// open gives the resident of w, reading its oplog if the node does not have it
// in mind. The caller releases it.
func (ws *Workers) open(ctx context.Context, w id.Worker) (*resident, error) {
	if w == agenda.Worker {
		return nil, noWorker(w)
	}
	for {
		ws.mu.Lock()
		if ws.closing {
			ws.mu.Unlock()
			return nil, stopping()
		}
		r, found := ws.residents[w]
		if !found {
			if len(ws.residents) >= 2*ws.MaxResident {
				ws.mu.Unlock()
				ws.stats.refused.Add(1)
				return nil, api.NewProblem(api.CodeOverloaded, "too many workers are active at once; try again later")
			}
			r = &resident{ws: ws, worker: w, changed: ws.Sched.NewCondition(), waiters: map[oplog.Index]*waiter{}}
			r.asleep.Store(true) // as long as it is read nothing says that it will notice
			ws.residents[w] = r
		}
		r.users++
		ws.mu.Unlock()
		if !found {
			r.load(context.WithoutCancel(ctx))
		}
		var gone bool
		var damage error
		err := r.changed.Wait(ctx, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			gone, damage = r.gone, r.damage
			return r.loaded
		})
		if err == nil {
			err = damage
		}
		if err == nil && !gone {
			return r, nil
		}
		ws.release(r)
		if err != nil {
			return nil, err
		}
		// It is being deleted: wait for its successor.
		if err := ws.changed.Wait(ctx, func() bool {
			ws.mu.Lock()
			defer ws.mu.Unlock()
			return ws.residents[w] != r
		}); err != nil {
			return nil, err
		}
	}
}

// release ends what open began. A worker that does not exist, or cannot be
// read, is not kept in mind.
func (ws *Workers) release(r *resident) {
	r.mu.Lock()
	keep := r.loaded && r.damage == nil && r.exists()
	r.mu.Unlock()
	ws.mu.Lock()
	r.users--
	drop := !keep && r.users == 0 && ws.residents[r.worker] == r
	if drop {
		delete(ws.residents, r.worker)
	}
	ws.mu.Unlock()
	if drop {
		ws.changed.Wake()
	}
}

// forget drops the record of a worker that nobody uses and that has nothing to
// do. It reports whether it could.
func (ws *Workers) forget(r *resident) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.loaded || r.driving || r.machine.phase != absent || len(r.waiters) > 0 || r.gone || r.damage != nil {
		return false
	}
	now := oplog.At(ws.Sched.Now())
	at := r.machine.wake(now)
	if at != 0 && at <= now || r.writer.Committed() < r.writer.Last() {
		return false
	}
	ws.mu.Lock()
	gone := r.users == 0 && ws.residents[r.worker] == r && !r.alarm.Load()
	if gone {
		ws.Agenda.Set(r.worker, at)
		delete(ws.residents, r.worker)
		ws.changed.Wake()
	}
	ws.mu.Unlock()
	if gone {
		r.forgetSaved()
	}
	return gone
}

// wakeDue looks after the workers whose time has come.
func (ws *Workers) wakeDue(ctx context.Context) {
	for {
		w, err := ws.Agenda.Next(ctx)
		if err != nil {
			return
		}
		// Those who come back after a restart come in turns.
		if ws.changed.Wait(ctx, func() bool {
			ws.mu.Lock()
			defer ws.mu.Unlock()
			return len(ws.residents) < ws.MaxResident || ws.residents[w] != nil
		}) != nil {
			return
		}
		r, err := ws.open(ctx, w)
		var corrupt *storage.CorruptError
		if errors.As(err, &corrupt) {
			continue // whoever asks for it is told
		}
		if err != nil {
			ws.Agenda.Set(w, oplog.At(ws.Sched.Now().Add(wakeAgain)))
			continue
		}
		r.mu.Lock()
		if r.exists() {
			r.held = false // it was handed out
			r.apply(woken{})
		} else {
			ws.Agenda.Set(w, 0)
		}
		r.mu.Unlock()
		ws.release(r)
	}
}

// wake lets a worker find out whether what it waits for has happened. It is called
// before that is recorded, in an oplog of this shard: after a crash the worker is
// woken for nothing at worst. It never waits, and may be called with another
// resident's lock held, or its own.
func (ws *Workers) wake(w id.Worker) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	r := ws.residents[w]
	if r != nil {
		r.alarm.Store(true)
	}
	if r == nil || r.asleep.Load() {
		ws.Agenda.Set(w, soon)
	}
}

// wakeCaller wakes the worker that waits for an invocation, if one does, before the
// invocation's end is recorded.
func (ws *Workers) wakeCaller(p *oplog.Pending) {
	if p.Caller.Worker == "" {
		return
	}
	if w, err := id.ParseWorker(p.Caller.Worker); err == nil {
		ws.wake(w)
	}
}

// wakeAgain is when a worker is looked at again that could not be read.
const wakeAgain = 2 * time.Second

// newBody makes a worker's surroundings; instances come from the shells.
func (ws *Workers) newBody(ctx context.Context, c bodyConfig) (*body, error) {
	c.shells, c.origins = &ws.shells, &ws.origins
	return ws.Runtime.newBody(ctx, c)
}

// revisionOf gives the revision that a worker was made of.
func (ws *Workers) revisionOf(ctx context.Context, component string, c *oplog.Create) (*api.Revision, error) {
	key := revisionKey{component, c.Revision, c.Program}
	ws.mu.Lock()
	known := ws.revisions[key]
	ws.mu.Unlock()
	if known != nil {
		return known, nil
	}
	revision, err := ws.Catalog.Revision(ctx, component, c.Revision)
	if err != nil {
		return nil, err
	}
	if revision.Hash != c.Program.String() {
		return nil, api.NewProblem(api.CodeNoRevision, fmt.Sprintf("the component %s was deleted and deployed anew: its revision %d is another program than that of the worker", component, c.Revision))
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.revisions) >= maxRevisions {
		clear(ws.revisions)
	}
	ws.revisions[key] = &revision
	return &revision, nil
}

// chance is a number from 0 to 1 that differs every time.
func (ws *Workers) chance() float64 {
	var b [8]byte
	if ws.Entropy(b[:]) != nil {
		return 0
	}
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}
