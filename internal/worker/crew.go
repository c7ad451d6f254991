package worker

import (
	"context"
	"slices"
	"sync"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// maxIdleHands bounds the tasks that wait for work.
const maxIdleHands = 32

// crew are the tasks that carry out the workers' jobs. One that has come to the
// end of a worker's jobs waits for another worker: to start a task for each
// invocation would cost as much as a short invocation does, for its stack has
// to grow first.
type crew struct {
	sched sched.Scheduler

	mu     sync.Mutex
	idle   []*hand // the one that has waited shortest is last, and next
	hands  []*hand // all
	closed bool
}

// hand is one of the crew.
type hand struct {
	task   sched.Task
	called sched.Condition
	next   *resident // whose jobs it is to carry out
	home   bool      // it is to end
}

func newCrew(s sched.Scheduler) *crew { return &crew{sched: s} }

// give has r's jobs carried out by somebody. It never waits.
func (c *crew) give(r *resident) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		h := c.idle[n-1]
		c.idle = c.idle[:n-1]
		h.next = r
		h.called.Wake()
		return
	}
	h := &hand{called: c.sched.NewCondition(), next: r}
	h.task = c.sched.Go("worker", func() { c.work(h) })
	c.hands = append(c.hands, h)
}

func (c *crew) work(h *hand) {
	for r := c.turn(h); r != nil; r = c.turn(h) {
		r.drive()
		c.rest(h)
	}
}

// turn waits for whose jobs are next; nil is the end.
func (c *crew) turn(h *hand) (next *resident) {
	_ = h.called.Wait(context.Background(), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		next, h.next = h.next, nil
		return next != nil || h.home
	})
	return next
}

// rest lets h wait for more, if not too many do.
func (c *crew) rest(h *hand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		h.home = true
	case len(c.idle) == maxIdleHands:
		h.home = true
		c.hands = slices.DeleteFunc(c.hands, func(other *hand) bool { return other == h })
	default:
		c.idle = append(c.idle, h)
	}
}

// close sends all home, once there are no jobs, and waits for them.
func (c *crew) close() {
	c.mu.Lock()
	c.closed = true
	for _, h := range c.idle {
		h.home = true
		h.called.Wake()
	}
	hands := c.hands
	c.idle, c.hands = nil, nil
	c.mu.Unlock()
	for _, h := range hands {
		h.task.Wait()
	}
}
