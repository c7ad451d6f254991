// Package agenda keeps what a shard has to look at, and when: durably, so that
// a million sleeping workers cost one small entry each, and so that after a
// crash nobody has to look through all oplogs. It hides how that is stored (an
// oplog of its own, rewritten when most of it is out of date) and how the next
// worker is found.
package agenda

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Worker is the reserved worker whose oplog the agenda is.
var Worker = id.Worker{Component: "waterbear", Name: "agenda"}

// recheck is how long Next waits at most before it looks at the clock again,
// which may have jumped.
const recheck = time.Second

// Never is when a worker is due that waits for a person: it is on the agenda so
// that it is found.
const Never oplog.Time = math.MaxInt64

// ErrClosed is Next's error after Close.
var ErrClosed = errors.New("the agenda is closed")

// Config is what an agenda stands on.
type Config struct {
	Sched     sched.Scheduler
	Logs      storage.Logs
	Committer *oplog.Committer // of the shard whose workers these are
}

// Agenda says which worker is to be looked at next. All of it but Close may be
// used by several tasks at once.
type Agenda struct {
	Config
	limits  limits
	writer  *oplog.Writer
	damaged error

	work    sched.Condition // the task waits here
	task    sched.Task      // rewrites the log
	closed  context.Context // done once Close is called
	closing context.CancelFunc

	mu        sync.Mutex
	calendar  calendar
	sleepers  map[*sleeper]struct{} // calls of Next that wait
	first     oplog.Index           // of the entries kept
	last      oplog.Index           // of the entries appended
	entry     oplog.Due             // reused, for a new one would be an allocation
	untouched bool                  // the log is damaged and not rebuilt, so nothing may be truncated
	rewriting bool
	pressing  bool  // the log is to be rewritten however short it is
	failure   error // of the last rewriting
}

// sleeper is a call of Next that waits.
type sleeper struct {
	wake  context.CancelFunc
	until oplog.Time
}

// Open reads the agenda of the committer's shard. Close it before the
// committer.
//
// If the log is damaged the agenda has what could be read: see Damaged.
func Open(ctx context.Context, c Config) (*Agenda, error) { return open(ctx, c, defaultLimits) }

func open(ctx context.Context, c Config, l limits) (*Agenda, error) {
	a := &Agenda{
		Config: c, limits: l, work: c.Sched.NewCondition(),
		calendar: newCalendar(), sleepers: map[*sleeper]struct{}{},
	}
	if err := a.read(ctx); err != nil {
		return nil, fmt.Errorf("read the agenda of shard %d: %w", c.Committer.Shard(), err)
	}
	a.untouched = a.damaged != nil
	a.writer = c.Committer.NewWriter(Worker, a.last)
	a.closed, a.closing = context.WithCancel(context.Background())
	a.task = c.Sched.Go("agenda", a.tidy)
	return a, nil
}

// read makes the calendar of what is stored.
func (a *Agenda) read(ctx context.Context) (err error) {
	if a.first, a.last, err = a.Logs.Bounds(ctx, Worker); err != nil {
		return err
	}
	for entry, err := range oplog.Read(ctx, a.Logs, Worker, a.first, a.last) {
		var corrupt *storage.CorruptError
		switch {
		case errors.As(err, &corrupt):
			a.damage(err)
			continue
		case err != nil:
			return err
		}
		due, ok := entry.Body.(*oplog.Due)
		if !ok {
			a.damage(fmt.Errorf("entry %d of %s is %s, not Due", entry.Index, Worker, oplog.Name(entry.Body)))
			continue
		}
		a.calendar.set(due.Worker, due.At)
	}
	return nil
}

// damage notes what could not be read: the first of it says enough.
func (a *Agenda) damage(err error) {
	if a.damaged == nil {
		a.damaged = err
	}
}

// Damaged is what could not be read of the stored agenda, or nil. Workers may
// be missing then: the caller is to look at all there are, Set those that have
// something to do, and say Rebuilt.
func (a *Agenda) Damaged() error { return a.damaged }

// Rebuilt says that the agenda is complete again, so that what is damaged of
// its log may be replaced. Until then every Open finds it damaged.
func (a *Agenda) Rebuilt() {
	a.mu.Lock()
	a.untouched, a.pressing = false, a.pressing || a.untouched
	a.mu.Unlock()
	a.work.Wake()
}

// Set makes w due at at, in place of what was set before; 0 forgets it. It
// never waits, and may be called with a lock held. The caller calls it before it
// appends the entry that this is about, to whichever oplog of the shard: the
// agenda is then durable no later, and a crash can leave it with a worker too
// many, never with one too few.
//
// To forget a worker, or to set a later time than before, takes something back.
// So it is the other way round: what makes it so is committed before, or has at
// least joined before (oplog.Writer.Join), so that it goes along.
//
// Once the committer has ended it is remembered and not written; neither can
// be what it is about.
func (a *Agenda) Set(w id.Worker, at oplog.Time) {
	a.mu.Lock()
	if a.calendar.set(w, at) {
		_ = a.write(w, at)
		a.writer.Join()
	}
	overdue := a.overdue()
	var wake []*sleeper
	if first, ok := a.calendar.first(); ok {
		wake = a.rouse(first)
	}
	a.mu.Unlock()
	if overdue {
		a.work.Wake()
	}
	for _, s := range wake {
		s.wake()
	}
}

// Forget takes w off the agenda.
func (a *Agenda) Forget(w id.Worker) { a.Set(w, 0) }

// write appends an entry. It is called with a.mu held.
func (a *Agenda) write(w id.Worker, at oplog.Time) error {
	a.entry = oplog.Due{Worker: w, At: at}
	index, err := a.writer.Offer(&a.entry)
	if err == nil {
		a.last = index
	}
	return err
}

// rouse takes out the calls of Next that would sleep for longer than until at.
// It is called with a.mu held; who calls it wakes them.
func (a *Agenda) rouse(at oplog.Time) (wake []*sleeper) {
	for s := range a.sleepers {
		if s.until > at {
			delete(a.sleepers, s)
			wake = append(wake, s)
		}
	}
	return wake
}

// Room tells whether the disk keeps up with the agenda. Who accepts new work
// asks before, since Set does not wait for it.
func (a *Agenda) Room() bool { return a.writer.Room() }

// Len is how many workers are on the agenda, whatever for.
func (a *Agenda) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calendar.size()
}

// Waiting is how many workers wait for their time: those are not among them
// that were handed out or are on hold, or wait for a person.
func (a *Agenda) Waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calendar.heap) - a.calendar.never
}

// Nevers is how many workers wait for a person.
func (a *Agenda) Nevers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calendar.never
}

// NeverDue gives up to limit of them behind after, in order.
func (a *Agenda) NeverDue(after id.Worker, limit int) []id.Worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []id.Worker
	for i := range a.calendar.items {
		if it := &a.calendar.items[i]; it.at == Never && it.name != "" {
			if w := it.worker(); w.Compare(after) > 0 {
				all = append(all, w)
			}
		}
	}
	slices.SortFunc(all, id.Worker.Compare)
	return all[:min(limit, len(all))]
}

// Due is when w is due; ok is false when it is not on the agenda.
func (a *Agenda) Due(w id.Worker) (at oplog.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calendar.due(w)
}

// Next waits until a worker is due by the wall clock and hands out the one that
// is due first. It stays on the agenda, so that a crash forgets nothing, but is
// not handed out again before it is Set again, if only to the same time.
func (a *Agenda) Next(ctx context.Context) (id.Worker, error) {
	for {
		if ctx.Err() != nil {
			return id.Worker{}, context.Cause(ctx)
		}
		sleeping, wake := context.WithCancel(ctx)
		s := &sleeper{wake: wake}
		w, pause, err := a.look(s)
		if err != nil || pause == 0 {
			wake()
			return w, err
		}
		_ = a.Sched.Sleep(sleeping, pause)
		wake()
		a.mu.Lock()
		delete(a.sleepers, s)
		a.mu.Unlock()
	}
}

// look hands out a worker that is due, or enlists s and says how long it may
// sleep.
func (a *Agenda) look(s *sleeper) (w id.Worker, pause time.Duration, err error) {
	now := oplog.At(a.Sched.Now())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed.Err() != nil {
		return w, 0, ErrClosed
	}
	at, ok := a.calendar.first()
	if ok && at <= now {
		return a.calendar.take(), 0, nil
	}
	pause = recheck
	if ok {
		pause = min(pause, time.Duration(at-now))
	}
	s.until = now + oplog.Time(pause)
	a.sleepers[s] = struct{}{}
	return w, pause, nil
}

// Close ends waiting calls of Next and what the agenda does by itself. What was
// Set is durable when the committer's Close returns, if not before. It may be
// called twice.
func (a *Agenda) Close() {
	a.closing()
	a.mu.Lock()
	wake := a.rouse(math.MinInt64)
	a.mu.Unlock()
	for _, s := range wake {
		s.wake()
	}
	a.task.Wait()
}
