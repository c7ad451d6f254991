package sim

import (
	"context"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
)

// disk is a store whose calls take time and, if a plan has it, fail. It adds one
// more place to crash at: what is appended is durable, and nobody has been told
// yet.
type disk struct {
	storage.Store
	plan *plan
}

func newDisk(store storage.Store, p *plan) storage.Store {
	return &disk{storagetest.Faulty(store, func(string) storagetest.Fault {
		p.pause()
		return storagetest.None
	}), p}
}

func (d *disk) Logs() storage.Logs { return &diskLogs{d.Store.Logs(), d.plan} }

type diskLogs struct {
	storage.Logs
	plan *plan
}

func (l *diskLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	err := l.Logs.Append(ctx, shard, epoch, head, segment)
	l.plan.pause()
	return err
}
