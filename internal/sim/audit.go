package sim

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// audit goes through the oplog of a worker of kit and finds whatever could not
// be there if the worker was right: an invocation that ends twice, or out of
// turn, or with a result that its function does not have in that state.
type audit struct {
	create   *oplog.Create
	accepted map[oplog.Index]*oplog.InvocationAccepted
	keys     map[string]oplog.Index
	ends     map[oplog.Index]oplog.Entry // by what accepted the invocation
	finished []oplog.Index               // the invocations that did, in order

	queue   []oplog.Index // accepted and not ended
	retries map[oplog.Index]uint64
	begun   *oplog.InvocationStarted
	beganAt oplog.Index
	halted  bool                     // until a person acts
	images  []oplog.Index            // what they cover
	uses    map[string][]oplog.Index // of each key, also of those that were forgotten since
	keep    api.Keep                 // of results
	made    map[string]oplog.Index   // promises, with the invocations that made them
	answers map[string]*oplog.PromiseSettled
	state   kit
}

func newAudit(results api.Keep) *audit {
	return &audit{
		uses: map[string][]oplog.Index{}, keep: results,
		accepted: map[oplog.Index]*oplog.InvocationAccepted{}, keys: map[string]oplog.Index{},
		made: map[string]oplog.Index{}, answers: map[string]*oplog.PromiseSettled{},
		ends: map[oplog.Index]oplog.Entry{}, retries: map[oplog.Index]uint64{},
	}
}

// readAudit audits what the store has, and had, of a worker whose results are
// kept like that.
func readAudit(ctx context.Context, logs storage.Logs, w id.Worker, results api.Keep) (*audit, error) {
	a := newAudit(results)
	for entry, err := range oplog.Read(ctx, logs, w, 1, 0) {
		if err != nil {
			return nil, fmt.Errorf("read the oplog of %s: %w", w, err)
		}
		if err := a.take(entry); err != nil {
			return nil, fmt.Errorf("%s: entry %d, %s %+v: %w", w, entry.Index, oplog.Name(entry.Body), entry.Body, err)
		}
	}
	return a, nil
}

func (a *audit) take(e oplog.Entry) error {
	if (a.create == nil) != (e.Index == 1) {
		return fmt.Errorf("the first entry is no Create")
	}
	switch b := e.Body.(type) {
	case *oplog.Create:
		a.create = b
	case *oplog.InvocationAccepted:
		return a.accept(e.Index, b)
	case *oplog.InvocationStarted:
		return a.start(e.Index, b)
	case *oplog.InvocationFinished:
		return a.finish(e, b)
	case *oplog.InvocationFailed:
		return a.fail(e, b)
	case *oplog.InvocationCanceled:
		if a.begun != nil && a.begun.Accepted == b.Accepted {
			return fmt.Errorf("it has begun")
		}
		return a.end(e, b.Accepted, b.Queue)
	case *oplog.HostCall, *oplog.HostCallStarted, *oplog.HostCallFinished, *oplog.Log:
		if a.begun == nil {
			return fmt.Errorf("no invocation has begun")
		}
	case *oplog.PromiseCreated, *oplog.PromiseSettled, *oplog.PromiseTaken, *oplog.PromiseWithdrawn:
		return a.promise(b)
	case *oplog.Image:
		a.images = append(a.images, b.Covers)
	case *oplog.Archived:
		return a.archived(b)
	case *oplog.Interrupted:
		a.halted = true
	case *oplog.Resumed:
		a.halted = false
	case *oplog.Stuck:
		a.halted = true
		// A read that failed may look like damage, until a person says Retry.
		if !strings.Contains(b.Reason, errDisk.Error()) {
			return fmt.Errorf("nothing is wrong with the worker")
		}
	}
	return nil
}

func (a *audit) accept(index oplog.Index, b *oplog.InvocationAccepted) error {
	if before, used := a.keys[b.Key]; used && b.Key != "" {
		return fmt.Errorf("entry %d has this key already", before)
	}
	a.uses[b.Key] = append(a.uses[b.Key], index)
	kept := *b
	kept.Args = bytes.Clone(b.Args)
	a.keys[b.Key] = index
	a.accepted[index] = &kept
	a.queue = append(a.queue, index)
	return a.count(b.Queue)
}

func (a *audit) count(queue uint64) error {
	if int(queue) != len(a.queue) {
		return fmt.Errorf("there are %d in the queue", len(a.queue))
	}
	return nil
}

// archived checks that what may go is not needed, and forgets keys.
func (a *audit) archived(b *oplog.Archived) error {
	covering := 0
	for _, covers := range a.images {
		if covers+1 >= b.Below {
			covering++
		}
	}
	if b.Below > 1 && covering < 2 {
		return fmt.Errorf("%d images cover what may be truncated", covering)
	}
	forgotten := uint64(0)
	for index, end := range a.ends {
		if end.Index >= b.Results.Forget {
			continue
		}
		forgotten++
		if key := a.accepted[index].Key; a.keys[key] == index {
			delete(a.keys, key)
		}
	}
	if left := uint64(len(a.ends)) - forgotten; forgotten > 0 && (!a.keep.Limited() || left < a.keep.Invocations()) {
		return fmt.Errorf("%d results are forgotten and %d left", forgotten, left)
	}
	return nil
}

// start checks that the invocation is the first of those that are due.
func (a *audit) start(index oplog.Index, b *oplog.InvocationStarted) error {
	if a.begun != nil {
		return fmt.Errorf("the attempt that entry %d begins has not ended", a.beganAt)
	}
	if b.Attempt != a.retries[b.Accepted]+1 {
		return fmt.Errorf("there were %d attempts before", a.retries[b.Accepted])
	}
	a.begun, a.beganAt = b, index
	if b.Accepted == 0 {
		return a.count(b.Queue)
	}
	for _, i := range a.queue {
		if a.accepted[i].Due <= b.At {
			if i != b.Accepted {
				return fmt.Errorf("it is the turn of the invocation accepted by entry %d", i)
			}
			return a.count(b.Queue)
		}
	}
	return fmt.Errorf("no invocation is due")
}

// conclude ends the attempt that has begun.
func (a *audit) conclude(accepted, started oplog.Index) error {
	if a.begun == nil || a.begun.Accepted != accepted || a.beganAt != started {
		return fmt.Errorf("another attempt has begun, or none")
	}
	a.begun = nil
	return nil
}

func (a *audit) finish(e oplog.Entry, b *oplog.InvocationFinished) (err error) {
	if err := a.conclude(b.Accepted, b.Started); err != nil || b.Accepted == 0 {
		return err
	}
	call := a.accepted[b.Accepted]
	if a.create.Ephemeral {
		a.state = kit{}
	}
	if a.state, err = a.state.after(call.Function, call.Args, b.Result); err != nil {
		return err
	}
	if err := a.answered(b, call.Function); err != nil {
		return err
	}
	b.Result = bytes.Clone(b.Result)
	a.finished = append(a.finished, b.Accepted)
	return a.end(e, b.Accepted, b.Queue)
}

func (a *audit) fail(e oplog.Entry, b *oplog.InvocationFailed) error {
	if err := a.conclude(b.Accepted, b.Started); err != nil {
		return err
	}
	if b.Accepted == 0 {
		return fmt.Errorf("the program can be initialized")
	}
	if b.Retry != 0 {
		a.retries[b.Accepted] = b.Attempt
		return a.count(b.Queue)
	}
	return a.end(e, b.Accepted, b.Queue)
}

// end takes an invocation out of the queue, once.
func (a *audit) end(e oplog.Entry, accepted oplog.Index, queue uint64) error {
	i := slices.Index(a.queue, accepted)
	if i < 0 {
		return fmt.Errorf("it is not in the queue")
	}
	a.queue = slices.Delete(a.queue, i, i+1)
	a.ends[accepted] = e
	return a.count(queue)
}
