package waterbear

import (
	"context"
	"errors"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
)

// Promises lists the promises of a worker that are pending, or settled and still
// known, in the order in which they were made, without values.
func (p *Platform) Promises(ctx context.Context, component, name string) (list []api.Promise, err error) {
	err = p.act(component, name, func(w id.Worker) error {
		list, err = p.workers.Promises(ctx, w)
		return errors.Join(err, p.redactPromises(ctx, component, list))
	})
	return list, err
}

// Promise is one of them, with its value, in which secrets are not shown. Its name is that within the worker.
func (p *Platform) Promise(ctx context.Context, component, name, promise string) (v api.Promise, err error) {
	err = p.act(component, name, func(w id.Worker) error {
		v, err = p.workers.Promise(ctx, id.Promise{Worker: w, Name: promise})
		v, err = p.redactPromise(ctx, component, v, err)
		return err
	})
	return v, err
}

// SettlePromise completes a promise or lets it fail: that is durable when it
// returns, and a worker that waits for it goes on. Of a promise that is settled
// already it tells an *api.Problem of CodePromiseSettled, unless this is the same
// with the same key.
func (p *Platform) SettlePromise(ctx context.Context, component, name, promise string, s api.Settlement) (v api.Promise, err error) {
	err = p.act(component, name, func(w id.Worker) error {
		v, err = p.workers.SettlePromise(ctx, id.Promise{Worker: w, Name: promise}, s)
		v, err = p.redactPromise(ctx, component, v, err)
		return err
	})
	return v, err
}

// Webhook finds the promise of a URL that a program was given to give out, by
// what it ends with. It needs no other proof: nobody can guess such a URL.
func (p *Platform) Webhook(hook string) (component, name, promise string, ok bool) {
	found, ok := p.hooks.Find(hook)
	return found.Worker.Component, found.Worker.Name, found.Name, ok
}

// webhookURL is the URL by which anybody can complete a promise, once.
func (p *Platform) webhookURL(of id.Promise) string {
	return p.options.PublicURL + "/v1/webhooks/" + p.hooks.Make(of)
}
