package agenda

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

const shard = id.Shard(2)

func worker(n int) id.Worker {
	return id.Worker{Component: fmt.Sprint("shop", n%3), Name: fmt.Sprint("w", n)}
}

// hasty rewrites a short log.
var hasty = limits{crowd: 2, spare: 5, batch: 3}

// process is an agenda and what it stands on.
type process struct {
	*Agenda
	t testing.TB
	c *oplog.Committer
}

// start begins a process over logs.
func start(t testing.TB, s sched.Scheduler, logs storage.Logs, l limits) *process {
	t.Helper()
	c, err := oplog.NewCommitter(context.Background(), s, logs, shard)
	if err != nil {
		t.Fatal(err)
	}
	a, err := open(context.Background(), Config{Sched: s, Logs: logs, Committer: c}, l)
	if err != nil {
		t.Fatal(err)
	}
	return &process{a, t, c}
}

// stop ends it in order, twice.
func (p *process) stop() {
	p.t.Helper()
	p.Close()
	p.Close()
	if err := p.c.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// commit makes what was Set durable by way of another worker's commit.
func (p *process) commit(w *oplog.Writer) {
	p.t.Helper()
	_, err := w.Append(context.Background(), &oplog.Resumed{})
	if err == nil {
		err = w.Commit(context.Background())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// simulate runs a test in simulations.
func simulate(t *testing.T, seeds uint64, test func(t *testing.T, s *sched.Simulation, logs storage.Logs)) {
	t.Helper()
	for seed := range seeds {
		s := sched.NewSimulation(seed)
		if err := s.Run(func() { test(t, s, memory.New().Logs()) }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// in is the time by s's wall clock after d.
func in(s sched.Scheduler, d time.Duration) oplog.Time { return oplog.At(s.Now().Add(d)) }

// none demands that no worker is due.
func (p *process) none(s *sched.Simulation) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	task := s.Go("impatient", func() {
		_ = s.Sleep(context.Background(), 10*time.Millisecond)
		cancel()
	})
	if w, err := p.Next(ctx); err == nil {
		p.t.Errorf("%s is handed out", w)
	}
	task.Wait()
}

// next demands that Next gives want.
func (p *process) next(want id.Worker) {
	p.t.Helper()
	if got, err := p.Next(context.Background()); err != nil || got != want {
		p.t.Errorf("Next() = %s, %v, want %s", got, err, want)
	}
}

// entries is how many entries the stored log has.
func entries(t testing.TB, logs storage.Logs) uint64 {
	t.Helper()
	first, last, err := logs.Bounds(context.Background(), Worker)
	if err != nil {
		t.Fatal(err)
	}
	return last + 1 - first
}

// untilLen waits until n workers are left.
func (p *process) untilLen(n int) error {
	ctx := context.Background()
	for began := p.Sched.Monotonic(); p.Len() != n; {
		if p.Sched.Monotonic()-began > 20*time.Second {
			return fmt.Errorf("there are %d workers left after a long time, want %d", p.Len(), n)
		}
		_ = p.Sched.Sleep(ctx, time.Millisecond)
	}
	return nil
}
