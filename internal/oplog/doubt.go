package oplog

import (
	"fmt"
	"slices"
)

// CallHeld says that the worker waits, without an instance, until a person has
// said what becomes of a call in doubt.
type CallHeld struct {
	At      Time  `json:"at"`
	Started Index `json:"started"`
}

func (*CallHeld) kind() *kind { return kindHeld }
func (e *CallHeld) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Started)
}

// CallResolved is what a person has said of a call that is held.
type CallResolved struct {
	At       Time       `json:"at"`
	Started  Index      `json:"started"`
	How      Resolution `json:"how"`
	Response Opaque     `json:"response"` // what the program gets, if the call is done
}

func (*CallResolved) kind() *kind { return kindResolved }
func (e *CallResolved) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.Started)
	c.uvarint((*uint64)(&e.How))
	c.bytes((*[]byte)(&e.Response))
}

// Resolution is what becomes of a call that was held.
type Resolution uint64

// What a person can say of a call.
const (
	CallDone      Resolution = 1 // it was done, with this response
	CallSendAgain Resolution = 2 // it is performed again
	CallFail      Resolution = 3 // the program is told that it failed
)

// String is the resolution for people.
func (r Resolution) String() string {
	switch r {
	case CallDone:
		return "done"
	case CallSendAgain:
		return "send-again"
	case CallFail:
		return "fail"
	}
	return fmt.Sprintf("Resolution(%d)", uint64(r))
}

// MarshalText gives what String does.
func (r Resolution) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// hold notes what an entry says of calls that are held.
func (s *Status) hold(b Body) {
	switch b := b.(type) {
	case *CallHeld:
		if !slices.Contains(s.Held, b.Started) {
			s.Held = append(s.Held, b.Started)
		}
	case *CallResolved:
		s.Held = slices.DeleteFunc(s.Held, func(i Index) bool { return i == b.Started })
	case *HostCall, *HostCallStarted, *HostCallFinished, *HostCallRepeated, *InvocationStarted, *InvocationFinished, *InvocationFailed, *Exited:
		s.Held = nil
	}
	if len(s.Held) == 0 {
		s.Held = nil
	}
}

// resolve notes what persons have said of calls, as long as that counts: until
// the call is performed again, or the attempt ends.
func (l *Life) resolve(b Body) {
	switch b := b.(type) {
	case *CallResolved:
		if l.Resolved == nil {
			l.Resolved = map[Index]*CallResolved{}
		}
		b.Response = slices.Clone(b.Response) // as of InvocationAccepted
		l.Resolved[b.Started] = b
	case *HostCallRepeated:
		delete(l.Resolved, b.Started)
	case *InvocationFinished, *InvocationFailed:
		l.Resolved = nil
	}
	if len(l.Resolved) == 0 {
		l.Resolved = nil
	}
}
