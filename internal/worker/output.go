package worker

import (
	"bytes"
	"context"
	"sync"

	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// maxUnshown bounds the output that a program may be ahead of those who see it.
const maxUnshown = 1 << 20

// Show is where output becomes visible. It is called with what is durable
// only, in order, each chunk once in a run.
type Show func(index oplog.Index, stream oplog.Stream, p []byte) error

// shower shows output as it becomes durable, so that the program need not wait
// for the disk at every line.
type shower struct {
	show    Show
	stop    func(error) // ends the run: nobody sees what it prints
	writer  *oplog.Writer
	changed sched.Condition
	task    sched.Task

	mu      sync.Mutex
	queue   []chunk
	unshown int // bytes in queue and being shown
	closing bool
	err     error // of show, or of the commit
}

type chunk struct {
	index  oplog.Index
	stream oplog.Stream
	bytes  []byte
}

func newShower(s sched.Scheduler, w *oplog.Writer, show Show, stop func(error)) *shower {
	sh := &shower{show: show, stop: stop, writer: w, changed: s.NewCondition()}
	sh.task = s.Go("show", sh.run)
	return sh
}

// add queues what was just recorded, and waits while too much is unshown.
func (s *shower) add(ctx context.Context, index oplog.Index, stream oplog.Stream, p []byte) error {
	s.mu.Lock()
	s.queue = append(s.queue, chunk{index, stream, bytes.Clone(p)})
	s.unshown += len(p)
	s.mu.Unlock()
	s.changed.Wake()
	var failed error
	err := s.changed.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		failed = s.err
		return failed != nil || s.unshown <= maxUnshown
	})
	if err == nil {
		err = failed
	}
	return err
}

// close waits until everything queued is shown, or cannot be.
func (s *shower) close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.changed.Wake()
	s.task.Wait()
	return s.err
}

func (s *shower) run() {
	for {
		var queue []chunk
		_ = s.changed.Wait(context.Background(), func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			queue = s.queue
			return len(queue) > 0 || s.closing
		})
		if len(queue) == 0 {
			return
		}
		s.mu.Lock()
		s.queue = s.queue[len(queue):]
		s.mu.Unlock()
		for _, c := range queue {
			err := s.writer.WaitCommitted(context.Background(), c.index)
			if err == nil {
				if err = s.show(c.index, c.stream, c.bytes); err != nil {
					s.stop(err)
				}
			}
			s.mu.Lock()
			s.unshown -= len(c.bytes)
			s.err = err
			s.mu.Unlock()
			s.changed.Wake()
			if err != nil {
				return
			}
		}
	}
}
