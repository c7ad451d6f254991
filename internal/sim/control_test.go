package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// liar is a store that acknowledges a segment before it keeps it: the next
// append does, or the end of the process, but a crash loses it.
type liar struct {
	inMemory
	logs liarLogs
}

type liarStore struct {
	storage.Store
	logs *liarLogs
}

type liarLogs struct {
	storage.Logs
	late func() error
}

func (l *liar) open(context.Context) (storage.Store, error) {
	l.logs.Logs = l.store.Logs()
	return liarStore{l.store, &l.logs}, nil
}

func (l *liar) crash(r *rand.Rand, powerOff bool) {
	l.logs.late = nil
	l.inMemory.crash(r, powerOff)
}

func (l *liar) end() {
	if l.logs.late != nil {
		_ = l.logs.late()
	}
	l.logs.late = nil
	l.inMemory.end()
}

func (s liarStore) Logs() storage.Logs { return s.logs }
func (s liarStore) Close() error       { return nil }

func (l *liarLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	if l.late != nil {
		if err := l.late(); err != nil {
			return err
		}
	}
	kept := make([]storage.Chunk, len(segment))
	for i, c := range segment {
		kept[i] = c
		kept[i].Bytes = append([]byte(nil), c.Bytes...)
	}
	l.late = func() error { return l.Logs.Append(ctx, shard, epoch, head, kept) }
	return nil
}

func TestStoreThatLosesWhatItAcknowledgedIsFoundOut(t *testing.T) {
	found := 0
	for seed := range uint64(20) {
		l := &liar{inMemory: inMemory{store: memory.New()}}
		_, err := New(host(), programs(t)[:3], Options{Seed: seed, Backing: l}).Run()
		if errors.Is(err, errBroken) {
			found++
		} else if err != nil {
			t.Logf("seed %d: %v", seed, err)
		}
	}
	if found < 10 {
		t.Errorf("%d of 20 worlds on a store that loses what it acknowledged were found out", found)
	}
}
