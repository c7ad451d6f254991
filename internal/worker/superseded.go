package worker

import (
	"context"
	"errors"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// superseded is an image that another has taken the place of, with the deltas
// behind it.
type superseded struct {
	imaged
	until oplog.Index    // the entry of the image that followed
	blobs []storage.Hash // of it and these deltas, the image's last; nil if that is not known
}

// adoptImages takes over what the life knows of images before the newest that
// can be used. It is called with r.mu held.
func (r *resident) adoptImages() {
	images := r.machine.life.Retained.Images
	for i := range images {
		s := &superseded{imaged: imaged{&images[i].Image, images[i].Index}, until: r.machine.life.Last + 1}
		if i+1 < len(images) {
			s.until = images[i+1].Index
		}
		switch {
		case r.image != nil && s.index == r.image.index:
		case r.image != nil && s.index < r.image.index && r.bounded():
			if r.before != nil {
				r.leftover = append(r.leftover, r.before)
			}
			r.before = s
		default:
			r.leftover = append(r.leftover, s)
		}
	}
}

// supersede notes that the image at entry index has taken the place of old, if
// there was one. owned are the packs of that and of the deltas behind it. It
// gives what is not needed any more, once the new image is durable. It is called
// with r.mu held.
func (r *resident) supersede(old *imaged, owned []storage.Hash, index oplog.Index) []*superseded {
	stale := r.leftover
	r.leftover = nil
	if r.before != nil {
		stale = append(stale, r.before)
		r.before = nil
	}
	last := &superseded{until: index, blobs: append([]storage.Hash{}, owned...)}
	if old != nil {
		last.imaged, last.blobs = *old, append(last.blobs, old.Blob)
	}
	if old != nil && r.bounded() {
		r.before = last
		return stale
	}
	return append(stale, last)
}

// fellBack notes that recovery could not begin at the image at. It is called
// with r.mu held.
func (r *resident) fellBack(at *imaged) {
	r.leftover = append(r.leftover, &superseded{imaged: *at, until: r.machine.life.Last + 1})
	if r.before != nil && r.image != nil && r.before.index == r.image.index {
		r.before = nil
	}
}

// deleteSuperseded deletes what images had that nobody needs any more. The
// driver calls it without r.mu, between jobs: nothing is kept meanwhile that the
// same blob could be of.
func (r *resident) deleteSuperseded(ctx context.Context, stale []*superseded) error {
	r.mu.Lock()
	needed, before := append([]storage.Hash{r.image.Blob}, r.owned...), r.before
	r.mu.Unlock()
	var err error
	if before != nil {
		if before.blobs == nil {
			if before.blobs, err = r.ws.supersededBlobs(ctx, r.worker, before); err != nil {
				return err
			}
		}
		needed = append(needed, before.blobs...)
	}
	for _, s := range stale {
		blobs := s.blobs
		if blobs == nil {
			var err2 error
			if blobs, err2 = r.ws.supersededBlobs(ctx, r.worker, s); err2 != nil {
				err = errors.Join(err, err2)
				continue
			}
		}
		blobs = slices.DeleteFunc(slices.Clone(blobs), func(h storage.Hash) bool { return slices.Contains(needed, h) })
		err = errors.Join(err, r.ws.deleteBlobs(ctx, blobs))
	}
	return err
}

// supersededBlobs reads which blobs an image and the deltas behind it are in;
// none if it is deleted.
func (ws *Workers) supersededBlobs(ctx context.Context, w id.Worker, s *superseded) ([]storage.Hash, error) {
	x, blob, err := ws.openImage(ctx, s.Image)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return []storage.Hash{}, nil
	case err != nil && !unusable(err):
		return nil, err
	}
	var blobs []storage.Hash
	if err == nil {
		blobs = x.Packs
		if err := blob.Close(); err != nil {
			return nil, err
		}
	}
	for e, err := range oplog.Read(ctx, ws.Store.Logs(), w, s.index+1, s.until-1) {
		var corrupt *storage.CorruptError
		if errors.As(err, &corrupt) {
			continue // what that was tells nobody
		}
		if err != nil {
			return nil, err
		}
		if d, ok := e.Body.(*oplog.Delta); ok {
			more, _ := deltaBlobs(d) // one that is damaged tells nothing
			blobs = append(blobs, more...)
		}
	}
	// The image is deleted last: as long as it is there, so may be the others.
	return append(blobs, s.Blob), nil
}
