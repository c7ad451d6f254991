package oplog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Status is what a worker's oplog says of it without reading all of it.
type Status struct {
	Worker  id.Worker
	Create  Create
	Last    Index
	Changed Time // of the flush of the last entry
	// Exited or Error is set when the program has ended, Interrupted when it
	// was stopped on purpose and not started again.
	Exited      *Exited
	Error       *Error
	Interrupted *Interrupted
	// Stuck is set while the worker cannot go on until a person acts.
	Stuck *Stuck
	// Attempt is the one under way, and Suspended is set while it waits without
	// an instance. Failed is the attempt that another is to follow.
	Attempt   *InvocationStarted
	Suspended *Suspended
	Failed    *InvocationFailed
	// Back is how the attempt was taken back that goes on after a pause.
	Back *Jump
	// Held are the calls in doubt that wait for a person, by their intents.
	Held []Index
	// Waiting counts the invocations accepted and not ended.
	Waiting uint64
	// Epoch is that of the newest owner whom the entries read for this name.
	Epoch id.Epoch

	read Index // the first entry of the tail that was read
}

// Ended reports whether the program has ended, by itself or by failing.
func (s *Status) Ended() bool { return s.Exited != nil || s.Error != nil }

// ErrNoWorker is for a worker without an oplog.
var ErrNoWorker = errors.New("no such worker")

// tailEntries is how many of the last entries ReadStatus looks at for the
// newest owner.
const tailEntries = 256

// ReadStatus reads the first entry and the last few. If the first ones were
// truncated it gives a *TruncatedError: an image has them.
func ReadStatus(ctx context.Context, logs storage.Logs, w id.Worker) (*Status, error) {
	first, last, err := logs.Bounds(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("read the bounds of %s: %w", w, err)
	}
	if last == 0 {
		return nil, fmt.Errorf("%s: %w", w, ErrNoWorker)
	}
	if first > 1 {
		return nil, &TruncatedError{w, 1, first - 1}
	}
	s := &Status{Worker: w, Last: last}
	for entry, err := range Read(ctx, logs, w, first, first) {
		if err != nil {
			return nil, err
		}
		create, ok := entry.Body.(*Create)
		if !ok {
			return nil, &storage.CorruptError{Worker: w, From: first, To: first, Where: "the first entry", Cause: fmt.Errorf("it is %s, not Create", Name(entry.Body))}
		}
		s.Create, s.Epoch = *create, create.Epoch
	}
	if s.Epoch == 0 {
		return nil, &TruncatedError{w, 1, 1} // as good as truncated
	}
	for size := uint64(tailEntries); ; size *= 4 {
		from := uint64(1)
		if last > size {
			from = last - size
		}
		s.read = max(from, first)
		told := s.read == first
		for entry, err := range Read(ctx, logs, w, s.read, last) {
			if err != nil {
				return nil, err
			}
			// What others do does not say what the worker does.
			switch entry.Body.(type) {
			case *InvocationAccepted, *PromiseSettled:
			default:
				told = true
			}
			s.apply(entry)
		}
		if told {
			return s, nil
		}
	}
}

// Owner is the epoch of the owner who last ran the worker. It may read all of
// the oplog, where a worker has recorded much since it was taken over.
func (s *Status) Owner(ctx context.Context, logs storage.Logs) (id.Epoch, error) {
	for size := uint64(2 * tailEntries); s.Epoch == s.Create.Epoch && s.read > 1; size *= 2 {
		from, to := Index(1), s.read-1
		if to > size {
			from = to - size + 1
		}
		for entry, err := range Read(ctx, logs, s.Worker, from, to) {
			if err != nil {
				return s.Epoch, err
			}
			if b, ok := entry.Body.(*Recovered); ok {
				s.Epoch = b.Epoch
			}
		}
		s.read = from
	}
	return s.Epoch, nil
}

// apply adds what entry says to s. Entries that are applied again change
// nothing.
func (s *Status) apply(entry Entry) {
	s.Last, s.Changed = max(s.Last, entry.Index), entry.At
	s.hold(entry.Body)
	switch b := entry.Body.(type) {
	case *Exited:
		s.Exited, s.Attempt = b, nil
	case *Error:
		s.Error = b
	case *Interrupted:
		s.Interrupted = b
	case *Recovered:
		s.Epoch, s.Interrupted = b.Epoch, nil
	case *HostCall, *HostCallStarted, *HostCallFinished, *HostCallRepeated, *CallHeld, *Log, *Waypoint, *AtomicEnd, *Response, *ResponseBody, *ResponseEnd:
		s.Interrupted, s.Suspended, s.Back = nil, nil, nil
	case *Jump:
		s.Suspended, s.Back = nil, nil
		if b.Retry != 0 {
			s.Back = b
		}
	case *InvocationAccepted:
		s.Waiting = b.Queue
	case *InvocationStarted:
		s.Attempt, s.Failed, s.Suspended, s.Interrupted, s.Back, s.Waiting = b, nil, nil, nil, nil, b.Queue
	case *InvocationFinished:
		s.Attempt, s.Suspended, s.Back, s.Waiting = nil, nil, nil, b.Queue
	case *InvocationFailed:
		s.Attempt, s.Failed, s.Suspended, s.Back, s.Waiting = nil, nil, nil, nil, b.Queue
		if b.Retry != 0 {
			s.Failed = b
		}
	case *InvocationCanceled:
		s.Waiting = b.Queue
		if f := s.Failed; f != nil && (f.Accepted == b.Accepted || b.Queue == 0) {
			s.Failed = nil // no attempt follows it any more
		}
	case *Suspended:
		s.Suspended, s.Back = b, nil
	case *PromiseSettled:
		if s.Suspended != nil && slices.Contains(s.Suspended.Promises, b.Promise) {
			s.Suspended = nil // it goes on
		}
	case *Stuck:
		s.Stuck = b
	case *Resumed:
		s.Interrupted, s.Stuck, s.Failed, s.Back = nil, nil, nil, nil
	}
}
