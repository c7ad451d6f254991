package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// inDoubt is what settings say of calls in doubt.
var inDoubt = map[string]durable.Policy{
	"": durable.Fail, api.InDoubtFail: durable.Fail, api.InDoubtRetry: durable.Retry, api.InDoubtHold: durable.Hold,
}

// resolved is what a person has said of a call in doubt, or nil.
func (r *resident) resolved(call oplog.Index) *oplog.CallResolved {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.life.Resolved[call]
}

// repeating lets the life know that a call in doubt is performed again: whatever a
// person has said of it was said of the times before.
func (r *resident) repeating(e oplog.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.machine.life.Apply(e)
}

// Held gives up to limit workers behind after that wait for a person.
func (ws *Workers) Held(after id.Worker, limit int) []id.Worker {
	return ws.Agenda.NeverDue(after, limit)
}

// Standing tells whether a worker has an instance, and for which calls it waits for
// a person. A worker that the node does not have in mind is read only if it does.
func (ws *Workers) Standing(ctx context.Context, w id.Worker) (live bool, held []oplog.Index, err error) {
	ws.mu.Lock()
	r := ws.residents[w]
	ws.mu.Unlock()
	if r == nil {
		_, last, err := ws.Store.Logs().Bounds(ctx, w)
		if err == nil && last == 0 {
			err = noWorker(w)
		}
		if at, ok := ws.Agenda.Due(w); err != nil || !ok || at != agenda.Never {
			return false, nil, err
		}
	}
	if r, err = ws.openExisting(ctx, w); err != nil {
		return false, nil, err
	}
	defer ws.release(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body != nil, slices.Clone(r.machine.life.Held), nil
}

// Resolve takes what a person says of a call that is held. To say the same again
// before the worker has gone on changes nothing.
func (ws *Workers) Resolve(ctx context.Context, w id.Worker, said oplog.CallResolved) error {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return err
	}
	defer ws.release(r)
	r.mu.Lock()
	life := r.machine.life
	before := life.Resolved[said.Started]
	switch {
	case before != nil && before.How == said.How && slices.Equal(before.Response, said.Response):
	case !slices.Contains(life.Held, said.Started):
		r.mu.Unlock()
		return api.NewProblem(api.CodeNotHeld, fmt.Sprintf("entry %d of %s is no call that is held; `waterbear calls --state held %s` shows those that are", said.Started, w, w))
	case r.machine.over != nil:
		defer r.mu.Unlock()
		return r.ended()
	default:
		r.remember(soon)
		r.apply(resolved{&said})
	}
	r.mu.Unlock()
	return r.commit(ctx)
}
