package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/api"
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
