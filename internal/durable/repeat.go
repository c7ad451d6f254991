package durable

import (
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Repeat is the newest attempt of a call that is performed more than once.
type Repeat struct {
	Attempt uint64     // which one it is; the first has no Repeat
	Until   oplog.Time // when it is performed
	// Slept says that the worker left memory before that: it has not been.
	Slept bool
}

// Repeated is the newest repetition of a call that Start began and that has no
// outcome: it holds in the lives to come too.
func (s *Session) Repeated(started oplog.Index) (Repeat, bool) {
	r, ok := s.repeats[started]
	return r, ok
}

// Repeat records that a call without an outcome is about to be performed once
// more, and why, and returns the attempt when that is durable. An attempt before
// which the worker has slept is the same one. It is for sessions that are live.
func (s *Session) Repeat(started oplog.Index, now, until oplog.Time, reason string) (Repeat, error) {
	if s.failed != nil {
		return Repeat{}, s.failed
	}
	before := s.repeats[started]
	r := Repeat{Attempt: max(1, before.Attempt) + 1, Until: until}
	if before.Slept {
		r.Attempt = before.Attempt
	}
	if !s.Unrecorded {
		body := &oplog.HostCallRepeated{At: now, Started: started, Attempt: r.Attempt, Until: until, Reason: reason}
		index, err := s.Writer.Append(s.ctx, body)
		if err == nil && s.Repeating != nil {
			s.Repeating(oplog.Entry{Index: index, At: now, Body: body})
		}
		if err == nil {
			err = s.Writer.Commit(s.ctx)
		}
		if err != nil {
			return r, s.fail(err)
		}
	}
	s.repeats[started] = r
	return r, nil
}

// Dropped says that nobody performs the call any more.
func (s *Session) Dropped(started oplog.Index) { delete(s.repeats, started) }

// repeated takes what an entry of the past says of repetitions.
func (s *Session) repeated(b oplog.Body) {
	switch b := b.(type) {
	case *oplog.HostCallRepeated:
		s.repeats[b.Started] = Repeat{Attempt: b.Attempt, Until: b.Until}
	case *oplog.Suspended:
		for call, r := range s.repeats {
			r.Slept = r.Slept || r.Until > b.At
			s.repeats[call] = r
		}
	}
}
