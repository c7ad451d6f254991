package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/wit"
)

// MaxArgs bounds the arguments of an invocation, in bytes of JSON: they are
// part of one oplog entry.
const MaxArgs = 512 << 10

// Invoke accepts an invocation and waits for its end, unless it is asynchronous
// or scheduled. When ctx is done first the invocation goes on, and the error is
// CodeTimeout with it.
func (ws *Workers) Invoke(ctx context.Context, w id.Worker, c api.Call) (api.Invocation, error) {
	r, err := ws.openOrCreate(ctx, w)
	if err != nil {
		return api.Invocation{}, err
	}
	defer ws.release(r)
	if err := ws.check(ctx, r, &c); err != nil {
		return api.Invocation{}, err
	}
	index, wait, err := r.accept(&c)
	if err != nil {
		return api.Invocation{}, err
	}
	if wait == nil {
		return r.known(ctx, index, &c)
	}
	if c.Async || !c.Due.IsZero() {
		r.leave(wait)
		if err := r.writer.Commit(ctx); err != nil {
			return api.Invocation{}, r.late(ctx, index, err)
		}
		return r.pending(index)
	}
	return r.await(ctx, index, wait)
}

// check refuses a call that the worker's program cannot take, and gives its
// arguments the form that two calls are compared in.
func (ws *Workers) check(ctx context.Context, r *resident, c *api.Call) error {
	r.mu.Lock()
	number := r.machine.life.Create.Revision
	r.mu.Unlock()
	revision, err := ws.Catalog.Revision(ctx, r.worker.Component, number)
	if err != nil {
		return err
	}
	return CheckCall(revision, c)
}

// CheckCall refuses a call that a revision cannot take, and gives its arguments
// the form that two calls are compared in.
func CheckCall(revision api.Revision, c *api.Call) error {
	if len(c.Args) > MaxArgs {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("the arguments have %d bytes, more than %d", len(c.Args), MaxArgs))
	}
	var f *api.Function
	for i := range revision.Exports {
		if revision.Exports[i].Name == c.Function {
			f = &revision.Exports[i]
		}
	}
	if f == nil {
		return api.NewProblem(api.CodeNoFunction, fmt.Sprintf("revision %d of %s exports no function %q; it has %s",
			revision.Number, revision.Component, c.Function, functionNames(revision.Exports)))
	}
	args, err := wit.CanonicalArgs(c.Args)
	if err == nil {
		c.Args = args
		if revision.Kind == api.Command {
			_, err = wit.Strings(args)
		} else {
			_, err = wit.LowerCore(f.Params, args, nil)
		}
	}
	if err != nil {
		return api.NewProblem(api.CodeBadArguments, fmt.Sprintf("call %s: %v", c.Function, err))
	}
	return nil
}

// maxNames is how many functions an error lists.
const maxNames = 20

func functionNames(functions []api.Function) string {
	var names []string
	for _, f := range functions {
		if len(names) == maxNames {
			names = append(names, "…")
			break
		}
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// accept queues a call, or finds the one that its key names already: then there
// may be nothing to wait for.
func (r *resident) accept(c *api.Call) (oplog.Index, *waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	life := r.machine.life
	if index, ok := life.Keys[c.Key]; ok && c.Key != "" {
		return index, nil, nil
	}
	if err := r.acceptable(); err != nil {
		return 0, nil, err
	}
	now := oplog.At(r.ws.Sched.Now())
	entry := &oplog.InvocationAccepted{At: now, Key: c.Key, Function: c.Function, Args: oplog.Payload(c.Args), Queue: life.Waiting + 1}
	if !c.Due.IsZero() {
		entry.Due = max(oplog.At(c.Due), 1)
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
		w = &waiter{changed: r.ws.Sched.NewCondition(), accepted: a}
		r.waiters[index] = w
	}
	w.users++
	return w
}

// announce puts the worker on the agenda if it is not there for a time as early.
func (r *resident) announce(at, now oplog.Time) {
	if due := r.machine.wake(now); due == 0 || at < due {
		r.ws.remember(r.worker, at)
	}
}

// acceptable says why the worker takes no invocation now. It is called with
// r.mu held.
func (r *resident) acceptable() error {
	life, ws := r.machine.life, r.ws
	switch {
	case r.machine.over != nil:
		return api.NewProblem(api.CodeStopping, r.worker.String()+" takes no invocation: "+r.machine.over.reason)
	case life.Exited != nil:
		return api.NewProblem(api.CodeWorkerExited, fmt.Sprintf("%s takes no invocation: its program has ended with code %d; use another worker, or delete this one", r.worker, life.Exited.Code))
	case life.Stuck != nil:
		return r.stuck(life.Stuck.Reason)
	}
	if limit := ws.settings(r.worker.Component, life.Create.Settings).Limits.Queue; life.Waiting >= limit {
		ws.stats.refused.Add(1)
		return api.NewProblem(api.CodeQueueFull, fmt.Sprintf("%s has %d invocations in its queue, and the limit is %d; wait, or raise limits.queue", r.worker, life.Waiting, limit))
	}
	if err := ws.Committer.Stalled(); err != nil {
		ws.stats.refused.Add(1)
		return Unavailable(err)
	}
	if !r.writer.Room() {
		ws.stats.refused.Add(1)
		return api.NewProblem(api.CodeOverloaded, "the disk is behind; try again later")
	}
	return nil
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
	w.users--
}

// await waits for the end of an invocation, and until that is durable.
func (r *resident) await(ctx context.Context, index oplog.Index, w *waiter) (api.Invocation, error) {
	var end oplog.Entry
	var stuck error
	err := w.changed.Wait(ctx, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		end, stuck = w.end, w.err
		return end.Body != nil || stuck != nil
	})
	r.leave(w)
	if err == nil {
		err = r.writer.Commit(ctx)
	}
	if err == nil && stuck != nil {
		err = r.stuck(stuck.Error())
	}
	if err != nil {
		return api.Invocation{}, r.late(ctx, index, err)
	}
	v := accepted(r.worker, w.accepted, index)
	v.Attempts = w.attempts
	ending(&v, end)
	return v, nil
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

// KeyPrefix begins the keys of invocations whose clients gave none.
const KeyPrefix = "i-"

// keyOf is the key of an invocation.
func keyOf(a *oplog.InvocationAccepted, index oplog.Index) string {
	if a.Key != "" {
		return a.Key
	}
	return KeyPrefix + strconv.FormatUint(index, 10)
}

// pending describes an invocation that has not ended.
func (r *resident) pending(index oplog.Index) (api.Invocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.machine.life.Find(index)
	if p == nil {
		return api.Invocation{}, r.unknown(keyOf(&oplog.InvocationAccepted{}, index))
	}
	return r.describe(p), nil
}

func (r *resident) unknown(key string) *api.Problem {
	return api.NewProblem(api.CodeNoInvocation, fmt.Sprintf("%s has no invocation with the key %q", r.worker, key))
}

// describe says how far a pending invocation is. It is called with r.mu held.
func (r *resident) describe(p *oplog.Pending) api.Invocation {
	life := r.machine.life
	v := accepted(r.worker, p.InvocationAccepted, p.Index)
	v.Attempts = p.Failures
	if life.Begun != 0 && life.Attempt.Accepted == p.Index {
		v.State, v.Attempts = api.StateStarted, life.Attempt.Attempt
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
		return r.known(ctx, index, nil)
	}
	if err := r.writer.Commit(ctx); err != nil {
		return api.Invocation{}, r.late(ctx, index, err)
	}
	if v, err := r.pending(index); err == nil {
		return v, nil
	}
	return r.past(ctx, index)
}

// find gives the entry that accepted the invocation with key.
func (r *resident) find(key string) (oplog.Index, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index, ok := r.machine.life.Keys[key]; ok {
		return index, nil
	}
	number, ok := strings.CutPrefix(key, KeyPrefix)
	index, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || index == 0 || index > r.machine.life.Last {
		return 0, r.unknown(key)
	}
	return index, nil
}

// known waits for an invocation that was accepted before. If c is set it has to
// be the same call.
func (r *resident) known(ctx context.Context, index oplog.Index, c *api.Call) (api.Invocation, error) {
	r.mu.Lock()
	p := r.machine.life.Find(index)
	if p == nil {
		r.mu.Unlock()
		if err := r.writer.Commit(ctx); err != nil {
			return api.Invocation{}, r.late(ctx, index, err)
		}
		v, err := r.past(ctx, index)
		if err == nil && c != nil {
			err = r.same(c, v.Function, v.Args)
		}
		return v, err
	}
	if c != nil {
		if err := r.same(c, p.Function, json.RawMessage(p.Args)); err != nil {
			r.mu.Unlock()
			return api.Invocation{}, err
		}
	}
	if c != nil && (c.Async || !c.Due.IsZero()) {
		r.mu.Unlock()
		if err := r.writer.Commit(ctx); err != nil {
			return api.Invocation{}, r.late(ctx, index, err)
		}
		if v, err := r.pending(index); err == nil {
			return v, nil
		}
		return r.past(ctx, index)
	}
	w := r.wait(index, p.InvocationAccepted)
	if s := r.machine.life.Stuck; s != nil {
		r.settle(index, oplog.Entry{}, &StuckError{s.Reason})
	}
	r.mu.Unlock()
	return r.await(ctx, index, w)
}

// same refuses another call under a key that was used.
func (r *resident) same(c *api.Call, function string, args json.RawMessage) error {
	if c.Function == function && bytes.Equal(c.Args, args) {
		return nil
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

// past reads from the oplog how an invocation ended.
func (r *resident) past(ctx context.Context, index oplog.Index) (api.Invocation, error) {
	var v api.Invocation
	for entry, err := range oplog.Read(ctx, r.ws.Store.Logs(), r.worker, index, 0) {
		if err != nil {
			return v, err
		}
		switch b := entry.Body.(type) {
		case *oplog.InvocationAccepted:
			if entry.Index == index {
				b.Args = bytes.Clone(b.Args)
				v = accepted(r.worker, b, index)
			}
		case *oplog.InvocationStarted:
			if b.Accepted == index {
				v.Attempts = b.Attempt
			}
		default:
			if endOf(entry.Body) == index {
				ending(&v, entry)
				return v, nil
			}
		}
		if v.Index == 0 {
			break // it accepts nothing
		}
	}
	return v, r.unknown(keyOf(&oplog.InvocationAccepted{}, index))
}

// endOf is the entry that accepted the invocation that body ends, or 0.
func endOf(body oplog.Body) oplog.Index {
	switch b := body.(type) {
	case *oplog.InvocationFinished:
		return b.Accepted
	case *oplog.InvocationFailed:
		if b.Retry == 0 {
			return b.Accepted
		}
	case *oplog.InvocationCanceled:
		return b.Accepted
	}
	return 0
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
	v, err := r.known(ctx, index, nil)
	if err == nil && v.State != api.StateCanceled && (v.Failure == nil || v.Failure.Code != api.FailedCanceled) {
		return v, api.NewProblem(api.CodeNotCancelable, fmt.Sprintf("the invocation %s of %s has ended: %s", key, r.worker, v.State))
	}
	return v, err
}
