package worker

import (
	"bytes"
	"context"
	"slices"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// copyBase is an image that a copy begins with, of the state in which its origin began
// the invocation that it was copied in. All blobs of it are the copy's alone.
type copyBase struct {
	image *oplog.Image
	blobs []storage.Hash // as far as they are kept: what tells of the invocation, the packs, the image
}

// makeBase makes a copy's image, if its origin has a saved state. One that has none is
// quickly replayed from its beginning, or cannot be had otherwise.
func (f *forking) makeBase(ctx context.Context) (*copyBase, error) {
	if f.at == nil && len(f.life.Deltas) == 0 {
		return nil, nil
	}
	covers := f.last
	var underWay *oplog.Pending
	if f.life.Begun != 0 {
		covers = f.life.Begun - 1
		underWay = f.life.Find(f.life.Attempt.Accepted)
		if underWay == nil || underWay.Body != 0 {
			return nil, nil // its body is in the entries before
		}
	}
	ws := f.ws
	if err := ws.slots.acquire(ctx, nil); err != nil {
		return nil, err
	}
	defer ws.slots.release()
	// Its files are the copy's, and what it has done the origin's.
	life := f.life
	life.Create = f.create
	life.Forks = append(slices.Clone(life.Forks), oplog.ForkedAt{Index: f.last + 1, Forked: *f.forked})
	b, err := ws.rebuild(ctx, &life, f.at, covers, nil)
	if err != nil {
		if ctx.Err() != nil || isFault(err) {
			return nil, err
		}
		f.lost = err // the entries may do, and the origin will find out when it is rebuilt itself
		return nil, nil
	}
	defer b.close()
	if len(b.unimageable()) > 0 {
		return nil, nil
	}
	s := b.owns
	if err := s.take(b, covers); err != nil {
		return nil, err
	}
	made := &copyBase{}
	var open storage.Hash
	if underWay != nil {
		if open, err = f.keepOpen(ctx, made, underWay, covers); err != nil {
			return made, err
		}
	}
	head := s.head
	head.Life = oplog.AppendLife(nil, f.life.Resting(f.target, &f.create, covers, open))
	if head.Files, head.Packs, err = made.repackFiles(b.packs, s.head.Files); err != nil {
		return made, err
	}
	memories, err := b.memories(s, &head)
	if err != nil {
		return made, err
	}
	hash, size, err := ws.Store.Blobs().Put(ctx, image.New(&head, memories))
	if err != nil {
		return made, err
	}
	made.blobs = append(made.blobs, hash)
	made.image = &oplog.Image{At: f.forked.At, Covers: covers, Blob: hash, Size: uint64(size)}
	return made, nil
}

// keepOpen keeps what there is to know of the invocation under way, which was accepted
// before the base: as of one that retention has left.
func (f *forking) keepOpen(ctx context.Context, m *copyBase, p *oplog.Pending, covers oplog.Index) (storage.Hash, error) {
	head := oplog.ArchiveHead{Sort: oplog.SortOpen, Salt: archiveSalt(&f.create), From: 1, Below: covers + 1}
	b, err := oplog.EncodeRecords(head, []*oplog.Record{{Accepted: *p.InvocationAccepted, Index: p.Index, Attempts: p.Failures}})
	if err != nil {
		return storage.Hash{}, err
	}
	h, _, err := f.ws.Store.Blobs().Put(ctx, bytes.NewReader(b))
	if err == nil {
		m.blobs = append(m.blobs, h)
	}
	return h, err
}

// repackFiles keeps the content of files that the origin has in blobs of its own, or in its
// deltas, in the copy's own blobs.
func (m *copyBase) repackFiles(packs *ownPacks, manifest []byte) (repacked []byte, kept []storage.Hash, err error) {
	repacked, err = filesystem.Repack(manifest, func(sum filesystem.Sum) (filesystem.Sum, error) {
		if !packs.own[sum] {
			return sum, nil // every worker may have it
		}
		content, err := packs.Get(sum)
		if err != nil {
			return sum, err
		}
		mine, err := packs.store(content)
		if err == nil {
			m.blobs, kept = append(m.blobs, storage.Hash(mine)), append(kept, storage.Hash(mine))
		}
		return mine, err
	})
	return repacked, kept, err
}
