package worker

import (
	"sync/atomic"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// stats count what has happened since the node was opened.
type stats struct {
	running                                  atomic.Int64
	accepted, finished, failed, retried      atomic.Uint64
	suspended, evictions, recoveries, images atomic.Uint64
	recoveryNanoseconds, replayed, refused   atomic.Uint64
	deltas, deltaBytes                       atomic.Uint64
	truncations, truncated                   atomic.Uint64
	promised, settled                        atomic.Uint64
}

func (s *stats) count(body oplog.Body) {
	switch b := body.(type) {
	case *oplog.InvocationAccepted:
		s.accepted.Add(1)
	case *oplog.InvocationFinished:
		if b.Accepted != 0 {
			s.finished.Add(1)
		}
	case *oplog.InvocationFailed:
		if b.Retry != 0 {
			s.retried.Add(1)
		} else {
			s.failed.Add(1)
		}
	case *oplog.Suspended:
		s.suspended.Add(1)
	case *oplog.PromiseCreated:
		s.promised.Add(1)
	case *oplog.PromiseSettled:
		s.settled.Add(1)
	}
}

func (s *stats) recovered(took time.Duration, replayed uint64) {
	s.recoveries.Add(1)
	s.replayed.Add(replayed)
	s.recoveryNanoseconds.Add(uint64(max(took, 0)))
}

// Stats are the figures of the workers and of what commits their entries.
func (ws *Workers) Stats() api.Stats {
	s := &ws.stats
	v := api.Stats{
		Running: uint64(max(s.running.Load(), 0)), Waiting: uint64(ws.slots.waiting()), Sleeping: uint64(ws.Agenda.Waiting()), Held: uint64(ws.Agenda.Nevers()),
		Accepted: s.accepted.Load(), Finished: s.finished.Load(), Failed: s.failed.Load(), Retried: s.retried.Load(),
		Suspended: s.suspended.Load(), Evictions: s.evictions.Load(), Recoveries: s.recoveries.Load(),
		Recovery: time.Duration(s.recoveryNanoseconds.Load()).Seconds(), Replayed: s.replayed.Load(), Images: s.images.Load(), Truncations: s.truncations.Load(), Truncated: s.truncated.Load(), Deltas: s.deltas.Load(), DeltaBytes: s.deltaBytes.Load(), Refused: s.refused.Load(),
		Promised: s.promised.Load(), Settled: s.settled.Load(),
	}
	for _, r := range ws.all() {
		r.mu.Lock()
		v.Workers++
		if r.machine.life != nil {
			v.Queue += r.machine.life.Waiting
		}
		if r.body != nil {
			v.Instances++
			if !r.driving {
				v.Memory += r.body.memory()
			}
		}
		r.mu.Unlock()
	}
	return v
}
