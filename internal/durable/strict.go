package durable

import (
	"fmt"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// DoubtError ends an attempt whose program does not want calls in doubt to be
// repeated.
type DoubtError struct{ Call oplog.Index }

func (e *DoubtError) Error() string {
	return fmt.Sprintf("the call of entry %d is in doubt, and the program wants none to be repeated", e.Call)
}

// SetStrict says whether calls in doubt are to end the attempt, until it ends.
func (s *Session) SetStrict(strict bool) { s.strict = strict }

// Strict is what SetStrict has said.
func (s *Session) Strict() bool { return s.strict }

// Doubt is asked before anything is done about a call in doubt. It ends a
// session that is strict, with a *DoubtError.
func (s *Session) Doubt(call oplog.Index) error {
	if !s.strict {
		return nil
	}
	return s.fail(&DoubtError{call})
}

// Commit makes durable what was recorded; at replay it is.
func (s *Session) Commit() error {
	entry, err := s.peek()
	if err != nil || entry != nil {
		return err
	}
	if err := s.Writer.Commit(s.ctx); err != nil {
		return s.fail(err)
	}
	return nil
}
