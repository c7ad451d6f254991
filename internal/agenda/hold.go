package agenda

import (
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// held is when a worker on hold is due: long ago.
const held oplog.Time = 1

// Hold puts w on the agenda for the next life alone: it is being looked after
// in this one, and Next does not hand it out before it is Set.
func (a *Agenda) Hold(w id.Worker) {
	a.mu.Lock()
	if a.calendar.hold(w, held) {
		_ = a.write(w, held) // as in Set
		a.writer.Join()
	}
	overdue := a.overdue()
	a.mu.Unlock()
	if overdue {
		a.work.Wake()
	}
}

// hold is set for a worker that is not to be handed out.
func (c *calendar) hold(w id.Worker, at oplog.Time) (changed bool) {
	if place, ok := c.find(w); ok && c.items[place].at == at && c.items[place].rank == handedOut {
		return false
	}
	changed = c.set(w, at)
	place, _ := c.find(w)
	if it := &c.items[place]; it.rank != handedOut {
		c.leave(it.rank)
		it.rank = handedOut
	}
	return changed
}
