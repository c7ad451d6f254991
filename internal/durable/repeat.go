package durable

import (
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Repeat is the newest attempt of a call that is performed more than once.
type Repeat struct {
	Attempt uint64     // which one it is; the first has no Repeat
	Until   oplog.Time // when it is performed
}

// Repeated is the newest repetition of a call that Start began and that has no
// outcome: it holds in the lives to come too.
func (s *Session) Repeated(started oplog.Index) (Repeat, bool) {
	r, ok := s.repeats[started]
	return r, ok
}

// Repeat records that a call without an outcome is about to be performed once
// more, and why, and returns the attempt when that is durable. It is for
// sessions that are live.
func (s *Session) Repeat(started oplog.Index, now, until oplog.Time, reason string) (Repeat, error) {
	if s.failed != nil {
		return Repeat{}, s.failed
	}
	r := Repeat{max(1, s.repeats[started].Attempt) + 1, until}
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
