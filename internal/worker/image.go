package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// imaged is the newest image of a worker.
type imaged struct {
	*oplog.Image
	index oplog.Index // of its entry
}

// dirty is what a delta had in it: pages of the memory, and bytes of all.
type dirty struct{ pages, bytes int }

// entry is the index of the image's entry, 0 without one.
func (at *imaged) entry() oplog.Index {
	if at == nil {
		return 0
	}
	return at.index
}

// imaging is what a resident knows of its worker's saved state. It is guarded
// by r.mu, but for saved, which belongs to who carries out the worker's jobs.
type imaging struct {
	image       *imaged        // the newest one, or nil
	saved       *saved         // the newest state there is, or nil if it has to be read
	owned       []storage.Hash // the packs that the image and the deltas behind it are in
	unimageable []string       // why nothing can be saved, as far as is known
	imageNote   string         // why recovery did not begin at a newer state
	tried       oplog.Index    // when the state was last to be saved, the oplog ended here
	took        time.Duration  // the last delta
	savedAt     time.Duration  // when the state was last saved, or else read
	dirty       dirty          // what that had
	computed    time.Duration  // by the guest, since its state was saved
	prepared    *prepared      // what goes with the next end of an invocation
	capturing   bool           // the state is being saved: the instance has to stay
	unwanted    bool           // and to be dropped then
}

// unusable reports whether err says that a saved state cannot be used, so that
// recovery has to begin earlier.
func unusable(err error) bool {
	var corrupt *storage.CorruptError
	return errors.Is(err, image.ErrDamaged) || errors.Is(err, image.ErrNewerFormat) || errors.Is(err, image.ErrOtherBase) ||
		errors.Is(err, storage.ErrNotFound) || errors.As(err, &corrupt)
}

// imageBlobs are the blobs of an image. Those of all but the newest have been
// deleted.
func (rt *Runtime) imageBlobs(ctx context.Context, e *oplog.Image) ([]storage.Hash, error) {
	x, blob, err := rt.openImage(ctx, e)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append(x.Packs, e.Blob), blob.Close()
}

// deltaBlobs are the blobs of a delta.
func deltaBlobs(e *oplog.Delta) ([]storage.Hash, error) {
	d, err := image.DecodeDelta(e.State)
	if err != nil {
		return nil, err
	}
	return d.Packs, nil
}

// openImage opens the blob of an image.
func (rt *Runtime) openImage(ctx context.Context, e *oplog.Image) (*image.Reader, io.Closer, error) {
	blob, err := rt.Store.Blobs().Get(ctx, e.Blob)
	if err != nil {
		return nil, nil, err
	}
	x, err := image.Open(blob)
	if err != nil {
		return nil, nil, errors.Join(err, blob.Close())
	}
	return x, blob, nil
}

// readLife reads what a worker's oplog says, from its newest image before entry
// before on where there is one that can be used; 0 stands for the end. note says
// why an image was left out.
func (ws *Workers) readLife(ctx context.Context, w id.Worker, before oplog.Index) (life *oplog.Life, at *imaged, note string, err error) {
	return ws.readLifeTo(ctx, w, before, 0)
}

// readLifeTo is readLife of a life up to entry to; 0 stands for the end.
func (ws *Workers) readLifeTo(ctx context.Context, w id.Worker, before, to oplog.Index) (life *oplog.Life, at *imaged, note string, err error) {
	for range 4 {
		life, at, note, err = ws.readLifeOnce(ctx, w, before, to)
		if !oplog.IsTruncated(err) {
			break
		}
		// It happened meanwhile, so there is a newer image.
	}
	return life, at, note, err
}

func (ws *Workers) readLifeOnce(ctx context.Context, w id.Worker, before, to oplog.Index) (life *oplog.Life, at *imaged, note string, err error) {
	for newest := before == 0; ; newest = false {
		e, index, err := oplog.FindImage(ctx, ws.Store.Logs(), w, before)
		if err != nil {
			return nil, nil, "", err
		}
		if e == nil {
			break
		}
		life, err := ws.lifeOf(ctx, w, e)
		if err == nil {
			if err = life.Continue(ctx, ws.Store.Logs(), to); err != nil {
				return nil, nil, "", err
			}
			return life, &imaged{e, index}, note, nil
		}
		if !unusable(err) {
			return nil, nil, "", err
		}
		if note == "" && (newest || !errors.Is(err, storage.ErrNotFound)) { // older ones are deleted on purpose
			note = fmt.Sprintf("the image at entry %d cannot be used: %v", index, err)
		}
		before = index
	}
	life = oplog.NewLife(w)
	err = life.Continue(ctx, ws.Store.Logs(), to)
	var truncated *oplog.TruncatedError
	if errors.As(err, &truncated) {
		err = beyond(w, truncated, note)
	}
	return life, nil, note, err
}

// lifeOf reads the life that an image has kept.
func (rt *Runtime) lifeOf(ctx context.Context, w id.Worker, e *oplog.Image) (*oplog.Life, error) {
	x, blob, err := rt.openImage(ctx, e)
	if err != nil {
		return nil, err
	}
	life, err := oplog.DecodeLife(w, x.Life)
	if err == nil && life.Last != e.Covers {
		err = errors.New("it is of another entry")
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	return life, errors.Join(err, blob.Close())
}

// newBody makes a body in the state that recovery begins with: the newest one
// that was saved and can be used, else the worker's first. It tells p what is
// left to replay.
func (r *resident) newBody(ctx context.Context, c bodyConfig, p *replay) (*body, error) {
	c.others = owner{r}
	if c.session.Unrecorded {
		return r.ws.newBody(context.Background(), c)
	}
	c.owner, c.long = owner{r}, r.awaitPromises
	for {
		s, err := r.state(ctx, c.program.Cores())
		if err == nil {
			var b *body
			if b, err = r.bodyOf(s, c, p); err == nil {
				return b, nil
			}
			r.forgetSaved()
		}
		if !unusable(err) {
			return nil, err
		}
		if s != nil && s.bytes > 0 {
			r.cutDeltas(s.entry, err)
		} else if c.session.Skip, err = r.fallBack(ctx, err); err != nil {
			return nil, err
		}
	}
}

// cutDeltas lets recovery begin before the delta at index, which cannot be used.
func (r *resident) cutDeltas(index oplog.Index, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.imageNote = deltaNote(index, why)
	r.machine.life.CutDeltas(index)
}

func deltaNote(index oplog.Index, why error) string {
	return fmt.Sprintf("the delta at entry %d cannot be used: %v", index, why)
}

// state gives the newest saved state.
func (r *resident) state(ctx context.Context, cores []*wasm.Module) (*saved, error) {
	r.mu.Lock()
	s, at := r.saved, r.image
	chain := oplog.Life{Status: oplog.Status{Worker: r.worker}, Deltas: slices.Clone(r.machine.life.Deltas)}
	r.mu.Unlock()
	if s != nil {
		s.cores = cores // the code may have been loaded anew
		return s, nil
	}
	s, note, err := r.ws.readSaved(ctx, &chain, cores, at)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if note != "" {
		r.imageNote, r.machine.life.Deltas = note, chain.Deltas
	}
	r.saved, r.owned = s, s.packs
	return s, nil
}

// bodyOf makes a body that has the state s.
func (r *resident) bodyOf(s *saved, c bodyConfig, p *replay) (*body, error) {
	clear(p.calls)
	r.mu.Lock()
	c.forks = r.forksBehind(s.covers)
	r.mu.Unlock()
	if s.covers > 1 {
		r.mu.Lock()
		for _, q := range r.machine.life.Queue {
			p.calls[q.Index] = call{accepted: q.Index, key: keyOf(q.InvocationAccepted, q.Index), function: q.Function, args: q.Args, body: q.Body}
		}
		r.mu.Unlock()
		c.saved = s
	}
	p.behind = s.covers
	c.session.Cursor = oplog.NewCursor(r.ws.Store.Logs(), r.worker, s.covers+1, p.entries)
	b, err := r.ws.newBody(context.Background(), c)
	if err != nil && b != nil {
		b.abandon(err)
	}
	return b, err
}

// fallBack lets recovery begin earlier than at the newest image, which cannot
// be used. It gives the attempts that were undone since then.
func (r *resident) fallBack(ctx context.Context, why error) (undone []oplog.Span, err error) {
	r.mu.Lock()
	at := r.image
	r.mu.Unlock()
	if at == nil {
		return nil, why
	}
	life, older, _, err := r.ws.readLife(ctx, r.worker, at.index)
	if err != nil {
		return nil, errors.Join(why, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.image, r.imageNote = older, fmt.Sprintf("the image at entry %d cannot be used: %v", at.index, why)
	r.fellBack(at)
	r.machine.life.Undone, r.machine.life.Deltas, r.machine.life.Forks = life.Undone, life.Deltas, life.Forks
	return slices.Clone(life.Undone), nil
}

// forgetSaved drops the saved state: it is to be read again.
func (r *resident) forgetSaved() {
	r.saved.close()
	r.saved = nil
}

// takeImage keeps the body's state, which is that of the oplog up to covers, as
// one blob, and saves it. Nothing of the guest runs meanwhile.
func (b *body) takeImage(ctx context.Context, s *saved, covers oplog.Index, life []byte) (*oplog.Image, error) {
	if err := errors.Join(s.take(b, covers), b.packs.spill(b.files)); err != nil {
		return nil, err
	}
	clear(s.inline)
	s.head.Packs, _ = b.packs.needed(b.files)
	head := s.head
	head.Life = life
	memories, err := b.memories(s, &head)
	if err != nil {
		return nil, err
	}
	hash, size, err := b.rt.Store.Blobs().Put(ctx, image.New(&head, memories))
	if err != nil {
		return nil, err
	}
	return &oplog.Image{At: oplog.At(b.rt.Sched.Now()), Covers: covers, Blob: hash, Size: uint64(size)}, nil
}

// memories are those of the body's cores, for an image of the saved state s, which is
// the body's; head is told of them.
func (b *body) memories(s *saved, head *image.Head) (memories []image.Memory, err error) {
	if b.guest == nil {
		return nil, nil
	}
	head.Base = image.BaseOf(s.cores)
	for i, core := range b.guest.cores() {
		m := image.Memory{Bytes: core.Memory()}
		err := s.states[i].Visit(func(at uint64, _ []byte) bool {
			m.Changed = append(m.Changed, at)
			return true
		})
		if err != nil {
			return nil, err
		}
		memories = append(memories, m)
		head.Cores = append(head.Cores, image.Core{Memory: uint64(len(m.Bytes)), Globals: core.Globals()})
	}
	return memories, nil
}

// replaceImage records a new image, whose files are in packs, and deletes what
// nobody needs any more. It is called with r.mu held, which it gives away
// meanwhile.
func (r *resident) replaceImage(entry *oplog.Image, packs []storage.Hash) {
	index, err := r.record(entry)
	if err != nil {
		return // the node is closing
	}
	old, owned := r.image, r.owned
	r.image, r.imageNote, r.owned = &imaged{entry, index}, "", packs
	if r.saved != nil {
		r.saved.entry, r.saved.bytes = index, 0
	}
	r.ws.stats.images.Add(1)
	r.imagedAt = r.writer.Bytes()
	r.deleteOnceDurable(index, r.supersede(old, owned, index))
	r.askKeeper()
}

// deleteOnceDurable deletes what nobody needs once the image at entry index is
// durable. What is left of it after an error, or if the node stops on a full
// disk, takes room until the node has deleted it another time, and does no harm.
// It is called with r.mu held, which it gives away meanwhile.
func (r *resident) deleteOnceDurable(index oplog.Index, stale []*superseded) {
	if len(stale) == 0 {
		return
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	if r.writer.WaitCommitted(r.ws.writing, index) == nil {
		_ = r.deleteSuperseded(context.Background(), stale)
	}
}

func (ws *Workers) deleteBlobs(ctx context.Context, blobs []storage.Hash) (err error) {
	for _, h := range blobs {
		err = errors.Join(err, ws.Store.Blobs().Delete(ctx, h))
	}
	return err
}

// ownBlobs are the blobs of the worker that no other has: of its saved state, of
// images before that, and of archives.
func (ws *Workers) ownBlobs(ctx context.Context, life *oplog.Life, at *imaged, others []*superseded) (blobs []storage.Hash, err error) {
	for _, s := range others {
		if s == nil {
			continue
		}
		more := s.blobs
		if more == nil {
			if more, err = ws.supersededBlobs(ctx, life.Worker, s); err != nil {
				return nil, err
			}
		}
		blobs = append(blobs, more...)
	}
	needed, loose := life.Retained.Blobs()
	blobs = slices.Concat(blobs, needed, loose)
	if at != nil {
		more, err := ws.imageBlobs(ctx, at.Image)
		if unusable(err) {
			more = []storage.Hash{at.Blob}
		} else if err != nil {
			return nil, err
		}
		blobs = append(blobs, more...)
	}
	for _, place := range life.Deltas {
		for e, err := range oplog.Read(ctx, ws.Store.Logs(), life.Worker, place.Index, place.Index) {
			if err != nil {
				return blobs, err
			}
			if d, ok := e.Body.(*oplog.Delta); ok {
				more, _ := deltaBlobs(d) // one that is damaged tells nothing
				blobs = append(blobs, more...)
			}
		}
	}
	return blobs, nil
}
