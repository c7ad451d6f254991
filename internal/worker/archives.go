package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// records reads an archive of invocations.
func (ws *Workers) records(ctx context.Context, sort oplog.Sort, h storage.Hash) ([]*oplog.Record, error) {
	b, err := readBlob(ctx, ws.Store.Blobs(), h)
	if err != nil {
		return nil, fmt.Errorf("read an archive: %w", err)
	}
	_, records, err := oplog.DecodeRecords(sort, b)
	return records, archiveDamage(h, err)
}

// openRecords reads what was accepted and not ended where the entries begin that
// have to be there.
func (ws *Workers) openRecords(ctx context.Context, kept *oplog.Retained) ([]*oplog.Record, error) {
	if kept.Open == (storage.Hash{}) {
		return nil, nil
	}
	return ws.records(ctx, oplog.SortOpen, kept.Open)
}

// outputs reads an archive of output.
func (ws *Workers) outputs(ctx context.Context, h storage.Hash) ([]*oplog.Output, error) {
	b, err := readBlob(ctx, ws.Store.Blobs(), h)
	if err != nil {
		return nil, fmt.Errorf("read an archive: %w", err)
	}
	_, outputs, err := oplog.DecodeOutputs(b)
	return outputs, archiveDamage(h, err)
}

func archiveDamage(h storage.Hash, err error) error {
	if errors.Is(err, oplog.ErrDamagedArchive) {
		return &storage.CorruptError{Where: "the archive " + h.String(), Cause: err}
	}
	return err
}

// retained is what is kept of entries that are not there any more.
func (r *resident) retained() oplog.Retained {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.machine.life.Retained
	kept.Results.Archives = slices.Clone(kept.Results.Archives)
	kept.Logs.Archives = slices.Clone(kept.Logs.Archives)
	return kept
}

// steadily reads archives with read, and again if they were replaced meanwhile.
func (r *resident) steadily(read func(kept *oplog.Retained) error) error {
	for {
		kept := r.retained()
		err := read(&kept)
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		now := r.retained()
		if now.Open == kept.Open && slices.Equal(now.Results.Archives, kept.Results.Archives) && slices.Equal(now.Logs.Archives, kept.Logs.Archives) {
			return &storage.CorruptError{Worker: r.worker, From: 1, To: max(kept.Below, 2) - 1, Where: "their archives", Cause: err}
		}
	}
}

// archived gives the invocation that a truncated entry accepted, as far as
// archives tell; the rest of one that had not ended there is in entry rest and
// behind.
func (r *resident) archived(ctx context.Context, index oplog.Index) (found *oplog.Record, rest oplog.Index, err error) {
	err = r.steadily(func(kept *oplog.Retained) error {
		rest = kept.Below
		for _, a := range kept.Results.Archives {
			if index < a.Oldest || index >= a.Below {
				continue
			}
			records, err := r.ws.records(ctx, oplog.SortResults, a.Blob)
			if err != nil {
				return err
			}
			if found = recordOf(records, index); found != nil {
				return nil
			}
		}
		records, err := r.ws.openRecords(ctx, kept)
		found = recordOf(records, index)
		return err
	})
	return found, rest, err
}

func recordOf(records []*oplog.Record, index oplog.Index) *oplog.Record {
	i := slices.IndexFunc(records, func(r *oplog.Record) bool { return r.Index == index })
	if i < 0 {
		return nil
	}
	return records[i]
}

// acceptedBefore gives an invocation that was accepted by an entry that is
// truncated, and had not ended by one that is.
func (r *resident) acceptedBefore(ctx context.Context, index oplog.Index) (c call, err error) {
	err = r.steadily(func(kept *oplog.Retained) error {
		records, err := r.ws.openRecords(ctx, kept)
		if found := recordOf(records, index); found != nil {
			c = call{accepted: index, key: keyOf(&found.Accepted, index), function: found.Accepted.Function, args: found.Accepted.Args, body: found.Accepted.Body}
		}
		return err
	})
	return c, err
}

// Archived yields the invocations of a worker that are in archives, in the order
// in which they ended.
func (ws *Workers) Archived(ctx context.Context, w id.Worker) iter.Seq2[api.Invocation, error] {
	return func(yield func(api.Invocation, error) bool) {
		r, err := ws.openExisting(ctx, w)
		if err != nil {
			yield(api.Invocation{}, err)
			return
		}
		defer ws.release(r)
		for from, more := oplog.Index(0), true; more; {
			var records []*oplog.Record
			if records, from, more, err = r.resultsFrom(ctx, from); err != nil {
				yield(api.Invocation{}, err)
				return
			}
			for _, found := range records {
				if !yield(invocationOf(r.worker, found), nil) {
					return
				}
			}
		}
	}
}

// resultsFrom reads what ended by entry from or behind of the archive that has
// it, and says from where on the following one does.
func (r *resident) resultsFrom(ctx context.Context, from oplog.Index) (records []*oplog.Record, next oplog.Index, more bool, err error) {
	err = r.steadily(func(kept *oplog.Retained) (err error) {
		for _, a := range kept.Results.Archives {
			if from < a.Below {
				records, err = r.ws.records(ctx, oplog.SortResults, a.Blob)
				next, more = a.Below, true
				return err
			}
		}
		records, more = nil, false
		return nil
	})
	records = slices.DeleteFunc(records, func(found *oplog.Record) bool { return found.End.Index < from })
	return records, next, more, err
}

// invocationOf describes an invocation as an archive has it.
func invocationOf(w id.Worker, found *oplog.Record) api.Invocation {
	v := accepted(w, &found.Accepted, found.Index)
	v.Attempts = found.Attempts
	if found.End.Index != 0 {
		ending(&v, found.End)
	}
	return v
}

// Output yields the output of a worker in entries from to to, all of which are
// truncated, as Log entries. Where it is not kept there is a *TruncatedError in
// its place, and reading goes on.
func (ws *Workers) Output(ctx context.Context, w id.Worker, from, to oplog.Index) iter.Seq2[oplog.Entry, error] {
	return func(yield func(oplog.Entry, error) bool) {
		r, err := ws.openExisting(ctx, w)
		if err != nil {
			yield(oplog.Entry{}, err)
			return
		}
		defer ws.release(r)
		if forgotten := r.retained().Logs.Forgotten; from < forgotten {
			lost := &oplog.TruncatedError{Worker: w, From: from, To: min(to, forgotten-1)}
			if !yield(oplog.Entry{}, lost) {
				return
			}
			from = forgotten
		}
		for from <= to {
			outputs, next, err := r.outputFrom(ctx, from)
			if err != nil {
				yield(oplog.Entry{}, err)
				return
			}
			for _, o := range outputs {
				if o.Index > to {
					return
				}
				if o.Index >= from && !yield(oplog.Entry{Index: o.Index, At: o.At, Body: &o.Log}, nil) {
					return
				}
			}
			from = next
		}
	}
}

// outputFrom reads the archive that has what was printed from an entry on, and
// says from where on the following one does.
func (r *resident) outputFrom(ctx context.Context, from oplog.Index) (outputs []*oplog.Output, next oplog.Index, err error) {
	err = r.steadily(func(kept *oplog.Retained) (err error) {
		outputs, next = nil, ^oplog.Index(0)
		for _, a := range kept.Logs.Archives {
			if from < a.Below {
				next = a.Below
				outputs, err = r.ws.outputs(ctx, a.Blob)
				return err
			}
		}
		return nil
	})
	return outputs, next, err
}

// shownArchived is what is kept of truncated entries, for people; nil if that is
// nothing. It is called with r.mu held.
func (r *resident) shownArchived() *api.Archived {
	v := &api.Archived{}
	kept := &r.machine.life.Retained
	for _, a := range kept.Results.Archives {
		v.Results += a.Count
		v.Bytes += a.Size
	}
	for _, a := range kept.Logs.Archives {
		v.Output += a.Count
		v.Bytes += a.Size
	}
	if *v == (api.Archived{}) {
		return nil
	}
	return v
}

// beyond says that what recovery needs is truncated, and no image has it.
func beyond(w id.Worker, truncated *oplog.TruncatedError, note string) error {
	return &storage.CorruptError{
		Worker: w, From: truncated.From, To: truncated.To, Where: "its images",
		Cause: errors.New("its retention has truncated these entries, and there is no image that can be used: " + cmp.Or(note, "there is none at all")),
	}
}
