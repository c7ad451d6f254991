package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// entrySize is about what an entry of the storage measurements had.
const entrySize = 256

// BenchmarkCommit is how many entries a second become durable when each of so
// many workers waits for each of its own, against a bare file that is written
// and synced by whoever comes first for all who wait.
func BenchmarkCommit(b *testing.B) {
	for _, workers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("workers=%d/log=file", workers), func(b *testing.B) {
			log := newBareLog(b)
			together(b, workers, func(int) func() {
				entry := make([]byte, entrySize)
				return func() { log.commit(b, entry) }
			})
		})
		b.Run(fmt.Sprintf("workers=%d/log=waterbear", workers), func(b *testing.B) {
			ctx := context.Background()
			store, err := local.Open(ctx, vfs.OS(), b.TempDir(), local.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			committer, err := oplog.NewCommitter(ctx, sched.NewGoroutines(), store.Logs(), 0)
			if err != nil {
				b.Fatal(err)
			}
			defer committer.Close()
			together(b, workers, func(i int) func() {
				w := committer.NewWriter(id.Worker{Component: "bench", Name: fmt.Sprint(i)}, 0)
				entry := make([]byte, entrySize-20)
				return func() {
					if err := w.AppendHostCall(ctx, 1, nil, entry); err != nil {
						b.Error(err)
					}
					if err := w.Commit(ctx); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// together lets so many workers commit b.N entries among them.
func together(b *testing.B, workers int, start func(int) func()) {
	b.Helper()
	var group sync.WaitGroup
	b.ResetTimer()
	for i := range workers {
		commit := start(i)
		share := b.N / workers
		if i < b.N%workers {
			share++
		}
		group.Go(func() {
			for range share {
				commit()
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// bareLog is a file that is written and synced for all who wait.
type bareLog struct {
	file vfs.File
	size int64 // guarded by sync

	mu      sync.Mutex
	pending []byte
	waiting chan struct{} // closed when pending is durable

	sync sync.Mutex
}

func newBareLog(b *testing.B) *bareLog {
	b.Helper()
	f, err := vfs.OS().Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &bareLog{file: f, waiting: make(chan struct{})}
}

func (l *bareLog) commit(b *testing.B, entry []byte) {
	l.mu.Lock()
	l.pending = append(l.pending, entry...)
	done := l.waiting
	l.mu.Unlock()
	l.sync.Lock()
	defer l.sync.Unlock()
	select {
	case <-done:
		return
	default:
	}
	l.mu.Lock()
	pending := l.pending
	l.pending, l.waiting = nil, make(chan struct{})
	l.mu.Unlock()
	if _, err := l.file.WriteAt(pending, l.size); err != nil {
		b.Error(err)
	}
	l.size += int64(len(pending))
	if err := l.file.SyncData(); err != nil {
		b.Error(err)
	}
	close(done)
}
