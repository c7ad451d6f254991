package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// owner is a resident as its program's promises know it.
type owner struct{ r *resident }

// Make implements promise.Owner.
func (o owner) Make(name, label string) (promise.Refusal, error) {
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	p := life.Promise(name)
	switch {
	case p != nil && p.Created >= life.Begun:
		return 0, nil // a crash came before the program heard of it
	case p == nil && !life.RoomForPromise():
		return promise.TooMany, nil
	}
	_, err := r.record(&oplog.PromiseCreated{At: oplog.At(r.ws.Sched.Now()), Promise: name, Accepted: life.Attempt.Accepted, Label: label})
	return 0, err
}

// Look implements promise.Owner.
func (o owner) Look(name string) promise.State {
	o.r.mu.Lock()
	defer o.r.mu.Unlock()
	return stateOf(o.r.machine.life.Promise(name))
}

func stateOf(p *oplog.Promise) promise.State {
	switch {
	case p == nil || p.Withdrawn != 0:
		return promise.Missing
	case p.Settled == nil:
		return promise.Pending
	case p.Settled.Failed:
		return promise.Failed
	}
	return promise.Completed
}

// Take implements promise.Owner.
func (o owner) Take(name string) (promise.Outcome, promise.State, error) {
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.machine.life.Promise(name)
	state := stateOf(p)
	if state == promise.Missing || state == promise.Pending {
		return promise.Outcome{}, state, nil
	}
	if p.Taken == 0 {
		if _, err := r.record(&oplog.PromiseTaken{Promise: name}); err != nil {
			return promise.Outcome{}, state, err
		}
	}
	return promise.Outcome{Failed: p.Settled.Failed, Value: p.Settled.Value}, state, nil
}

// Withdraw implements promise.Owner.
func (o owner) Withdraw(name string) (promise.Refusal, error) {
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if stateOf(r.machine.life.Promise(name)) == promise.Missing {
		return promise.Unknown, nil
	}
	_, err := r.record(&oplog.PromiseWithdrawn{Promise: name})
	return 0, err
}

// awaitPromises waits until one of the promises, which are pending, is settled, or
// for d. What is long in coming is waited for out of memory.
func (r *resident) awaitPromises(ctx context.Context, names []string, d time.Duration) error {
	b := r.body
	stay, patient := r.staysFor(), false
	b.meter.pause()
	defer b.meter.proceed()
	if b.http.UnderWay() {
		stay, patient = max(stay, maxLinger), true // or the requests would be in doubt
	}
	due := oplog.Time(0)
	if d != await.Never {
		due = oplog.At(r.ws.Sched.Now().Add(d))
	}
	r.yieldSlot()
	come := false
	if stay > 0 {
		var err error
		if come, err = r.linger(ctx, names, min(d, stay), patient); err != nil {
			return err // what is left to do is no computing
		}
	}
	if come || d <= stay && (due == 0 || due <= oplog.At(r.ws.Sched.Now())) {
		return r.takeSlot(b.session.Context())
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	return &suspendError{due, promisesText(names), names}
}

// A worker that waits for promises stays in memory for stayFactor times what it
// would cost to come back, if that is stayLeast or more, and no longer than other
// waits.
const (
	stayFactor = 16
	stayLeast  = 10 * time.Millisecond
)

// staysFor is how long the worker waits in memory for promises. It is asked before
// the meter pauses.
func (r *resident) staysFor() time.Duration {
	stay := max(stayFactor*(r.cameBack+r.body.meter.used()), r.ws.Stay)
	if stay < stayLeast && r.ws.Stay == 0 {
		return 0
	}
	return min(stay, r.ws.SuspendAfter)
}

// promisesText says which promises are waited for.
func promisesText(names []string) string {
	if len(names) == 1 {
		return "the promise " + names[0]
	}
	return fmt.Sprintf("the first of %d promises", len(names))
}

// linger waits in memory until one of the promises is settled, or for d. Unless
// it is patient it leaves as soon as others need the room. It reports whether one
// is settled.
func (r *resident) linger(ctx context.Context, names []string, d time.Duration, patient bool) (come bool, err error) {
	r.mu.Lock()
	r.awaited, r.hurried = names, false
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.awaited = nil
		r.mu.Unlock()
	}()
	timer, stop := context.WithCancelCause(ctx)
	task := r.ws.Sched.Go("promise wait", func() {
		_ = r.ws.Sched.Sleep(timer, d)
		stop(errLong)
	})
	if !patient {
		defer r.ws.lingers(r)()
	}
	err = r.changed.Wait(timer, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		come = r.machine.come(names)
		return come || r.hurried
	})
	stop(nil)
	task.Wait()
	if errors.Is(err, errLong) {
		err = nil
	}
	return come, err
}

var errLong = errors.New("the wait is longer than it may take in memory")

// lingers notes that r waits in memory for what may be long in coming, until the
// function that it gives is called.
func (ws *Workers) lingers(r *resident) (leave func()) {
	l := ws.linger(func() {
		r.mu.Lock()
		r.hurried = true
		r.mu.Unlock()
		r.changed.Wake()
	})
	return func() { ws.depart(l) }
}

// Settle implements promise.Others for the program of a worker.
func (o owner) Settle(ctx context.Context, p id.Promise, out promise.Outcome, key string) (promise.Refusal, error) {
	_, err := o.r.ws.SettlePromise(ctx, p, api.Settlement{Failed: out.Failed, Value: out.Value, Key: key, By: "worker " + o.r.worker.String()})
	var problem *api.Problem
	switch {
	case err == nil:
		return 0, nil
	case isFault(err) || ctx.Err() != nil:
		return 0, err
	case errors.As(err, &problem) && problem.Code == api.CodePromiseSettled:
		return promise.Settled, nil
	case errors.As(err, &problem) && problem.Code == api.CodePromisesFull:
		return promise.TooMany, nil
	case errors.As(err, &problem) && problem.Code == api.CodeTooLarge:
		return promise.TooLarge, nil
	case errors.As(err, &problem):
		return promise.Unknown, nil
	}
	// What cannot be read now may be there: who was told otherwise would leave the other
	// worker waiting for ever.
	return 0, fmt.Errorf("%w: %w", errPeer, err)
}

// Webhook implements promise.Others.
func (o owner) Webhook(p id.Promise) string {
	if o.r.ws.Webhook == nil {
		return ""
	}
	return o.r.ws.Webhook(p)
}

// SettlePromise completes a promise or lets it fail, once: that is durable when
// it returns. Whoever repeats it with the same key is told the same.
func (ws *Workers) SettlePromise(ctx context.Context, p id.Promise, s api.Settlement) (api.Promise, error) {
	if err := checkSettlement(&s); err != nil {
		return api.Promise{}, err
	}
	r, err := ws.openExisting(ctx, p.Worker)
	if err != nil {
		return api.Promise{}, err
	}
	defer ws.release(r)
	v, refused := r.settlePromise(p, &s)
	// Also who is refused may depend on what is not durable yet.
	if err := r.writer.CommitSoon(ctx); err != nil {
		if ctx.Err() != nil {
			return v, api.NewProblem(api.CodeTimeout, "the promise is being settled, and it is not known yet whether that is durable: ask for it, or send the same with the same key")
		}
		return v, Unavailable(err)
	}
	return v, refused
}

func checkSettlement(s *api.Settlement) error {
	if len(s.Value) > promise.MaxValue {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the value has %d bytes, more than %d", len(s.Value), promise.MaxValue))
	}
	return checkKey(s.Key)
}

// settlePromise records what has become of a promise, if that may be.
func (r *resident) settlePromise(p id.Promise, s *api.Settlement) (api.Promise, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	found := life.Promise(p.Name)
	switch {
	case found == nil || found.Withdrawn != 0:
		return api.Promise{}, r.noPromise(p)
	case found.Settled != nil:
		return r.describePromise(found, true), alreadySettled(p, found.Settled, s)
	case life.Exited != nil:
		return api.Promise{}, api.NewProblem(api.CodeWorkerExited, fmt.Sprintf("%s waits for nothing any more: its program has ended with code %d", r.worker, life.Exited.Code))
	case r.machine.over != nil:
		return api.Promise{}, r.ended()
	}
	if err := r.ws.Committer.Stalled(); err != nil {
		return api.Promise{}, Unavailable(err)
	}
	if !r.writer.Room() || !r.ws.Agenda.Room() {
		return api.Promise{}, api.NewProblem(api.CodeOverloaded, "the disk is behind; try again later")
	}
	if !life.RoomForValue(len(s.Value)) {
		return api.Promise{}, api.NewProblem(api.CodePromisesFull, fmt.Sprintf("what has become of the promises of %s and has not been asked for by it yet has %d bytes at most; try again later", r.worker, oplog.MaxPromiseBytes))
	}
	now := oplog.At(r.ws.Sched.Now())
	if w := life.Suspended; w != nil && slices.Contains(w.Promises, p.Name) {
		r.announce(soon, now) // as in accept
	}
	body := &oplog.PromiseSettled{At: now, Promise: p.Name, Failed: s.Failed, Value: s.Value, Key: s.Key, By: s.By}
	if _, err := r.record(body); err != nil {
		return api.Promise{}, Unavailable(err)
	}
	r.apply(tick{})
	if r.body != nil {
		r.body.events.Wake()
	}
	return r.describePromise(found, true), nil
}

// noPromise says that there is none of this name.
func (r *resident) noPromise(p id.Promise) *api.Problem {
	return api.NewProblem(api.CodeNoPromise, fmt.Sprintf("there is no promise %s, or no more: the attempt that made it may have failed for good, or its worker has withdrawn it or has long had its value; `waterbear promise list %s` shows those there are", p, r.worker))
}

// alreadySettled says why a promise cannot be settled again, unless this is the
// same again.
func alreadySettled(p id.Promise, was *oplog.PromiseSettled, s *api.Settlement) error {
	if s.Key != "" && was.Key == s.Key && was.Failed == s.Failed && bytes.Equal(was.Value, s.Value) {
		return nil
	}
	how := "completed"
	if was.Failed {
		how = "failed"
	}
	detail := fmt.Sprintf("the promise %s was %s at %s by %s", p, how, was.At.Time().Format(time.RFC3339), was.By)
	if s.Key != "" && was.Key == s.Key {
		detail += ", with the same key and something else; use another key for another promise"
	}
	return api.NewProblem(api.CodePromiseSettled, detail)
}

// Promises are those of a worker that are pending, or were settled and are still
// known, in the order in which they were made. Their values are left out.
func (ws *Workers) Promises(ctx context.Context, w id.Worker) ([]api.Promise, error) {
	list := []api.Promise{}
	err := ws.onPromises(ctx, w, func(r *resident) error {
		for _, p := range r.machine.life.Promises {
			list = append(list, r.describePromise(p, false))
		}
		return nil
	})
	return list, err
}

// Promise is one of them, with its value.
func (ws *Workers) Promise(ctx context.Context, p id.Promise) (v api.Promise, err error) {
	err = ws.onPromises(ctx, p.Worker, func(r *resident) error {
		found := r.machine.life.Promise(p.Name)
		if found == nil {
			return r.noPromise(p)
		}
		v = r.describePromise(found, true)
		return nil
	})
	return v, err
}

// onPromises looks at a worker, all of which is durable then.
func (ws *Workers) onPromises(ctx context.Context, w id.Worker, look func(*resident) error) error {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return err
	}
	defer ws.release(r)
	if err := r.commit(ctx); err != nil && ws.Committer.Stalled() == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return look(r)
}

// describePromise makes what people see of a promise. It is called with r.mu
// held.
func (r *resident) describePromise(p *oplog.Promise, value bool) api.Promise {
	life := r.machine.life
	v := api.Promise{
		Promise: id.Promise{Worker: r.worker, Name: p.Promise}.String(), Label: p.Label, State: api.PromisePending,
		Created: p.At.Time(), Awaited: r.machine.phase == absent && life.Suspended != nil && slices.Contains(life.Suspended.Promises, p.Promise) || slices.Contains(r.awaited, p.Promise),
	}
	if p.Accepted != 0 {
		v.Invocation = keyOf(&oplog.InvocationAccepted{}, p.Accepted)
	}
	s := p.Settled
	if s == nil {
		return v
	}
	at := s.At.Time()
	v.State, v.Settled, v.By = api.PromiseCompleted, &at, s.By
	switch {
	case s.Failed:
		v.State, v.Failure = api.PromiseFailed, string(bytes.ToValidUTF8(s.Value, []byte("�")))
	case !value:
	case utf8.Valid(s.Value):
		text := string(s.Value)
		v.Value = &text
	default:
		v.Base64 = s.Value
	}
	return v
}
