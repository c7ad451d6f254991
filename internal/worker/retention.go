package worker

import (
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// The policy. How much is kept beyond what the settings say is a matter of cost
// alone.
const (
	// cutAfter is for how many entries an oplog is truncated if no configuration
	// says so, and cutBytes for how many bytes of them; but for no less than an
	// eighth of the entries that stay. For a quarter of that there is an image.
	cutAfter = 4096
	cutBytes = 4 << 20
	// wishes of retention for an image: so many times longer than the last one
	// took, and for so many invocations.
	imagePatience    = 32
	imageInvocations = 64
)

// retention is what a resident knows of its worker's retention. It is guarded
// by r.mu.
type retention struct {
	asked     bool          // it waits for the keeper
	ending    func()        // ends what the keeper does for it; nil if that is nothing
	unsettled bool          // something may be left to truncate or to delete
	why       string        // it stands still, or ""
	before    *superseded   // the image before the newest, if it is kept
	leftover  []*superseded // images that may be there and are not needed
	imageTook time.Duration // the last image
	imageAt   time.Duration // when it was taken
	imagedAt  uint64        // bytes that had been appended when it was
	cutAt     uint64        // and when the oplog was truncated last
}

// going is what is to go of a worker's past.
type going struct {
	cut           oplog.Index // entries below it are to go; 0: none
	results, logs oplog.Index // what ended, or was printed, below it is to be forgotten
	// forgets says that one of the two is new.
	forgets bool
}

// goingOf says what is to go of a worker's past. Of its oplog nothing goes
// from entry least on, which recovery needs; 0: nothing may go. slack is how
// many entries are worth the work.
func goingOf(life *oplog.Life, keep api.Retention, least, slack oplog.Index, now oplog.Time) going {
	kept := &life.Retained
	p := going{
		results: forgotten(&kept.Results, keep.Results, kept.Ended, 0, now),
		logs:    forgotten(&kept.Logs, keep.Logs, kept.Ended, 1, now),
	}
	p.forgets = p.results > kept.Results.Forgotten || p.logs > kept.Logs.Forgotten
	if !keep.Oplog.Limited() {
		return p
	}
	for _, m := range kept.Marks {
		if m.Index <= least && past(keep.Oplog, now, m.At, kept.Ended, m.Ended) {
			p.cut = max(p.cut, m.Index)
		}
	}
	if p.cut < max(kept.Below, 1)+max(slack, (life.Last-min(p.cut, life.Last))/8) {
		p.cut = 0
	}
	return p
}

// forgotten is where what a shelf keeps begins, now that archives have become
// old. What is in an archive is of more invocations after those that its Ended
// counts.
func forgotten(s *oplog.Shelf, keep api.Keep, ended, more uint64, now oplog.Time) oplog.Index {
	from := s.Forgotten
	for _, a := range s.Archives {
		if !past(keep, now, a.Newest, ended, a.Ended+more) {
			break
		}
		from = max(from, a.Below)
	}
	return from
}

// past reports whether what happened at a time, until when so many invocations
// of all had ended, need not be kept any more.
func past(keep api.Keep, now, at oplog.Time, all, ended uint64) bool {
	switch {
	case keep.Age() > 0:
		return at <= now && now-at >= oplog.Time(keep.Age())
	case keep.Invocations() > 0:
		return all >= ended && all-ended >= keep.Invocations()
	}
	return false
}

// going is what retention lets go of now. It is called with r.mu held.
func (r *resident) going() going {
	least := oplog.Index(0)
	if r.before != nil && r.image != nil {
		least = r.before.Covers + 1
	}
	if first := r.receiving(); first != 0 {
		least = min(least, first)
	}
	slack := r.ws.cutAfter()
	if r.writer.Bytes()-r.cutAt >= cutBytes {
		slack = 1
	}
	return goingOf(r.machine.life, r.settings().Retention, least, slack, oplog.At(r.ws.Sched.Now()))
}

func (ws *Workers) cutAfter() oplog.Index {
	if ws.CutAfter > 0 {
		return ws.CutAfter
	}
	return cutAfter
}

// wantsImage reports whether an image should be taken so that the oplog before
// can go, at a cost that is small beside the time that has passed. It is called
// with r.mu held.
func (r *resident) wantsImage() bool {
	if r.writer.Last()-r.image.entry() < r.ws.cutAfter()/4 && r.writer.Bytes()-r.imagedAt < cutBytes/4 {
		return false
	}
	keep := r.settings().Retention.Oplog
	if !keep.Limited() || r.imageAfter() > 0 && r.imageTook > 0 && r.ws.Sched.Monotonic()-r.imageAt < imagePatience*r.imageTook {
		return false
	}
	kept := &r.machine.life.Retained
	last := oplog.Mark{At: r.machine.life.Create.At}
	if n := len(kept.Marks); n > 0 {
		last = kept.Marks[n-1]
	}
	if age := keep.Age(); age > 0 {
		return oplog.At(r.ws.Sched.Now())-last.At >= oplog.Time(age/4)
	}
	return kept.Ended-last.Ended >= min(max(keep.Invocations()/4, imageInvocations), keep.Invocations())
}

// bounded reports whether the oplog is truncated or is to be. Then recovery may
// need the image before the newest. It is called with r.mu held.
func (r *resident) bounded() bool {
	return r.settings().Retention.Oplog.Limited() || r.machine.life.Retained.Below > 1
}
