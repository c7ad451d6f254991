// Package await is what a program waits for beside the time alone, recorded: that
// more of an HTTP exchange has come, that a socket has something, that there is
// input. Whoever has such things makes Events of them, one wait is for any mix of
// them, and the record says which had come when it ended. It hides how the guest
// waits, and for how long it stays in memory meanwhile.
package await

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// Source is who has an event. A number is never used again for something else.
type Source uint8

// The sources of events.
const (
	HTTP       Source = iota + 1
	Connection        // is made, or cannot be
	Promise
	Upload
	Listener // has a connection
	Incoming // bytes of a connection
	Outgoing // room on a connection
	Datagram
	Lookup // of a name
)

var sourceNames = map[Source]string{
	HTTP: "HTTP request", Connection: "connection", Promise: "promise", Upload: "body of an HTTP request",
	Listener: "connections at socket", Incoming: "bytes from socket", Outgoing: "room on socket", Datagram: "datagrams at socket",
	Lookup: "lookup",
}

// Event is something that may come.
type Event struct {
	Source Source
	ID     uint64 // names the thing at its source
	Name   string // does so in its place, of a promise
	// Past is how much of it the program has seen, so that the same thing waited
	// for again is another event.
	Past uint64
	// Held, if set, reports whether it is of a call in doubt, by its ID, that waits
	// for a person: then the program waits for that before anything is begun.
	Held func() bool
	// Begin, if set, is called before a live wait for it, by the instance's task.
	Begin func() error
	// Come reports whether it is there. It is asked while the worker is live, on
	// any task, whenever Wake was called.
	Come func() bool
	// Again, if set, is asked by the instance's task when it has come: it says that
	// the program is not to be told, and that the wait goes on.
	Again func() (bool, error)
	// Pause, if set, says for how long it cannot come: nothing is under way then.
	Pause func() time.Duration
}

// Forever is the deadline of a wait without one.
const Forever = ^uint64(0)

// Clock is the worker's monotonic clock.
type Clock interface {
	// Live is what it shows, unrecorded.
	Live() uint64
	// Saw tells it what the program has seen of it.
	Saw(now uint64)
}

// Input is the worker's standard input.
type Input interface {
	// Ready waits until something can be read, or the input is at its end.
	Ready(ctx context.Context) (n int, eof bool, err error)
}

// Config is what a Waiter is made of.
type Config struct {
	Session *durable.Session
	Sched   sched.Scheduler
	Clock   Clock
	Input   Input
	// Park, if set, is handed each wait.
	Park func(wait func() error) error
	// Nap, if set, is handed each wait during which nothing is under way, and how
	// long it takes. Its error ends the call, as that of Long does.
	Nap func(d time.Duration, sleep func() error) error
	// Long, if set, waits for promises alone, by their names, which may be years in
	// coming. Its error ends the call; the wait begins anew when the worker is
	// recovered.
	Long func(ctx context.Context, promises []string, d time.Duration) error
}

// Never is how long a wait without a deadline takes.
const Never = time.Duration(math.MaxInt64)

// Waiter is where one instance waits. Wake is for every task, all else for the
// instance's.
type Waiter struct {
	Config
	changed sched.Condition
}

// New makes the Waiter of an instance.
func New(c Config) *Waiter { return &Waiter{Config: c, changed: c.Sched.NewCondition()} }

// Wake says that something may have come.
func (w *Waiter) Wake() { w.changed.Wake() }

// Wait returns when the monotonic clock shows deadline, or input is there, if
// that is asked for, or one of the events has come. With a deadline that has
// passed it only looks.
func (w *Waiter) Wait(deadline uint64, stdin bool, list []Event) (Readiness, error) {
	r, err := durable.Run(w.Session, &wait, waiting{deadline, stdin, list}, func(ctx context.Context, _ waiting) (Readiness, error) {
		return w.look(ctx, deadline, stdin, list)
	})
	if err == nil && len(r.Come) != len(list) {
		err = errDamaged
	}
	if err == nil {
		w.Clock.Saw(r.Now)
	}
	return r, err
}

// look waits, live.
func (w *Waiter) look(ctx context.Context, deadline uint64, stdin bool, list []Event) (Readiness, error) {
	r := Readiness{Come: make([]bool, len(list))}
	var held durable.HeldError
	for _, e := range list {
		if e.Held != nil && e.Held() {
			held.Calls = append(held.Calls, e.ID)
		}
	}
	if len(held.Calls) > 0 {
		return r, &held
	}
	in := &input{w: w}
	ctx, stop := context.WithCancelCause(ctx)
	if stdin {
		in.look(ctx)
	}
	come := func() (any bool) {
		for i := range list {
			r.Come[i] = list[i].Come()
			any = any || r.Come[i]
		}
		r.Stdin = in.is()
		return any || r.Stdin || in.failure() != nil
	}
	err := begin(list)
	if err == nil && stdin && !come() && deadline > w.Clock.Live() {
		in.watch(ctx)
	}
	for again := true; again && err == nil; {
		if err = w.once(ctx, deadline, stdin, list, come); err != nil {
			break
		}
		if again, err = w.again(list, r.Come); err != nil {
			break
		}
		again = (again || !come()) && deadline > w.Clock.Live()
		if again {
			err = begin(list)
		}
	}
	stop(errDeadline)
	if in.task != nil {
		in.task.Wait()
	}
	r.Now = w.Clock.Live()
	return r, errors.Join(err, in.failure())
}

// promises are the names of those among the events.
func promises(list []Event) (names []string) {
	for _, e := range list {
		if e.Source == Promise {
			names = append(names, e.Name)
		}
	}
	return names
}

// long is Await for promises alone.
func (w *Waiter) long(ctx context.Context, deadline uint64, names []string, come func() bool) error {
	for now := w.Clock.Live(); !come() && now < deadline; now = w.Clock.Live() {
		d := Never
		if deadline != Forever {
			d = time.Duration(min(deadline-now, math.MaxInt64-1))
		}
		if err := w.Long(ctx, names, d); err != nil {
			return err
		}
	}
	return nil
}

// input is whether there is any, for one wait.
type input struct {
	w    *Waiter
	task sched.Task // waits for it

	mu    sync.Mutex
	ready bool
	err   error
}

// look sees whether there is input now.
func (in *input) look(ctx context.Context) {
	ctx, stop := context.WithCancelCause(ctx)
	stop(errDeadline)
	in.ask(ctx)
}

// watch waits for input until ctx is done.
func (in *input) watch(ctx context.Context) {
	in.task = in.w.Sched.Go("wait for input", func() {
		in.ask(ctx)
		in.w.Wake()
	})
}

func (in *input) ask(ctx context.Context) {
	_, _, err := in.w.Input.Ready(ctx)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ready = err == nil
	if !errors.Is(err, errDeadline) {
		in.err = err
	}
}

func (in *input) is() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.ready
}

func (in *input) failure() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

var errDeadline = errors.New("the wait's deadline has come")

// Await waits until it is so, or for the deadline. Nothing is recorded.
func (w *Waiter) Await(ctx context.Context, deadline uint64, so func() bool) error {
	if so() || deadline <= w.Clock.Live() {
		return nil
	}
	wait := func() error {
		timer, stop := context.WithCancelCause(ctx)
		var task sched.Task
		if deadline != Forever {
			task = w.Sched.Go("wait", func() {
				for now := w.Clock.Live(); now < deadline && timer.Err() == nil; now = w.Clock.Live() {
					_ = w.Sched.Sleep(timer, time.Duration(min(deadline-now, math.MaxInt64)))
				}
				stop(errDeadline)
			})
		}
		err := w.changed.Wait(timer, so)
		stop(nil)
		if task != nil {
			task.Wait()
		}
		if errors.Is(err, errDeadline) {
			return nil
		}
		return err
	}
	if w.Park == nil {
		return wait()
	}
	return w.Park(wait)
}

// codeWait names the recorded function. A code is never used again for something
// else.
const codeWait = 180

var wait = durable.Func[waiting, Readiness]{
	Code: codeWait, Name: "events.wait", Effect: durable.ReadLocal,
	Request:  durable.Codec[waiting]{Append: appendWaiting, Decode: decodeWaiting, Show: waiting.show},
	Response: durable.Codec[Readiness]{Append: appendReadiness, Decode: decodeReadiness, Show: Readiness.show},
}

// Funcs lists what this package records.
func Funcs() []durable.Declared { return []durable.Declared{&wait} }

var errDamaged = errors.New("the recorded value is damaged")

// waiting is what a wait ends by: the monotonic clock, input, or an event.
type waiting struct {
	deadline uint64
	stdin    bool
	events   []Event
}

func appendWaiting(b []byte, w waiting) []byte {
	b = binary.AppendUvarint(append(b, flag(w.stdin)), w.deadline)
	b = binary.AppendUvarint(b, uint64(len(w.events)))
	for _, e := range w.events {
		if b = append(b, byte(e.Source)); e.Source == Promise {
			b = append(binary.AppendUvarint(b, uint64(len(e.Name))), e.Name...)
			continue
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, e.ID), e.Past)
	}
	return b
}

func decodeWaiting(b []byte) (w waiting, err error) {
	d := &decoder{durable.Decoder{Rest: b}}
	w.stdin, w.deadline = d.Bool(), d.Uint()
	for n := d.Count(); n > 0; n-- {
		e := Event{Source: Source(d.Byte())}
		if e.Source == Promise {
			e.Name = string(d.Take(d.Count()))
		} else {
			e.ID, e.Past = d.Uint(), d.Uint()
		}
		w.events = append(w.events, e)
	}
	return w, d.close()
}

func (w waiting) show() string {
	var parts []string
	for _, e := range w.events {
		what := e.Name
		if e.Source != Promise {
			what = fmt.Sprint(e.ID)
		}
		parts = append(parts, sourceNames[e.Source]+" "+what)
	}
	if w.stdin {
		parts = append(parts, "input")
	}
	s := "for " + strings.Join(parts, ", ")
	if w.deadline != Forever {
		s += " until " + time.Duration(w.deadline).String()
	}
	return s
}

// Readiness is how a wait ended.
type Readiness struct {
	Now   uint64 // the monotonic clock at its end
	Stdin bool   // there is input, or its end
	Come  []bool // of each event
}

func appendReadiness(b []byte, r Readiness) []byte {
	b = binary.AppendUvarint(append(b, flag(r.Stdin)), r.Now)
	b = binary.AppendUvarint(b, uint64(len(r.Come)))
	for _, is := range r.Come {
		b = append(b, flag(is))
	}
	return b
}

func decodeReadiness(b []byte) (r Readiness, err error) {
	d := &decoder{durable.Decoder{Rest: b}}
	r.Stdin, r.Now = d.Bool(), d.Uint()
	for n := d.Count(); n > 0; n-- {
		r.Come = append(r.Come, d.Bool())
	}
	return r, d.close()
}

func (r Readiness) show() string {
	n := 0
	for _, is := range r.Come {
		if is {
			n++
		}
	}
	s := fmt.Sprintf("at %v, %d of %d have come", time.Duration(r.Now), n, len(r.Come))
	if r.Stdin {
		s += ", and input"
	}
	return s
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }

func (d *decoder) close() error {
	if !d.Whole() {
		return errDamaged
	}
	return nil
}
