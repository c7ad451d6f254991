package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// Again makes a calm world that has of each oplog of this one, whose programs
// have ended, a prefix: keep gives its length for an oplog's. Running it is
// recovery from there. With all entries but the last, which says how the
// program ended, it must come to the same end without asking the outside for
// anything.
func (w *World) Again(keep func(last oplog.Index) oplog.Index) (*World, error) {
	prefix := memory.New()
	programs := make([]Program, len(w.Programs))
	var failed error
	w.present = w.calm()
	w.Backing.begin(w.present)
	err := w.sim.Run(func() {
		ctx := context.Background()
		store, err := w.Backing.open(ctx)
		if err != nil {
			failed = err
			return
		}
		for i := range w.Programs {
			programs[i] = w.Programs[i]
			if failed = w.copy(ctx, prefix, store, &programs[i], keep); failed != nil {
				break
			}
		}
		failed = errors.Join(failed, copyBlobs(ctx, prefix, store), store.Close())
	})
	w.Backing.end()
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("seed %#x: copy a prefix: %w", w.Seed, err)
	}
	again := New(w.host, programs, Options{Seed: w.Seed, Calm: true, Backing: &inMemory{store: prefix}, Trace: w.Trace})
	again.jumped = true // its clocks have nothing to do with those of this world
	return again, nil
}

// copy writes a prefix of the oplog of p to another store, and gives p the host
// directory that belongs to it.
func (w *World) copy(ctx context.Context, to, from storage.Store, p *Program, keep func(oplog.Index) oplog.Index) error {
	committer, err := oplog.NewCommitter(ctx, w.sim, to.Logs(), 0)
	if err != nil {
		return err
	}
	applied, err := copyEntries(ctx, committer, from, p.worker(), keep)
	if applied {
		p.Files = w.rooms[p.Name].files.files
	}
	return errors.Join(err, committer.Close())
}

// copyEntries reports whether the prefix has the outcome of writing files back.
func copyEntries(ctx context.Context, committer *oplog.Committer, from storage.Store, worker id.Worker, keep func(oplog.Index) oplog.Index) (applied bool, err error) {
	_, last, err := from.Logs().Bounds(ctx, worker)
	if err != nil {
		return false, err
	}
	var intent uint64 // the function of the last one
	writer := committer.NewWriter(worker, 0)
	for entry, err := range oplog.Read(ctx, from.Logs(), worker, 1, keep(last)) {
		if err == nil {
			_, err = writer.Append(ctx, entry.Body)
		}
		if err != nil {
			return false, err
		}
		switch b := entry.Body.(type) {
		case *oplog.HostCallStarted:
			intent = b.Func
		case *oplog.HostCallFinished:
			applied = applied || changesHost(intent)
		}
	}
	return applied, writer.Commit(ctx)
}

// changesHost reports whether a recorded function writes to host directories.
func changesHost(code uint64) bool {
	return slices.ContainsFunc(hostdir.Funcs(), func(f durable.Declared) bool {
		c, _, effect := f.Declaration()
		return c == code && effect == durable.WriteRemote
	})
}

func copyBlobs(ctx context.Context, to, from storage.Store) error {
	for hash, err := range from.Blobs().List(ctx) {
		if err != nil {
			return err
		}
		r, err := from.Blobs().Get(ctx, hash)
		if err != nil {
			return err
		}
		_, _, err = to.Blobs().Put(ctx, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}
