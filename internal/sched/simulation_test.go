package sched_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// race is a program whose result depends on the order of its tasks.
func race(s *sched.Simulation) (order []int) {
	var tasks []sched.Task
	for i := range 5 {
		tasks = append(tasks, s.Go(fmt.Sprint("racer ", i), func() {
			for range 3 {
				order = append(order, i)
				s.Yield()
			}
		}))
	}
	for _, task := range tasks {
		task.Wait()
	}
	return order
}

func TestOneSeedIsOneTrace(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(50) {
		var got [2][]int
		var trace [2]uint64
		for i := range got {
			s := sched.NewSimulation(seed)
			if err := s.Run(func() { got[i] = race(s) }); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			trace[i] = s.Trace()
		}
		if !slices.Equal(got[0], got[1]) || trace[0] != trace[1] {
			t.Fatalf("seed %d gave %v with trace %x and then %v with trace %x", seed, got[0], trace[0], got[1], trace[1])
		}
		orders[fmt.Sprint(got[0])] = true
	}
	if len(orders) < 45 {
		t.Errorf("50 seeds gave only %d different orders", len(orders))
	}
}

func TestRecordIsPartOfTheTrace(t *testing.T) {
	trace := func(event string) uint64 {
		s := sched.NewSimulation(1)
		if err := s.Run(func() { s.Record(event) }); err != nil {
			t.Fatal(err)
		}
		return s.Trace()
	}
	first, same, other := trace("a"), trace("a"), trace("b")
	if first != same || first == other {
		t.Fatalf("event a gave the traces %x and %x, event b %x", first, same, other)
	}
}

func TestVirtualTimeJumpsToTheNextTimer(t *testing.T) {
	s := sched.NewSimulation(7)
	real := time.Now()
	err := s.Run(func() {
		before, wall := s.Monotonic(), s.Now()
		if err := s.Sleep(context.Background(), 1000*time.Hour); err != nil {
			t.Error(err)
		}
		if got := s.Monotonic() - before; got < 1000*time.Hour || got > 1000*time.Hour+time.Millisecond {
			t.Errorf("slept %v, want 1000 h", got)
		}
		s.JumpWall(-2000 * time.Hour)
		if got := s.Now().Sub(wall); got > -999*time.Hour {
			t.Errorf("wall clock moved by %v, want -1000 h", got)
		}
		if got := s.Monotonic() - before; got < 1000*time.Hour {
			t.Errorf("monotonic clock jumped with the wall clock, to %v", got)
		}
		_ = s.Sleep(context.Background(), 1<<63-1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(real); took > 10*time.Second {
		t.Errorf("took %v of real time", took)
	}
}

func TestDeadlockNamesTasksAndWhereTheyWait(t *testing.T) {
	s := sched.NewSimulation(1)
	c := s.NewCondition()
	var released bool
	err := s.Run(func() {
		defer func() { released = true }()
		s.Go("committer", func() {
			_ = c.Wait(context.Background(), func() bool { return false })
		}).Wait()
	})
	var stuck *sched.StuckError
	if !errors.As(err, &stuck) || !errors.Is(err, sched.ErrDeadlock) {
		t.Fatalf("Run = %v, want a deadlock", err)
	}
	for _, want := range []string{
		`task "main" waits for task "committer" in`,
		`task "committer" waits for a condition in`,
		"simulation_test.go:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("report lacks %q:\n%v", want, err)
		}
	}
	if !released {
		t.Error("the deferred function of an abandoned task has not run")
	}
}

func TestMainMustWaitForItsTasks(t *testing.T) {
	s := sched.NewSimulation(1)
	err := s.Run(func() {
		s.Go("forgotten", func() {
			for {
				_ = s.Sleep(context.Background(), time.Second)
			}
		})
		s.Yield()
	})
	if !errors.Is(err, sched.ErrLeak) || !strings.Contains(err.Error(), `"forgotten"`) {
		t.Fatalf("Run = %v, want a leak of the task \"forgotten\"", err)
	}
}

func TestLivelockIsReported(t *testing.T) {
	if testing.Short() {
		t.Skip("takes MaxSteps steps")
	}
	s := sched.NewSimulation(1)
	err := s.Run(func() {
		for {
			s.Yield()
		}
	})
	if !errors.Is(err, sched.ErrSteps) {
		t.Fatalf("Run = %v, want %v", err, sched.ErrSteps)
	}
}

func TestPanicOfATaskIsReportedWithItsStack(t *testing.T) {
	s := sched.NewSimulation(1)
	err := s.Run(func() { s.Go("faulty", explode).Wait() })
	var p *sched.PanicError
	if !errors.As(err, &p) {
		t.Fatalf("Run = %v, want a panic", err)
	}
	if p.Task != "faulty" || p.Value != "boom" || !strings.Contains(p.Stack, "explode") {
		t.Errorf("got %v", p)
	}
}

func explode() { panic("boom") }

func TestCrashEndsEveryTaskAtItsParkPoint(t *testing.T) {
	for seed := range uint64(100) {
		s := sched.NewSimulation(seed)
		s.OnStep = func(step sched.Step) {
			if step.Number == seed%40+3 {
				s.Crash()
			}
		}
		var mu sync.Mutex
		var effects, deferred, started int
		effect := func() {
			if s.Crashed() {
				t.Errorf("seed %d: effect after the crash", seed)
			}
			effects++
		}
		err := s.Run(func() {
			var tasks []sched.Task
			for range 4 {
				tasks = append(tasks, s.Go("worker", func() {
					started++
					defer func() { deferred++ }()
					// What a recover on the way makes of it does not matter.
					for {
						func() {
							defer func() { _ = recover() }()
							s.Yield()
							mu.Lock()
							defer mu.Unlock()
							effect()
						}()
					}
				}))
			}
			for _, task := range tasks {
				task.Wait()
			}
		})
		if !errors.Is(err, sched.ErrCrashed) {
			t.Fatalf("seed %d: Run = %v, want %v", seed, err, sched.ErrCrashed)
		}
		if deferred != started {
			t.Errorf("seed %d: %d of %d tasks ran their deferred functions", seed, deferred, started)
		}
		if s.Crashed() {
			t.Errorf("seed %d: still crashed after Run", seed)
		}
	}
}

func TestCrashByATaskTakesEffectAtItsNextParkPoint(t *testing.T) {
	s := sched.NewSimulation(1)
	var after bool
	err := s.Run(func() {
		s.Crash()
		s.Yield()
		after = true
	})
	if !errors.Is(err, sched.ErrCrashed) || after {
		t.Fatalf("Run = %v, went on: %v", err, after)
	}
}

func TestParkPointsInDeferredFunctionsOfAbandonedTasksEndThem(t *testing.T) {
	points := map[string]func(s *sched.Simulation){
		"Yield": func(s *sched.Simulation) { s.Yield() },
		"Sleep": func(s *sched.Simulation) { _ = s.Sleep(context.Background(), 1) },
		"Wait": func(s *sched.Simulation) {
			_ = s.NewCondition().Wait(context.Background(), func() bool { return true })
		},
		"Task.Wait": func(s *sched.Simulation) { s.Go("late", func() { panic("must not run") }).Wait() },
	}
	for name, point := range points {
		t.Run(name, func(t *testing.T) {
			s := sched.NewSimulation(1)
			var outer, after bool
			err := s.Run(func() {
				defer func() { outer = true }()
				defer func() {
					point(s)
					after = true
				}()
				s.Crash()
				s.Yield()
			})
			if !errors.Is(err, sched.ErrCrashed) || !outer || after {
				t.Fatalf("Run = %v, outer deferred function ran: %v, went on behind the park point: %v", err, outer, after)
			}
		})
	}
}

func TestPanicWhileUnwindingIsNotReported(t *testing.T) {
	s := sched.NewSimulation(1)
	err := s.Run(func() {
		defer func() { panic("half a world") }()
		s.Crash()
		s.Yield()
	})
	if !errors.Is(err, sched.ErrCrashed) {
		t.Fatalf("Run = %v, want %v", err, sched.ErrCrashed)
	}
}

func TestRunGoesOnAfterACrash(t *testing.T) {
	s := sched.NewSimulation(3)
	var at time.Duration
	err := s.Run(func() {
		_ = s.Sleep(context.Background(), time.Hour)
		at = s.Monotonic()
		s.Crash()
	})
	if !errors.Is(err, sched.ErrCrashed) {
		t.Fatalf("Run = %v, want %v", err, sched.ErrCrashed)
	}
	if err := s.Run(func() {
		if s.Monotonic() < at {
			t.Errorf("time went back from %v to %v", at, s.Monotonic())
		}
		race(s)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestFailNowInATaskEndsTheTest(t *testing.T) {
	var unwound, went bool
	ended := make(chan struct{})
	go func() { // stands for the goroutine of a test
		defer close(ended)
		s := sched.NewSimulation(1)
		_ = s.Run(func() {
			s.Go("other", func() {
				defer func() { unwound = true }()
				_ = s.Sleep(context.Background(), time.Hour)
			})
			_ = s.Sleep(context.Background(), time.Minute)
			new(testing.T).SkipNow()
		})
		went = true
	}()
	<-ended
	if went || !unwound {
		t.Fatalf("Run returned: %v, other task unwound: %v", went, unwound)
	}
}

func BenchmarkStep(b *testing.B) {
	s := sched.NewSimulation(1)
	n := b.N
	if err := s.Run(func() {
		for range min(n, sched.MaxSteps-10) {
			s.Yield()
		}
	}); err != nil {
		b.Fatal(err)
	}
}
