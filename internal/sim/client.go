package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// client is somebody outside with errands to do, whatever becomes of the
// process that is asked.
type client struct {
	world   *Platform
	number  int
	random  *rand.Rand
	errands int // left
}

// live does errands until the process ends.
func (c *client) live(ctx context.Context, s service) {
	for c.errands > 0 {
		if c.world.sim.Sleep(ctx, time.Duration(magnitude(c.random, 4, 8.5))) != nil {
			return
		}
		c.errands--
		c.run(ctx, s)
	}
}

// run does one errand, for which it has a limited time.
func (c *client) run(process context.Context, s service) {
	w := c.world
	ctx, cancel := context.WithCancelCause(process)
	limit := time.Duration(magnitude(c.random, 7, 10.5))
	timer := w.sim.Go("deadline", func() {
		_ = w.sim.Sleep(ctx, limit)
		cancel(errLate)
	})
	c.errand(ctx, s)
	cancel(nil)
	timer.Wait()
}

// errand chooses what to do.
func (c *client) errand(ctx context.Context, s service) {
	r := c.random
	d := c.world.dossiers[c.world.workers[r.IntN(len(c.world.workers))]]
	if d.worker.Name == ephemeral && !c.create(ctx, s, d) {
		return
	}
	switch n := r.IntN(20); {
	case d.fleeting && n < 4:
		c.remove(ctx, s, d)
	case d.worker.Component == asker && n < 9:
		c.answer(ctx, s, d)
	case d.fleeting || n < 13:
		c.invoke(ctx, s, d, c.call(d))
	case n < 16:
		c.ask(ctx, s, d, r.IntN(2) == 0)
	case n < 17:
		c.cancel(ctx, s, d)
	case n < 18:
		call := c.keyed(d)
		call.Args = json.RawMessage("[-1]") // which no other call has
		c.invoke(ctx, s, d, call)
	default:
		c.stop(ctx, s, d)
	}
}

// create sees to it that the ephemeral worker is there, and is that.
func (c *client) create(ctx context.Context, s service, d *dossier) bool {
	_, err := s.Create(ctx, d.worker, api.NewWorker{Ephemeral: true})
	return c.hears(d, api.Invocation{}, err) && err == nil
}

// functions are what clients call: those that a register and a counter have,
// all of kit, those of keeper that leave something open, and all of keeper.
var (
	simple  = []string{"inc", "inc", "put", "get"}
	varied  = []string{"inc", "put", "get", "file_inc", "roll", "now", "nap", "flaky", "fail", "steps", "print"}
	asking  = []string{"ask", "ask", "insist", "inc", "get"}
	keeping = []string{"append", "append", "next", "arm", "ring", "mint", "mint", "spend", "fail"}
	both    = append([]string{"inc", "put", "get", "file-inc", "roll", "now", "nap", "flaky", "steps", "print"}, keeping...)
)

// call draws a call of a worker.
func (c *client) call(d *dossier) api.Call {
	r := c.random
	if d.fleeting {
		return draw(r, []string{"inc", "get"})
	}
	call := c.keyed(d)
	if r.IntN(2) == 0 {
		call = draw(r, functionsOf(d.worker))
	}
	call.Async = r.IntN(2) == 0
	if r.IntN(6) == 0 {
		call.Due = c.world.sim.Now().Add(time.Duration(magnitude(r, 6, 9.7)))
	}
	return call
}

// keyed is a call under one of a few keys that all clients use for the same
// calls.
func (c *client) keyed(d *dossier) api.Call {
	number := c.random.IntN(8)
	place := slices.Index(c.world.workers, d.worker)
	call := draw(rand.New(rand.NewPCG(c.world.Seed, uint64(100+10*place+number))), functionsOf(d.worker))
	call.Key = fmt.Sprintf("key-%d", number)
	return call
}

func functionsOf(w id.Worker) []string {
	switch {
	case w.Name == "plain" || w.Name == "pair":
		return simple
	case w.Component == module:
		return varied
	case w.Component == asker:
		return asking
	case w.Name == "keeping":
		return keeping
	}
	return both
}

func draw(r *rand.Rand, functions []string) api.Call {
	call := api.Call{Function: functions[r.IntN(len(functions))]}
	switch call.Function {
	case "inc", "file_inc", "file-inc", "steps", "print", "append", "mint":
		call.Args = fmt.Appendf(nil, "[%d]", 1+r.IntN(9))
	case "put":
		call.Args = fmt.Appendf(nil, "[%d]", 1+r.IntN(1e6))
	case "nap", "arm":
		call.Args = fmt.Appendf(nil, "[%d]", magnitude(r, 0, 3.7))
	case "flaky", "insist":
		call.Args = fmt.Appendf(nil, "[%d]", 1+r.IntN(3))
	case "ask":
		call.Args = fmt.Appendf(nil, "[%d]", r.Uint64N(2)*magnitude(r, 0, 4.5))
	}
	return call
}

// invoke calls a function, and notes what came of it.
func (c *client) invoke(ctx context.Context, s service, d *dossier, call api.Call) {
	w := c.world
	deed := c.begin(d, call)
	w.note("client %d invokes %s %s%s, key %q, async %t, due %v", c.number, d.worker, call.Function, call.Args, call.Key, call.Async, call.Due)
	v, err := s.Invoke(ctx, d.worker, call)
	if !c.hears(d, v, err) {
		return
	}
	if isCode(err, api.CodeQueueFull, api.CodeBadArguments) {
		deed.void = true
	}
	if isCode(err, api.CodeKeyReused) {
		if deed.void = true; d.refuse(call) != nil {
			_ = w.broken("%w", d.refuse(call))
		}
	}
	if isCode(err, api.CodeNoInvocation, api.CodeExpired) {
		_ = w.broken("%s: the call %s%s, key %q, is answered with %w", d.worker, call.Function, call.Args, call.Key, err)
	}
	if err != nil {
		return
	}
	if !same(v.Function, v.Args, call) || call.Key != "" && v.Key != call.Key {
		_ = w.broken("%s: the call %s%s, key %q, is answered with %s", d.worker, call.Function, call.Args, call.Key, told(v))
	}
	if !call.Async && call.Due.IsZero() && !v.State.Done() {
		_ = w.broken("%s: the invocation is answered before it has ended: %s", d.worker, told(v))
	}
	c.end(d, deed, v)
}

// begin notes that a deed begins.
func (c *client) begin(d *dossier, call api.Call) *Deed {
	in, err := integers(call.Args)
	if err != nil {
		panic(fmt.Sprintf("sim: arguments of a client: %v", err))
	}
	c.world.moment++
	deed := &Deed{
		Worker: d.worker, Client: c.number, Function: call.Function, Arg: first(in),
		Began: c.world.moment, Ended: never, call: call,
	}
	d.deeds = append(d.deeds, deed)
	return deed
}

// end notes what an invocation is now.
func (c *client) end(d *dossier, deed *Deed, v api.Invocation) {
	if deed.index = v.Index; d.fleeting {
		deed.index = 0 // another worker may have had the same
	}
	if !v.State.Done() {
		return
	}
	out, err := integers(v.Result)
	if err != nil {
		_ = c.world.broken("%s: %w", d.worker, err)
		return
	}
	c.world.moment++
	deed.Ended, deed.Result, deed.Known = c.world.moment, first(out), v.State == api.StateFinished
	deed.void = v.State != api.StateFinished
}

// hears takes an answer, unless the process crashed before it gave one.
func (c *client) hears(d *dossier, v api.Invocation, err error) bool {
	w := c.world
	if w.sim.Crashed() {
		return false
	}
	w.note("client %d hears of %s: %s, %v", c.number, d.worker, told(v), err)
	var p *api.Problem
	switch errors.As(err, &p); {
	case err == nil && v.Index == 0:
		return true // a request that is not about an invocation
	case err == nil:
		err = d.learn(v)
	case p != nil && p.Invocation != nil:
		err = d.learn(*p.Invocation)
	case errors.Is(err, errLate), errors.Is(err, errInterrupted):
		err = nil
	case w.present.mayFail() && (p == nil || p.Code == api.CodeDamaged):
		err = nil
	case isCode(err, api.CodeInternal, api.CodeDamaged, api.CodeNoComponent, api.CodeNoFunction, api.CodeWorkerExited):
	case p != nil:
		err = nil
	}
	if err != nil {
		_ = w.broken("client %d hears of %s: %w", c.number, d.worker, err)
	}
	return true
}

// choose picks an invocation that is known.
func (c *client) choose(d *dossier) (v api.Invocation, ok bool) {
	indexes := slices.Sorted(maps.Keys(d.known))
	if len(indexes) == 0 {
		return v, false
	}
	return d.known[indexes[c.random.IntN(len(indexes))]], true
}

// ask asks for an invocation that was acknowledged.
func (c *client) ask(ctx context.Context, s service, d *dossier, wait bool) {
	was, ok := c.choose(d)
	if !ok {
		return
	}
	v, err := s.Invocation(ctx, d.worker, was.Key, wait)
	if c.hears(d, v, err) && isCode(err, api.CodeNoInvocation, api.CodeExpired, api.CodeNoWorker) && !d.forgot(err) {
		_ = c.world.broken("%s: a client was told %s, and now %w", d.worker, told(was), err)
	}
}

func (c *client) cancel(ctx context.Context, s service, d *dossier) {
	was, ok := c.choose(d)
	if !ok {
		return
	}
	c.world.note("client %d cancels %s of %s", c.number, was.Key, d.worker)
	v, err := s.Cancel(ctx, d.worker, was.Key)
	if c.hears(d, v, err) && err == nil && v.State != api.StateCanceled && (v.Failure == nil || v.Failure.Code != api.FailedCanceled) {
		_ = c.world.broken("%s: it was canceled, and is %s", d.worker, told(v))
	}
}

// stop interrupts a worker for a while.
func (c *client) stop(ctx context.Context, s service, d *dossier) {
	c.world.note("client %d interrupts %s", c.number, d.worker)
	if !c.hears(d, api.Invocation{}, s.Interrupt(ctx, d.worker, "a client says so")) {
		return
	}
	if c.world.sim.Sleep(ctx, time.Duration(magnitude(c.random, 5, 9))) == nil {
		c.world.note("client %d resumes %s", c.number, d.worker)
		c.hears(d, api.Invocation{}, s.Resume(ctx, d.worker))
	}
}

// remove deletes a worker, which comes back with the next call.
func (c *client) remove(ctx context.Context, s service, d *dossier) {
	deed := c.begin(d, api.Call{Function: "delete"})
	c.world.note("client %d deletes %s", c.number, d.worker)
	err := s.Delete(ctx, d.worker)
	if !c.hears(d, api.Invocation{}, err) {
		return
	}
	if isCode(err, api.CodeNoWorker) {
		err = nil // then it is as new, as it is after this
	}
	if err == nil {
		c.world.moment++
		deed.Ended, deed.Known = c.world.moment, true
	}
}
