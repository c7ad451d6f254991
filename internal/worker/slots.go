package worker

import (
	"context"
	"slices"
	"sync"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// slots bounds how much goes on at once. Who comes first is served first.
type slots struct {
	sched sched.Scheduler

	mu    sync.Mutex
	free  int
	queue []*slot
}

// slot is somebody who waits for one.
type slot struct {
	granted bool
	changed sched.Condition
}

func newSlots(s sched.Scheduler, n int) *slots { return &slots{sched: s, free: n} }

// acquire waits for a slot, or until ctx is done. If it has to, and full is
// set, it calls that before it waits.
func (s *slots) acquire(ctx context.Context, full func()) error {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	me := &slot{changed: s.sched.NewCondition()}
	s.queue = append(s.queue, me)
	s.mu.Unlock()
	if full != nil {
		full()
	}
	err := me.changed.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return me.granted
	})
	if err == nil {
		return nil
	}
	s.mu.Lock()
	granted := me.granted
	s.queue = slices.DeleteFunc(s.queue, func(other *slot) bool { return other == me })
	s.mu.Unlock()
	if granted {
		s.release()
	}
	return err
}

// release gives a slot back.
func (s *slots) release() {
	s.mu.Lock()
	if len(s.queue) == 0 {
		s.free++
		s.mu.Unlock()
		return
	}
	next := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	next.granted = true
	s.mu.Unlock()
	next.changed.Wake()
}

// waiting is how many wait.
func (s *slots) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}
