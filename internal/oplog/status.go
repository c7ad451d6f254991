package oplog

import (
	"context"
	"errors"
	"fmt"

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
	// Epoch is that of the owner who last ran it, as far as it is known.
	Epoch id.Epoch
}

// Ended reports whether the program has ended, by itself or by failing.
func (s *Status) Ended() bool { return s.Exited != nil || s.Error != nil }

// ErrNoWorker is for a worker without an oplog.
var ErrNoWorker = errors.New("no such worker")

// tailEntries is how many of the last entries ReadStatus looks at for the
// newest owner.
const tailEntries = 256

// ReadStatus reads the first entry and the last few.
func ReadStatus(ctx context.Context, logs storage.Logs, w id.Worker) (*Status, error) {
	first, last, err := logs.Bounds(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("read the bounds of %s: %w", w, err)
	}
	if last == 0 {
		return nil, fmt.Errorf("%s: %w", w, ErrNoWorker)
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
	from := uint64(1)
	if last > tailEntries {
		from = last - tailEntries
	}
	for entry, err := range Read(ctx, logs, w, max(from, first), last) {
		if err != nil {
			return nil, err
		}
		s.apply(entry)
	}
	return s, nil
}

func (s *Status) apply(entry Entry) {
	s.Changed = entry.At
	switch b := entry.Body.(type) {
	case *Exited:
		s.Exited = b
	case *Error:
		s.Error = b
	case *Interrupted:
		s.Interrupted = b
	case *Recovered:
		s.Epoch, s.Interrupted = b.Epoch, nil
	case *HostCall, *HostCallStarted, *HostCallFinished, *Log:
		s.Interrupted = nil
	}
}
