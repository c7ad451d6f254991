package ledger

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// tell is what people see of a call.
func (r *reading) tell(t *trace) api.ExternalCall {
	v := *t.intent
	v.Attempts, v.Undone, v.Response, v.State = t.attempts, r.failed[t.within], t.response, r.state(t)
	if t.ended != 0 {
		ended := t.ended.Time()
		v.Ended = &ended
	}
	if r.only == 0 {
		return v
	}
	v.ResponseDetail, v.Repeats = t.outcome.Lines, t.repeats
	if t.held != 0 {
		held := t.held.Time()
		v.Held = &held
	}
	if said := t.resolved; said.index != 0 {
		v.Resolved = &api.CallResolution{At: said.at.Time(), How: api.Resolution(said.how.String())}
	}
	return v
}

// state is what is known of a call.
func (r *reading) state(t *trace) api.CallState {
	switch {
	case t.ended == 0 && slices.Contains(r.Held, t.intent.Index):
		return api.CallHeld
	case t.ended == 0 && r.Live && !r.failed[t.within]:
		return api.CallUnderWay
	case t.ended == 0:
		return api.CallInDoubt
	case t.resolved.how == oplog.CallFail:
		return api.CallFailed
	case t.outcome.Fate == durable.Done:
		return api.CallDone
	case t.outcome.Fate == durable.NotSent && t.attempts == 1:
		return api.CallNotSent
	}
	return api.CallInDoubt // of several attempts one may have arrived
}

// line keeps what is shown of a side of a call short.
func line(s string) string {
	if len(s) <= maxLine {
		return s
	}
	return strings.ToValidUTF8(s[:maxLine], "") + "…"
}

// place says where in the program a call was made: in the attempt that began at
// within.
func (r *reading) place(ctx context.Context, within oplog.Index, v *api.ExternalCall) error {
	if within == 0 {
		return nil
	}
	a, known := r.attempts[within]
	if !known {
		var err error
		if a, err = r.attempt(ctx, within); err != nil {
			return err
		}
		r.attempts[within] = a
	}
	v.Attempt, v.Invocation, v.Called = a.number, a.key, a.name
	return nil
}

// attempt reads of the attempt that began at an entry. What is truncated or damaged
// is left open.
func (r *reading) attempt(ctx context.Context, began oplog.Index) (a attempt, err error) {
	body, err := r.entry(ctx, began)
	started, ok := body.(*oplog.InvocationStarted)
	if err != nil || !ok {
		return a, err
	}
	if a.number = started.Attempt; started.Accepted == 0 {
		a.name = "(initialization)"
		return a, nil
	}
	body, err = r.entry(ctx, started.Accepted)
	if accepted, ok := body.(*oplog.InvocationAccepted); ok && err == nil {
		a.key, a.name = r.Key(accepted, started.Accepted), accepted.Function
	}
	return a, err
}

// entry reads one entry, nil if it is not there.
func (r *reading) entry(ctx context.Context, index oplog.Index) (oplog.Body, error) {
	for e, err := range oplog.Read(ctx, r.Logs, r.Worker, index, index) {
		var corrupt *storage.CorruptError
		if errors.As(err, &corrupt) {
			return nil, nil
		}
		return e.Body, err
	}
	return nil, nil
}
