package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// resident is a worker that the node has in mind: its machine, and what carries
// the machine's actions out. Its instance may be in memory or not.
type resident struct {
	ws      *Workers
	worker  id.Worker
	changed sched.Condition // wakes those who wait for anything below

	users  int      // guarded by ws.mu: calls under way
	awaits *awaited // guarded by ws.mu: an invocation of another worker
	// alarm is set, and asleep read, by those who have what the worker may wait for;
	// they cannot take mu. See Workers.wake.
	alarm, asleep atomic.Bool
	// merged is what held when somebody looked last.
	merged atomic.Pointer[merged]

	mu       sync.Mutex
	loaded   bool
	damage   error // why it could not be read
	gone     bool  // it was deleted, or is about to be
	machine  machine
	own      *api.Settings // those that it was created with
	revision *api.Revision // nil if that could not be read
	writer   *oplog.Writer
	waiters  map[oplog.Index]*waiter
	driving  bool          // a task carries out jobs
	todo     bool          // there is another job for it
	halting  func(error)   // ends the job under way
	held     bool          // on the agenda, for the next life
	never    bool          // on the agenda, as one that waits for a person
	lastUsed time.Duration // when it last had something to do
	blank    bool          // no instance of it has ever been
	returned bool          // an instance of it was made again
	reused   bool          // or had rested when there was more to do
	uploads  []oplog.Index // bodies of requests on their way in, by their first pieces
	awaited  []string      // the promises that its program waits for in memory
	hurried  bool          // which it is to do no longer
	imaging
	retention

	counted oplog.Index // entries whose bytes are in bytes
	bytes   uint64

	// Of the driver while the machine is busy.
	body    *body
	meter   *meter
	slot    bool // it may compute
	pressed bool // it has found no memory, and others have made room for it
	// cameBack is how long it took to have the instance where it is live.
	cameBack time.Duration
}

// waiter is where callers wait for the end of an invocation.
type waiter struct {
	changed  sched.Condition
	accepted *oplog.InvocationAccepted
	index    oplog.Index
	users    int
	answers  int         // of them, those who read the answer to a request
	end      oplog.Entry // Finished, Failed or Canceled
	attempts uint64      // until then
	err      error       // why it will not end by itself
}

// load reads the worker's oplog. It is called once, by who made r.
func (r *resident) load(ctx context.Context) {
	life, image, note, err := r.ws.readLife(ctx, r.worker, 0)
	var revision *api.Revision
	if err == nil && life.Last > 0 {
		// One that cannot be read now is asked for again when it is needed.
		revision, _ = r.ws.revisionOf(ctx, r.worker.Component, &life.Create)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.damage = true, err
	if err == nil {
		r.machine.life = life
		r.writer = r.ws.Committer.NewWriter(r.worker, life.Last)
		r.blank = life.Last <= 1
		r.image, r.imageNote = image, note
		r.savedAt = r.ws.Sched.Monotonic()
		r.adopt(revision)
		r.adoptImages()
		r.unsettled = life.Retained.Below > 1 || len(life.Retained.Loose) > 0
	}
	if r.ws.isClosing() {
		r.machine.over = errClosing
	}
	if err == nil && life.Last > 0 {
		r.recall()
		r.machine.woken = r.missed()
		r.apply(tick{})
		r.askKeeper()
	}
	r.changed.Wake()
}

// missed reports whether something may have become due since the worker was last in
// mind, or have happened: then the agenda has it, be it for later because the host
// failed meanwhile. It is called with r.mu held.
func (r *resident) missed() bool {
	at, ok := r.ws.Agenda.Due(r.worker)
	s := r.machine.life.Suspended
	return ok && at != agenda.Never && (at <= oplog.At(r.ws.Sched.Now()) || s == nil || at != s.Until)
}

// adopt takes what follows from the worker's first entry. It is called with
// r.mu held.
func (r *resident) adopt(revision *api.Revision) {
	c := &r.machine.life.Create
	r.own = ownSettings(c.Settings)
	r.revision = revision
	settings := r.settings()
	r.meter = newMeter(r.ws.Sched, settings.Limits)
	r.machine.traits = traits{
		// To initialize what need not be does nothing.
		initializes: revision == nil || revision.Kind == api.Library,
		ephemeral:   c.Ephemeral,
		retry:       settings.Retry,
	}
}

// exists reports whether the worker has been created. It is called with r.mu
// held.
func (r *resident) exists() bool { return r.machine.life.Last > 0 }

// apply lets the machine take an event, and carries out what it decides. It is
// called with r.mu held, and never waits.
func (r *resident) apply(e event) {
	now := oplog.At(r.ws.Sched.Now())
	for again := true; again; again = r.alarmed() {
		for actions := r.machine.step(now, e); len(actions) > 0; actions = r.machine.step(now, tick{}) {
			for _, a := range actions {
				if err := r.perform(a); err != nil {
					r.lose(err)
					return
				}
			}
		}
		e = woken{}
	}
	switch at := r.machine.wake(now); {
	case at != 0:
		r.remember(at)
	case r.never && r.machine.over == nil:
		r.remember(0) // it does not wait for a person any more
	}
	r.lastUsed = r.ws.Sched.Monotonic()
	r.changed.Wake()
}

// alarmed reports whether what the worker may wait for has happened since it was
// asked last. If not, who has that finds the worker asleep from now on.
func (r *resident) alarmed() bool {
	r.asleep.Store(r.machine.phase == absent)
	return r.alarm.Swap(false)
}

func (r *resident) perform(a action) error {
	switch a := a.(type) {
	case record:
		_, err := r.record(a.body)
		return err
	case start:
		r.start()
	case stop:
		if r.halting != nil {
			r.halting(a.why)
		}
	case drop:
		r.drop()
	case tell:
		r.settleAll(r.stuck(a.reason))
	}
	return nil
}

// lose gives the worker up: nothing can be recorded any more. What is durable
// goes on when the node is opened again. It is called with r.mu held.
func (r *resident) lose(err error) {
	why := &halt{err.Error()}
	r.machine.over, r.machine.wishes.stop = why, why
	if r.halting != nil {
		r.halting(why)
	} else {
		r.machine.phase = absent
		r.drop()
	}
	r.settleAll(Unavailable(err))
	r.changed.Wake()
}

// remember puts the worker on the agenda. It is called with r.mu held.
func (r *resident) remember(at oplog.Time) {
	r.never = at == agenda.Never
	if at == soon {
		// It is in mind: only after a crash it has to be found again.
		if !r.held {
			r.ws.Agenda.Hold(r.worker)
		}
		r.held = true
		return
	}
	r.held = false
	// What the worker has done until now is durable no later than that it need
	// not be looked at before: otherwise a crash could leave it undone, and
	// nobody to do it.
	r.writer.Join()
	r.ws.Agenda.Set(r.worker, at)
}

// record appends an entry and lets the life know. Nobody outside sees that it
// happened before it is durable.
func (r *resident) record(body oplog.Body) (oplog.Index, error) {
	if p := r.machine.life.Find(endOf(body)); p != nil {
		r.ws.wakeCaller(p)
	}
	index, err := r.writer.Offer(body)
	if err != nil {
		return 0, err
	}
	entry := oplog.Entry{Index: index, At: oplog.At(r.ws.Sched.Now()), Body: body}
	ended := endOf(body)
	if w := r.waiters[ended]; w != nil {
		w.attempts = r.attempts(ended)
	}
	r.machine.life.Apply(entry)
	r.awaitsNothing(body)
	r.ws.stats.count(body)
	switch body.(type) {
	case *oplog.InvocationStarted, *oplog.InvocationAccepted,
		*oplog.PromiseCreated, *oplog.PromiseSettled, *oplog.PromiseTaken, *oplog.PromiseWithdrawn:
		return index, nil // who needs them durable asks for it
	}
	switch body.(type) {
	case *oplog.InvocationFinished:
		err = r.ends(index)
	case *oplog.InvocationFailed:
		err = r.fails(index)
	}
	if err != nil {
		return 0, err
	}
	if !r.settle(ended, entry, nil) {
		r.writer.Request()
	}
	return index, nil
}

// attempts is how often a pending invocation has begun.
func (r *resident) attempts(accepted oplog.Index) uint64 {
	life := r.machine.life
	if life.Begun != 0 && life.Attempt.Accepted == accepted {
		return life.Attempt.Attempt
	}
	if p := life.Find(accepted); p != nil {
		return p.Failures
	}
	return 0
}

// settle tells those who wait for an invocation how it ended, or why it will
// not. It reports whether anybody does, who then sees to it that this is
// durable.
func (r *resident) settle(accepted oplog.Index, end oplog.Entry, err error) bool {
	w := r.waiters[accepted]
	if w == nil {
		return false
	}
	delete(r.waiters, accepted)
	w.end, w.err = end, err
	w.changed.Wake()
	if w.answers > 0 {
		r.writer.Poke()
	}
	return w.users > w.answers
}

func (r *resident) settleAll(err error) {
	for _, index := range slices.Sorted(maps.Keys(r.waiters)) {
		r.settle(index, oplog.Entry{}, err)
	}
}

// start gives the driver a job.
func (r *resident) start() {
	if r.ws.busy(r) {
		r.reused = true
	}
	if r.todo = true; r.driving {
		return
	}
	r.driving = true
	r.ws.drivers.add(1)
	r.ws.crew.give(r)
}

// drive carries out jobs until there are none.
func (r *resident) drive() {
	defer r.ws.drivers.add(-1)
	for again := true; again; {
		again = r.driveOnce()
		r.changed.Wake()
		r.ws.makeRoom() // somebody may need that of an instance at rest
	}
}

// driveOnce carries out one job. It reports whether there is another.
func (r *resident) driveOnce() (again bool) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	r.mu.Lock()
	r.todo, r.halting = false, cancel
	if why := r.machine.wishes.stop; why != nil {
		cancel(why) // that came before the job had begun
	}
	r.mu.Unlock()
	out := r.job(ctx)
	exhausted := errors.Is(out.fault, wasm.ErrMemoryExhausted)
	if exhausted {
		out.again = r.ws.relieve(ctx, r, r.pressed)
	}
	r.pressed = exhausted
	r.mu.Lock()
	defer r.mu.Unlock()
	r.computed += r.meter.used()
	if out.alive && r.body.session.Context().Err() != nil {
		out.alive = false // it was stopped too late for this job, and is good for no other
	}
	r.learnRegion(&out)
	r.prepareSaving(&out)
	r.halting = nil
	if !out.alive {
		r.drop()
	}
	e := ended{outcome: out}
	if out.failure != nil || out.fault != nil {
		e.chance = r.ws.chance()
		r.machine.retry = r.settings().Retry
		if p := out.retry; p != nil {
			r.machine.retry = api.Retry{Attempts: p.Attempts, Initial: api.Duration(p.Initial), Max: api.Duration(p.Max), Factor: p.Factor, Jitter: p.Jitter}
		}
	}
	r.apply(e)
	r.finishSaving()
	if r.driving = r.todo; !r.driving && r.machine.phase == ready {
		r.ws.rested(r)
	}
	return r.driving
}

// drop discards the instance, if there is one.
func (r *resident) drop() {
	if r.capturing {
		r.unwanted = true // whoever saves the state drops it
		return
	}
	if r.body != nil {
		r.body.close()
		r.body = nil
		r.ws.dropped(r)
	}
}

// job runs the attempt that has begun, building the instance first if there is
// none.
func (r *resident) job(ctx context.Context) outcome {
	absent := r.body == nil
	// An instance is waited for without a slot: those that have one may be
	// waiting for a slot.
	if absent {
		if err := r.ws.room(ctx); err != nil {
			return r.classify(ctx, err)
		}
	}
	defer r.yieldSlot()
	if err := r.takeSlot(ctx); err != nil {
		if absent {
			r.ws.dropped(r)
		}
		return r.classify(ctx, err)
	}
	a := r.attempt()
	r.meter.limit(r.settings().Limits)
	if absent {
		return r.activate(ctx, a)
	}
	unlink := r.link(ctx)
	defer unlink()
	return r.live(ctx, a)
}

// takeSlot waits until the worker may compute.
func (r *resident) takeSlot(ctx context.Context) error {
	if err := r.ws.slots.acquire(ctx, nil); err != nil {
		return err
	}
	r.slot = true
	r.ws.stats.running.Add(1)
	return nil
}

func (r *resident) yieldSlot() {
	if r.slot {
		r.slot = false
		r.ws.stats.running.Add(-1)
		r.ws.slots.release()
	}
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
	begun     oplog.Index // where the attempt began
	key       string
	attempt   uint64
	function  string
	args      []byte
	body      oplog.Index // of an HTTP request, where that begins
	ephemeral bool
}

// attempt is the one that has begun.
func (r *resident) attempt() call {
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	c := call{accepted: life.Attempt.Accepted, begun: life.Begun, attempt: life.Attempt.Attempt, ephemeral: life.Create.Ephemeral}
	if p := life.Find(c.accepted); p != nil {
		c.key, c.function, c.args, c.body = keyOf(p.InvocationAccepted, p.Index), p.Function, p.Args, p.Body
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
	return outcome{alive: !c.ephemeral, result: result}
}
