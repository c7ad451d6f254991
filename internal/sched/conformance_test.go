package sched_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// eachScheduler runs a test of the contract on every Scheduler. The function
// is a task of it.
func eachScheduler(t *testing.T, test func(t *testing.T, s sched.Scheduler)) {
	t.Run("goroutines", func(t *testing.T) { test(t, sched.NewGoroutines()) })
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("simulation seed %d", seed), func(t *testing.T) {
			s := sched.NewSimulation(seed)
			if err := s.Run(func() { test(t, s) }); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		})
	}
}

func TestWaitReturnsAfterTheTaskHas(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		var ran bool
		task := s.Go("worker", func() {
			_ = s.Sleep(context.Background(), time.Millisecond)
			ran = true
		})
		task.Wait()
		if !ran {
			t.Fatal("Wait returned before the task")
		}
		task.Wait()
	})
}

func TestManyTasksMayWaitForOne(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		first := s.Go("first", func() { _ = s.Sleep(context.Background(), time.Millisecond) })
		var tasks []sched.Task
		for i := range 10 {
			tasks = append(tasks, s.Go(fmt.Sprint("waiter ", i), first.Wait))
		}
		for _, task := range tasks {
			task.Wait()
		}
	})
}

func TestSleepTakesAtLeastItsTime(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, 3 * time.Millisecond} {
			before, wall := s.Monotonic(), s.Now()
			if err := s.Sleep(context.Background(), d); err != nil {
				t.Fatalf("Sleep(%v) = %v", d, err)
			}
			if got := s.Monotonic() - before; got < d || got > d+5*time.Second {
				t.Errorf("Sleep(%v) took %v", d, got)
			}
			if got := s.Now().Sub(wall); got < d || got > d+5*time.Second {
				t.Errorf("Sleep(%v) took %v by the wall clock", d, got)
			}
		}
	})
}

func TestMonotonicNeverGoesBack(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		last := s.Monotonic()
		for range 100 {
			now := s.Monotonic()
			if now < last {
				t.Fatalf("Monotonic went from %v to %v", last, now)
			}
			last = now
		}
	})
}

var errStop = errors.New("stop")

func TestCancelEndsSleepWithItsCause(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		ctx, cancel := context.WithCancelCause(context.Background())
		var err error
		sleeper := s.Go("sleeper", func() { err = s.Sleep(ctx, 1000*time.Hour) })
		_ = s.Sleep(context.Background(), time.Millisecond)
		cancel(errStop)
		sleeper.Wait()
		if !errors.Is(err, errStop) {
			t.Fatalf("Sleep = %v, want %v", err, errStop)
		}
		if err := s.Sleep(ctx, time.Hour); !errors.Is(err, errStop) {
			t.Fatalf("Sleep with a context already done = %v, want %v", err, errStop)
		}
	})
}

func TestCancelEndsWaitWithItsCause(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		ctx, cancel := context.WithCancelCause(context.Background())
		c := s.NewCondition()
		var err error
		waiter := s.Go("waiter", func() { err = c.Wait(ctx, func() bool { return false }) })
		_ = s.Sleep(context.Background(), time.Millisecond)
		cancel(errStop)
		waiter.Wait()
		if !errors.Is(err, errStop) {
			t.Fatalf("Wait = %v, want %v", err, errStop)
		}
		if err := c.Wait(ctx, func() bool { return true }); err != nil {
			t.Fatalf("Wait for what is so already = %v, want nil although the context is done", err)
		}
	})
}

func TestWakeThatFollowsAChangeIsNeverLost(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		const players, rounds = 4, 500
		var mu sync.Mutex
		var ball int
		c := s.NewCondition()
		var tasks []sched.Task
		for player := range players {
			tasks = append(tasks, s.Go(fmt.Sprint("player ", player), func() {
				for range rounds {
					err := c.Wait(context.Background(), func() bool {
						mu.Lock()
						defer mu.Unlock()
						return ball%players == player
					})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					ball++
					mu.Unlock()
					c.Wake()
				}
			}))
		}
		for _, task := range tasks {
			task.Wait()
		}
		if ball != players*rounds {
			t.Fatalf("the ball was passed %d times, want %d", ball, players*rounds)
		}
	})
}

func TestWakeReachesEveryWaiter(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		var mu sync.Mutex
		var open bool
		c := s.NewCondition()
		var tasks []sched.Task
		for i := range 50 {
			tasks = append(tasks, s.Go(fmt.Sprint("waiter ", i), func() {
				_ = c.Wait(context.Background(), func() bool {
					mu.Lock()
					defer mu.Unlock()
					return open
				})
			}))
		}
		_ = s.Sleep(context.Background(), time.Millisecond)
		mu.Lock()
		open = true
		c.Wake() // allowed with the lock held
		mu.Unlock()
		for _, task := range tasks {
			task.Wait()
		}
	})
}

func TestConditionCanBeUsedAgainAfterCancelledWaits(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		c := s.NewCondition()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		for range 3 {
			if err := c.Wait(gone, func() bool { return false }); !errors.Is(err, context.Canceled) {
				t.Fatalf("Wait = %v, want %v", err, context.Canceled)
			}
		}
		var mu sync.Mutex
		var so bool
		waiter := s.Go("waiter", func() {
			_ = c.Wait(context.Background(), func() bool {
				mu.Lock()
				defer mu.Unlock()
				return so
			})
		})
		mu.Lock()
		so = true
		mu.Unlock()
		c.Wake()
		waiter.Wait()
	})
}

func TestTasksMayStartTasks(t *testing.T) {
	eachScheduler(t, func(t *testing.T, s sched.Scheduler) {
		var mu sync.Mutex
		var leaves int
		var grow func(depth int)
		grow = func(depth int) {
			if depth == 0 {
				mu.Lock()
				leaves++
				mu.Unlock()
				return
			}
			left := s.Go("left", func() { grow(depth - 1) })
			right := s.Go("right", func() { grow(depth - 1) })
			left.Wait()
			right.Wait()
		}
		grow(6)
		if leaves != 64 {
			t.Fatalf("%d leaves, want 64", leaves)
		}
	})
}

func BenchmarkWakeWithoutWaiters(b *testing.B) {
	c := sched.NewGoroutines().NewCondition()
	for b.Loop() {
		c.Wake()
	}
}

func BenchmarkWakeOneWaiter(b *testing.B) {
	s := sched.NewGoroutines()
	c := s.NewCondition()
	var mu sync.Mutex
	var n, seen int
	end := b.N
	waiter := s.Go("waiter", func() {
		for seen < end {
			_ = c.Wait(context.Background(), func() bool {
				mu.Lock()
				defer mu.Unlock()
				return n > seen
			})
			seen++
		}
	})
	for range end {
		mu.Lock()
		n++
		mu.Unlock()
		c.Wake()
	}
	waiter.Wait()
}
