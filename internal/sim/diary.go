package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// What clients of a Year want takes no longer than that.
const (
	ahead = 60 * day // of a scheduled invocation
	nap   = 3 * day
)

// late is how much later than it could be something happens at most: several
// timers may have to go off one after the other.
const late = 30 * time.Minute

// diary is what the one client of a worker has wanted from it. It calls each
// time under another key, and again if it is not answered.
type diary struct {
	*dossier
	year    *Year
	random  *rand.Rand
	pending *api.Call // that was sent, perhaps, and not acknowledged
	calls   map[string]api.Call
}

// live uses the worker now and then until the process ends.
func (d *diary) live(ctx context.Context, s service) {
	for {
		if d.pending == nil && d.year.sim.Sleep(ctx, time.Duration(magnitude(d.random, 11.5, 14.6))) != nil {
			return
		}
		if d.pending == nil && d.random.IntN(4) == 0 && len(d.known) > 0 {
			d.look(ctx, s)
			continue
		}
		if d.pending == nil {
			call := d.draw()
			d.pending = &call
			if d.calls == nil {
				d.calls = map[string]api.Call{}
			}
			d.calls[call.Key] = call
		}
		if d.send(ctx, s); d.pending != nil && d.year.sim.Sleep(ctx, time.Minute) != nil {
			return
		}
	}
}

// draw makes a call: one in three is scheduled, for up to two months ahead.
func (d *diary) draw() api.Call {
	functions := []string{"inc", "get", "put", "file_inc", "roll", "nap", "fail", "print", "steps"}
	switch d.worker.Name {
	case "calendar":
		functions = []string{"inc", "inc", "get", "roll"}
	case "keeping":
		functions = append([]string{"inc", "file-inc", "nap"}, keeping...)
	}
	call := draw(d.random, functions)
	if call.Function == "nap" || call.Function == "arm" {
		call.Args = fmt.Appendf(nil, "[%d]", magnitude(d.random, 2, 8.4)) // up to 3 days
	}
	call.Key = fmt.Sprintf("key-%d", len(d.calls))
	call.Async = true
	if d.random.IntN(3) == 0 {
		call.Due = d.year.sim.Now().Add(time.Duration(magnitude(d.random, 11, 15.7)))
	}
	return call
}

// send calls until it is known that the call was accepted.
func (d *diary) send(ctx context.Context, s service) {
	v, err := s.Invoke(ctx, d.worker, *d.pending)
	if d.year.sim.Crashed() {
		return
	}
	d.year.note("%s is asked for %s%s, key %s, due %v: %s, %v", d.worker, d.pending.Function, d.pending.Args, d.pending.Key, d.pending.Due, v.State, err)
	switch {
	case err == nil:
		if err := d.learn(v); err != nil {
			_ = d.year.broken("%w", err)
		}
		d.pending = nil
	case !isCode(err, api.CodeOverloaded, api.CodeStopping, api.CodeTimeout) && ctx.Err() == nil:
		_ = d.year.broken("%s: the call %+v is answered with %w", d.worker, *d.pending, err)
	}
}

// look asks for something that was acknowledged, however long ago.
func (d *diary) look(ctx context.Context, s service) {
	c := &client{random: d.random}
	was, _ := c.choose(d.dossier)
	v, err := s.Invocation(ctx, d.worker, was.Key, false)
	if d.year.sim.Crashed() || ctx.Err() != nil || isCode(err, api.CodeOverloaded, api.CodeStopping) {
		return
	}
	if err == nil {
		err = d.learn(v)
	}
	if err != nil {
		_ = d.year.broken("%s: a client was told %s, and now %w", d.worker, told(was), err)
	}
}

// complete demands that everything was done once, as far as that is not audited
// anyway, neither before its time nor long after it.
func (d *diary) complete(ctx context.Context, logs storage.Logs) error {
	for key := range d.calls {
		if _, ok := d.last.keys[key]; !ok {
			return fmt.Errorf("nothing was accepted under the key %s", key)
		}
	}
	if n := len(d.last.accepted); n != len(d.calls)+gets {
		return fmt.Errorf("%d invocations were accepted, and %d wanted", n, len(d.calls)+gets)
	}
	if len(d.last.queue) > 0 {
		return fmt.Errorf("%d invocations have not ended", len(d.last.queue))
	}
	var free oplog.Time          // since when nothing goes on
	var begun, asleep oplog.Time // of a nap; they differ if a crash was between them
	for e, err := range oplog.Read(ctx, logs, d.worker, 1, 0) {
		if err != nil {
			return err
		}
		switch b := e.Body.(type) {
		case *oplog.InvocationStarted:
			begun, asleep = b.At, b.At
			if call := d.last.accepted[b.Accepted]; call != nil && b.Attempt == 1 {
				err = d.year.onTime(b.At, call.Due, max(call.At, free))
			}
		case *oplog.HostCallStarted:
			asleep = e.At
		case *oplog.InvocationFailed:
			free = e.At
		case *oplog.InvocationFinished:
			if call := d.last.accepted[b.Accepted]; call != nil && call.Function == "nap" {
				err = d.napped(call, begun, asleep, b, e.At)
			}
			free = e.At
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	}
	return nil
}

// gets is how many more invocations a worker has at the end of a Year.
const gets = 1

// napped demands that a nap took its time and not much more.
func (d *diary) napped(call *oplog.InvocationAccepted, begun, asleep oplog.Time, end *oplog.InvocationFinished, at oplog.Time) error {
	in, err := integers(call.Args)
	if err != nil {
		return err
	}
	out, err := integers(end.Result)
	if err != nil {
		return err
	}
	if first(out) < first(in) {
		return fmt.Errorf("it is to sleep %d ms, and took %d", first(in), first(out))
	}
	long := oplog.Time(first(in)) * oplog.Time(time.Millisecond)
	return d.year.onTime(at, begun+long, asleep+long)
}

// onTime demands that something was at due or, if it had to wait for that, once
// others had ended, or soon after the beginning of the process that did it.
func (y *Year) onTime(at, due, others oplog.Time) error {
	if at < due {
		return fmt.Errorf("it was due at %v, and was at %v", due.Time(), at.Time())
	}
	possible := max(due, others)
	for _, b := range y.begins {
		if b <= at {
			possible = max(possible, b)
		}
	}
	if waited := at.Time().Sub(possible.Time()); waited > late {
		return fmt.Errorf("it was due at %v, and was at %v, %v after it could have been", due.Time(), at.Time(), waited)
	}
	return nil
}
