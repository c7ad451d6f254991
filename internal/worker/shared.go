package worker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
)

// buckets are what the program has in common with other workers of its component.
func (b *body) buckets() *keyvalue.Buckets {
	return &keyvalue.Buckets{Config: keyvalue.Config{
		Session: b.session, Store: b.rt.Buckets, Worker: b.session.Worker, Life: b.life(), Forgets: b.ephemeral,
	}}
}

// containers are the same of what is larger.
func (b *body) containers() *blobstore.Containers {
	return &blobstore.Containers{Config: blobstore.Config{
		Session: b.session, Store: b.rt.Containers, Worker: b.session.Worker, Life: b.life(), Pace: b.pace, Forgets: b.ephemeral,
	}}
}

// life tells the worker from others that had or will have its name, whose entries
// have the same indexes.
func (b *body) life() string {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(b.create.Seed[:], uint64(b.create.At)))
	return "@" + hex.EncodeToString(sum[:8])
}

// pace waits until so many bytes can be recorded.
func (b *body) pace(ctx context.Context, bytes int) error {
	for d := b.meter.pace(bytes); d > 0; d = b.meter.pace(bytes) {
		if err := b.waitsForEvents(func() error { return b.rt.Sched.Sleep(ctx, d) }); err != nil {
			return err
		}
	}
	return nil
}
