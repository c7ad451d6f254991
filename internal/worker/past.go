package worker

import (
	"bytes"
	"context"
	"fmt"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// past reads how an invocation ended, from the oplog or from what is kept of it.
func (r *resident) past(ctx context.Context, index oplog.Index) (api.Invocation, error) {
	for {
		v, err := r.pastInOplog(ctx, index)
		if !oplog.IsTruncated(err) {
			return v, err
		}
		if v, err = r.pastArchived(ctx, index); !oplog.IsTruncated(err) {
			return v, err
		}
		// What has just been there is in archives by now.
	}
}

// pastInOplog is past for an invocation that an entry accepted which is there.
func (r *resident) pastInOplog(ctx context.Context, index oplog.Index) (v api.Invocation, err error) {
	for e, err := range oplog.Read(ctx, r.ws.Store.Logs(), r.worker, index, index) {
		if err != nil {
			return v, err
		}
		a, ok := e.Body.(*oplog.InvocationAccepted)
		if !ok {
			return v, r.unknown(keyOf(&oplog.InvocationAccepted{}, index), 0)
		}
		a.Args = bytes.Clone(a.Args)
		v = accepted(r.worker, a, index)
		return v, r.trace(ctx, &v, index+1)
	}
	return v, &oplog.TruncatedError{Worker: r.worker, From: index, To: index}
}

// trace adds to v what became of it, from entry from on, until it ended.
func (r *resident) trace(ctx context.Context, v *api.Invocation, from oplog.Index) error {
	next := from
	for entry, err := range oplog.Read(ctx, r.ws.Store.Logs(), r.worker, from, 0) {
		if err != nil {
			return err
		}
		if entry.Index > next {
			return &oplog.TruncatedError{Worker: r.worker, From: next, To: entry.Index - 1}
		}
		next = entry.Index + 1
		switch b := entry.Body.(type) {
		case *oplog.InvocationStarted:
			if b.Accepted == v.Index {
				v.Attempts = b.Attempt
			}
		default:
			if endOf(entry.Body) == v.Index {
				ending(v, entry)
				return nil
			}
			// One that a crash cut short, of an ephemeral worker, does not count.
			if f, ok := entry.Body.(*oplog.InvocationFailed); ok && f.Accepted == v.Index {
				v.Attempts = f.Attempt
			}
		}
	}
	return r.unknown(v.Key, 0)
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

// pastArchived is past for an invocation that a truncated entry accepted.
func (r *resident) pastArchived(ctx context.Context, index oplog.Index) (api.Invocation, error) {
	found, rest, err := r.archived(ctx, index)
	if err != nil {
		return api.Invocation{}, err
	}
	if found == nil {
		return api.Invocation{}, r.expired(index)
	}
	v := invocationOf(r.worker, found)
	if found.End.Index != 0 {
		return v, nil
	}
	return v, r.trace(ctx, &v, rest)
}

// expired says that nobody knows any more of an invocation that entry index may
// have accepted.
func (r *resident) expired(index oplog.Index) *api.Problem {
	key := keyOf(&oplog.InvocationAccepted{}, index)
	kept := r.retained()
	if index >= kept.Results.Forgotten {
		return r.unknown(key, kept.Results.Forgotten)
	}
	return api.NewProblem(api.CodeExpired, fmt.Sprintf("%s does not know any more whether it had an invocation with the key %q, and how that ended: its retention has let go of results from before entry %d", r.worker, key, kept.Results.Forgotten))
}
