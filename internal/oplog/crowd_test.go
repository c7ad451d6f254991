package oplog

import (
	"context"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// TestAFlushWaitsForThoseOnTheirWay lets many writers commit again and again on a
// disk that takes its time: without turns of theirs, every other flush is of one.
func TestAFlushWaitsForThoseOnTheirWay(t *testing.T) {
	const writers, commits = 12, 50
	flushes := uint64(0)
	inSimulations(t, func(t *testing.T, s *sched.Simulation, _ uint64) {
		slow := func([]storage.Chunk) error { return s.Sleep(context.Background(), time.Millisecond) }
		c := newCommitter(t, s, &hooked{Logs: memory.New().Logs(), before: slow})
		var tasks []sched.Task
		for i := range writers {
			tasks = append(tasks, s.Go("writer", func() {
				w := c.NewWriter(worker(i), 0)
				for range commits {
					mustAppend(t, w)
					mustCommit(t, w)
				}
			}))
		}
		for _, task := range tasks {
			task.Wait()
		}
		flushes += c.Flushes()
		mustClose(t, c)
	})
	if most := uint64(20 * commits * 3 / 2); flushes > most {
		t.Errorf("%d flushes for %d commits, want at most %d", flushes, 20*writers*commits, most)
	} else {
		t.Logf("%d flushes", flushes)
	}
}
