package worker

import (
	"container/list"
	"context"
	"errors"
	"time"
)

// errLeave sends a worker out of memory that waits in it.
var errLeave = errors.New("it has waited in memory for long enough, or somebody needs its place")

// patience gives the context in which an invocation's end is waited for, when that
// begins; nil is the context of all the rest.
type patience func() context.Context

// lingerer is a worker that waits in memory for what may also happen without it.
type lingerer struct {
	since time.Duration
	leave func()
	place *list.Element // nil once it was told to leave
}

// lingerers are those there are, who has waited longest first. They are guarded by
// ws.mu.
type lingerers struct {
	all     *list.List // of *lingerer
	leaving int        // were told to, and are still there
}

// linger lets a worker wait in memory until leave is called, because that has taken
// long, or because its instance is in the way.
func (ws *Workers) linger(leave func()) *lingerer {
	l := &lingerer{since: ws.Sched.Monotonic(), leave: leave}
	ws.mu.Lock()
	l.place = ws.lingering.all.PushBack(l)
	ws.mu.Unlock()
	ws.makeRoom() // somebody may have waited for one that can leave
	return l
}

// depart ends what linger began.
func (ws *Workers) depart(l *lingerer) {
	if l == nil {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if l.place == nil {
		ws.lingering.leaving--
		return
	}
	ws.lingering.all.Remove(l.place)
}

// sendAway tells those to leave who have waited in memory since a time, and as many
// more as there are waiting for an instance.
func (ws *Workers) sendAway(since time.Duration, waiting int) {
	var told []*lingerer
	ws.mu.Lock()
	g := &ws.lingering
	for e := g.all.Front(); e != nil; e = g.all.Front() {
		l := e.Value.(*lingerer)
		if l.since > since && g.leaving >= waiting {
			break
		}
		g.all.Remove(e)
		l.place = nil
		g.leaving++
		told = append(told, l)
	}
	ws.mu.Unlock()
	for _, l := range told {
		l.leave()
	}
}
