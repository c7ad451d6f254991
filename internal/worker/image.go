package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// imaged is the newest image of a worker.
type imaged struct {
	*oplog.Image
	index oplog.Index // of its entry
	packs []storage.Hash
}

// imaging is what a resident knows of its worker's image. It is guarded by r.mu.
type imaging struct {
	image       *imaged       // the newest one, or nil
	unimageable []string      // why none can be taken, as far as is known
	imageNote   string        // why recovery did not begin at a newer one
	tried       oplog.Index   // when an image was last to be taken, the oplog ended here
	took        time.Duration // taking the last one
	computed    time.Duration // by the guest, since the last one
	capturing   bool          // one is being taken: the instance has to stay
	unwanted    bool          // and to be dropped then
}

// ownPacks keeps the content of one worker's files as blobs that no other
// worker has, so that they can be deleted when that worker's image does not
// need them any more.
type ownPacks struct {
	packs
	salt [16]byte
	own  map[filesystem.Sum]bool
}

func newOwnPacks(ctx context.Context, blobs storage.Blobs, seed [32]byte) *ownPacks {
	sum := sha256.Sum256(append([]byte("file content of "), seed[:]...))
	return &ownPacks{packs: packs{ctx, blobs}, salt: [16]byte(sum[:]), own: map[filesystem.Sum]bool{}}
}

// Put implements filesystem.Packs.
func (p *ownPacks) Put(content []byte) (filesystem.Sum, error) {
	h, _, err := p.blobs.Put(p.ctx, io.MultiReader(bytes.NewReader(p.salt[:]), bytes.NewReader(content)))
	if err == nil {
		p.own[filesystem.Sum(h)] = true
	}
	return filesystem.Sum(h), err
}

// Get implements filesystem.Packs.
func (p *ownPacks) Get(s filesystem.Sum) ([]byte, error) {
	content, err := p.packs.Get(s)
	if err != nil || !p.own[s] {
		return content, err
	}
	if len(content) < len(p.salt) {
		return nil, fmt.Errorf("%w: a pack of files ends early", image.ErrDamaged)
	}
	return content[len(p.salt):], nil
}

// needed are the worker's own blobs that its files are in.
func (p *ownPacks) needed(files *filesystem.FS) []storage.Hash {
	var hashes []storage.Hash
	for _, s := range files.References() {
		if p.own[s] {
			hashes = append(hashes, storage.Hash(s))
		}
	}
	return hashes
}

func (b *body) filesConfig() filesystem.Config {
	return filesystem.Config{Now: b.clocks.Stamp, Packs: b.packs, Limits: filesystem.Limits{Bytes: b.create.Storage}}
}

// head is what an image keeps of the body beside its memory. Nothing runs.
func (b *body) head() (*image.Head, error) {
	manifest, err := b.files.Encode()
	if err != nil {
		return nil, err
	}
	c := b.clocks.State()
	h := &image.Head{
		Files: manifest, Packs: b.packs.needed(b.files), Random: b.random.Position(),
		Clocks: [3]uint64{c.Monotonic, c.Realtime, c.Stamp}, Input: b.stdio.Ended(),
	}
	if b.instance != nil {
		h.Memory, h.Globals, h.Open = uint64(len(b.instance.Memory())), b.instance.Globals(), b.system.AppendOpen(nil)
		h.Base = b.program.Module().Base()
	}
	return h, nil
}

// restore makes of a new body the one that x was taken of.
func (b *body) restore(x *image.Reader) (err error) {
	b.clocks.Restore(ambient.ClockState{Monotonic: x.Clocks[0], Realtime: x.Clocks[1], Stamp: x.Clocks[2]})
	b.stdio.Restore(x.Input)
	for _, h := range x.Packs {
		b.packs.own[filesystem.Sum(h)] = true
	}
	if b.files, err = filesystem.Decode(x.Files, b.filesConfig()); err != nil {
		return fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	if len(x.Open) == 0 {
		b.files.Sweep()
		return x.Load(nil)
	}
	if x.Base != b.program.Module().Base() {
		return image.ErrOtherBase
	}
	if err := b.openSystem(nil, x.Open); err != nil {
		return fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	b.files.Sweep() // what was open in an instance before that
	if err := b.newInstance(); err != nil {
		return err
	}
	return b.instance.RestoreChanged(x.Memory, x.Globals, x.Load)
}

// unusable reports whether err says that an image cannot be used, so that
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

// readLife reads what a worker's oplog says, from its newest image on where
// there is one that can be used. note says why an image was left out.
func (ws *Workers) readLife(ctx context.Context, w id.Worker) (life *oplog.Life, at *imaged, note string, err error) {
	for before := oplog.Index(0); ; {
		e, index, err := oplog.FindImage(ctx, ws.Store.Logs(), w, before)
		if err != nil {
			return nil, nil, "", err
		}
		if e == nil {
			break
		}
		life, packs, err := ws.lifeOf(ctx, w, e)
		if err == nil {
			if err = life.Continue(ctx, ws.Store.Logs()); err != nil {
				return nil, nil, "", err
			}
			return life, &imaged{e, index, packs}, note, nil
		}
		if !unusable(err) {
			return nil, nil, "", err
		}
		if !errors.Is(err, storage.ErrNotFound) { // older ones are deleted on purpose
			note = fmt.Sprintf("the image at entry %d cannot be used: %v", index, err)
		}
		before = index
	}
	life, err = oplog.ReadLife(ctx, ws.Store.Logs(), w)
	return life, nil, note, err
}

// lifeOf reads the life that an image has kept, and the blobs of its files.
func (ws *Workers) lifeOf(ctx context.Context, w id.Worker, e *oplog.Image) (*oplog.Life, []storage.Hash, error) {
	x, blob, err := ws.openImage(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	life, err := oplog.DecodeLife(w, x.Life)
	if err == nil && life.Last != e.Covers {
		err = errors.New("it is of another entry")
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	return life, x.Packs, errors.Join(err, blob.Close())
}

// imageCost is what taking an image costs at least, by the size of the memory:
// before the first one nobody knows better.
const imageCost = 2 * time.Millisecond

// recordedCost is about what replaying an entry costs.
const recordedCost = time.Microsecond

// worthwhile is how many times dearer than an image replay has to have become.
const worthwhile = 8

// imageAfter is the replay for which the worker is imaged: what it or its
// component is set to, else what the node is.
func (r *resident) imageAfter() time.Duration {
	return cmp.Or(time.Duration(r.settings().Images.After), r.ws.ImageAfter)
}

// imageDue reports whether the worker should be imaged now. It is called with
// r.mu held, when nothing of it runs.
func (r *resident) imageDue() bool {
	if r.body == nil || r.machine.phase != ready || r.machine.ephemeral {
		return false
	}
	after := r.imageAfter()
	if after < 0 {
		return false
	}
	if r.unimageable = r.body.program.Module().Unimageable(); len(r.unimageable) > 0 {
		return false
	}
	covered := oplog.Index(1)
	if r.image != nil {
		covered = r.image.index
	}
	last := r.writer.Last()
	if last <= max(covered, r.tried) {
		return false // nothing has happened since
	}
	cost := r.computed + time.Duration(last-covered)*recordedCost
	return cost >= after && (after == 0 || cost >= worthwhile*max(r.took, imageCost))
}

// capture takes an image of the worker if it is due. Its driver calls it with
// r.mu held, which it gives away meanwhile. An image is a convenience: where
// none could be taken, the one before, or none, goes on to serve, and the next
// invocation is the next occasion.
func (r *resident) capture() {
	if !r.imageDue() {
		return
	}
	r.capturing = true
	life := r.machine.life
	life.Last = max(life.Last, r.writer.Last())
	r.tried = life.Last
	covers, encoded := life.Last, oplog.AppendLife(nil, life)
	began := r.ws.Sched.Monotonic()
	entry, packs, err := r.takeImage(covers, encoded)
	took := r.ws.Sched.Monotonic() - began
	r.capturing = false
	if r.unwanted {
		r.unwanted = false
		r.drop()
	}
	if err != nil {
		r.imageNote = fmt.Sprintf("no image could be taken at entry %d: %v", covers, err)
		return
	}
	r.replaceImage(entry, packs, took)
}

// takeImage is the part of capture without r.mu.
func (r *resident) takeImage(covers oplog.Index, life []byte) (*oplog.Image, []storage.Hash, error) {
	r.mu.Unlock()
	defer r.mu.Lock()
	ctx := context.Background()
	entry, packs, err := r.body.image(ctx, covers, life)
	if err == nil && r.ws.Verify != nil {
		r.ws.Verify(r.worker, r.verify(ctx, covers))
	}
	return entry, packs, err
}

// replaceImage records a new image and deletes the one before. It is called
// with r.mu held, which it gives away meanwhile.
func (r *resident) replaceImage(entry *oplog.Image, packs []storage.Hash, took time.Duration) {
	index, err := r.record(entry)
	if err != nil {
		return // the node is closing
	}
	old := r.image
	r.image, r.imageNote = &imaged{entry, index, packs}, ""
	r.computed, r.took = 0, took
	r.ws.stats.images.Add(1)
	if old == nil {
		return
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	// The one before serves until this one is durable. What is left of it after
	// an error, or if the node stops on a full disk, takes room, and does no
	// harm.
	if r.writer.WaitCommitted(r.ws.writing, index) == nil {
		_ = r.ws.deleteImage(context.Background(), old, packs)
	}
}

// image keeps the body's state, which is that of the oplog up to covers. Nothing
// runs meanwhile.
func (b *body) image(ctx context.Context, covers oplog.Index, life []byte) (*oplog.Image, []storage.Hash, error) {
	head, err := b.head()
	if err != nil {
		return nil, nil, err
	}
	head.Life = life
	var memory []byte
	var changed []uint64
	if b.instance != nil {
		memory = b.instance.Memory()
		err := b.instance.Changed(func(at uint64, _ []byte) bool {
			changed = append(changed, at)
			return true
		})
		if err != nil {
			return nil, nil, err
		}
	}
	hash, size, err := b.rt.Store.Blobs().Put(ctx, image.New(head, memory, changed))
	if err != nil {
		return nil, nil, err
	}
	return &oplog.Image{At: oplog.At(b.rt.Sched.Now()), Covers: covers, Blob: hash, Size: uint64(size)}, head.Packs, nil
}

// newBody makes a body in the state that recovery begins with: that of the
// newest image which can be used, else the worker's first. It tells p what is
// left to replay.
func (r *resident) newBody(ctx context.Context, c bodyConfig, p *replay) (*body, error) {
	r.mu.Lock()
	at := r.image
	r.mu.Unlock()
	if at == nil || c.session.Unrecorded {
		return r.ws.newBody(context.Background(), c)
	}
	b, err := r.imagedBody(ctx, c, at, p)
	if err != nil && b != nil {
		b.abandon(err)
	}
	if err == nil || !unusable(err) {
		return b, err
	}
	// The life is that of the image too: what was undone before it is not known.
	full, readErr := oplog.ReadLife(ctx, r.ws.Store.Logs(), r.worker)
	if readErr != nil {
		return nil, errors.Join(err, readErr)
	}
	r.mu.Lock()
	r.image, r.imageNote = nil, fmt.Sprintf("the image at entry %d cannot be used: %v", at.index, err)
	r.machine.life.Undone = full.Undone
	r.mu.Unlock()
	clear(p.calls)
	c.session.Skip = slices.Clone(full.Undone)
	return r.ws.newBody(context.Background(), c)
}

// imagedBody makes a body of an image, and lets replay go on behind it.
func (r *resident) imagedBody(ctx context.Context, c bodyConfig, at *imaged, p *replay) (*body, error) {
	x, blob, err := r.ws.openImage(ctx, at.Image)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	life, err := oplog.DecodeLife(r.worker, x.Life)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	for _, q := range life.Queue {
		p.calls[q.Index] = call{accepted: q.Index, function: q.Function, args: q.Args}
	}
	c.image = x
	c.session.Cursor = oplog.NewCursor(r.ws.Store.Logs(), r.worker, at.Covers+1, p.entries)
	return r.ws.newBody(context.Background(), c)
}

// deleteImage deletes what an image needed and its successor does not.
func (ws *Workers) deleteImage(ctx context.Context, old *imaged, kept []storage.Hash) error {
	err := ws.Store.Blobs().Delete(ctx, old.Blob)
	for _, h := range old.packs {
		if !slices.Contains(kept, h) {
			err = errors.Join(err, ws.Store.Blobs().Delete(ctx, h))
		}
	}
	return err
}
