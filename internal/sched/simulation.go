package sched

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Limits of a simulation.
const (
	// MaxSteps bounds how often tasks are resumed in one Run, so that a
	// livelock ends with a report instead of never.
	MaxSteps = 2_000_000
	// MaxStepTime bounds the virtual time that passes while one task runs from
	// one park point to the next. Each step takes a seeded share of it, so that
	// timers fall due while tasks are busy, too.
	MaxStepTime = time.Microsecond
)

// ErrCrashed is what Run returns after Crash.
var ErrCrashed = errors.New("simulation crashed")

// simulationStart is what the wall clock of a new simulation says.
var simulationStart = time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)

// Simulation is a Scheduler for tests: one seed is one exact trace.
//
// Every task is a coroutine, and exactly one runs at a time. A task runs until
// it calls Sleep, Condition.Wait, Task.Wait or Yield: these are the park
// points. There the seed picks the next among the runnable tasks. Go, Wake,
// Now, Monotonic and NewCondition never switch, so they may be called with a
// mutex held; the park points may not, since a task that then locks the same
// mutex would stop the whole simulation. Time is virtual: it passes a little
// with each step, and when all tasks are parked it jumps to the next timer.
//
// Contexts that end by the machine's clock (context.WithTimeout) are not
// virtual; a task that needs a deadline sleeps in a task of its own and
// cancels. Cancelling is noticed before the next step.
//
// Everything but Crash and Crashed belongs to the goroutine that calls Run
// and to the tasks.
type Simulation struct {
	// OnStep, if set, is called before each step on the goroutine of Run. It
	// may call Crash, in which case the step is not taken, and JumpWall.
	OnStep func(Step)

	random *rand.PCG
	now    time.Duration // virtual, monotonic
	jumped time.Duration // by how much the wall clock has jumped
	steps  uint64        // of the present Run
	trace  traceHash

	started  int // tasks so far
	live     []*coroutine
	runnable []*coroutine
	timers   timers
	current  *coroutine // nil while the scheduler itself runs
	failure  *PanicError
	crashed  atomic.Bool
}

// Step tells OnStep what comes next.
type Step struct {
	Number uint64 // from 1, in the present Run
	Task   string // which is resumed
	Now    time.Duration
}

// NewSimulation makes a Simulation whose every decision follows from seed.
func NewSimulation(seed uint64) *Simulation {
	return &Simulation{random: rand.NewPCG(seed, 0x5eed), trace: newTraceHash()}
}

// Run calls main as a task and schedules until it and every task started have
// returned. It then returns nil, or else
//   - ErrCrashed after Crash,
//   - a *PanicError if a task panicked,
//   - a *StuckError if all tasks are parked and no timer is set, if main has
//     returned but a task is parked, or if MaxSteps is reached.
//
// After an error all tasks are abandoned: each unwinds from where it is parked
// by runtime.Goexit, which, unlike a panic, no recover on the way can stop.
// Deferred functions do run, one task after the other, because locks and
// memory must be freed; a park point within them ends that function too, and
// starting a task starts nothing. What simulates the world outside (a disk, a
// remote) must refuse them by asking Crashed or by being a park point itself.
//
// Run may be called again, for a process that starts anew: time, random
// decisions and trace go on. A task that calls runtime.Goexit, as
// testing.T.FailNow does, ends the goroutine of Run as well.
func (s *Simulation) Run(main func()) (err error) {
	if s.current != nil {
		panic("sched: Run called by a task")
	}
	s.steps = 0
	s.start("main", main)
	defer func() {
		s.crashed.Store(true)
		s.abandon()
		s.crashed.Store(false)
	}()
	root := s.live[len(s.live)-1]
	for {
		if s.crashed.Load() {
			return ErrCrashed
		}
		s.wakeCancelled()
		s.wakeDue()
		switch {
		case s.failure != nil:
			return s.failure
		case len(s.live) == 0:
			return nil
		case s.steps == MaxSteps:
			return s.stuck(ErrSteps)
		case len(s.runnable) > 0:
			s.step()
		case root.done:
			return s.stuck(ErrLeak)
		case len(s.timers) > 0:
			s.now = s.timers[0].deadline
		default:
			return s.stuck(ErrDeadlock)
		}
	}
}

// step resumes one runnable task, chosen by seed.
func (s *Simulation) step() {
	s.steps++
	i := int(s.random.Uint64() % uint64(len(s.runnable)))
	t := s.runnable[i]
	if s.OnStep != nil {
		s.OnStep(Step{Number: s.steps, Task: t.name, Now: s.now})
		if s.crashed.Load() {
			return
		}
	}
	last := len(s.runnable) - 1
	s.runnable[i] = s.runnable[last]
	s.runnable[last] = nil
	s.runnable = s.runnable[:last]

	s.now += time.Duration(s.random.Uint64() % uint64(MaxStepTime))
	s.trace.number(uint64(t.number))
	s.trace.number(uint64(s.now))
	s.resume(t)
}

// resume lets t run until it parks or ends.
func (s *Simulation) resume(t *coroutine) {
	s.current = t
	// Deferred for the task that calls runtime.Goexit.
	defer func() { s.current = nil }()
	t.resume()
}

// wakeCancelled makes the parked tasks whose context is done runnable.
func (s *Simulation) wakeCancelled() {
	for _, t := range s.live {
		if t.context != nil && t.context.Err() != nil {
			s.makeRunnable(t)
		}
	}
}

// wakeDue makes the tasks whose timer has come runnable.
func (s *Simulation) wakeDue() {
	for len(s.timers) > 0 && s.timers[0].deadline <= s.now {
		s.makeRunnable(s.timers[0])
	}
}

// makeRunnable ends whatever t is parked for.
func (s *Simulation) makeRunnable(t *coroutine) {
	t.context = nil
	s.timers.remove(t)
	if t.condition != nil {
		t.condition.remove(t)
	}
	s.runnable = append(s.runnable, t)
}

// abandon unwinds all tasks and forgets them.
func (s *Simulation) abandon() {
	for _, t := range s.live {
		s.current = t
		t.unwind()
	}
	s.current = nil
	s.live, s.runnable, s.timers, s.failure = nil, nil, nil, nil
}

// Crash ends the simulated process as a power failure would: the running task
// goes no further than its next park point, and no other task runs again. See
// Run for how they unwind. It may be called from any goroutine, and returns.
func (s *Simulation) Crash() { s.crashed.Store(true) }

// Crashed tells whether Crash was called, or Run is abandoning its tasks for
// another reason. What stands for the world outside asks it before each effect.
func (s *Simulation) Crashed() bool { return s.crashed.Load() }

// Yield is a park point that any other runnable task may use, or none.
func (s *Simulation) Yield() {
	t := s.caller("Yield")
	s.runnable = append(s.runnable, t)
	t.park("yields")
}

// JumpWall moves the wall clock, not the monotonic one, by d, which may be
// negative.
func (s *Simulation) JumpWall(d time.Duration) { s.jumped += d }

// Trace is a hash over every decision since NewSimulation and everything
// given to Record. Equal seeds give equal traces, or something is not
// deterministic that should be.
func (s *Simulation) Trace() uint64 { return uint64(s.trace) }

// Record puts an event of the simulated world into the trace.
func (s *Simulation) Record(event string) { s.trace.text(event) }

// Go makes f a runnable task. It does not switch to it.
func (s *Simulation) Go(name string, f func()) Task {
	if s.crashed.Load() {
		return &coroutine{simulation: s, name: name, done: true}
	}
	return s.start(name, f)
}

func (s *Simulation) start(name string, f func()) *coroutine {
	s.started++
	t := &coroutine{simulation: s, number: s.started, name: name, f: f, timer: -1}
	s.trace.text(name)
	s.live = append(s.live, t)
	s.runnable = append(s.runnable, t)
	return t
}

// Now is the virtual wall clock.
func (s *Simulation) Now() time.Time { return simulationStart.Add(s.now + s.jumped) }

// Monotonic is the virtual time since NewSimulation.
func (s *Simulation) Monotonic() time.Duration { return s.now }

// Sleep parks the calling task until virtual time has passed by d.
func (s *Simulation) Sleep(ctx context.Context, d time.Duration) error {
	t := s.caller("Sleep")
	deadline := s.now + max(d, 0)
	if deadline < s.now { // overflow
		deadline = 1<<63 - 1
	}
	if ctx.Done() != nil {
		t.context = ctx
	}
	s.timers.add(t, deadline)
	t.park("sleeps")
	return context.Cause(ctx)
}

// NewCondition makes a place where tasks of the simulation wait.
func (s *Simulation) NewCondition() Condition { return &simulatedCondition{simulation: s} }

// caller gives the running task, at a park point. It does not return if the
// simulation has crashed.
func (s *Simulation) caller(what string) *coroutine {
	if s.current == nil {
		panic("sched: " + what + " called outside the tasks of a simulation")
	}
	if s.crashed.Load() {
		s.current.leave()
	}
	return s.current
}

// simulatedCondition is a Condition for tasks of a simulation.
type simulatedCondition struct {
	simulation *Simulation
	waiting    []*coroutine
}

// Wait lets other tasks run before it looks at ready, too: on real machines
// anything may happen between a caller's decision to wait and its waiting.
func (c *simulatedCondition) Wait(ctx context.Context, ready func() bool) error {
	c.simulation.Yield()
	for !ready() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t := c.simulation.caller("Wait")
		if ctx.Done() != nil {
			t.context = ctx
		}
		t.condition = c
		c.waiting = append(c.waiting, t)
		t.park("waits for a condition")
	}
	return nil
}

func (c *simulatedCondition) Wake() {
	if c.simulation.crashed.Load() {
		return
	}
	for len(c.waiting) > 0 {
		c.simulation.makeRunnable(c.waiting[0])
	}
}

// remove forgets t, which then waits no longer.
func (c *simulatedCondition) remove(t *coroutine) {
	t.condition = nil
	for i, w := range c.waiting {
		if w == t {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return
		}
	}
}

// PanicError reports a task of a simulation that panicked.
type PanicError struct {
	Task  string
	Value any
	Stack string
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("task %q panicked: %v\n%s", e.Task, e.Value, e.Stack)
}
