package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Delete forgets a worker, whatever it does.
func (ws *Workers) Delete(ctx context.Context, w id.Worker) error {
	r, err := ws.open(ctx, w)
	var corrupt *storage.CorruptError
	if errors.As(err, &corrupt) {
		return ws.deleteDamaged(ctx, w)
	}
	if err != nil {
		return err
	}
	defer ws.release(r)
	r.mu.Lock()
	if r.gone {
		// Somebody else is deleting it. Whether that comes to an end shows when
		// the worker is looked for again.
		r.mu.Unlock()
		return ws.Delete(ctx, w)
	}
	if !r.exists() {
		r.mu.Unlock()
		return noWorker(w)
	}
	// Nothing may follow what is deleted, so that is committed first.
	if err := ws.Committer.Stalled(); err != nil && (r.driving || r.writer.Committed() < r.writer.Last()) {
		r.mu.Unlock()
		return Unavailable(err)
	}
	r.gone = true
	r.apply(closed{&halt{reason: "it was deleted"}})
	r.mu.Unlock()
	// From here on it is deleted, also if the caller does not wait for that.
	ctx = context.WithoutCancel(ctx)
	err = r.stands(ctx)
	if err == nil {
		err = r.stopRetention(ctx)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.drop()
	r.forgetSaved()
	life, image := *r.machine.life, r.image
	others := append(slices.Clone(r.leftover), r.before)
	r.mu.Unlock()
	err = r.commit(ctx)
	var own []storage.Hash
	if err == nil {
		own, err = ws.ownBlobs(ctx, &life, image, others)
	}
	for _, p := range life.Queue {
		ws.wakeCaller(p) // there will be no end to wait for
	}
	if err == nil {
		err = ws.erase(ctx, w)
	}
	// Those who wait are told once it is so.
	told := api.NewProblem(api.CodeNoWorker, w.String()+" was deleted before the invocation had ended")
	if err != nil {
		told = Unavailable(err)
	}
	r.mu.Lock()
	r.settleAll(told)
	r.mu.Unlock()
	if err == nil {
		err = ws.deleteBlobs(ctx, own)
	}
	ws.leave(r)
	return err
}

// leave puts r out of mind.
func (ws *Workers) leave(r *resident) {
	ws.mu.Lock()
	if ws.residents[r.worker] == r {
		delete(ws.residents, r.worker)
	}
	ws.mu.Unlock()
	ws.changed.Wake()
}

// deleteDamaged deletes a worker that cannot be read, unless somebody else has
// done so already.
func (ws *Workers) deleteDamaged(ctx context.Context, w id.Worker) error {
	// Whoever asks for the worker meanwhile waits until it is gone.
	r := &resident{ws: ws, worker: w, changed: ws.Sched.NewCondition(), loaded: true, gone: true, machine: machine{life: oplog.NewLife(w)}}
	if err := ws.changed.Wait(ctx, func() bool {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if ws.residents[w] != nil {
			return false
		}
		ws.residents[w] = r
		return true
	}); err != nil {
		return err
	}
	life, _, _, err := ws.readLife(ctx, w, 0)
	var corrupt *storage.CorruptError
	if errors.As(err, &corrupt) {
		err = ws.eraseDamaged(context.WithoutCancel(ctx), w)
		ws.leave(r)
		return err
	}
	ws.leave(r)
	switch {
	case err != nil:
		return err
	case life.Last == 0:
		return noWorker(w)
	}
	return ws.Delete(ctx, w) // it could not be read for a moment only
}

// eraseDamaged deletes a worker of which only parts can be read, and the blobs
// that these name.
func (ws *Workers) eraseDamaged(ctx context.Context, w id.Worker) error {
	var own []storage.Hash
	for e, err := range oplog.Read(ctx, ws.Store.Logs(), w, 1, 0) {
		if err != nil {
			continue // the rest of it takes room, and does no harm
		}
		switch b := e.Body.(type) {
		case *oplog.Image:
			blobs, err := ws.imageBlobs(ctx, b)
			if err != nil {
				blobs = []storage.Hash{b.Blob}
			}
			own = append(own, blobs...)
		case *oplog.Delta:
			blobs, _ := deltaBlobs(b)
			own = append(own, blobs...)
		case *oplog.Archiving:
			own = append(own, b.Blobs...)
		}
	}
	if err := ws.erase(ctx, w); err != nil {
		return err
	}
	return ws.deleteBlobs(ctx, own)
}

func (ws *Workers) erase(ctx context.Context, w id.Worker) error {
	if err := ws.Store.Logs().Delete(ctx, ws.Committer.Shard(), ws.Committer.Epoch(), w); err != nil {
		return fmt.Errorf("delete the oplog of %s: %w", w, err)
	}
	ws.Agenda.Set(w, 0)
	return nil
}
