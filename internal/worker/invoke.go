package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Invoke accepts an invocation and waits for its end, unless it is asynchronous
// or scheduled. When ctx is done first the invocation goes on, and the error is
// CodeTimeout with it.
func (ws *Workers) Invoke(ctx context.Context, w id.Worker, c api.Call) (api.Invocation, error) {
	r, err := ws.open(ctx, w)
	if err != nil {
		return api.Invocation{}, err
	}
	defer ws.release(r)
	return ws.invoke(ctx, r, c, nil)
}

// invoke is Invoke of a worker that is open.
func (ws *Workers) invoke(ctx context.Context, r *resident, c api.Call, p patience) (api.Invocation, error) {
	if err := ws.check(ctx, r, &c); err != nil {
		return api.Invocation{}, err
	}
	for {
		index, wait, err := r.accept(&c, 0)
		switch {
		case err != nil:
			return api.Invocation{}, err
		case wait == nil:
			v, err := r.known(ctx, index, &c, p)
			if isExpired(err) {
				continue // the key has just been forgotten
			}
			return v, err
		case c.Async || !c.Due.IsZero():
			r.leave(wait)
			return r.asItIs(ctx, index)
		}
		return r.await(ctx, wait, p)
	}
}

func isExpired(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Code == api.CodeExpired
}

// check refuses a call that the worker's program cannot take, and gives its
// arguments the form that two calls are compared in. Then it makes the worker
// if it is not there.
func (ws *Workers) check(ctx context.Context, r *resident, c *api.Call) error {
	r.mu.Lock()
	revision, exists := r.revision, r.exists()
	r.mu.Unlock()
	if err := r.wanted(c); err != nil {
		return err
	}
	if revision == nil {
		var err error
		if revision, err = ws.find(ctx, r, exists); err != nil {
			return err
		}
	}
	if err := ws.checkCall(ctx, revision, c); err != nil {
		return err
	}
	if err := r.linked(revision); err != nil || exists {
		return err
	}
	_, err := ws.create(ctx, r, api.NewWorker{Revision: revision.Number, Ephemeral: c.Ephemeral})
	return err
}

// wanted says why the worker is not one that the call is for, or nil.
func (r *resident) wanted(c *api.Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch exists := r.exists(); {
	case c.Existing && !exists:
		return noWorker(r.worker)
	case c.Ephemeral && exists && !r.machine.life.Create.Ephemeral:
		return api.NewProblem(api.CodeWorkerExists, fmt.Sprintf("%s exists, and is not ephemeral; use another name, or delete it first", r.worker))
	}
	return nil
}

// checkCall is CheckCall with the types that a component's functions have.
func (ws *Workers) checkCall(ctx context.Context, revision *api.Revision, c *api.Call) error {
	if !revision.Typed {
		return CheckCall(*revision, nil, c)
	}
	program, err := ws.Catalog.Acquire(ctx, revision.Component, revision.Number)
	if err != nil {
		return err
	}
	return errors.Join(CheckCall(*revision, program.Typed, c), program.Release())
}

// find gives the revision of a worker, or the one that it would be made of.
func (ws *Workers) find(ctx context.Context, r *resident, exists bool) (*api.Revision, error) {
	if !exists {
		latest, ok := ws.Catalog.Latest(r.worker.Component)
		if !ok {
			return nil, noComponent(r.worker.Component)
		}
		return &latest, nil
	}
	r.mu.Lock()
	create := r.machine.life.Create
	r.mu.Unlock()
	revision, err := ws.revisionOf(ctx, r.worker.Component, &create)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.revision = revision
	r.mu.Unlock()
	return revision, nil
}

// accept queues a call, or finds the one that its key names already: then there
// may be nothing to wait for. body is where that of a request begins, or 0.
func (r *resident) accept(c *api.Call, body oplog.Index) (oplog.Index, *waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	if key, ok := life.Keys[c.Key]; ok && c.Key != "" {
		return key.Accepted, nil, nil
	}
	if err := r.acceptable(); err != nil {
		return 0, nil, err
	}
	now := oplog.At(r.ws.Sched.Now())
	entry := &oplog.InvocationAccepted{At: now, Key: c.Key, Function: c.Function, Args: oplog.Payload(c.Args), Queue: life.Waiting + 1, Body: body}
	if !c.Due.IsZero() {
		entry.Due = max(oplog.At(c.Due), 1)
	}
	if c.Caller != nil {
		entry.Caller = oplog.Caller{Worker: c.Caller.Worker, Key: c.Caller.Key}
	}
	// The agenda first: after a crash it may know of too much, never of too little.
	r.announce(max(entry.Due, soon), now)
	index, err := r.record(entry)
	if err != nil {
		return 0, nil, Unavailable(err)
	}
	wait := r.wait(index, entry)
	r.apply(tick{})
	return index, wait, nil
}

// wait makes a place to wait for the end of an invocation. It is called with
// r.mu held.
func (r *resident) wait(index oplog.Index, a *oplog.InvocationAccepted) *waiter {
	w := r.waiters[index]
	if w == nil {
		w = &waiter{changed: r.ws.Sched.NewCondition(), accepted: a, index: index}
		r.waiters[index] = w
	}
	w.users++
	return w
}

// announce puts the worker on the agenda if it is not there for a time as early.
func (r *resident) announce(at, now oplog.Time) {
	if due := r.machine.wake(now); due == 0 || at < due {
		r.remember(at)
	}
}

// acceptable says why the worker takes no invocation now. It is called with
// r.mu held.
func (r *resident) acceptable() error {
	life, ws := r.machine.life, r.ws
	switch {
	case r.machine.over != nil:
		return r.ended()
	case life.Exited != nil:
		return api.NewProblem(api.CodeWorkerExited, fmt.Sprintf("%s takes no invocation: its program has ended with code %d; use another worker, or delete this one", r.worker, life.Exited.Code))
	case life.Stuck != nil:
		return r.stuck(life.Stuck.Reason)
	}
	if limit := r.settings().Limits.Queue; life.Waiting >= limit {
		ws.stats.refused.Add(1)
		return api.NewProblem(api.CodeQueueFull, fmt.Sprintf("%s has %d invocations in its queue, and the limit is %d; wait, or raise limits.queue", r.worker, life.Waiting, limit))
	}
	if err := ws.Committer.Stalled(); err != nil {
		ws.stats.refused.Add(1)
		return Unavailable(err)
	}
	if !r.writer.Room() || !ws.Agenda.Room() {
		ws.stats.refused.Add(1)
		return api.NewProblem(api.CodeOverloaded, "the disk is behind; try again later")
	}
	return nil
}

// ended says why nothing begins any more.
func (r *resident) ended() *api.Problem {
	return api.NewProblem(api.CodeStopping, fmt.Sprintf("%s takes no invocation now: %s; try again later", r.worker, r.machine.over.reason))
}

func (r *resident) stuck(reason string) *api.Problem {
	return api.NewProblem(api.CodeWorkerFailed, fmt.Sprintf("%s cannot go on: %s; retry it once the cause is mended (`waterbear worker retry %s`), or delete it", r.worker, reason, r.worker))
}

// Unavailable says that nothing can be made durable now.
func Unavailable(err error) *api.Problem {
	code := api.CodeOverloaded
	switch {
	case errors.Is(err, storage.ErrFull):
		code = api.CodeDiskFull
	case errors.Is(err, oplog.ErrClosed):
		code = api.CodeStopping
	}
	return api.NewProblem(code, fmt.Sprintf("nothing can be stored now: %v; try again later", err))
}

// leave gives up waiting.
func (r *resident) leave(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.users--; w.users > 0 {
		return
	}
	if r.waiters[w.index] == w {
		delete(r.waiters, w.index)
	}
	r.writer.Request() // what was left for this one to commit
}

// await waits for the end of an invocation, and until that is durable.
func (r *resident) await(ctx context.Context, w *waiter, p patience) (api.Invocation, error) {
	waiting := ctx
	if p != nil {
		waiting = p()
	}
	if err := w.changed.Wait(waiting, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return w.end.Body != nil || w.err != nil
	}); err != nil {
		r.leave(w)
		if ctx.Err() == nil && context.Cause(waiting) == errLeave {
			// Whoever leaves is woken by its end: it has to be certain that there is one.
			if err := r.writer.CommitSoon(ctx); err != nil {
				return api.Invocation{}, r.late(ctx, w.index, err)
			}
			return api.Invocation{}, errLeave
		}
		return api.Invocation{}, r.late(ctx, w.index, err)
	}
	// Once it is settled nobody changes w.
	err := r.writer.CommitSoon(ctx)
	if err == nil {
		err = w.err
	}
	if err != nil {
		return api.Invocation{}, r.late(ctx, w.index, err)
	}
	v := accepted(r.worker, w.accepted, w.index)
	v.Attempts = w.attempts
	ending(&v, w.end)
	return v, nil
}

// asItIs tells of an invocation what is durable.
func (r *resident) asItIs(ctx context.Context, index oplog.Index) (api.Invocation, error) {
	if err := r.writer.CommitSoon(ctx); err != nil {
		return api.Invocation{}, r.late(ctx, index, err)
	}
	if v, err := r.pending(index); err == nil {
		return v, nil
	}
	// It may have ended since the commit.
	if err := r.writer.CommitSoon(ctx); err != nil {
		return api.Invocation{}, r.late(ctx, index, err)
	}
	return r.past(ctx, index)
}

// late is what a caller is told who could not wait for the end.
func (r *resident) late(ctx context.Context, index oplog.Index, err error) error {
	if ctx.Err() == nil {
		var p *api.Problem
		if errors.As(err, &p) {
			return p
		}
		return Unavailable(err)
	}
	p := api.NewProblem(api.CodeTimeout, "the invocation goes on, and its result can be asked for with its key")
	if inv, err := r.pending(index); err == nil && r.writer.Committed() >= index {
		p.Invocation = &inv
		p.Detail = fmt.Sprintf("the invocation goes on; ask for its result with the key %s", inv.Key)
	}
	return p
}

// pending describes an invocation that has not ended.
func (r *resident) pending(index oplog.Index) (api.Invocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.machine.life.Find(index)
	if p == nil {
		return api.Invocation{}, r.unknown(keyOf(&oplog.InvocationAccepted{}, index), 0)
	}
	return r.describe(p), nil
}

// unknown says that there is no invocation with a key, where what ended before
// entry forgotten is not known any more.
func (r *resident) unknown(key string, forgotten oplog.Index) *api.Problem {
	detail := fmt.Sprintf("%s has no invocation with the key %q", r.worker, key)
	if forgotten > 0 {
		detail += fmt.Sprintf("; its retention has let go of those that ended before entry %d", forgotten)
	}
	return api.NewProblem(api.CodeNoInvocation, detail)
}

// describe says how far a pending invocation is. It is called with r.mu held.
func (r *resident) describe(p *oplog.Pending) api.Invocation {
	life := r.machine.life
	v := accepted(r.worker, p.InvocationAccepted, p.Index)
	v.Attempts = p.Failures
	if life.Begun != 0 && life.Attempt.Accepted == p.Index {
		v.State, v.Attempts, v.Waits = api.StateStarted, life.Attempt.Attempt, r.waitsFor()
	} else if p.Due > oplog.At(r.ws.Sched.Now()) {
		v.State = api.StateScheduled
	}
	if f := life.Failed; f != nil && f.Accepted == p.Index {
		v.Failure = failureOf(f)
	}
	return v
}

func accepted(w id.Worker, a *oplog.InvocationAccepted, index oplog.Index) api.Invocation {
	v := api.Invocation{
		Worker: w.String(), Key: keyOf(a, index), Function: a.Function, Args: json.RawMessage(a.Args),
		State: api.StateQueued, Index: index, Accepted: a.At.Time(),
	}
	if a.Due != 0 {
		due := a.Due.Time()
		v.Due = &due
	}
	if a.Caller.Worker != "" {
		v.Caller = &api.Caller{Worker: a.Caller.Worker, Key: a.Caller.Key}
	}
	return v
}

func failureOf(f *oplog.InvocationFailed) *api.Failure {
	return &api.Failure{Code: api.FailureCode(f.Code), Reason: f.Reason, Stack: append([]string{}, f.Stack...), Stderr: f.Stderr}
}

// ending adds to v how it ended.
func ending(v *api.Invocation, e oplog.Entry) {
	var at oplog.Time
	switch b := e.Body.(type) {
	case *oplog.InvocationFinished:
		v.State, v.Result, at = api.StateFinished, json.RawMessage(bytes.Clone(b.Result)), b.At
		v.From, v.To = b.Started, e.Index
	case *oplog.InvocationFailed:
		v.State, v.Failure, v.Attempts, at = api.StateFailed, failureOf(b), b.Attempt, b.At
		v.From, v.To = b.Started, e.Index
	case *oplog.InvocationCanceled:
		v.State, at = api.StateCanceled, b.At
	}
	when := at.Time()
	v.Ended = &when
}

// Invocation is the one that has this key. With wait it returns when that is
// done, or CodeTimeout with the invocation as it is when ctx is.
func (ws *Workers) Invocation(ctx context.Context, w id.Worker, key string, wait bool) (api.Invocation, error) {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return api.Invocation{}, err
	}
	defer ws.release(r)
	index, err := r.find(key)
	if err != nil {
		return api.Invocation{}, err
	}
	if wait {
		return r.known(ctx, index, nil, nil)
	}
	return r.asItIs(ctx, index)
}

// find gives the entry that accepted the invocation with key.
func (r *resident) find(key string) (oplog.Index, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.machine.life.Keys[key]; ok {
		return known.Accepted, nil
	}
	index := madeKey(key)
	if index == 0 || index > r.machine.life.Last {
		return 0, r.unknown(key, r.machine.life.Retained.Results.Forgotten)
	}
	return index, nil
}

// known waits for an invocation that was accepted before. If c is set it has to
// be the same call.
func (r *resident) known(ctx context.Context, index oplog.Index, c *api.Call, p patience) (api.Invocation, error) {
	r.mu.Lock()
	pending := r.machine.life.Find(index)
	if pending == nil {
		r.mu.Unlock()
		if err := r.writer.CommitSoon(ctx); err != nil {
			return api.Invocation{}, r.late(ctx, index, err)
		}
		v, err := r.past(ctx, index)
		if err == nil && c != nil {
			err = r.same(c, v.Function, v.Args)
		}
		return v, err
	}
	if c != nil {
		if refused := r.same(c, pending.Function, json.RawMessage(pending.Args)); refused != nil {
			r.mu.Unlock()
			// Who is told so must not find the key free after a crash.
			if err := r.writer.CommitSoon(ctx); err != nil {
				return api.Invocation{}, r.late(ctx, index, err)
			}
			return api.Invocation{}, refused
		}
	}
	if c != nil && (c.Async || !c.Due.IsZero()) {
		r.mu.Unlock()
		return r.asItIs(ctx, index)
	}
	w := r.wait(index, pending.InvocationAccepted)
	switch {
	case r.machine.life.Stuck != nil:
		r.settle(index, oplog.Entry{}, r.stuck(r.machine.life.Stuck.Reason))
	case r.machine.over != nil && !r.driving:
		r.settle(index, oplog.Entry{}, r.ended())
	}
	r.mu.Unlock()
	return r.await(ctx, w, p)
}

// same refuses another call under a key that was used.
func (r *resident) same(c *api.Call, function string, args json.RawMessage) error {
	request := catalog.IsHandler(function)
	if c.Function == function && (bytes.Equal(c.Args, args) || request && sameRequest(c.Args, args)) {
		return nil
	}
	if request { // whoever asks may not be who asked then
		return api.NewProblem(api.CodeKeyReused, fmt.Sprintf("the key %q of %s was used for another request; use another key for another request", c.Key, r.worker))
	}
	return api.NewProblem(api.CodeKeyReused, fmt.Sprintf("the key %q of %s was used for %s%s; use another key for another call",
		c.Key, r.worker, function, clipArgs(args)))
}

func clipArgs(args json.RawMessage) string {
	if len(args) > 100 {
		return string(bytes.ToValidUTF8(args[:100], nil)) + "…"
	}
	return string(args)
}

// Cancel takes back an invocation that has not ended. One that runs is rolled
// back.
func (ws *Workers) Cancel(ctx context.Context, w id.Worker, key string) (api.Invocation, error) {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return api.Invocation{}, err
	}
	defer ws.release(r)
	index, err := r.find(key)
	if err != nil {
		return api.Invocation{}, err
	}
	r.mu.Lock()
	if r.machine.life.Find(index) != nil {
		r.apply(canceled{index})
	}
	r.mu.Unlock()
	v, err := r.known(ctx, index, nil, nil)
	if err == nil && v.State != api.StateCanceled && (v.Failure == nil || v.Failure.Code != api.FailedCanceled) {
		return v, api.NewProblem(api.CodeNotCancelable, fmt.Sprintf("the invocation %s of %s has ended: %s", key, r.worker, v.State))
	}
	return v, err
}
