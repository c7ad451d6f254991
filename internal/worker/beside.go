package worker

import (
	"context"
	"slices"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// beside says of a prepared image that the job has failed, and its instance is
// gone: the state that the failure leaves is made anew.
type beside struct {
	undone []oplog.Span
	deltas []oplog.DeltaPlace
}

// prepareBeside prepares an image at the end of a job that fails. Otherwise the
// oplog of a worker that only ever fails could not be truncated. It is called
// with r.mu held.
func (r *resident) prepareBeside(out *outcome) {
	if out.failure != nil && !r.machine.ephemeral && r.imageAfter() >= 0 && len(r.unimageable) == 0 && r.writer.Last() > r.tried && r.wantsImage() {
		r.prepared = &prepared{beside: &beside{}}
	}
}

// fails lets an image that is prepared beside a failed attempt be of the state
// that entry covers takes the attempt back with. It is called with r.mu held.
func (r *resident) fails(covers oplog.Index) error {
	p := r.prepared
	if p == nil || p.beside == nil && !r.machine.ephemeral {
		return nil
	}
	if b := p.beside; b != nil {
		life := r.machine.life
		b.undone, b.deltas = slices.Clone(life.Undone), slices.Clone(life.Deltas)
	}
	return r.ends(covers)
}

// saveBeside makes the state anew, and an image of it. It is called with r.mu
// held, which it gives away meanwhile, by who carries out the worker's jobs.
func (r *resident) saveBeside(p *prepared) {
	began := r.ws.Sched.Monotonic()
	at := r.image
	var entry *oplog.Image
	var owned *saved
	err := r.unlocked(func() error {
		ctx := r.ws.writing
		life, err := oplog.DecodeLife(r.worker, p.encoded)
		if err == nil {
			life.Undone, life.Deltas = p.beside.undone, p.beside.deltas
			err = r.writer.Commit(ctx)
		}
		if err != nil {
			return err
		}
		b, err := r.ws.rebuild(ctx, life, at, p.covers, nil)
		if err != nil {
			return err
		}
		defer b.close()
		if r.unimageable = b.unimageable(); len(r.unimageable) > 0 {
			return nil
		}
		owned = b.owns
		entry, err = b.takeImage(context.Background(), owned, p.covers, p.encoded)
		return err
	})
	if r.tried = p.covers; err != nil {
		r.unsaved(err)
		return
	}
	if entry == nil {
		return
	}
	r.forgetSaved()
	r.savedAt = r.ws.Sched.Monotonic()
	r.imageTook, r.imageAt = r.savedAt-began, r.savedAt
	r.replaceImage(entry, owned.head.Packs)
}
