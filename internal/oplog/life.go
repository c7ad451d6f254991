package oplog

import (
	"cmp"
	"context"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Life is what a worker's whole oplog says of it: the fold that decisions are
// made from. A worker in memory applies each entry as it appends it.
type Life struct {
	Status
	// Queue are the invocations accepted and not ended, in the order in which
	// they were accepted.
	Queue []*Pending
	// Keys finds an invocation by the client's key, until its result is forgotten.
	Keys map[string]Key
	// Begun is where the attempt under way began, 0 if none is.
	Begun Index
	// Open is the intent at the oplog's end that has no outcome yet, nil if there is
	// none. It is known of entries that were read alone: what a program records in
	// memory nobody applies.
	Open *OpenCall
	// Initialized is set when the worker's initialization has finished; Failures
	// counts its attempts before that.
	Initialized bool
	Failures    uint64
	// Undone are the attempts that failed, those in a row as one, and what attempts
	// were taken back from: replay leaves their entries out.
	Undone []Span
	// Promises are those that are pending, or whose value may still be asked for,
	// in the order in which they were made.
	Promises []*Promise
	// Deltas are those behind the newest image.
	Deltas []DeltaPlace
	// Regions are those of the attempt under way.
	Regions
	Lineage
	// Resolved is what persons have said of calls in doubt of the attempt under
	// way, by their intents.
	Resolved map[Index]*CallResolved
	// Retained is about what is not in the oplog any more.
	Retained Retained

	finished Index // the newest end of an attempt that did not fail
}

// OpenCall is a HostCallStarted whose outcome is not known.
type OpenCall struct {
	Index Index
	HostCallStarted
}

// Key is the invocation that an idempotency key stands for.
type Key struct {
	Accepted Index // the entry that accepted it
	Ended    Index // the entry that ended it; 0 if it has not
}

// Pending is an invocation that has not ended.
type Pending struct {
	*InvocationAccepted
	Index    Index
	Failures uint64 // attempts that failed
	Retry    Time   // before this the next attempt does not begin
}

// Span is entries From to To.
type Span struct{ From, To Index }

// NewLife begins a life that has no entries.
func NewLife(w id.Worker) *Life {
	return &Life{Status: Status{Worker: w}, Keys: map[string]Key{}}
}

// ReadLife reads a worker's whole oplog. A worker without one gives a life
// whose Last is 0; one that is truncated, a *TruncatedError.
func ReadLife(ctx context.Context, logs storage.Logs, w id.Worker) (*Life, error) {
	l := NewLife(w)
	return l, l.Continue(ctx, logs, 0)
}

// Apply adds the next entry. The life keeps its body.
func (l *Life) Apply(e Entry) {
	l.apply(e)
	l.applyRegions(e)
	l.resolve(e.Body)
	switch b := e.Body.(type) {
	case *Create:
		l.Create, l.Epoch = *b, b.Epoch
	case *InvocationAccepted:
		b.Args = slices.Clone(b.Args) // what was read is valid until the next entry
		l.Queue = append(l.Queue, &Pending{InvocationAccepted: b, Index: e.Index})
		if b.Key != "" {
			l.Keys[b.Key] = Key{Accepted: e.Index}
		}
	case *HostCallStarted:
		l.Open = &OpenCall{e.Index, HostCallStarted{b.Func, slices.Clone(b.Request), b.Within}}
	case *HostCall, *HostCallFinished:
		l.Open = nil // what is waited for is the last of a program's calls
	case *InvocationStarted:
		l.Begun, l.Open = e.Index, nil
	case *InvocationFinished:
		l.Begun, l.Open, l.finished = 0, nil, e.Index
		if b.Accepted == 0 {
			l.Initialized = true
		}
		l.keepPromises(b)
		l.end(b.Accepted, e.Index)
	case *InvocationFailed:
		l.Begun, l.Open = 0, nil
		l.undo(Span{b.Started, e.Index})
		l.takeBackPromises(b.Started)
		if b.Accepted != 0 && b.Retry == 0 {
			l.breakPromises(b.Accepted)
		}
		l.fail(b, e.Index)
	case *Jump:
		l.takeBackPromises(b.From)
	case *InvocationCanceled:
		l.breakPromises(b.Accepted)
		l.end(b.Accepted, e.Index)
	case *PromiseCreated, *PromiseSettled, *PromiseTaken, *PromiseWithdrawn:
		l.promised(e)
	case *Delta:
		l.Deltas = append(l.Deltas, DeltaPlace{e.Index, b.Covers, b.After, uint64(len(b.State))})
	case *Resumed:
		l.Failures = 0
		for _, p := range l.Queue {
			p.Retry = 0
		}
	case *Image:
		l.Deltas = nil
		l.Retained.imaged(e.Index, b)
	case *Forked:
		l.fork(e.Index, b)
	case *Archiving:
		l.Retained.Loose = b.Blobs
	case *Archived:
		known := l.Retained.Results.Forgotten
		l.Retained.archived(b)
		l.Undone = slices.DeleteFunc(l.Undone, func(s Span) bool { return s.To < l.Retained.Below })
		if l.Retained.Results.Forgotten > known {
			l.forget()
		}
	}
}

// forget lets go of the keys whose results are forgotten.
func (l *Life) forget() {
	for key, k := range l.Keys {
		if k.Ended != 0 && k.Ended < l.Retained.Results.Forgotten {
			delete(l.Keys, key)
		}
	}
}

// Find gives the invocation accepted at index, if it has not ended.
func (l *Life) Find(index Index) *Pending {
	if i, ok := l.place(index); ok {
		return l.Queue[i]
	}
	return nil
}

// place finds an invocation in the queue, which has them in the order of their
// indexes.
func (l *Life) place(index Index) (int, bool) {
	return slices.BinarySearchFunc(l.Queue, index, func(p *Pending, index Index) int { return cmp.Compare(p.Index, index) })
}

// end takes an invocation out of the queue, which entry at has ended.
func (l *Life) end(index, at Index) {
	i, ok := l.place(index)
	if !ok {
		return
	}
	if key := l.Queue[i].Key; key != "" {
		l.Keys[key] = Key{index, at}
	}
	l.Retained.Ended++
	switch i {
	case 0: // as nearly always: the others stay where they are
		l.Queue[0] = nil
		l.Queue = l.Queue[1:]
	default:
		l.Queue = slices.Delete(l.Queue, i, i+1)
	}
}

// undo notes an attempt that failed. If none has finished since the one before,
// they make one span: what lies between does not steer replay.
func (l *Life) undo(s Span) {
	l.TakeBack(s)
	if n := len(l.Undone); n > 1 && l.Undone[n-2].To > l.finished {
		l.Undone[n-2].To = s.To
		l.Undone = l.Undone[:n-1]
	}
}

func (l *Life) fail(b *InvocationFailed, at Index) {
	p := l.Find(b.Accepted)
	switch {
	case b.Accepted == 0:
		l.Failures = b.Attempt
	case b.Retry == 0:
		l.end(b.Accepted, at)
	case p != nil:
		p.Failures, p.Retry = b.Attempt, b.Retry
	}
}
