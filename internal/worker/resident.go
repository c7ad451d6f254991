package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// resident is a worker that the node has in mind: its machine, and what carries
// the machine's actions out. Its instance may be in memory or not.
type resident struct {
	ws      *Workers
	worker  id.Worker
	changed sched.Condition // wakes those who wait for anything below

	users int // guarded by ws.mu: calls under way

	mu       sync.Mutex
	loaded   bool
	damage   error // why it could not be read
	gone     bool  // it was deleted, or is about to be
	machine  machine
	writer   *oplog.Writer
	waiters  map[oplog.Index]*waiter
	driving  bool          // a task carries out jobs
	todo     bool          // there is another job for it
	halting  func(error)   // ends the job under way
	lastUsed time.Duration // when it last had something to do
	blank    bool          // no instance of it has ever been

	body *body // of the driver while the machine is busy
}

// waiter is where callers wait for the end of an invocation.
type waiter struct {
	changed  sched.Condition
	accepted *oplog.InvocationAccepted
	users    int
	end      oplog.Entry // Finished, Failed or Canceled
	attempts uint64      // until then
	err      error       // why it will not end by itself
}

// load reads the worker's oplog. It is called once, by who made r.
func (r *resident) load(ctx context.Context) {
	life, err := oplog.ReadLife(ctx, r.ws.Store.Logs(), r.worker)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.damage = true, err
	if err == nil {
		r.machine.life = life
		r.writer = r.ws.Committer.NewWriter(r.worker, life.Last)
		r.blank = life.Last <= 1
		r.refresh()
	}
	r.changed.Wake()
}

// refresh takes the settings as they are now. It is called with r.mu held.
func (r *resident) refresh() {
	c := &r.machine.life.Create
	r.machine.traits = traits{
		initializes: r.ws.kindOf(r.worker.Component, c.Revision) == api.Library,
		ephemeral:   c.Ephemeral,
		retry:       r.ws.settings(r.worker.Component, c.Settings).Retry,
	}
}

// exists reports whether the worker has been created. It is called with r.mu
// held.
func (r *resident) exists() bool { return r.machine.life.Last > 0 }

// apply lets the machine take an event, and carries out what it decides. It is
// called with r.mu held, and never waits.
func (r *resident) apply(e event) {
	now := oplog.At(r.ws.Sched.Now())
	for actions := r.machine.step(now, e); len(actions) > 0; actions = r.machine.step(now, tick{}) {
		for _, a := range actions {
			r.perform(a)
		}
	}
	if at := r.machine.wake(now); at != 0 && r.machine.over == nil {
		r.ws.remember(r.worker, at)
	}
	r.lastUsed = r.ws.Sched.Monotonic()
	r.changed.Wake()
}

func (r *resident) perform(a action) {
	switch a := a.(type) {
	case record:
		_, _ = r.record(a.body) // the committer has ended: what follows will say so
	case start:
		r.start()
	case stop:
		if r.halting != nil {
			r.halting(a.why)
		}
	case drop:
		r.drop()
	case tell:
		for index := range r.waiters {
			r.settle(index, oplog.Entry{}, a.why)
		}
	}
}

// record appends an entry and lets the life know. Nobody outside sees that it
// happened before it is durable.
func (r *resident) record(body oplog.Body) (oplog.Index, error) {
	index, err := r.writer.Offer(body)
	if err != nil {
		return 0, err
	}
	entry := oplog.Entry{Index: index, At: oplog.At(r.ws.Sched.Now()), Body: body}
	if w := r.waiters[endOf(body)]; w != nil && r.machine.life.Attempt != nil {
		w.attempts = r.machine.life.Attempt.Attempt
	}
	r.machine.life.Apply(entry)
	r.ws.stats.count(body)
	switch body.(type) {
	case *oplog.InvocationStarted, *oplog.InvocationAccepted:
		return index, nil // who needs them durable asks for it
	}
	if !r.settle(endOf(body), entry, nil) {
		r.writer.Request()
	}
	return index, nil
}

// settle tells those who wait for an invocation how it ended. It reports
// whether anybody does, who then sees to it that this is durable.
func (r *resident) settle(accepted oplog.Index, end oplog.Entry, err error) bool {
	w := r.waiters[accepted]
	if w == nil {
		return false
	}
	delete(r.waiters, accepted)
	w.end, w.err = end, err
	w.changed.Wake()
	return w.users > 0
}

// start gives the driver a job.
func (r *resident) start() {
	r.ws.busy(r)
	if r.todo = true; r.driving {
		return
	}
	r.driving = true
	r.ws.drivers.add(1)
	r.ws.Sched.Go("worker", r.drive)
}

// drive carries out jobs until there are none.
func (r *resident) drive() {
	defer r.ws.drivers.add(-1)
	for {
		ctx, cancel := context.WithCancelCause(context.Background())
		r.mu.Lock()
		r.todo, r.halting = false, cancel
		if r.machine.over != nil {
			cancel(r.machine.over)
		}
		r.mu.Unlock()
		out := r.job(ctx)
		cancel(nil)
		r.mu.Lock()
		if r.halting = nil; !out.alive {
			r.drop()
		}
		r.apply(ended{out, r.ws.chance()})
		if r.body != nil && r.machine.phase == ready {
			r.ws.rested(r)
		}
		if !r.todo {
			r.driving = false
			r.mu.Unlock()
			r.changed.Wake()
			return
		}
		r.mu.Unlock()
	}
}

// drop discards the instance, if there is one.
func (r *resident) drop() {
	if r.body != nil {
		r.body.close()
		r.body = nil
		r.ws.dropped(r)
	}
}

// job runs the attempt that has begun, building the instance first if there is
// none.
func (r *resident) job(ctx context.Context) outcome {
	if err := r.ws.slots.acquire(ctx); err != nil {
		return r.classify(ctx, err)
	}
	r.ws.stats.running.Add(1)
	defer func() {
		r.ws.stats.running.Add(-1)
		r.ws.slots.release()
	}()
	a := r.attempt()
	if r.body == nil {
		return r.activate(ctx, a)
	}
	if a.ephemeral {
		r.mu.Lock()
		r.drop()
		r.mu.Unlock()
		return r.activate(ctx, a)
	}
	unlink := r.link(ctx)
	defer unlink()
	return r.live(ctx, a)
}

// link lets the end of ctx stop the instance, until unlink is called.
func (r *resident) link(ctx context.Context) (unlink func()) {
	b := r.body
	r.mu.Lock()
	defer r.mu.Unlock()
	cancel := r.halting
	r.halting = func(why error) {
		cancel(why)
		b.stop(why)
	}
	if ctx.Err() != nil {
		b.stop(context.Cause(ctx))
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.halting = cancel
	}
}

// call is a function to call.
type call struct {
	accepted  oplog.Index // 0: initialization
	function  string
	args      []byte
	ephemeral bool
}

// attempt is the one that has begun.
func (r *resident) attempt() call {
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	c := call{accepted: life.Attempt.Accepted, ephemeral: life.Create.Ephemeral}
	if p := life.Find(c.accepted); p != nil {
		c.function, c.args = p.Function, p.Args
	}
	return c
}

// live runs an attempt that is not in the oplog yet.
func (r *resident) live(ctx context.Context, c call) outcome {
	r.body.begin()
	result, err := r.body.perform(c)
	if err == nil {
		// No entry is left over, since the session is live.
		_, err = r.body.session.Finish(result)
	}
	if err != nil {
		return r.classify(ctx, err)
	}
	return outcome{alive: true, result: result}
}

// errStopped is a job's end without another reason.
var errStopped = errors.New("stopped")
