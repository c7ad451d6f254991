package worker

import (
	"context"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// saveLife takes an image of an ephemeral worker, which has no state but what
// its oplog says: with it that need not be read from its beginning, and may be
// truncated. It is called with r.mu held, which it gives away meanwhile, by who
// carries out the worker's jobs.
func (r *resident) saveLife(p *prepared) {
	began := r.ws.Sched.Monotonic()
	entry := &oplog.Image{At: oplog.At(r.ws.Sched.Now()), Covers: p.covers}
	err := r.unlocked(func() (err error) {
		hash, size, err := r.ws.Store.Blobs().Put(context.Background(), image.New(&image.Head{Life: p.encoded}, nil))
		entry.Blob, entry.Size = hash, uint64(size)
		return err
	})
	if r.tried = p.covers; err != nil {
		r.imageNote = fmt.Sprintf("what entries up to %d say could not be saved: %v", p.covers, err)
		return
	}
	r.imageAt = r.ws.Sched.Monotonic()
	r.imageTook = r.imageAt - began
	r.replaceImage(entry, nil)
}

// lifeDue reports whether reading the oplog of an ephemeral worker has become
// dear enough, at the end of a job. It is called with r.mu held.
func (r *resident) lifeDue(out *outcome) bool {
	if !r.machine.ephemeral || out.result == nil && out.failure == nil || r.imageAfter() < 0 {
		return false
	}
	last := r.writer.Last()
	if last <= max(r.image.entry(), r.tried, 1) {
		return false // nothing has happened since
	}
	return last-r.image.entry() >= imageEntries+keyEntries*uint64(len(r.machine.life.Keys)) || r.wantsImage()
}
