package worker

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// saving is a way to save a worker's state.
type saving int

const (
	saveNothing saving = iota
	saveDelta          // what has changed, in the oplog
	saveImage          // all of it, in a blob
)

// DefaultImageSize is for how many bytes of deltas there is an image if no
// setting says so; but at least a quarter of the last image's.
const DefaultImageSize = 256 << 10

// The policy. What it decides is a matter of cost alone.
const (
	// recordedCost is about what replaying an entry costs, and deltaCost what a
	// delta does before there has been one.
	recordedCost = time.Microsecond
	deltaCost    = 100 * time.Microsecond
	// worthwhile is how many times dearer than a delta replay has to have become.
	worthwhile = 8
	// maxDelta is how long a delta may be, in bytes; what is longer becomes an
	// image.
	maxDelta = 256 << 10
	// imageEntries is for how many entries there is an image, so that those
	// behind it are soon read. Keys of clients make an image dearer: each is
	// counted as keyEntries.
	imageEntries = 8 << 10
	keyEntries   = 4
)

// imageAfter is the replay for which the worker's state is saved: what it or its
// component is set to, else what the node is.
func (r *resident) imageAfter() time.Duration {
	return cmp.Or(time.Duration(r.settings().Images.After), r.ws.ImageAfter)
}

// savingDue says how the worker's state is to be saved now, at the end of a job
// or, if it is leaving, before its instance is dropped. It is called with r.mu
// held, when nothing of the guest runs.
func (r *resident) savingDue(leaving bool) saving {
	if r.body == nil || r.machine.ephemeral {
		return saveNothing
	}
	after := r.imageAfter()
	if after < 0 || leaving && after > 0 && r.slight() {
		return saveNothing
	}
	if r.unimageable = r.body.unimageable(); len(r.unimageable) > 0 {
		return saveNothing
	}
	covered, last := oplog.Index(1), r.writer.Last()
	if r.saved != nil {
		covered = max(covered, r.saved.entry)
	}
	if last <= max(covered, r.tried) {
		return saveNothing // nothing has happened since
	}
	if !leaving && !r.tooDear(after) && !r.tooOld() && !r.wantsImage() {
		return saveNothing
	}
	if r.saved == nil || r.imageDue(last) || r.wantsImage() {
		return saveImage
	}
	return saveDelta
}

// slight reports whether the worker has done next to nothing yet, without ever having
// come back to do more: it may never do so. It is called with r.mu held.
func (r *resident) slight() bool {
	return !r.returned && r.replayCost() < worthwhile*deltaCost && !r.wantsImage()
}

// tooDear reports whether replay has become so dear that the state is to be
// saved, after being the bound.
func (r *resident) tooDear(after time.Duration) bool {
	cost := r.replayCost()
	return cost >= after && (after == 0 || cost >= worthwhile*cmp.Or(r.took, deltaCost))
}

// tooOld reports whether the saved state is.
func (r *resident) tooOld() bool {
	age := time.Duration(r.settings().Images.Age)
	return age > 0 && r.ws.Sched.Monotonic()-r.savedAt >= age
}

// replayCost estimates what it would take to come from the saved state to the
// present one. It is called with r.mu held.
func (r *resident) replayCost() time.Duration {
	covered := r.image.entry()
	if r.saved != nil {
		covered = r.saved.entry
	}
	return r.computed + time.Duration(r.writer.Last()-covered)*recordedCost
}

// imageDue reports whether reading what is behind the newest image takes so long
// by now that another one is worth its cost.
func (r *resident) imageDue(last oplog.Index) bool {
	most := cmp.Or(r.settings().Images.Size, DefaultImageSize)
	if r.image != nil {
		most = max(most, r.image.Size/4)
	}
	return last-r.image.entry() >= imageEntries+keyEntries*uint64(len(r.machine.life.Keys)) || r.saved.bytes >= most
}

// prepared is what is saved with the end of an invocation: a delta, made before
// the end is recorded and recorded with it, or an image, which is made behind it.
type prepared struct {
	delta   *image.Delta // nil: an image
	encoded []byte       // the delta, or what the oplog says up to covers
	covers  oplog.Index  // the end of the invocation, once it is recorded
	index   oplog.Index  // of the delta's entry
	beside  *beside      // of an image, if the invocation has failed
}

// prepareSaving prepares saving at the end of a job if that is due. It is called
// with r.mu held, which it gives away meanwhile, by who carries out the worker's
// jobs.
func (r *resident) prepareSaving(out *outcome) {
	if r.lifeDue(out) {
		r.prepared = &prepared{}
		return
	}
	if !out.alive || out.result == nil {
		r.prepareBeside(out)
		return
	}
	switch r.savingDue(false) {
	case saveDelta:
		r.prepareDelta()
	case saveImage:
		r.prepared = &prepared{}
	}
}

// prepareDelta prepares a delta, or an image where that would be too long. Where
// neither can be made, the next invocation is the next occasion.
func (r *resident) prepareDelta() {
	began := r.ws.Sched.Monotonic()
	p := &prepared{}
	err := r.unlocked(func() (err error) {
		if p.delta, err = r.saved.difference(r.body); err == nil {
			p.encoded = p.delta.Append(nil)
		}
		return err
	})
	if err != nil {
		r.unsaved(err)
		return
	}
	r.took = r.ws.Sched.Monotonic() - began
	if len(p.encoded) > maxDelta {
		r.forgetSaved()
		p = &prepared{}
	}
	r.prepared = p
}

// ends lets what is prepared be of the state that entry covers ends an
// invocation with. A delta is recorded, and goes with the same commit, for nobody
// has been told yet. It is called with r.mu held.
func (r *resident) ends(covers oplog.Index) error {
	p := r.prepared
	if p == nil {
		return nil
	}
	life := r.machine.life
	if p.covers = covers; p.delta == nil {
		life.Last = max(life.Last, covers)
		p.encoded = oplog.AppendLife(nil, life)
		return nil
	}
	body := &oplog.Delta{At: oplog.At(r.ws.Sched.Now()), Covers: covers, After: r.saved.entry, State: p.encoded}
	index, err := r.writer.Offer(body)
	if err != nil {
		return err
	}
	life.Apply(oplog.Entry{Index: index, At: body.At, Body: body})
	p.index = index
	return nil
}

// finishSaving finishes what was prepared, and drops the instance if that was
// wanted meanwhile. It is called with r.mu held, which it gives away meanwhile,
// by who carries out the worker's jobs.
func (r *resident) finishSaving() {
	p := r.prepared
	r.prepared = nil
	switch {
	case p == nil:
	case r.machine.ephemeral && p.covers != 0:
		r.saveLife(p)
	case p.beside != nil && p.covers != 0:
		r.saveBeside(p)
	case p.covers == 0 || r.body == nil: // the invocation has not ended like that
		if p.delta != nil {
			r.forgetSaved()
		}
	case p.delta != nil:
		r.adoptDelta(p)
	default:
		r.makeImage(p)
	}
	if r.unwanted {
		r.unwanted = false
		r.drop()
	}
}

// unlocked runs f while others may have r.mu, and the instance stays.
func (r *resident) unlocked(f func() error) error {
	r.capturing = true
	r.mu.Unlock()
	defer func() { // also if the task is ended in f
		r.mu.Lock()
		r.capturing = false
	}()
	return f()
}

// unsaved notes why the state could not be saved. What was saved before goes on
// to serve.
func (r *resident) unsaved(err error) {
	r.tried = r.writer.Last()
	r.imageNote = fmt.Sprintf("the state at entry %d could not be saved: %v", r.tried, err)
	r.forgetSaved()
}

// adoptDelta takes a delta that was recorded into the saved state.
func (r *resident) adoptDelta(p *prepared) {
	err := r.unlocked(func() error {
		err := r.saved.apply(p.delta, p.covers)
		if err == nil {
			r.verified(p.covers)
		}
		return err
	})
	if err != nil {
		r.unsaved(err)
		return
	}
	r.saved.entry = p.index
	r.saved.bytes += uint64(len(p.encoded))
	r.owned = append(r.owned, p.delta.Packs...)
	r.computed, r.savedAt = 0, r.ws.Sched.Monotonic()
	r.dirty = dirty{bytes: len(p.encoded)}
	for _, change := range p.delta.Changes {
		r.dirty.pages += change.Pages
	}
	r.ws.stats.deltas.Add(1)
	r.ws.stats.deltaBytes.Add(uint64(len(p.encoded)))
}

// makeImage saves the state as an image.
func (r *resident) makeImage(p *prepared) {
	began := r.ws.Sched.Monotonic()
	var entry *oplog.Image
	err := r.unlocked(func() (err error) {
		if r.saved == nil {
			r.saved = newSaved(r.body.program.Cores())
		}
		entry, err = r.body.takeImage(context.Background(), r.saved, p.covers, p.encoded)
		if err == nil {
			r.verified(p.covers)
		}
		return err
	})
	if err != nil {
		r.unsaved(err)
		return
	}
	r.computed, r.savedAt = 0, r.ws.Sched.Monotonic()
	r.imageTook, r.imageAt = r.savedAt-began, r.savedAt
	r.replaceImage(entry, r.saved.head.Packs)
}

// saveAndLeave saves the state of an instance at rest that is to be dropped. It
// reports whether the instance still is to be. It is called with r.mu held, which
// it gives away meanwhile.
func (r *resident) saveAndLeave() bool {
	atRest := func() bool { return r.damage == nil && r.machine.phase == ready && !r.driving }
	if !atRest() {
		return false
	}
	what := r.savingDue(true)
	if what == saveNothing {
		return true
	}
	r.driving, r.todo = true, false
	r.ws.drivers.add(1)
	if what == saveDelta {
		r.prepareDelta()
	} else {
		r.prepared = &prepared{}
	}
	// An invocation may have begun meanwhile: it waits for who drives, but its
	// beginning is recorded.
	if r.machine.phase == ready && r.ends(r.writer.Last()) == nil {
		r.writer.Request()
	}
	r.finishSaving()
	if r.todo {
		r.ws.crew.give(r) // who goes on driving
		return false
	}
	r.driving = false
	r.ws.drivers.add(-1)
	r.changed.Wake()
	return atRest()
}

// verified lets the state of entry covers be compared with a replay of all
// entries, if that is wanted.
func (r *resident) verified(covers oplog.Index) {
	if r.ws.Verify != nil {
		r.ws.Verify(r.worker, r.verify(r.ws.writing, covers))
	}
}
