package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// ErrDiffers is for a state that replay does not come to. Other errors of
// Config.Verify say that the two could not be compared.
var ErrDiffers = errors.New("the state is not what replay comes to")

func differ(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDiffers, fmt.Sprintf(format, args...))
}

// verify says how the worker's state, that of entry covers, differs from a
// replay of all entries until then.
func (r *resident) verify(ctx context.Context, covers oplog.Index) error {
	if err := r.writer.Commit(ctx); err != nil {
		return err
	}
	life, err := oplog.ReadLife(ctx, r.ws.Store.Logs(), r.worker)
	if oplog.IsTruncated(err) {
		return nil // nobody can tell any more
	}
	if err != nil {
		return err
	}
	whole := *life
	whole.Deltas = nil
	other, err := r.ws.rebuild(ctx, &whole, nil, covers, nil)
	if err != nil {
		return err
	}
	defer other.close()
	if err := r.body.differs(other); err != nil {
		return err
	}
	return r.savedDiffers(ctx, life, other)
}

// savedDiffers says how the state that was saved differs from other.
func (r *resident) savedDiffers(ctx context.Context, life *oplog.Life, other *body) error {
	program, err := r.ws.Catalog.Acquire(ctx, r.worker.Component, life.Create.Revision)
	if err != nil {
		return err
	}
	b, err := r.ws.newBody(ctx, bodyConfig{program: program, create: &life.Create, meter: newMeter(r.ws.Sched, api.Limits{}), saved: r.saved})
	if err != nil {
		program.Release()
		return fmt.Errorf("restore what was saved: %w", err)
	}
	defer b.close()
	if err := b.differs(other); err != nil {
		return fmt.Errorf("restored: %w", err)
	}
	return nil
}

// differs says how two states differ that should not.
func (b *body) differs(other *body) error {
	if b.random.Position() != other.random.Position() || b.clocks.State() != other.clocks.State() || b.stdio.Ended() != other.stdio.Ended() {
		return differ("random stream at %d, clocks %v, input at its end: %t; replayed %d, %v, %t",
			b.random.Position(), b.clocks.State(), b.stdio.Ended(), other.random.Position(), other.clocks.State(), other.stdio.Ended())
	}
	if (b.guest == nil) != (other.guest == nil) {
		return differ("there is an instance: %t; replayed %t", b.guest != nil, other.guest != nil)
	}
	if b.guest != nil {
		if err := b.guestDiffers(other); err != nil {
			return err
		}
	}
	mine, err := listing(b.files.Clone().View())
	if err != nil {
		return err
	}
	others, err := listing(other.files.View())
	if err == nil && !slices.Equal(mine, others) {
		err = differ("files %q; replayed %q", mine, others)
	}
	return err
}

func (b *body) guestDiffers(other *body) error {
	if !slices.Equal(b.unimageable(), other.unimageable()) {
		return differ("changed beyond memory and globals: %q; replayed %q", b.unimageable(), other.unimageable())
	}
	mine, err := b.appendOpen()
	if err != nil {
		return err
	}
	others, err := other.appendOpen()
	if err != nil {
		return err
	}
	if !bytes.Equal(mine, others) {
		return differ("descriptors %x; replayed %x", mine, others)
	}
	theirs := other.guest.cores()
	for i, core := range b.guest.cores() {
		if err := coreDiffers(core, theirs[i]); err != nil {
			return err
		}
	}
	return nil
}

func coreDiffers(core, other *wasm.Instance) error {
	if !slices.Equal(core.Globals(), other.Globals()) {
		return differ("globals %x; replayed %x", core.Globals(), other.Globals())
	}
	mine, others := core.Memory(), other.Memory()
	if len(mine) != len(others) {
		return differ("%d bytes of memory; replayed %d", len(mine), len(others))
	}
	if bytes.Equal(mine, others) {
		return nil
	}
	for i := range mine {
		if mine[i] != others[i] {
			return differ("byte %#x of the memory is %#x; replayed %#x", i, mine[i], others[i])
		}
	}
	return nil
}

// listing describes all files, content included.
func listing(files fs.FS) (lines []string, err error) {
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		stat, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s %d %d", name, stat.Mode(), stat.Size(), stat.ModTime().UnixNano())
		if stat.Mode().IsRegular() {
			content, err := fs.ReadFile(files, name)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", content)
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}
