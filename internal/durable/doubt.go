package durable

import (
	"fmt"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Policy says what becomes of a call in doubt: one whose intent is recorded, that
// is not under way any more, and whose outcome nobody knows.
type Policy int

const (
	// Retry performs it again.
	Retry Policy = iota
	// Fail does not, and the program is told so.
	Fail
	// Hold waits, without an instance, for a person to say.
	Hold
)

// String names the policy.
func (p Policy) String() string {
	switch p {
	case Retry:
		return "retry"
	case Fail:
		return "fail"
	case Hold:
		return "hold"
	}
	return fmt.Sprintf("Policy(%d)", int(p))
}

// Verdict is what becomes of a call in doubt now.
type Verdict struct {
	// Again is to perform it again, once that is recorded by Repeat.
	Again bool
	// Given says that Response is what a person gave for its outcome. If it is
	// neither, the call fails.
	Given    bool
	Response []byte // as the call's Func encodes it
}

// HeldError ends an attempt until persons have said what becomes of these calls.
type HeldError struct{ Calls []oplog.Index }

func (e *HeldError) Error() string {
	return fmt.Sprintf("held until a person says what has become of the calls of entries %v", e.Calls)
}

// InDoubt says what becomes of a call in doubt that has this policy: what a person
// has said, if one has, and else what the policy says. If that is to wait, the
// error is a *HeldError, and if the program wants no call in doubt to be repeated
// a *DoubtError, and the session is over.
func (s *Session) InDoubt(call oplog.Index, p Policy) (Verdict, error) {
	if said := s.resolved(call); said != nil {
		switch said.How {
		case oplog.CallDone:
			return Verdict{Given: true, Response: said.Response}, nil
		case oplog.CallSendAgain:
			p = Retry
		default:
			p = Fail
		}
	} else if err := s.Doubt(call); err != nil {
		return Verdict{}, err
	}
	switch p {
	case Hold:
		return Verdict{}, s.fail(&HeldError{[]oplog.Index{call}})
	case Fail:
		return Verdict{}, nil
	}
	return Verdict{Again: true}, nil
}

// Held reports whether InDoubt would wait for a person.
func (s *Session) Held(call oplog.Index, p Policy) bool {
	return p == Hold && !s.strict && s.resolved(call) == nil
}

func (s *Session) resolved(call oplog.Index) *oplog.CallResolved {
	if s.Resolved == nil {
		return nil
	}
	return s.Resolved(call)
}
