package ambient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/sched"
)

const (
	// monotonicStart is what the monotonic clock shows when a worker is
	// created: not 0, which programs take for "no time" (Go's runtime does).
	monotonicStart = uint64(time.Second)
	// shortest is the wait whose intent is not worth a commit: after a crash
	// it begins anew.
	shortest = uint64(2 * time.Millisecond)
)

// Forever is the deadline of a wait without one.
const Forever = ^uint64(0)

var realtime = durable.Func[durable.None, uint64]{
	Code: codeRealtime, Name: "clocks.realtime", Effect: durable.ReadLocal,
	Request: durable.NoneCodec, Response: timeCodec,
}

var monotonic = durable.Func[durable.None, uint64]{
	Code: codeMonotonic, Name: "clocks.monotonic", Effect: durable.ReadLocal,
	Request: durable.NoneCodec, Response: durationCodec,
}

var wait = durable.Func[waiting, Readiness]{
	Code: codeWait, Name: "clocks.wait", Effect: durable.ReadRemote,
	Request: waitingCodec, Response: readinessCodec,
}

// shortWait is wait without a committed intent.
var shortWait = durable.Func[waiting, Readiness]{
	Code: codeShortWait, Name: "clocks.wait", Effect: durable.ReadLocal,
	Request: waitingCodec, Response: readinessCodec,
}

var timeCodec = durable.Codec[uint64]{
	Append: durable.Uint64Codec.Append, Decode: durable.Uint64Codec.Decode,
	Show: func(v uint64) string { return time.Unix(0, int64(v)).UTC().Format(time.RFC3339Nano) },
}

var durationCodec = durable.Codec[uint64]{
	Append: durable.Uint64Codec.Append, Decode: durable.Uint64Codec.Decode,
	Show: func(v uint64) string { return time.Duration(v).String() },
}

// waiting is what a wait ends by: the monotonic clock, or input.
type waiting struct {
	Deadline uint64
	Stdin    bool
}

var waitingCodec = durable.Codec[waiting]{
	Append: func(b []byte, w waiting) []byte {
		return binary.AppendUvarint(append(b, flag(w.Stdin)), w.Deadline)
	},
	Decode: func(b []byte) (w waiting, err error) {
		if len(b) < 2 {
			return w, errShort
		}
		w.Stdin = b[0] == 1
		w.Deadline, err = durable.Uint64Codec.Decode(b[1:])
		return w, err
	},
	Show: func(w waiting) string {
		s := "until " + time.Duration(w.Deadline).String()
		if w.Deadline == Forever {
			s = "for ever"
		}
		if w.Stdin {
			s += " or input"
		}
		return s
	},
}

var errShort = errors.New("the recorded value is too short")

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// Readiness is how a wait ended.
type Readiness struct {
	Now   uint64 // the monotonic clock at its end
	Stdin bool   // input is readable, or at its end
	Bytes uint64 // how many bytes are readable at least
	EOF   bool   // input is at its end
}

var readinessCodec = durable.Codec[Readiness]{
	Append: func(b []byte, r Readiness) []byte {
		b = append(b, flag(r.Stdin)|flag(r.EOF)<<1)
		return binary.AppendUvarint(binary.AppendUvarint(b, r.Now), r.Bytes)
	},
	Decode: func(b []byte) (r Readiness, err error) {
		if len(b) < 3 {
			return r, errShort
		}
		r.Stdin, r.EOF = b[0]&1 != 0, b[0]&2 != 0
		now, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return r, errShort
		}
		r.Now = now
		r.Bytes, err = durable.Uint64Codec.Decode(b[1+n:])
		return r, err
	},
	Show: func(r Readiness) string {
		if r.Stdin {
			return fmt.Sprintf("at %v, %d bytes of input, end of input: %t", time.Duration(r.Now), r.Bytes, r.EOF)
		}
		return "at " + time.Duration(r.Now).String()
	},
}

// Clocks are a worker's clocks. The wall clock is the host's. The monotonic
// clock counts from the worker's creation and goes on while the worker is
// down, so a sleep that a crash interrupts ends when it would have; it never
// goes back, whatever the host's clocks do.
type Clocks struct {
	session *durable.Session
	sched   sched.Scheduler
	input   Input
	created uint64 // wall clock at the worker's creation

	last     uint64 // the monotonic clock as the program last saw it
	lastReal uint64 // the wall clock, likewise
	stamp    uint64 // the last file time given out

	anchored bool          // base and at are set: only a live worker needs them
	base     uint64        // the monotonic clock
	at       time.Duration // when the scheduler's showed this

	// Park, if set, is handed each wait that has to be waited: for how long, and
	// how. Its error ends the call; the wait is in doubt then and begins anew
	// when the worker is recovered.
	Park func(d time.Duration, sleep func() error) error

	readRealtime, readMonotonic func(context.Context, durable.None) (uint64, error)
	await                       func(context.Context, waiting) (Readiness, error)
}

// NewClocks makes the clocks of a worker created at created, nanoseconds since
// 1970; input is what waits can end by.
func NewClocks(session *durable.Session, s sched.Scheduler, input Input, created uint64) *Clocks {
	c := &Clocks{session: session, sched: s, input: input, created: created, last: monotonicStart, lastReal: created}
	c.readRealtime = func(context.Context, durable.None) (uint64, error) { return c.wall(), nil }
	c.readMonotonic = func(context.Context, durable.None) (uint64, error) { return c.now(), nil }
	c.await = c.performWait
	return c
}

// ClockState is all that the clocks of a worker at rest are: what it has seen.
type ClockState struct{ Monotonic, Realtime, Stamp uint64 }

// State is what an image keeps of the clocks.
func (c *Clocks) State() ClockState { return ClockState{c.last, c.lastReal, c.stamp} }

// Restore sets clocks that nobody has used yet to what State gave.
func (c *Clocks) Restore(s ClockState) {
	c.last, c.lastReal, c.stamp = s.Monotonic, s.Realtime, s.Stamp
}

// Realtime reads the wall clock: nanoseconds since 1970.
func (c *Clocks) Realtime() (uint64, error) {
	t, err := durable.Run(c.session, &realtime, durable.None{}, c.readRealtime)
	if err == nil {
		c.lastReal = t
	}
	return t, err
}

// Monotonic reads the monotonic clock, in nanoseconds.
func (c *Clocks) Monotonic() (uint64, error) {
	t, err := durable.Run(c.session, &monotonic, durable.None{}, c.readMonotonic)
	if err == nil {
		c.last = t
	}
	return t, err
}

// Wait returns when the monotonic clock shows deadline or, with stdin, when
// input is readable or at its end.
func (c *Clocks) Wait(deadline uint64, stdin bool) (Readiness, error) {
	f := &wait
	if deadline <= c.last+shortest {
		f = &shortWait
	}
	r, err := durable.Run(c.session, f, waiting{deadline, stdin}, c.await)
	if err == nil {
		c.last = max(c.last, r.Now)
	}
	return r, err
}

// Live is what the monotonic clock shows, unrecorded: for who records it.
func (c *Clocks) Live() uint64 { return c.now() }

// Saw tells the clock what else the program has seen of it.
func (c *Clocks) Saw(now uint64) { c.last = max(c.last, now) }

// Stamp is the time for a change of a file: the newest wall-clock time that the
// oplog holds, and later than every stamp before. It reads no clock.
func (c *Clocks) Stamp() uint64 {
	c.stamp = max(c.stamp+1, c.lastReal)
	return c.stamp
}

// Touch reads the wall clock so that the stamps that follow are of now.
func (c *Clocks) Touch() error {
	_, err := c.Realtime()
	return err
}

func (c *Clocks) wall() uint64 { return uint64(max(c.sched.Now().UnixNano(), 0)) }

// now is the monotonic clock of a live worker.
func (c *Clocks) now() uint64 {
	if !c.anchored {
		c.anchored, c.at, c.base = true, c.sched.Monotonic(), c.last
		if wall := c.wall(); wall > c.created {
			c.base = max(c.base, monotonicStart+wall-c.created)
		}
	}
	return c.base + uint64(c.sched.Monotonic()-c.at)
}

func (c *Clocks) performWait(ctx context.Context, w waiting) (Readiness, error) {
	if w.Stdin {
		return c.waitInput(ctx, w.Deadline)
	}
	sleep := func() error { return c.sleep(ctx, w.Deadline) }
	var err error
	if now := c.now(); c.Park != nil && now < w.Deadline {
		err = c.Park(time.Duration(min(w.Deadline-now, 1<<62)), sleep)
	} else {
		err = sleep()
	}
	return Readiness{Now: c.now()}, err
}

// sleep parks until the monotonic clock shows deadline.
func (c *Clocks) sleep(ctx context.Context, deadline uint64) error {
	for now := c.now(); now < deadline; now = c.now() {
		if err := c.sched.Sleep(ctx, time.Duration(min(deadline-now, 1<<62))); err != nil {
			return err
		}
	}
	return nil
}

func (c *Clocks) waitInput(ctx context.Context, deadline uint64) (Readiness, error) {
	timer, stop := context.WithCancelCause(ctx)
	var task sched.Task
	if deadline != Forever {
		task = c.sched.Go("wait", func() {
			_ = c.sleep(timer, deadline)
			stop(errDeadline)
		})
	}
	n, eof, err := c.input.Ready(timer)
	stop(nil)
	if task != nil {
		task.Wait()
	}
	if errors.Is(err, errDeadline) {
		return Readiness{Now: c.now()}, nil
	}
	return Readiness{Now: c.now(), Stdin: true, Bytes: uint64(n), EOF: eof}, err
}

var errDeadline = errors.New("the wait's deadline has come")
