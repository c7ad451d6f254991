package agenda

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func TestTheLogStaysInProportionToWhatIsOnTheAgenda(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		own := p.c.NewWriter(worker(0), 0)
		const rounds, live = 300, 100
		for round := range rounds {
			for n := range 2 * live {
				p.Set(worker(n), oplog.Time(1+round)) // others Set while the log is rewritten
			}
			for n := live; n < 2*live; n++ {
				p.Forget(worker(n))
			}
			p.commit(own)
			_ = s.Sleep(context.Background(), time.Millisecond)
			if got, most := entries(t, logs), defaultLimits.crowd*live+defaultLimits.spare+6*live; got > most {
				t.Fatalf("the log has %d entries for %d workers, more than %d", got, live, most)
			}
		}
		p.stop()
		_, last, err := logs.Bounds(context.Background(), Worker)
		if err != nil || last < rounds*live*2 {
			t.Errorf("only %d entries were written, %v", last, err)
		}
		if err := p.Failure(); err != nil {
			t.Errorf("Failure() = %v", err)
		}
		p = start(t, s, logs, defaultLimits)
		for n := range 2 * live {
			if at, ok := p.Due(worker(n)); ok != (n < live) || ok && at != rounds {
				t.Errorf("worker %d: Due() = %d, %v", n, at, ok)
			}
		}
		p.stop()
	})
}

func TestAnEmptyAgendaHasAShortLog(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, hasty)
		for n := range 20 {
			p.Set(worker(n), 1)
			p.Forget(worker(n))
		}
		_ = s.Sleep(context.Background(), time.Second)
		if got := entries(t, logs); got > hasty.spare {
			t.Errorf("there are %d entries, and no worker", got)
		}
		p.Set(worker(1), 7)
		p.stop()
		p = start(t, s, logs, hasty)
		if at, ok := p.Due(worker(1)); !ok || at != 7 || p.Len() != 1 {
			t.Errorf("Due() = %d, %v, want 7", at, ok)
		}
		p.stop()
	})
}

// unwilling is logs that do not truncate for a while, and whose chunks can be
// changed when they are read.
type unwilling struct {
	storage.Logs
	failing bool
	tried   int
	mangle  func(storage.Chunk) storage.Chunk
}

var errDisk = errors.New("the disk is on fire")

func (u *unwilling) Truncate(ctx context.Context, shard id.Shard, epoch id.Epoch, w id.Worker, below uint64) error {
	if u.tried++; u.failing {
		return errDisk
	}
	return u.Logs.Truncate(ctx, shard, epoch, w, below)
}

func (u *unwilling) Read(ctx context.Context, w id.Worker, from, to uint64) iter.Seq2[storage.Chunk, error] {
	return func(yield func(storage.Chunk, error) bool) {
		for c, err := range u.Logs.Read(ctx, w, from, to) {
			if err == nil && u.mangle != nil {
				c = u.mangle(c)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func TestARewritingThatFailsIsTriedAgain(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		u := &unwilling{Logs: logs, failing: true}
		p := start(t, s, u, hasty)
		for n := range 20 {
			p.Set(worker(1), oplog.Time(1+n))
		}
		_ = s.Sleep(context.Background(), time.Minute)
		if err := p.Failure(); !errors.Is(err, errDisk) {
			t.Errorf("Failure() = %v, want the disk's error", err)
		}
		if most := int(time.Minute/again) + 1; u.tried > most || u.tried < 2 {
			t.Errorf("it was tried %d times in a minute", u.tried)
		}
		u.failing = false
		_ = s.Sleep(context.Background(), again)
		if got := entries(t, logs); p.Failure() != nil || got > 1 {
			t.Errorf("Failure() = %v, and there are %d entries", p.Failure(), got)
		}
		p.stop()
	})
}

func TestCloseEndsARewritingThatFails(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		u := &unwilling{Logs: logs, failing: true}
		p := start(t, s, u, hasty)
		for n := range 20 {
			p.Set(worker(1), oplog.Time(1+n))
		}
		_ = s.Sleep(context.Background(), time.Millisecond)
		began := s.Monotonic()
		p.stop()
		if took := s.Monotonic() - began; took > time.Millisecond {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestADamagedAgendaOpensWithWhatCanBeReadUntilItIsRebuilt(t *testing.T) {
	simulate(t, 3, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, hasty)
		own := p.c.NewWriter(worker(99), 0)
		for n := range 5 { // a chunk each
			p.Set(worker(n), oplog.Time(10+n))
			p.commit(own)
		}
		p.stop()
		rotten := &unwilling{Logs: logs, mangle: func(c storage.Chunk) storage.Chunk {
			if c.Worker == Worker && c.First == 3 {
				c.Bytes[len(c.Bytes)-6] ^= 1
			}
			return c
		}}
		for range 2 { // as often as nobody rebuilds it
			p = start(t, s, rotten, hasty)
			var corrupt *storage.CorruptError
			if err := p.Damaged(); !errors.As(err, &corrupt) || corrupt.From != 3 || corrupt.To != 3 {
				t.Errorf("Damaged() = %v, want entry 3", err)
			}
			for n := range 5 {
				if _, ok := p.Due(worker(n)); ok == (n == 2) {
					t.Errorf("worker %d: on the agenda is %v", n, ok)
				}
			}
			for n := range 50 { // would be enough to rewrite the log
				p.Set(worker(7), oplog.Time(20+n))
			}
			p.Forget(worker(7))
			_ = s.Sleep(context.Background(), time.Minute)
			p.stop()
		}
		p = start(t, s, rotten, hasty)
		for n := range 5 {
			p.Set(worker(n), oplog.Time(10+n))
		}
		p.Rebuilt()
		p.Rebuilt()
		_ = s.Sleep(context.Background(), time.Second)
		p.stop()
		p = start(t, s, rotten, hasty)
		if err := p.Damaged(); err != nil || p.Len() != 5 {
			t.Errorf("rebuilt, Damaged() = %v and Len() = %d", err, p.Len())
		}
		p.stop()
	})
}

func TestAStrangeEntryIsDamage(t *testing.T) {
	simulate(t, 1, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, hasty)
		p.Set(worker(1), 10)
		p.commit(p.c.NewWriter(worker(9), 0))
		_, last, err := logs.Bounds(context.Background(), Worker)
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		p.commit(p.c.NewWriter(Worker, last))
		p.stop()
		p = start(t, s, logs, hasty)
		if p.Damaged() == nil || p.Len() != 1 {
			t.Errorf("Damaged() = %v and Len() = %d", p.Damaged(), p.Len())
		}
		p.stop()
	})
}

// unreadable gives errors that are no damage.
type unreadable struct {
	storage.Logs
	bounds, read error
}

func (u unreadable) Bounds(ctx context.Context, w id.Worker) (first, last uint64, err error) {
	if u.bounds != nil {
		return 0, 0, u.bounds
	}
	return u.Logs.Bounds(ctx, w)
}

func (u unreadable) Read(context.Context, id.Worker, uint64, uint64) iter.Seq2[storage.Chunk, error] {
	return func(yield func(storage.Chunk, error) bool) { yield(storage.Chunk{}, u.read) }
}

func TestAnAgendaThatCannotBeReadAtPresentDoesNotOpen(t *testing.T) {
	simulate(t, 1, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, hasty)
		p.Set(worker(1), 10)
		p.stop()
		c, err := oplog.NewCommitter(context.Background(), s, logs, shard)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []unreadable{{logs, errDisk, nil}, {logs, nil, errDisk}} {
			if _, err := Open(context.Background(), Config{Sched: s, Logs: u, Committer: c}); !errors.Is(err, errDisk) {
				t.Errorf("Open() = %v, want the disk's error", err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
