package agenda

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

func TestWorkersAreHandedOutWhenTheyAreDueAndInThatOrder(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		for _, n := range []int{3, 1, 4, 2, 0} {
			p.Set(worker(n), in(s, time.Duration(n)*time.Minute))
		}
		began := s.Monotonic()
		for n := range 5 {
			p.next(worker(n))
			if took, want := s.Monotonic()-began, time.Duration(n)*time.Minute; took < want-time.Second || took > want+time.Millisecond {
				t.Errorf("worker %d is handed out after %v, want %v", n, took, want)
			}
		}
		p.none(s)
		if p.Len() != 5 {
			t.Errorf("Len() = %d, want 5: who is handed out stays", p.Len())
		}
		if p.Waiting() != 0 {
			t.Errorf("Waiting() = %d, want 0: who is handed out does not wait", p.Waiting())
		}
		p.stop()
	})
}

func TestAWorkerSetToBeDueEarlierIsHandedOutAtOnce(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		p.Set(worker(1), in(s, time.Hour))
		var took time.Duration
		var set time.Duration
		task := s.Go("consumer", func() {
			p.next(worker(2))
			took = s.Monotonic() - set
		})
		_ = s.Sleep(context.Background(), 300*time.Millisecond)
		set = s.Monotonic()
		p.Set(worker(2), in(s, -time.Second))
		task.Wait()
		if took > time.Millisecond {
			t.Errorf("it took %v", took)
		}
		p.stop()
	})
}

func TestAnAgendaFollowsAWallClockThatJumps(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		p.Set(worker(1), in(s, time.Hour))
		p.Set(worker(2), in(s, 2*time.Hour))
		var took time.Duration
		jumps := s.Go("jumps", func() {
			_ = s.Sleep(context.Background(), 10*time.Second)
			s.JumpWall(time.Hour)
			took = -s.Monotonic()
		})
		p.next(worker(1))
		if took += s.Monotonic(); took > recheck+time.Millisecond {
			t.Errorf("%v after the jump", took)
		}
		jumps.Wait()
		s.JumpWall(-time.Hour) // so two hours are left
		began := s.Monotonic()
		p.next(worker(2))
		if took := s.Monotonic() - began; took < time.Hour+59*time.Minute {
			t.Errorf("the second is handed out after %v", took)
		}
		p.stop()
	})
}

func TestAWorkerIsHandedOutOnceForEachTimeItIsSet(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		at := in(s, 0)
		p.Set(worker(1), at)
		p.Set(worker(1), at)
		p.next(worker(1))
		p.none(s)
		p.Set(worker(1), at) // the same again
		p.next(worker(1))
		p.none(s)
		if got, ok := p.Due(worker(1)); !ok || got != at {
			t.Errorf("Due() = %d, %v, want %d", got, ok, at)
		}
		p.stop()
		if got := entries(t, logs); got != 1 {
			t.Errorf("setting one time again and again wrote %d entries", got)
		}

		p = start(t, s, logs, defaultLimits) // what was handed out is still to be looked at
		p.next(worker(1))
		p.Forget(worker(1))
		p.Forget(worker(1))
		p.Forget(worker(2))
		p.none(s)
		if _, ok := p.Due(worker(1)); ok || p.Len() != 0 {
			t.Errorf("a forgotten worker is due: Due() = %v, Len() = %d", ok, p.Len())
		}
		p.stop()
		if got := entries(t, logs); got != 2 {
			t.Errorf("there are %d entries, want 2", got)
		}
	})
}

func TestSetNeitherWaitsNorWritesByItself(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		began := s.Monotonic()
		for n := range 1000 {
			p.Set(worker(n), in(s, time.Hour))
		}
		if took := s.Monotonic() - began; took != 0 {
			t.Errorf("Set waited for %v", took)
		}
		_ = s.Sleep(context.Background(), time.Minute)
		if got := entries(t, logs); got != 0 || !p.Room() {
			t.Errorf("%d entries were written before anybody committed", got)
		}
		p.commit(p.c.NewWriter(worker(0), 0))
		if got := entries(t, logs); got != 1000 {
			t.Errorf("%d entries are durable after a commit, want 1000", got)
		}
		p.stop()
	})
}

func TestNextEndsWithItsContextAndWithTheAgenda(t *testing.T) {
	simulate(t, 10, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, defaultLimits)
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(context.Background())
		var got [3]error
		var tasks []sched.Task
		for i := range got {
			tasks = append(tasks, s.Go("consumer", func() {
				c := context.Background()
				if i == 0 {
					c = ctx
				}
				_, got[i] = p.Next(c)
			}))
		}
		_ = s.Sleep(context.Background(), 2500*time.Millisecond)
		cancel(enough)
		tasks[0].Wait()
		p.stop()
		tasks[1].Wait()
		tasks[2].Wait()
		for i, want := range []error{enough, ErrClosed, ErrClosed} {
			if !errors.Is(got[i], want) {
				t.Errorf("Next() = %v, want %v", got[i], want)
			}
		}
		p.Set(worker(1), in(s, 0))
		if _, err := p.Next(ctx); !errors.Is(err, enough) {
			t.Errorf("Next() with a canceled context = %v", err)
		}
		if _, err := p.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("Next() after Close = %v", err)
		}
	})
}

func TestSeveralTasksShareTheWork(t *testing.T) {
	simulate(t, 20, func(t *testing.T, s *sched.Simulation, logs storage.Logs) {
		p := start(t, s, logs, hasty)
		seen := map[id.Worker]int{}
		var tasks []sched.Task
		for range 3 {
			tasks = append(tasks, s.Go("consumer", func() {
				for {
					w, err := p.Next(context.Background())
					if err != nil {
						return
					}
					seen[w]++
				}
			}))
		}
		for n := range 50 {
			p.Set(worker(n), in(s, time.Duration(n%7)*time.Second))
			_ = s.Sleep(context.Background(), 100*time.Millisecond)
		}
		_ = s.Sleep(context.Background(), 10*time.Second)
		p.stop()
		for _, task := range tasks {
			task.Wait()
		}
		for n := range 50 {
			if seen[worker(n)] != 1 {
				t.Errorf("worker %d was handed out %d times", n, seen[worker(n)])
			}
		}
	})
}

func TestTheAgendaMayBeUsedBySeveralTasksAtOnce(t *testing.T) {
	s := sched.NewGoroutines()
	logs := memory.New().Logs()
	p := start(t, s, logs, hasty)
	consumer := s.Go("consumer", func() {
		for {
			w, err := p.Next(context.Background())
			if err != nil {
				return
			}
			p.Forget(w)
		}
	})
	const users, rounds, later = 4, 300, 1 << 62
	var tasks []sched.Task
	for i := range users {
		tasks = append(tasks, s.Go("user", func() {
			own := p.c.NewWriter(worker(i), 0)
			for n := range rounds {
				p.Set(worker(1000*(i+1)+n), in(s, time.Duration(n%3)*time.Millisecond))
				p.Set(worker(i), oplog.Time(later+n))
				if n%10 == 0 {
					p.commit(own)
				}
			}
			p.commit(own)
		}))
	}
	for _, task := range tasks {
		task.Wait()
	}
	if err := p.untilLen(users); err != nil {
		t.Error(err)
	}
	p.stop()
	consumer.Wait()
	p = start(t, s, logs, hasty)
	for i := range users {
		if at, ok := p.Due(worker(i)); !ok || at != later+rounds-1 {
			t.Errorf("worker %d: Due() = %d, %v", i, at, ok)
		}
	}
	if p.Len() != users {
		t.Errorf("Len() = %d, want %d", p.Len(), users)
	}
	p.stop()
}
