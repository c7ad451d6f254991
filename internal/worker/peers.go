package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/id"
)

// peers are the other workers as the program of r reaches them. They implement
// platform.Workers.
type peers struct {
	r *resident
	b *body
}

// apart lets the program wait in memory, without computing.
func (p peers) apart(wait func() error) error {
	p.b.meter.pause()
	defer p.b.meter.proceed()
	return p.r.pause(0, wait)
}

// caller says who calls.
func (p peers) caller() *api.Caller {
	return &api.Caller{Worker: p.r.worker.String(), Key: p.b.self.key}
}

// Suspensions implements platform.Workers.
func (p peers) Suspensions() uint64 { return p.b.suspensions }

// Invoke implements platform.Workers.
func (p peers) Invoke(ctx context.Context, c platform.WorkerCall) (string, error) {
	target, err := peer(c.Worker)
	if err != nil {
		return "", err
	}
	call := api.Call{Function: c.Function, Args: json.RawMessage(c.Args), Key: c.Key, Caller: p.caller()}
	return p.wait(ctx, target, c.Key, true, c.Accepted, func(ctx context.Context, patience patience) (api.Invocation, error) {
		return p.deliver(ctx, target, call, c.Accepted, patience)
	})
}

// Result implements platform.Workers.
func (p peers) Result(ctx context.Context, worker, key string) (string, error) {
	target, err := peer(worker)
	if err != nil {
		return "", err
	}
	return p.wait(ctx, target, key, false, true, func(ctx context.Context, patience patience) (v api.Invocation, err error) {
		err = p.started(ctx, target, key, func(callee *resident) error {
			index, err := callee.find(key)
			if err == nil {
				v, err = callee.known(ctx, index, nil, patience)
			}
			return err
		})
		return v, err
	})
}

// wait waits for an invocation of another worker: in memory for a while, without
// computing, and then without an instance. call says that it is called here, accepted
// that it certainly takes place; await is given what knows the context to wait with.
func (p peers) wait(ctx context.Context, target id.Worker, key string, call, accepted bool, await func(context.Context, patience) (api.Invocation, error)) (result string, err error) {
	r, ws := p.r, p.r.ws
	err = p.apart(func() error {
		if err := ws.entangle(ctx, r, target, key, call); err != nil {
			return err
		}
		lingering, leave := context.WithCancelCause(ctx)
		defer leave(nil)
		var l *lingerer
		v, err := await(ctx, func() context.Context {
			accepted = true
			if !p.b.ephemeral { // what these do is not recorded, so they cannot come back
				l = ws.linger(func() { leave(errLeave) })
			}
			return lingering
		})
		ws.depart(l)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errLeave) || accepted && !p.b.ephemeral && hasCode(err, api.CodeWorkerFailed):
			// Who mends the worker called, or its end, wakes this one.
			return &suspendError{what: fmt.Sprintf("the end of %s of %s", key, target)}
		}
		ws.untangle(r)
		if err != nil {
			return told(err, accepted)
		}
		result, err = outcomeOf(v)
		return err
	})
	return result, err
}

// deliver has a call accepted by the worker called, and waits. One that is full is
// given time.
func (p peers) deliver(ctx context.Context, target id.Worker, c api.Call, accepted bool, patience patience) (api.Invocation, error) {
	ws := p.r.ws
	open := ws.open
	if accepted {
		open = ws.openExisting // or it would be called anew after it was deleted
	}
	for n := 0; ; n++ {
		callee, err := open(ctx, target)
		if err != nil {
			return api.Invocation{}, err
		}
		v, err := ws.invoke(ctx, callee, c, patience)
		ws.release(callee)
		if n == fullRetries || !hasCode(err, api.CodeQueueFull) {
			return v, err
		}
		if err := ws.Sched.Sleep(ctx, backoff(fullRetry, n+1, ws.chance())); err != nil {
			return api.Invocation{}, err
		}
	}
}

// A call of a worker whose queue is full is made again, fullRetries times: over
// about ten seconds.
const fullRetries = 8

var fullRetry = api.Retry{Initial: api.Duration(50 * time.Millisecond), Max: api.Duration(3 * time.Second), Factor: 2, Jitter: 0.2}

// Start implements platform.Workers.
func (p peers) Start(ctx context.Context, c platform.WorkerCall) error {
	target, err := peer(c.Worker)
	if err != nil {
		return err
	}
	call := api.Call{Function: c.Function, Args: json.RawMessage(c.Args), Key: c.Key, Caller: p.caller(), Async: true}
	if c.Due != 0 {
		call.Due = time.Unix(0, int64(min(c.Due, maxDue)))
	}
	return p.apart(func() error {
		_, err := p.deliver(ctx, target, call, false, nil)
		return told(err, false)
	})
}

// maxDue is the latest time that there is, as nanoseconds since 1970.
const maxDue = 1<<63 - 1

// started opens a worker for as long as use takes, if the invocation with key is one
// that this worker has called.
func (p peers) started(ctx context.Context, target id.Worker, key string, use func(*resident) error) error {
	ws := p.r.ws
	callee, err := ws.openExisting(ctx, target)
	if err != nil {
		return err
	}
	defer ws.release(callee)
	v, err := ws.Invocation(ctx, target, key, false)
	if err != nil {
		return err
	}
	if v.Caller == nil || v.Caller.Worker != p.r.worker.String() {
		return &platform.WorkerError{Kind: platform.WorkerNoInvocation, Message: fmt.Sprintf("%s was not called by %s under the key %q", target, p.r.worker, key)}
	}
	return use(callee)
}

// Poll implements platform.Workers.
func (p peers) Poll(ctx context.Context, worker, key string) (result string, ended bool, err error) {
	target, err := peer(worker)
	if err != nil {
		return "", false, err
	}
	err = p.apart(func() error {
		return told(p.started(ctx, target, key, func(*resident) error {
			v, err := p.r.ws.Invocation(ctx, target, key, false)
			if err != nil || !v.State.Done() {
				return err
			}
			ended = true
			result, err = outcomeOf(v)
			return err
		}), false)
	})
	return result, ended, err
}

// Cancel implements platform.Workers.
func (p peers) Cancel(ctx context.Context, worker, key string) error {
	target, err := peer(worker)
	if err != nil {
		return err
	}
	return p.apart(func() error {
		err := p.started(ctx, target, key, func(*resident) error {
			_, err := p.r.ws.Cancel(ctx, target, key)
			return err
		})
		return told(err, false)
	})
}

// Spawn implements platform.Workers.
func (p peers) Spawn(ctx context.Context, worker string, o platform.WorkerOptions) (created bool, err error) {
	target, err := peer(worker)
	if err != nil {
		return false, err
	}
	n := api.NewWorker{Revision: o.Revision, Args: o.Args, Env: o.Env, Ephemeral: o.Ephemeral}
	if o.Settings != "" {
		d := json.NewDecoder(strings.NewReader(o.Settings))
		d.DisallowUnknownFields()
		if err := d.Decode(&n.Settings); err != nil {
			return false, invalid("settings: %v", err)
		}
	}
	err = p.apart(func() (err error) {
		created, err = p.r.ws.Create(ctx, target, n)
		return told(err, false)
	})
	return created, err
}

// linked refuses an invocation of a program that calls interfaces of other components
// which no link leads to.
func (r *resident) linked(revision *api.Revision) error {
	if len(revision.Calls) == 0 {
		return nil
	}
	r.mu.Lock()
	links := r.settings().Links
	r.mu.Unlock()
	for _, name := range revision.Calls {
		if links[name] == "" {
			return noLink(r.worker.Component, name)
		}
	}
	return nil
}

func noLink(component, name string) *api.Problem {
	return api.NewProblem(api.CodeNoLink, fmt.Sprintf("%s calls the interface %s of another component, and nothing says of which: waterbear component settings --link %s=COMPONENT %s", component, name, name, component))
}

// Link implements platform.Workers.
func (p peers) Link(name string) (string, error) {
	link := p.r.settings().Links[name]
	if link == "" {
		return "", told(noLink(p.r.worker.Component, name), false)
	}
	w, err := catalog.ParseLink(link, p.r.worker.Name)
	if err != nil {
		return "", invalid("%v", err)
	}
	return w.String(), nil
}

// maxPeers bounds a page of a list.
const maxPeers = 100

// List implements platform.Workers.
func (p peers) List(ctx context.Context, component, after string) (list []platform.WorkerView, next string, err error) {
	err = p.apart(func() error {
		page, err := p.r.ws.List(ctx, api.WorkerFilter{Component: component}, nil, after, maxPeers)
		for i := range page.Items {
			list = append(list, viewOf(&page.Items[i]))
		}
		next = page.Next
		return told(err, false)
	})
	return list, next, err
}

// Status implements platform.Workers.
func (p peers) Status(ctx context.Context, worker string) (info platform.WorkerView, err error) {
	target, err := peer(worker)
	if err != nil {
		return info, err
	}
	err = p.apart(func() error {
		v, err := p.r.ws.Worker(ctx, target)
		info = viewOf(&v.Worker)
		return told(err, false)
	})
	return info, err
}

// maxReason bounds what a program is told of the status of another worker, in bytes.
const maxReason = 1 << 10

func viewOf(v *api.Worker) platform.WorkerView {
	reason := v.Reason
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return platform.WorkerView{Worker: v.Component + "/" + v.Name, Revision: v.Revision, Status: string(v.Status), Reason: reason, Queue: v.Queue}
}

// peer reads the name of a worker.
func peer(name string) (id.Worker, error) {
	w, err := id.ParseWorker(name)
	if err != nil {
		return w, invalid("%v", err)
	}
	return w, nil
}

func invalid(format string, args ...any) error {
	return &platform.WorkerError{Kind: platform.WorkerInvalid, Message: fmt.Sprintf(format, args...)}
}

func hasCode(err error, code api.Code) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Code == code
}

// failures are what problems are to a program.
var failures = map[api.Code]platform.WorkerFailure{
	api.CodeInvalid:       platform.WorkerInvalid,
	api.CodeNoLink:        platform.WorkerInvalid,
	api.CodeNoComponent:   platform.WorkerNoComponent,
	api.CodeNoRevision:    platform.WorkerNoComponent,
	api.CodeNoWorker:      platform.WorkerMissing,
	api.CodeNoFunction:    platform.WorkerNoFunction,
	api.CodeBadArguments:  platform.WorkerBadArguments,
	api.CodeBadProgram:    platform.WorkerStopped,
	api.CodeTooLarge:      platform.WorkerTooLarge,
	api.CodeKeyReused:     platform.WorkerKeyReused,
	api.CodeQueueFull:     platform.WorkerQueueFull,
	api.CodeWorkerFailed:  platform.WorkerStopped,
	api.CodeWorkerExited:  platform.WorkerStopped,
	api.CodeNoInvocation:  platform.WorkerNoInvocation,
	api.CodeExpired:       platform.WorkerNoInvocation,
	api.CodeNotCancelable: platform.WorkerEnded,
	api.CodeWorkerExists:  platform.WorkerExists,
}

// errPeer is for a worker called that cannot be reached now. Who calls it tries again
// until it can be, or is deleted: whether a call was accepted before is not known then.
var errPeer = errors.New("the worker called cannot be reached")

// told makes of an error what the program is told, unless it is the host's trouble.
// accepted says that the call was.
func told(err error, accepted bool) error {
	var problem *api.Problem
	if err == nil || errors.As(err, new(*platform.WorkerError)) {
		return err
	}
	kind, ok := platform.WorkerFailure(0), false
	if errors.As(err, &problem) {
		kind, ok = failures[problem.Code]
	}
	switch {
	case !ok:
		return fmt.Errorf("%w: %w", errPeer, err)
	case kind == platform.WorkerMissing && accepted:
		kind = platform.WorkerDeleted
	}
	return &platform.WorkerError{Kind: kind, Message: problem.Detail}
}

// outcomeOf is how an invocation has ended, as a program is told.
func outcomeOf(v api.Invocation) (string, error) {
	switch {
	case v.State == api.StateFinished:
		return string(v.Result), nil
	case v.Failure != nil && v.Failure.Code != api.FailedCanceled:
		return "", &platform.WorkerError{Kind: platform.WorkerFailed, Message: fmt.Sprintf("%s of %s failed: %s", v.Function, v.Worker, v.Failure.Reason)}
	}
	return "", &platform.WorkerError{Kind: platform.WorkerCanceled, Message: fmt.Sprintf("%s of %s was canceled", v.Function, v.Worker)}
}
