package waterbear

import (
	"context"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// Invoke calls a function of a worker, which it makes if it is not there. It
// returns when the invocation is done or, if it is asynchronous or scheduled,
// accepted: from then on it takes place whatever happens. One that failed is no
// error: its state says so. When ctx is done first, the invocation goes on, and
// the error is an *api.Problem of CodeTimeout with the invocation as it is.
func (p *Platform) Invoke(ctx context.Context, component, name string, c api.Call) (api.Invocation, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return api.Invocation{}, err
	}
	v, err := p.workers.Invoke(ctx, w, c)
	return p.shown(ctx, component, v, err)
}

// Invocation is the one that has this key. With wait it returns when that is
// done, or CodeTimeout with the invocation as it is when ctx is.
func (p *Platform) Invocation(ctx context.Context, component, name, key string, wait bool) (api.Invocation, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return api.Invocation{}, err
	}
	v, err := p.workers.Invocation(ctx, w, key, wait)
	return p.shown(ctx, component, v, err)
}

// Cancel takes back an invocation that is not done. One that runs is rolled
// back: nothing of it has happened to the worker.
func (p *Platform) Cancel(ctx context.Context, component, name, key string) (api.Invocation, error) {
	w, err := workerOf(component, name)
	if err != nil {
		return api.Invocation{}, err
	}
	v, err := p.workers.Cancel(ctx, w, key)
	return p.shown(ctx, component, v, err)
}

// shown is an invocation as people see it.
func (p *Platform) shown(ctx context.Context, component string, v api.Invocation, err error) (api.Invocation, error) {
	if v.Failure != nil {
		if err := p.redactFailure(ctx, component, &v); err != nil {
			return v, err
		}
	}
	return v, err
}

// CreateWorker makes a worker. If it exists and was created alike, created is
// false.
func (p *Platform) CreateWorker(ctx context.Context, component, name string, c api.NewWorker) (v api.WorkerDetail, created bool, err error) {
	w, err := workerOf(component, name)
	if err != nil {
		return v, false, err
	}
	if created, err = p.workers.Create(ctx, w, c); err != nil {
		return v, false, err
	}
	v, err = p.workers.Worker(ctx, w)
	return v, created, err
}

// act lets a worker of the platform do something.
func (p *Platform) act(component, name string, do func(w id.Worker) error) error {
	w, err := workerOf(component, name)
	if err != nil {
		return err
	}
	return do(w)
}

// DeleteWorker forgets a worker of a component, whatever it does.
func (p *Platform) DeleteWorker(ctx context.Context, component, name string) error {
	return p.act(component, name, func(w id.Worker) error { return p.workers.Delete(ctx, w) })
}

// Fork makes a copy of a worker that is in no invocation, under a name in the same
// component, and gives the copy.
func (p *Platform) Fork(ctx context.Context, component, name, copied string) (v api.WorkerDetail, err error) {
	w, err := workerOf(component, name)
	if err == nil {
		w, err = p.workers.Fork(ctx, w, copied)
	}
	if err != nil {
		return v, err
	}
	return p.workers.Worker(ctx, w)
}

// Interrupt stops a worker until Resume. It returns when the worker stands
// still.
func (p *Platform) Interrupt(ctx context.Context, component, name, reason string) error {
	return p.act(component, name, func(w id.Worker) error { return p.workers.Interrupt(ctx, w, reason) })
}

// Resume lets an interrupted worker go on.
func (p *Platform) Resume(ctx context.Context, component, name string) error {
	return p.act(component, name, func(w id.Worker) error { return p.workers.Resume(ctx, w) })
}

// Retry lets a worker that has failed, or pauses before its next attempt, try
// again at once.
func (p *Platform) Retry(ctx context.Context, component, name string) error {
	return p.act(component, name, func(w id.Worker) error { return p.workers.Retry(ctx, w) })
}
