package oplog

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// fullLogs refuse to take anything while they are full.
type fullLogs struct {
	storage.Logs
	full atomic.Bool
}

func (l *fullLogs) Append(ctx context.Context, shard id.Shard, epoch id.Epoch, head uint64, segment []storage.Chunk) error {
	if l.full.Load() {
		return storage.ErrFull
	}
	return l.Logs.Append(ctx, shard, epoch, head, segment)
}

func TestCommitSoonGivesUpWhereCommitWaits(t *testing.T) {
	s := sched.NewSimulation(1)
	logs := &fullLogs{Logs: memory.New().Logs()}
	err := s.Run(func() {
		ctx := context.Background()
		c, err := NewCommitter(ctx, s, logs, 0, Retry)
		if err != nil {
			t.Error(err)
			return
		}
		w := c.NewWriter(alice, 0)
		append1 := func() Index {
			index, err := w.Append(ctx, line(1))
			if err != nil {
				t.Error(err)
			}
			return index
		}
		append1()
		if err := w.CommitSoon(ctx); err != nil {
			t.Errorf("got %v from a store that works", err)
		}
		logs.full.Store(true)
		index := append1()
		began := s.Monotonic()
		if err := w.CommitSoon(ctx); !errors.Is(err, storage.ErrFull) {
			t.Errorf("got %v, want %v", err, storage.ErrFull)
		}
		if took := s.Monotonic() - began; took > 2*lastPause {
			t.Errorf("it took %v to give up", took)
		}
		waits := s.Go("commit", func() {
			if err := w.Commit(ctx); err != nil {
				t.Error(err)
			}
		})
		logs.full.Store(false)
		waits.Wait()
		if w.Committed() < index {
			t.Errorf("entry %d is not durable", index)
		}
		append1()
		if err := w.CommitSoon(ctx); err != nil {
			t.Errorf("got %v once there was room", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
