package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/image"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// saved is a worker's state at rest, outside of any instance: what an evicted
// worker is. It is a copy of what images and deltas have durably, and can be
// made of these again at any time.
type saved struct {
	covers oplog.Index    // the last entry that it has the effects of
	cores  []*wasm.Module // of the program
	states []*wasm.Saved  // of each core; none without an instance
	head   image.Head     // the rest, but for the fields that say what these say
	inline map[filesystem.Sum][]byte
	packs  []storage.Hash // all that images and deltas have named until here
	// What follows is guarded by the resident's mu: the entry that has the state,
	// 0 at the beginning, and the bytes of the deltas behind its image.
	entry oplog.Index
	bytes uint64
	// mark are the files of the body that was made of the state or compared with
	// it last.
	mark filesystem.Mark
}

// newSaved is the state that a worker begins with.
func newSaved(cores []*wasm.Module) *saved {
	return &saved{covers: 1, cores: cores, inline: map[filesystem.Sum][]byte{}}
}

// fresh gives the states of a fresh instance.
func (s *saved) fresh() []*wasm.Saved {
	states := make([]*wasm.Saved, len(s.cores))
	for i, m := range s.cores {
		states[i] = m.NewSaved()
	}
	return states
}

// kept is about how many bytes are kept for the memories.
func (s *saved) kept() (bytes uint64) {
	if s == nil {
		return 0
	}
	for _, state := range s.states {
		bytes += state.Kept()
	}
	return bytes
}

func closeStates(states []*wasm.Saved) {
	for _, state := range states {
		_ = state.Close() // nothing else can be done with it
	}
}

func (s *saved) close() {
	if s != nil {
		s.dropMemory()
	}
}

func (s *saved) dropMemory() {
	closeStates(s.states)
	s.states = nil
}

// difference is how b's state differs from s, which b was made of or last
// compared with. After it, s is of use only if the difference is applied to it.
func (s *saved) difference(b *body) (*image.Delta, error) {
	d, err := s.restDifference(b)
	if err != nil || b.guest == nil {
		return d, err
	}
	from := s.states
	if from == nil {
		from, d.Base = s.fresh(), image.BaseOf(s.cores)
		defer closeStates(from)
	}
	for i, core := range b.guest.cores() {
		change, err := core.Capture(from[i])
		if err != nil {
			return nil, err
		}
		d.Changes = append(d.Changes, change)
	}
	return d, nil
}

// take makes s the state of b, which b was made of or last compared with, however
// much has changed, when entry covers was the last. After an error s is of no use.
func (s *saved) take(b *body, covers oplog.Index) error {
	d, err := s.restDifference(b)
	if err != nil {
		return err
	}
	s.applyRest(d, covers)
	if b.guest == nil {
		s.dropMemory()
		return nil
	}
	if s.states == nil {
		s.states = s.fresh()
	}
	for i, core := range b.guest.cores() {
		if err := core.Save(s.states[i]); err != nil {
			return err
		}
	}
	return nil
}

// restDifference is the difference without the memory.
func (s *saved) restDifference(b *body) (*image.Delta, error) {
	c := b.clocks.State()
	d := &image.Delta{Random: b.random.Position(), Clocks: [3]uint64{c.Monotonic, c.Realtime, c.Stamp}, Input: b.stdio.Ended()}
	if err := s.filesDifference(b, d); err != nil {
		return nil, err
	}
	if b.guest == nil {
		if len(s.head.Open) > 0 {
			d.Open = []byte{}
		}
		return d, nil
	}
	open, err := b.appendOpen()
	if !bytes.Equal(open, s.head.Open) {
		d.Open = open
	}
	return d, err
}

func (s *saved) filesDifference(b *body, d *image.Delta) error {
	if s.head.Files != nil && b.files.Unchanged(s.mark) {
		return nil
	}
	manifest, err := b.files.Encode()
	if err != nil {
		return err
	}
	s.mark = b.files.Mark()
	if bytes.Equal(manifest, s.head.Files) {
		return nil
	}
	d.Files = manifest
	d.Packs, d.Inline = b.packs.needed(b.files)
	d.Inline = slices.DeleteFunc(d.Inline, func(p image.Pack) bool { return s.inline[p.Sum] != nil })
	return nil
}

// apply makes s the state that d was taken of, when entry covers was the last.
// After an error s is of no use.
func (s *saved) apply(d *image.Delta, covers oplog.Index) error {
	if err := s.applyChange(d); err != nil {
		return err
	}
	s.applyRest(d, covers)
	return nil
}

func (s *saved) applyRest(d *image.Delta, covers oplog.Index) {
	s.covers = covers
	h := &s.head
	h.Random, h.Clocks, h.Input = d.Random, d.Clocks, d.Input
	if d.Files != nil {
		h.Files, h.Packs = bytes.Clone(d.Files), d.Packs
		s.packs = append(s.packs, d.Packs...)
		for _, p := range d.Inline {
			s.inline[p.Sum] = bytes.Clone(p.Content)
		}
	}
	if d.Open != nil {
		h.Open = bytes.Clone(d.Open)
	}
}

func (s *saved) applyChange(d *image.Delta) error {
	fresh := d.Base != [32]byte{}
	if len(d.Changes) == 0 || fresh {
		s.dropMemory()
	}
	switch {
	case len(d.Changes) == 0:
		return nil
	case fresh && d.Base != image.BaseOf(s.cores):
		return image.ErrOtherBase
	case fresh:
		s.states = s.fresh()
	}
	if len(d.Changes) != len(s.states) {
		return image.ErrDamaged
	}
	for i, change := range d.Changes {
		if err := s.states[i].Apply(change); err != nil {
			return err
		}
	}
	return nil
}

// load makes s the state of an image.
func (s *saved) load(x *image.Reader, covers oplog.Index) error {
	s.covers, s.head, s.packs = covers, x.Head, x.Packs
	s.head.Life, s.head.Cores = nil, nil
	if len(x.Cores) == 0 {
		return x.Load(nil)
	}
	if x.Base != image.BaseOf(s.cores) {
		return image.ErrOtherBase
	}
	if len(x.Cores) != len(s.cores) {
		return image.ErrDamaged
	}
	s.states = s.fresh()
	for i, state := range s.states {
		err := state.Resize(x.Cores[i].Memory)
		if err == nil {
			err = state.SetGlobals(x.Cores[i].Globals)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", image.ErrDamaged, err)
		}
	}
	return x.Load(func(core int, offset uint64, p []byte) error { return s.states[core].Write(offset, p) })
}

// restore makes a new body one that has the state s.
func (b *body) restore(s *saved) (err error) {
	h := &s.head
	b.clocks.Restore(ambient.ClockState{Monotonic: h.Clocks[0], Realtime: h.Clocks[1], Stamp: h.Clocks[2]})
	b.stdio.Restore(h.Input)
	for _, p := range h.Packs {
		b.packs.own[filesystem.Sum(p)] = true
	}
	for sum, content := range s.inline {
		b.packs.own[sum], b.packs.inline[sum] = true, content
	}
	if b.files, err = filesystem.Decode(h.Files, b.filesConfig()); err != nil {
		return fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	open, handles := h.Open, []byte(nil)
	if s.states != nil && b.program.Component() != nil {
		if open, handles, err = splitOpen(open); err != nil {
			return err
		}
	}
	if s.states != nil {
		if err := b.openSystem(nil, open); err != nil {
			return fmt.Errorf("%w: %w", image.ErrDamaged, err)
		}
	}
	b.files.Sweep() // what was open in an instance before that
	s.mark = b.files.Mark()
	if s.states == nil {
		return nil
	}
	if err := b.newBlank(); err != nil {
		return err
	}
	if err = b.restoreGuest(s, handles); err != nil && !isFault(err) {
		return fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	return err
}

// restoreGuest gives a new instance the memories, globals and handles.
func (b *body) restoreGuest(s *saved, handles []byte) error {
	cores := b.guest.cores()
	if len(cores) != len(s.states) {
		return image.ErrOtherBase
	}
	for i, core := range cores {
		if err := core.Restore(s.states[i]); err != nil {
			return err
		}
	}
	if b.guest.component == nil {
		return nil
	}
	return b.guest.component.ReadHandles(handles)
}

// readSaved makes the state of an image, or of the worker's beginning if at is
// nil, and of the deltas behind it. note says why a delta was left out, with
// all that follow it.
func (ws *Workers) readSaved(ctx context.Context, life *oplog.Life, cores []*wasm.Module, at *imaged) (s *saved, note string, err error) {
	s = newSaved(cores)
	if at != nil {
		if err := ws.loadImage(ctx, s, at); err != nil {
			s.close()
			return nil, "", err
		}
	}
	chain := life.DeltasBehind(at.entry())
	if len(chain) == 0 {
		return s, "", nil
	}
	next := 0
	for e, err := range oplog.Read(ctx, ws.Store.Logs(), life.Worker, chain[0].Index, chain[len(chain)-1].Index) {
		var corrupt *storage.CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			s.close()
			return nil, "", err
		}
		if err == nil && e.Index < chain[next].Index || err != nil && corrupt.To != 0 && corrupt.To < chain[next].Index {
			continue
		}
		if err == nil {
			err = s.applyEntry(e)
		}
		if err != nil {
			note = deltaNote(chain[next].Index, err)
			break
		}
		next++
	}
	if note == "" {
		return s, "", nil
	}
	// What is left of s may be half of a state.
	s.close()
	life.CutDeltas(chain[next].Index)
	s, again, err := ws.readSaved(ctx, life, cores, at)
	if again != "" {
		note = again
	}
	return s, note, err
}

func (s *saved) applyEntry(e oplog.Entry) error {
	delta, ok := e.Body.(*oplog.Delta)
	if !ok {
		return fmt.Errorf("it is %s", oplog.Name(e.Body))
	}
	d, err := image.DecodeDelta(delta.State)
	if err != nil {
		return err
	}
	if err := s.apply(d, delta.Covers); err != nil {
		return err
	}
	s.entry = e.Index
	s.bytes += uint64(len(delta.State))
	return nil
}

func (ws *Workers) loadImage(ctx context.Context, s *saved, at *imaged) error {
	x, blob, err := ws.openImage(ctx, at.Image)
	if err != nil {
		return err
	}
	err = s.load(x, at.Covers)
	s.entry = at.index
	return errors.Join(err, blob.Close())
}
