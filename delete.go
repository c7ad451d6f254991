package waterbear

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Delete forgets a worker: its oplog, its files and what only it needed.
func (n *Node) Delete(ctx context.Context, name string) error {
	if n.options.ReadOnly {
		return errReadOnly
	}
	w, err := workerID(name)
	if err != nil {
		return err
	}
	if err := n.claim(ctx, w); err != nil {
		return err
	}
	defer n.release(w)
	return n.delete(ctx, w)
}

func (n *Node) delete(ctx context.Context, w id.Worker) error {
	_, last, err := n.store.Logs().Bounds(ctx, w)
	if err != nil {
		return err
	}
	if last == 0 {
		return noWorker(w)
	}
	// The mark goes first: it must not outlive the worker that it is of.
	if err := forgetSeen(n.disk, n.options.Dir, w); err != nil {
		return err
	}
	if err := n.store.Logs().Delete(ctx, shard, n.runtime.Committer.Epoch(), w); err != nil {
		return fmt.Errorf("delete the oplog of %s: %w", w.Name, err)
	}
	if err := n.sweep(ctx); err != nil {
		return err
	}
	return n.housekeep(ctx)
}

// sweep deletes the blobs that nobody needs. While another worker runs it does
// nothing: what that one has just kept is in no committed entry yet. Nor does it
// where workers come and go all the time.
func (n *Node) sweep(ctx context.Context) error {
	if n.platform != nil || !n.beginSweep() {
		return nil
	}
	defer n.endSweep()
	used, err := n.used(ctx)
	if damaged(err) || errors.Is(err, storage.ErrNotFound) {
		return nil // what a damaged worker needs cannot be told: keep everything
	}
	if err != nil {
		return err
	}
	for h, err := range n.store.Blobs().List(ctx) {
		if err != nil {
			return err
		}
		if !used[h] {
			if err := n.store.Blobs().Delete(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// used is every blob that some worker or component needs.
func (n *Node) used(ctx context.Context) (map[storage.Hash]bool, error) {
	deployed, err := catalog.Open(ctx, catalog.Config{Sched: n.sched, Cells: n.store.Cells(), Blobs: n.store.Blobs()})
	if err != nil {
		return nil, err
	}
	used, err := deployed.Hashes(ctx)
	if err = errors.Join(err, deployed.Close()); err != nil {
		return nil, err
	}
	for w, err := range n.store.Logs().Workers(ctx, id.Worker{}) {
		if err != nil {
			return nil, err
		}
		for entry, err := range oplog.Read(ctx, n.store.Logs(), w, 1, 0) {
			if err != nil {
				return nil, err
			}
			hashes, err := n.runtime.Blobs(ctx, entry.Body)
			if err != nil {
				return nil, err
			}
			for _, h := range hashes {
				used[h] = true
			}
		}
	}
	return used, nil
}

// housekeep lets the store give back the space of what was deleted.
func (n *Node) housekeep(ctx context.Context) error {
	h, ok := n.store.(storage.Housekeeper)
	for more := ok; more; {
		var err error
		if more, err = h.Housekeep(ctx); err != nil {
			return fmt.Errorf("give back disk space: %w", err)
		}
	}
	return nil
}
