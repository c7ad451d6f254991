package worker

import (
	"math"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// machine decides what happens with a worker. It is pure: step takes what has
// happened and gives what to do, in order; it reads no clock, starts nothing
// and waits for nothing. What must survive is in life, which the one who
// carries the actions out keeps up to date, entry by entry; the rest is what
// only this process cares for.
type machine struct {
	life *oplog.Life
	traits

	phase  phase
	wishes wishes
	shaken bool       // the host failed while the program ran
	calm   bool       // since it was in memory, the program has left it in order
	woken  bool       // what the worker waits for out of memory may have happened
	over   *halt      // nothing more is to begin: the node stops, or the worker is deleted
	pause  oplog.Time // before this nothing begins, after the host failed
	faults int        // how often it did, in a row
	fault  error      // the last of them
}

// wishes are what has been asked of the job under way. They come true when it
// ends, however it does.
type wishes struct {
	stop      *halt // why it is to end early: the first reason there was
	cancel    bool  // its invocation is not wanted any more
	interrupt *halt // nothing is to begin after it
}

// traits are what a machine knows of the worker's program and settings.
type traits struct {
	initializes bool // its instances have something to do before the first call
	ephemeral   bool
	retry       api.Retry
}

// phase is what a worker's instance does.
type phase int

const (
	absent phase = iota // there is none
	ready               // it waits for the next invocation
	busy                // a job is under way
)

// event is something that has happened.
type event interface{ isEvent() }

type (
	// tick asks what there is to do now.
	tick struct{}
	// ended is the end of the job that a start action began.
	ended struct {
		outcome
		chance float64 // 0 to 1, for jitter
	}
	// interrupted, resumed, canceled and resolved are what people ask for; evicted
	// is asked for by those who need the memory.
	interrupted struct{ reason string }
	resumed     struct{}
	canceled    struct{ index oplog.Index }
	resolved    struct{ *oplog.CallResolved }
	evicted     struct{}
	// woken says that what the worker waits for out of memory may have happened. If
	// it has not, the worker finds out and waits again.
	woken struct{}
	// drained lets nothing more begin, without an entry; closed also ends what
	// is under way.
	drained struct{ why *halt }
	closed  struct{ why *halt }
)

func (tick) isEvent()        {}
func (ended) isEvent()       {}
func (interrupted) isEvent() {}
func (resumed) isEvent()     {}
func (canceled) isEvent()    {}
func (resolved) isEvent()    {}
func (evicted) isEvent()     {}
func (woken) isEvent()       {}
func (drained) isEvent()     {}
func (closed) isEvent()      {}

// outcome is how a job ended.
type outcome struct {
	// alive says that there is still an instance, in the state that the oplog
	// has.
	alive   bool
	result  []byte                // of the attempt, if it has one
	failure *failure              // the attempt's
	exit    *uint32               // the program has ended, with this code
	back    *durable.BackError    // the program wants to be taken back
	suspend *suspendError         // the attempt waits for longer than it may stay in memory
	held    []oplog.Index         // the calls for which it waits for persons
	halted  *halt                 // it was stopped
	broken  error                 // the oplog cannot be replayed
	fault   error                 // the host could not do its part
	again   bool                  // but now it may: it is not to be waited for
	lived   bool                  // the program did something that was not in the oplog yet
	retry   *platform.RetryPolicy // that the program has set, or nil
}

// failure is why an attempt failed.
type failure struct {
	code   api.FailureCode
	reason string
	stack  []string
	stderr string
	final  bool // trying again would be no different
	stuck  bool // in its atomic region, that is
}

// halt is why a job is stopped. It is an error to be the cause of a context.
type halt struct{ reason string }

// Error is the reason.
func (h *halt) Error() string { return h.reason }

// action is something to do.
type action interface{ isAction() }

type (
	// record appends an entry.
	record struct{ body oplog.Body }
	// start begins a job: the instance is built if there is none, the attempt
	// that has begun is run, and the end of it all is an ended event.
	start struct{}
	// stop tells the job under way to end early.
	stop struct{ why *halt }
	// drop discards the instance.
	drop struct{}
	// tell answers those who wait for invocations: these will not go on by
	// themselves.
	tell struct{ reason string }
)

func (record) isAction() {}
func (start) isAction()  {}
func (stop) isAction()   {}
func (drop) isAction()   {}
func (tell) isAction()   {}

// step takes an event that happened at now. When its actions are done, step is
// called again with a tick, until there is nothing to do.
func (m *machine) step(now oplog.Time, e event) []action {
	switch e := e.(type) {
	case ended:
		return m.ended(now, e)
	case interrupted:
		return m.interrupt(now, e.reason)
	case resumed:
		m.pause, m.faults, m.fault, m.woken = 0, 0, nil, true
		return []action{record{&oplog.Resumed{At: now}}}
	case canceled:
		return m.cancel(now, e.index)
	case resolved:
		if slices.Contains(m.life.Held, e.Started) {
			e.At = now
			return []action{record{e.CallResolved}}
		}
	case evicted:
		if m.phase == ready {
			m.phase = absent
			return []action{drop{}}
		}
	case woken:
		m.woken = true
	case drained:
		m.over = e.why
	case closed:
		m.over = e.why
		if m.phase == busy {
			return m.halt(e.why)
		}
	}
	return m.tick(now)
}

// tick begins what is due, if nothing is under way.
func (m *machine) tick(now oplog.Time) []action {
	if m.phase == busy {
		return nil
	}
	if m.blocked() != "" {
		if m.phase == ready {
			m.phase = absent
			return []action{drop{}}
		}
		return nil
	}
	if m.pause > now {
		return nil
	}
	if m.life.Begun != 0 {
		return m.goOn(now)
	}
	next, at := m.turn(now)
	if next == nil || at > now {
		return nil
	}
	begun := &oplog.InvocationStarted{At: now, Accepted: next.Index, Attempt: next.Failures + 1, Queue: m.life.Waiting}
	if m.uninitialized() {
		begun.Accepted, begun.Attempt = 0, m.life.Failures+1
	}
	m.phase, m.woken = busy, false
	return []action{record{begun}, start{}}
}

// uninitialized reports whether the worker has to be initialized before its
// first invocation.
func (m *machine) uninitialized() bool {
	return m.initializes && !m.life.Initialized && !m.ephemeral
}

// goOn continues the attempt that has begun.
func (m *machine) goOn(now oplog.Time) []action {
	if m.life.Suspended != nil && !m.waitIsOver(now) || len(m.life.Held) > 0 {
		return nil
	}
	if b := m.life.Back; b != nil && b.Retry > now {
		return nil
	}
	if m.ephemeral {
		// Nothing that it did was recorded: it begins anew, and that is no
		// failure of its.
		a := m.life.Attempt
		return []action{record{&oplog.InvocationFailed{
			At: now, Accepted: a.Accepted, Started: m.life.Begun, Attempt: a.Attempt - 1, Code: string(api.FailedHost),
			Reason: "the process ended during it", Stack: []string{}, Retry: now, Queue: m.life.Waiting,
		}}}
	}
	var actions []action
	if m.life.Region != 0 && (m.shaken || !m.life.Calm && !m.calm) {
		actions = []action{record{leftIn(m.life.Region, now)}}
	}
	m.phase, m.woken, m.shaken = busy, false, false
	return append(actions, start{})
}

// waitIsOver reports whether a suspended worker has to see how its wait ends.
func (m *machine) waitIsOver(now oplog.Time) bool {
	s := m.life.Suspended
	return s.For != "" && m.woken || s.Until != 0 && s.Until <= now
}

// turn gives the invocation whose turn it is, the first accepted of those that
// are due, and when it can begin. If none is due it gives when one will be, or 0.
func (m *machine) turn(now oplog.Time) (next *oplog.Pending, at oplog.Time) {
	for _, p := range m.life.Queue {
		if p.Due <= now {
			at = max(p.Retry, soon)
			if f := m.life.Failed; f != nil && m.uninitialized() {
				at = max(at, f.Retry)
			}
			return p, at
		}
		if at == 0 || p.Due < at {
			at = p.Due
		}
	}
	return nil, at
}

// blocked says why nothing begins until a person acts, or "".
func (m *machine) blocked() string {
	switch {
	case m.over != nil:
		return m.over.reason
	case m.life.Exited != nil:
		return "its program has ended"
	case m.life.Interrupted != nil:
		return "it was interrupted: " + m.life.Interrupted.Reason
	case m.life.Stuck != nil:
		return m.life.Stuck.Reason
	}
	return ""
}

// soon is a time for what is to be done at once: it has always come.
const soon oplog.Time = 1

// wake is when, seen from now, the worker has to be looked at next; 0 if not
// before something happens to it, and agenda.Never if that is a person who says
// what becomes of a call.
func (m *machine) wake(now oplog.Time) oplog.Time {
	switch {
	case m.phase == busy:
		return soon
	case m.over == nil && len(m.life.Held) > 0:
		return agenda.Never
	case m.blocked() != "":
		return 0
	}
	var at oplog.Time
	switch {
	case m.life.Begun == 0:
		_, at = m.turn(now)
	case m.life.Suspended != nil && !m.waitIsOver(now):
		at = m.life.Suspended.Until
	case m.life.Back != nil:
		at = max(m.life.Back.Retry, soon)
	default:
		at = soon
	}
	if at != 0 {
		at = max(at, m.pause)
	}
	return at
}

func (m *machine) interrupt(now oplog.Time, reason string) []action {
	switch {
	case m.life.Interrupted != nil || m.wishes.interrupt != nil:
		return nil
	case m.phase == busy:
		m.wishes.interrupt = &halt{reason}
		return m.halt(m.wishes.interrupt)
	}
	return []action{record{&oplog.Interrupted{At: now, Reason: reason}}}
}

// cancel takes back the invocation accepted at index.
func (m *machine) cancel(now oplog.Time, index oplog.Index) []action {
	switch {
	case m.life.Find(index) == nil:
		return nil
	case m.life.Begun == 0 || m.life.Attempt.Accepted != index:
		return []action{record{&oplog.InvocationCanceled{At: now, Accepted: index, Queue: m.life.Waiting - 1}}}
	case m.phase == busy:
		m.wishes.cancel = true
		return m.halt(&halt{"canceled"})
	}
	return m.canceled(now)
}

// halt tells the job under way to end early. Only the first reason is heard.
func (m *machine) halt(why *halt) []action {
	if m.wishes.stop == nil {
		m.wishes.stop = why
	}
	return []action{stop{why}}
}

// ended takes the end of a job.
func (m *machine) ended(now oplog.Time, e ended) []action {
	asked := m.wishes
	m.wishes, m.phase = wishes{}, absent
	if e.alive {
		m.phase = ready
	}
	if m.fault = e.fault; e.fault == nil {
		m.faults = 0
	} else if !e.again {
		m.faults++
		m.pause = now + oplog.Time(backoff(hostRetry, m.faults, e.chance))
	}
	m.shaken = m.shaken || e.fault != nil && e.lived
	m.calm = m.calm || e.suspend != nil || len(e.held) > 0
	if e.suspend == nil || m.come(e.suspend.promises) {
		m.woken = true // what it was suspended for before is history
	}
	var actions []action
	switch {
	case e.exit != nil:
		return m.exited(now, *e.exit)
	case e.result != nil:
		actions = []action{record{&oplog.InvocationFinished{
			At: now, Accepted: m.life.Attempt.Accepted, Started: m.life.Begun, Result: e.result, Queue: m.remaining(),
		}}}
	case asked.cancel:
		actions = m.canceled(now)
	case e.back != nil:
		actions = []action{record{goneBack(e.back, now)}}
	case e.failure != nil:
		actions = m.failed(now, e.failure, e.chance)
	case e.suspend != nil && !m.come(e.suspend.promises):
		actions = []action{record{&oplog.Suspended{At: now, Until: e.suspend.until, For: e.suspend.what, Promises: e.suspend.promises}}}
	case len(e.held) > 0:
		for _, call := range e.held {
			actions = append(actions, record{&oplog.CallHeld{At: now, Started: call}})
		}
	}
	if e.broken != nil {
		actions = append(actions, m.stuck(now, e.broken.Error())...)
	}
	if asked.interrupt != nil {
		actions = append(actions, record{&oplog.Interrupted{At: now, Reason: asked.interrupt.reason}})
	}
	if len(actions) == 0 {
		return m.tick(now)
	}
	return actions
}

// come reports whether one of these promises is settled: since the attempt last
// looked, that may have happened.
func (m *machine) come(promises []string) bool {
	return slices.ContainsFunc(promises, func(name string) bool {
		p := m.life.Promise(name)
		return p != nil && p.Settled != nil
	})
}

// stuck ends all that the worker does until a person acts.
func (m *machine) stuck(now oplog.Time, reason string) []action {
	return []action{record{&oplog.Stuck{At: now, Reason: reason}}, tell{reason}}
}

// remaining is the length of the queue without the invocation under way.
func (m *machine) remaining() uint64 {
	if m.life.Attempt.Accepted == 0 {
		return m.life.Waiting
	}
	return m.life.Waiting - 1
}

// failed takes the attempt back, and says when the next one begins, if one does.
func (m *machine) failed(now oplog.Time, f *failure, chance float64) []action {
	entry := m.takenBack(now, f)
	inRegion := m.life.Region != 0 && !f.stuck
	// What a copy did before it was one its origin has done: it is not to do it again.
	final := f.final || m.life.ForkedIn() && !inRegion
	if tried := m.life.Attempt.Attempt + m.life.JumpFailures; !final && tried < m.retry.Attempts {
		again := now + oplog.Time(backoff(m.retry, int(min(tried, math.MaxInt32)), chance))
		if inRegion {
			region := m.life.Region
			return []action{record{&oplog.Jump{
				At: now, From: region + 1, Region: region, Code: string(f.code), Reason: f.reason, Stack: f.stack, Retry: max(again, soon),
			}}}
		}
		entry.Queue, entry.Retry = m.life.Waiting, again
		return []action{record{entry}}
	}
	actions := []action{record{entry}}
	if entry.Accepted == 0 {
		actions = append(actions, m.stuck(now, "it cannot be initialized: "+f.reason)...)
	}
	return actions
}

// takenBack is the end for good of the attempt that has begun.
func (m *machine) takenBack(now oplog.Time, f *failure) *oplog.InvocationFailed {
	a := m.life.Attempt
	return &oplog.InvocationFailed{
		At: now, Accepted: a.Accepted, Started: m.life.Begun, Attempt: a.Attempt, Code: string(f.code),
		Reason: f.reason, Stack: f.stack, Stderr: f.stderr, Queue: m.remaining(),
	}
}

func (m *machine) canceled(now oplog.Time) []action {
	f := &failure{code: api.FailedCanceled, reason: "canceled", stack: []string{}}
	return []action{record{m.takenBack(now, f)}}
}

// exited ends a library that has called exit: no function of it can be called
// any more.
func (m *machine) exited(now oplog.Time, code uint32) []action {
	f := &failure{code: api.FailedTrap, reason: "the program called exit, which ends the worker", stack: []string{}}
	entry := m.takenBack(now, f)
	actions := []action{record{entry}}
	queue := entry.Queue
	for _, p := range m.life.Queue {
		if p.Index != entry.Accepted {
			queue--
			actions = append(actions, record{&oplog.InvocationCanceled{At: now, Accepted: p.Index, Queue: queue}})
		}
	}
	return append(actions, record{&oplog.Exited{At: now, Code: uint64(code)}})
}

// hostRetry is how often the host tries again what it could not do.
var hostRetry = api.Retry{Initial: api.Duration(100 * time.Millisecond), Max: api.Duration(30 * time.Second), Factor: 2, Jitter: 0.2}

// backoff is the pause after the n-th failure, from 1.
func backoff(r api.Retry, n int, chance float64) time.Duration {
	pause := float64(r.Initial) * math.Pow(max(r.Factor, 1), float64(n-1))
	pause = min(pause, float64(max(r.Max, r.Initial)))
	return time.Duration(pause * (1 - r.Jitter*chance))
}
