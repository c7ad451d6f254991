package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	// pieceBytes is about how many bytes of entries are archived at a time.
	pieceBytes = 1 << 20
	// longPiece is how many there can be for the sake of a response that would be
	// cut in two otherwise, and so not be kept.
	longPiece = 8 * pieceBytes
	// mergeBelow is how large an archive may be for what follows to be put into
	// the same, in bytes.
	mergeBelow = 64 << 10
)

// piece is a part of a worker's past on its way out: what of it is kept goes to
// archives, and then its entries can go.
type piece struct {
	r     *resident
	keep  api.Retention
	now   oplog.Time
	going going
	kept  oplog.Retained // before
	salt  [16]byte
	entry oplog.Archived // says how it is after
	blobs [][]byte
}

var errGone = errors.New("the worker is being deleted")

// newPiece begins the next piece, if there is one. It is called with r.mu held.
func (r *resident) newPiece() *piece {
	p := r.going()
	if r.gone || p.cut == 0 && !p.forgets {
		return nil
	}
	life := r.machine.life
	w := &piece{r: r, keep: r.settings().Retention, now: oplog.At(r.ws.Sched.Now()), going: p, kept: life.Retained}
	w.salt = archiveSalt(&life.Create)
	w.entry = oplog.Archived{
		At: w.now, Below: max(w.kept.Below, 1), Ended: w.kept.EndedBelow, Open: w.kept.Open,
		Results: oplog.Shelving{Forget: p.results}, Logs: oplog.Shelving{Forget: p.logs},
	}
	return w
}

// archiveSalt makes archives of a worker ones that no other has.
func archiveSalt(c *oplog.Create) [16]byte {
	sum := sha256.Sum256(append([]byte("archives of "), c.Seed[:]...))
	return [16]byte(sum[:])
}

// carryOut archives the piece. At whatever step it ends early, what the oplog
// says is so: blobs are announced before they are kept, kept before they are
// named, and named before what they stand for is truncated.
func (w *piece) carryOut(ctx context.Context) error {
	if w.going.cut > 0 {
		if ok, err := w.check(ctx); !ok || err != nil {
			return err
		}
		if err := w.sort(ctx); err != nil {
			return err
		}
	}
	if len(w.blobs) > 0 {
		if err := w.keepBlobs(ctx); err != nil {
			return err
		}
	}
	return w.record(&w.entry)
}

// check reports whether recovery could do without the entries that are to go,
// whichever of the two newest images it had.
func (w *piece) check(ctx context.Context) (ok bool, err error) {
	r := w.r
	for {
		r.mu.Lock()
		newest, before := r.image, r.before
		r.mu.Unlock()
		if before == nil {
			return false, nil
		}
		missing := r.ws.readable(ctx, before.Image)
		err := errors.Join(missing, r.ws.readable(ctx, newest.Image))
		if err == nil {
			return true, nil
		}
		r.mu.Lock()
		same := r.image == newest && r.before == before
		deleted := same && errors.Is(missing, storage.ErrNotFound)
		if deleted {
			r.before = nil // until there are two again
		}
		r.mu.Unlock()
		switch {
		case deleted:
			return false, nil
		case same:
			return false, fmt.Errorf("nothing is truncated: %w", err)
		}
	}
}

// readable says why an image could not be used, as far as its head tells.
func (ws *Workers) readable(ctx context.Context, e *oplog.Image) error {
	_, blob, err := ws.openImage(ctx, e)
	if err == nil {
		err = blob.Close()
	}
	if err != nil {
		err = fmt.Errorf("the image of entry %d: %w", e.Covers, err)
	}
	return err
}

// sort reads the entries of the piece and makes the archives of them.
func (w *piece) sort(ctx context.Context) error {
	open, err := w.r.ws.openRecords(ctx, &w.kept)
	if err != nil {
		return err
	}
	sorter := oplog.NewSorter(w.kept.EndedBelow, open)
	next := w.entry.Below
	for e, err := range oplog.Read(ctx, w.r.ws.Store.Logs(), w.r.worker, next, w.going.cut-1) {
		if err == nil && e.Index != next {
			err = &oplog.TruncatedError{Worker: w.r.worker, From: next, To: e.Index - 1}
		}
		if err != nil {
			return fmt.Errorf("nothing is truncated: %w", err)
		}
		sorter.Add(e)
		if next++; sorter.Bytes >= pieceBytes && (!sorter.UnderWay() || sorter.Bytes >= longPiece) {
			break
		}
	}
	from := w.entry.Below
	w.entry.Below, w.entry.Ended = next, w.kept.EndedBelow+uint64(len(sorter.Ended))
	if err := w.shelveResults(ctx, from, sorter.Ended); err != nil {
		return err
	}
	if err := w.shelveLogs(ctx, from, sorter.Logs); err != nil {
		return err
	}
	w.entry.Open = storage.Hash{}
	if left := sorter.Open(); len(left) > 0 {
		b, err := oplog.EncodeRecords(w.head(oplog.SortOpen, from), left)
		if err != nil {
			return err
		}
		w.entry.Open = w.add(b)
	}
	return nil
}

func (w *piece) head(sort oplog.Sort, from oplog.Index) oplog.ArchiveHead {
	return oplog.ArchiveHead{Sort: sort, Salt: w.salt, From: from, Below: w.entry.Below}
}

// add lets a blob be kept.
func (w *piece) add(b []byte) storage.Hash {
	w.blobs = append(w.blobs, b)
	return sha256.Sum256(b)
}

// base is the archive that what follows is put into the same with, if there is
// one, and whether it would be the only one.
func base(s *oplog.Shelf, forget oplog.Index) (last *oplog.Archive, alone bool) {
	left := slices.DeleteFunc(slices.Clone(s.Archives), func(a oplog.Archive) bool { return a.Below <= forget })
	if n := len(left); n > 0 && left[n-1].Size < mergeBelow {
		return &left[n-1], n == 1
	}
	return nil, len(left) == 0
}

// shelveResults archives invocations that have ended, but for those that are
// past already.
func (w *piece) shelveResults(ctx context.Context, from oplog.Index, records []*oplog.Record) error {
	if len(records) == 0 {
		return nil
	}
	change := &w.entry.Results
	last, alone := base(&w.kept.Results, change.Forget)
	if last != nil && last.Ended != w.kept.EndedBelow {
		last, alone = nil, false // some that ended since are in no archive
	}
	if last != nil {
		before, err := w.r.ws.records(ctx, oplog.SortResults, last.Blob)
		if err != nil {
			return err
		}
		records, from = append(before, records...), last.From
	}
	n, ended := 0, w.entry.Ended-uint64(len(records))
	for alone && n < len(records) && past(w.keep.Results, w.now, records[n].End.At, w.kept.Ended, ended+uint64(n)+1) {
		n++
	}
	if n == len(records) {
		change.Forget = w.entry.Below
		return nil
	}
	if n > 0 {
		records = records[n:]
		change.Forget = records[0].End.Index
	}
	a := oplog.Archive{From: from, Below: w.entry.Below, Count: uint64(len(records)), Oldest: w.entry.Below, Ended: w.entry.Ended}
	for _, r := range records {
		a.Oldest, a.Newest = min(a.Oldest, r.Index), max(a.Newest, r.End.At)
	}
	b, err := oplog.EncodeRecords(w.head(oplog.SortResults, from), records)
	if err != nil {
		return err
	}
	a.Blob, a.Size = w.add(b), uint64(len(b))
	change.Added = []oplog.Archive{a}
	return nil
}

// shelveLogs archives output, but for what is past already.
func (w *piece) shelveLogs(ctx context.Context, from oplog.Index, outputs []*oplog.Output) error {
	if len(outputs) == 0 {
		return nil
	}
	change := &w.entry.Logs
	last, alone := base(&w.kept.Logs, change.Forget)
	if last != nil {
		before, err := w.r.ws.outputs(ctx, last.Blob)
		if err != nil {
			return err
		}
		outputs, from = append(before, outputs...), last.From
	}
	n := 0
	for alone && n < len(outputs) && past(w.keep.Logs, w.now, outputs[n].At, w.kept.Ended, outputs[n].Ended+1) {
		n++
	}
	if n == len(outputs) {
		change.Forget = w.entry.Below
		return nil
	}
	if n > 0 {
		outputs = outputs[n:]
		change.Forget = outputs[0].Index
	}
	a := oplog.Archive{From: from, Below: w.entry.Below, Count: uint64(len(outputs)), Oldest: outputs[0].Index, Ended: w.entry.Ended}
	for _, o := range outputs {
		a.Newest = max(a.Newest, o.At)
	}
	b, err := oplog.EncodeOutputs(w.head(oplog.SortLogs, from), outputs)
	if err != nil {
		return err
	}
	a.Blob, a.Size = w.add(b), uint64(len(b))
	change.Added = []oplog.Archive{a}
	return nil
}

// keepBlobs announces the blobs, and keeps them.
func (w *piece) keepBlobs(ctx context.Context) error {
	announced := &oplog.Archiving{At: w.now}
	for _, b := range w.blobs {
		announced.Blobs = append(announced.Blobs, sha256.Sum256(b))
	}
	if err := w.record(announced); err != nil {
		return err
	}
	if err := w.r.writer.Commit(ctx); err != nil {
		return err
	}
	_, err := w.r.ws.Store.Blobs().PutAll(ctx, func(yield func(io.Reader) bool) {
		for _, b := range w.blobs {
			if !yield(bytes.NewReader(b)) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("keep archives of %s: %w", w.r.worker, err)
	}
	return nil
}

// record appends what the keeper has to say.
func (w *piece) record(body oplog.Body) error {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return errGone
	}
	if _, err := r.record(body); err != nil {
		return err
	}
	r.unsettled = true
	return nil
}
