package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/reach"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// activate builds the instance from the oplog and runs the attempt that has
// begun, or what of it is not recorded yet.
func (r *resident) activate(ctx context.Context, a call) outcome {
	began := r.ws.Sched.Monotonic()
	r.meter.replay()
	replay, err := r.embody(ctx, a)
	if err != nil {
		if r.body == nil {
			r.ws.dropped(r)
		}
		return r.classify(ctx, err)
	}
	replay.began = began
	unlink := r.link(ctx)
	defer unlink()
	if a.ephemeral {
		r.meter.enforce()
		if err := r.body.prepare(); err != nil {
			return r.classify(ctx, err)
		}
		return r.live(ctx, a)
	}
	out, done := replay.run(ctx)
	if replay.entries > 0 {
		took := replay.lived - began
		r.ws.stats.recovered(took, r.body.session.Replayed())
		r.mu.Lock()
		r.computed += max(took, 0) // what it would take again
		r.mu.Unlock()
	}
	if done {
		return out
	}
	return r.live(ctx, a)
}

// embody makes r's body and what replays its oplog on it.
func (r *resident) embody(ctx context.Context, a call) (*replay, error) {
	r.mu.Lock()
	create := r.machine.life.Create
	blank := r.blank || a.ephemeral
	r.blank, r.returned = false, r.returned || !blank
	p := &replay{r: r, calls: map[oplog.Index]call{}}
	skip := slices.Clone(r.machine.life.Undone)
	last := r.writer.Last()
	r.mu.Unlock()
	program, err := r.ws.Catalog.Acquire(ctx, r.worker.Component, create.Revision)
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	if program.Revision.Hash != create.Program.String() {
		defer program.Release()
		return nil, &programError{fmt.Sprintf("the component was deleted and deployed anew: revision %d was %s and is %s", create.Revision, create.Program, program.Revision.Hash)}
	}
	if !blank {
		if err := r.writer.Commit(ctx); err != nil {
			program.Release()
			return nil, err
		}
		p.entries = last
	}
	config := bodyConfig{
		program: program, create: &create, meter: r.meter, park: r.park, linger: r.pause, control: r, policy: r.policy, sockets: r.socketPolicy,
		session: durable.Config{
			Worker: r.worker, Writer: r.writer, Skip: skip, Unrecorded: a.ephemeral, Passed: p.pass,
			Cursor: oplog.NewCursor(r.ws.Store.Logs(), r.worker, 2, p.entries),
			Live:   p.live, Resolved: r.resolved, Repeating: r.repeating,
		},
	}
	if a.ephemeral {
		config.fresh = a.accepted
		config.park = r.pause
	}
	b, err := r.newBody(ctx, config, p)
	if err != nil {
		program.Release()
		return nil, err
	}
	b.own.Workers = peers{r, b}
	r.mu.Lock()
	r.body = b
	r.mu.Unlock()
	return p, nil
}

// replay runs what the oplog has on a new body.
type replay struct {
	r       *resident
	calls   map[oplog.Index]call // accepted and, as far as read, not ended
	behind  oplog.Index          // replay begins behind this entry
	entries oplog.Index          // the last one to replay
	began   time.Duration        // when recovery did
	lived   time.Duration        // when it was over
}

// pass takes the entries that do not steer replay.
func (p *replay) pass(e *oplog.Entry) {
	switch b := e.Body.(type) {
	case *oplog.InvocationAccepted:
		p.calls[e.Index] = call{accepted: e.Index, key: keyOf(b, e.Index), function: b.Function, args: slices.Clone(b.Args), body: b.Body}
	case *oplog.InvocationFailed:
		if b.Retry == 0 {
			delete(p.calls, b.Accepted)
		}
	case *oplog.InvocationCanceled:
		delete(p.calls, b.Accepted)
	case *oplog.Suspended:
		p.r.body.suspensions++
	case *oplog.Forked:
		p.r.body.forked(e.Index)
	}
}

// live is called when everything is replayed: limits hold from now on.
func (p *replay) live() error {
	p.lived = p.r.ws.Sched.Monotonic()
	if p.r.cameBack = 0; p.entries > 0 {
		p.r.cameBack = p.lived - p.began
	}
	p.r.meter.enforce()
	return nil
}

// run replays one attempt after the other. done is false if the attempt that
// has begun was not among them.
func (p *replay) run(ctx context.Context) (out outcome, done bool) {
	b := p.r.body
	for {
		started, index, err := b.session.Begin()
		if err != nil {
			return p.r.classify(ctx, err), true
		}
		if started == nil {
			return out, false
		}
		c, err := p.accepted(ctx, started.Accepted, index)
		if err != nil {
			return p.r.classify(ctx, err), true
		}
		c.begun = index
		b.begin()
		c.attempt = started.Attempt
		result, err := b.perform(c)
		replayed := false
		if err == nil {
			replayed, err = b.session.Finish(result)
		}
		switch {
		case err != nil:
			return p.r.classify(ctx, err), true
		case !replayed:
			return outcome{alive: true, result: result}, true
		}
		delete(p.calls, started.Accepted)
	}
}

// accepted gives the invocation that entry index begins. If it was accepted
// before replay's beginning and has ended since, nobody has it in mind.
func (p *replay) accepted(ctx context.Context, accepted, index oplog.Index) (call, error) {
	c, ok := p.calls[accepted]
	if ok || accepted == 0 {
		return c, nil
	}
	if accepted <= p.behind {
		for e, err := range oplog.Read(ctx, p.r.ws.Store.Logs(), p.r.worker, accepted, accepted) {
			if err != nil {
				return call{}, err
			}
			if b, ok := e.Body.(*oplog.InvocationAccepted); ok {
				return call{accepted: accepted, key: keyOf(b, accepted), function: b.Function, args: slices.Clone(b.Args), body: b.Body}, nil
			}
		}
		if c, err := p.r.acceptedBefore(ctx, accepted); err != nil || c.accepted != 0 {
			return c, err
		}
	}
	return call{}, &storage.CorruptError{
		Worker: p.r.worker, From: index, To: index, Where: "an invocation",
		Cause: fmt.Errorf("entry %d does not accept it", accepted),
	}
}

// perform runs an attempt's function.
func (b *body) perform(c call) ([]byte, error) {
	b.http.Begin(uint64(c.accepted))
	b.self.begin(c)
	b.own.Begin()
	b.promises.Begin(uint64(c.accepted))
	b.session.Within = c.begun
	if c.accepted == 0 {
		return []byte("[]"), b.initialize()
	}
	var result []byte
	var err error
	if b.program.Handler() == c.function {
		result, err = b.serve(c)
	} else {
		result, err = b.call(c.function, c.args)
	}
	if err == nil && b.program.Revision.Kind != api.Command {
		err = b.own.InRegion()
	}
	return result, err
}

// prepare makes the instance of an ephemeral worker's invocation.
func (b *body) prepare() error {
	if b.program.Revision.Kind == api.Command {
		return nil
	}
	return b.initialize()
}

// suspendError ends an attempt that waits longer than it may stay in memory.
// It goes on when the time has come, or what has happened: then somebody calls
// Workers.wake.
type suspendError struct {
	until oplog.Time // 0: however long it takes
	what  string     // in words; "": only the time counts
	// promises, any of which ends the wait when it is settled: that needs no wake.
	promises []string
}

func (e *suspendError) Error() string { return "suspended" }

// park is where a worker waits: long waits out of memory, short ones without
// keeping others from computing.
func (r *resident) park(d time.Duration, sleep func() error) error {
	if d >= r.ws.SuspendAfter {
		return &suspendError{until: oplog.At(r.ws.Sched.Now().Add(d))}
	}
	return r.pause(d, sleep)
}

// pause waits without a slot.
func (r *resident) pause(_ time.Duration, sleep func() error) error {
	r.yieldSlot()
	if err := sleep(); err != nil {
		return err // what is left to do is no computing
	}
	return r.takeSlot(r.body.session.Context())
}

// policy is what the worker's HTTP requests may do now.
func (r *resident) policy() exchange.Policy { return r.settings().http }

// httpPolicy is what the settings say.
func httpPolicy(s api.HTTP) exchange.Policy {
	p := exchange.Policy{
		MaxBody: s.MaxResponse, Keys: s.Keys != api.KeysOff, InDoubt: inDoubt[s.InDoubt],
		Attempts: s.Retries.Attempts, Pause: time.Duration(s.Retries.Initial), MaxPause: time.Duration(s.Retries.Max),
		Egress: exchange.Egress{Proxy: s.Proxy, Roots: s.Roots, RootsOnly: s.Trust == api.TrustRoots},
	}
	// What cannot be read, and was checked when it was set, permits nothing.
	p.Reach, _ = reach.Parse(s.Allow)
	p.Choices, _ = reach.ParseChoices(s.InDoubtRules, api.InDoubts()...)
	return p
}

// socketPolicy is what the worker's sockets may do now.
func (r *resident) socketPolicy() socket.Policy { return r.settings().net }

func socketPolicy(n api.Net) (p socket.Policy) {
	// What cannot be read, and was checked when it was set, permits nothing.
	p.Reach, _ = reach.Parse(n.Allow)
	p.Listen, _ = reach.ParseLocal(n.Listen)
	return p
}

// programError says why a worker's program is not there any more.
type programError struct{ reason string }

func (e *programError) Error() string { return e.reason }

// classify says what an error means that ended a job.
func (r *resident) classify(ctx context.Context, err error) outcome {
	var why *halt
	if errors.As(context.Cause(ctx), &why) {
		return outcome{halted: why}
	}
	var suspended *suspendError
	if errors.As(err, &suspended) {
		return outcome{suspend: suspended}
	}
	var held *durable.HeldError
	if errors.As(err, &held) {
		return outcome{held: held.Calls}
	}
	var back *durable.BackError
	if errors.As(err, &back) {
		return outcome{back: back}
	}
	b := r.body
	if b == nil || isFault(err) || errors.Is(err, errContent) {
		return trouble(err)
	}
	if b.session.Replaying() {
		// Unless the record ends here as well, it had not failed the first time.
		if over := b.session.End(); over != nil {
			if !errors.Is(err, over) {
				over = fmt.Errorf("%w: %w", over, err)
			}
			return trouble(over)
		}
	}
	return b.failure(err)
}

// trouble is the outcome where no instance could be had in the state that the
// oplog says: because of what is stored, or because of the host.
func trouble(err error) outcome {
	var divergence *durable.DivergenceError
	var corrupt *storage.CorruptError
	var problem *api.Problem
	var program *programError
	if isFault(err) {
		return outcome{fault: err}
	}
	if errors.As(err, &divergence) || errors.As(err, &corrupt) || oplog.IsTruncated(err) || errors.As(err, &problem) || errors.As(err, &program) || errors.Is(err, storage.ErrNotFound) {
		return outcome{broken: err}
	}
	return outcome{fault: err}
}

// failure says how an attempt has failed.
func (b *body) failure(err error) outcome {
	f := &failure{code: api.FailedHost, reason: err.Error(), stack: []string{}, stderr: b.stderr.String()}
	var trap *wasm.Trap
	var limit *LimitError
	var exit *wasi.ExitError
	var doubt *durable.DoubtError
	switch {
	case errors.As(err, &exit):
		return outcome{exit: &exit.Code}
	case errors.As(err, &trap):
		f.code, f.reason, f.final = api.FailedTrap, trap.Reason, trap.Overflow || !b.observed()
		f.stuck = !b.session.Observed()
		if trap.Stack != nil {
			f.stack = trap.Stack
		}
	case errors.As(err, &limit):
		f.code, f.final = api.FailedLimit, true
	case errors.As(err, &doubt):
		f.code, f.final = api.FailedDoubt, true
	}
	return outcome{failure: f}
}

// isFault reports whether err is the host's trouble of this moment.
func isFault(err error) bool {
	var problem *api.Problem
	if errors.As(err, &problem) {
		switch problem.Code {
		case api.CodeOverloaded, api.CodeDiskFull, api.CodeStopping:
			return true
		}
	}
	for _, fault := range []error{
		errPeer, wasm.ErrMemoryExhausted, storage.ErrFull, storage.ErrClosed, storage.ErrFenced, oplog.ErrClosed, context.Canceled,
	} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}
