package sched

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// coroutine is a task of a Simulation.
type coroutine struct {
	simulation *Simulation
	number     int
	name       string
	f          func()
	next       func() (struct{}, bool) // runs until the next yield; nil before the first step
	yield      func(struct{}) bool     // switches back to the scheduler
	done       bool
	unwinding  bool         // it is being abandoned
	waiters    []*coroutine // tasks that wait for its end

	// What it is parked for.
	reason    string
	callers   [8]uintptr
	context   context.Context // ends the wait when done; nil if nothing does
	condition *simulatedCondition
	deadline  time.Duration
	timer     int // index in Simulation.timers, or -1
}

// resume runs the task until it parks or ends.
func (t *coroutine) resume() {
	if t.next == nil {
		t.next, _ = iter.Pull(t.body)
	}
	t.next()
}

// body is the coroutine itself.
func (t *coroutine) body(yield func(struct{}) bool) {
	t.yield = yield
	defer t.end()
	t.f()
}

// end is deferred around the task's function, and sees it return, panic or
// call runtime.Goexit.
func (t *coroutine) end() {
	s := t.simulation
	if v := recover(); v != nil && !s.crashed.Load() {
		s.failure = &PanicError{Task: t.name, Value: v, Stack: string(debug.Stack())}
	}
	t.done = true
	for _, w := range t.waiters {
		s.makeRunnable(w)
	}
	if !s.crashed.Load() {
		s.live = slices.DeleteFunc(s.live, func(l *coroutine) bool { return l == t })
	}
}

// park gives way to the scheduler until the task is resumed, or ends it if the
// simulation has crashed meanwhile.
func (t *coroutine) park(reason string) {
	t.reason = reason
	clear(t.callers[:])
	runtime.Callers(3, t.callers[:]) // without Callers, park and the park point
	t.yield(struct{}{})
	if t.simulation.crashed.Load() {
		t.leave()
	}
}

// leave ends the task of a crashed simulation. While it still runs in the
// normal way it first gives the scheduler the chance to unwind it.
func (t *coroutine) leave() {
	if !t.unwinding {
		t.yield(struct{}{})
	}
	runtime.Goexit()
}

// unwind ends a parked task. A coroutine that ends by runtime.Goexit ends the
// goroutine that resumed it as well, so it is resumed by one made for that.
func (t *coroutine) unwind() {
	if t.next == nil || t.done {
		t.done = true
		return
	}
	t.unwinding = true
	unwound := make(chan struct{})
	go func() {
		defer close(unwound)
		t.next()
	}()
	<-unwound
}

// Wait parks the calling task until this one has ended.
func (t *coroutine) Wait() {
	s := t.simulation
	if t.done && s.current == nil {
		return
	}
	s.Yield()
	if !t.done {
		w := s.caller("Task.Wait")
		t.waiters = append(t.waiters, w)
		w.park(fmt.Sprintf("waits for task %q", t.name))
	}
}

// where names the code that parked the task.
func (t *coroutine) where() string {
	frames := runtime.CallersFrames(t.callers[:])
	for {
		f, more := frames.Next()
		if f.Function == "" {
			return "at its start"
		}
		if !strings.Contains(f.Function, "internal/sched.(*") {
			return fmt.Sprintf("in %s at %s:%d", f.Function, f.File, f.Line)
		}
		if !more {
			return "in the scheduler"
		}
	}
}

// Why a simulation cannot go on.
var (
	ErrDeadlock = errors.New("deadlock: every task is parked and no timer is set")
	ErrLeak     = errors.New("the main task has returned, but others are parked")
	ErrSteps    = fmt.Errorf("no end after %d steps", MaxSteps)
)

// StuckError reports a simulation that cannot go on: Cause is ErrDeadlock,
// ErrLeak or ErrSteps, Tasks are those that have not ended.
type StuckError struct {
	Cause error
	Tasks []ParkedTask
}

// ParkedTask is a task in a StuckError.
type ParkedTask struct {
	Name   string
	Reason string // what it waits for
	Where  string // the function, file and line that parked it
}

func (e *StuckError) Error() string {
	var b strings.Builder
	b.WriteString(e.Cause.Error())
	for _, t := range e.Tasks {
		fmt.Fprintf(&b, "\n\ttask %q %s %s", t.Name, t.Reason, t.Where)
	}
	return b.String()
}

func (e *StuckError) Unwrap() error { return e.Cause }

func (s *Simulation) stuck(cause error) error {
	e := &StuckError{Cause: cause}
	for _, t := range s.live {
		e.Tasks = append(e.Tasks, ParkedTask{Name: t.name, Reason: t.reason, Where: t.where()})
	}
	return e
}

// timers are the sleeping tasks, a heap by deadline and then by number.
type timers []*coroutine

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if h[i].deadline != h[j].deadline {
		return h[i].deadline < h[j].deadline
	}
	return h[i].number < h[j].number
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer, h[j].timer = i, j
}

func (h *timers) Push(x any) {
	t := x.(*coroutine)
	t.timer = len(*h)
	*h = append(*h, t)
}

func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.timer = -1
	return t
}

func (h *timers) add(t *coroutine, deadline time.Duration) {
	t.deadline = deadline
	heap.Push(h, t)
}

// remove takes t out if it is in.
func (h *timers) remove(t *coroutine) {
	if t.timer >= 0 {
		heap.Remove(h, t.timer)
	}
}

// traceHash is FNV-1a with 64 bits.
type traceHash uint64

func newTraceHash() traceHash { return 14695981039346656037 }

func (h *traceHash) byte(b byte) { *h = (*h ^ traceHash(b)) * 1099511628211 }

func (h *traceHash) number(n uint64) {
	for range 8 {
		h.byte(byte(n))
		n >>= 8
	}
}

func (h *traceHash) text(s string) {
	h.number(uint64(len(s)))
	for i := range len(s) {
		h.byte(s[i])
	}
}
