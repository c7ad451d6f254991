package durable

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Tell records a call of f, whose effect is WriteLocal, or passes a recorded one.
// It does not wait: what the call says may leave the worker once the entry is
// durable, for which there is Durable.
func Tell[Req any](s *Session, f *Func[Req, None], req Req) (oplog.Index, error) {
	entry, err := s.peek()
	if err != nil {
		return 0, err
	}
	s.calls++
	if s.Unrecorded {
		return 0, nil
	}
	s.scratch = f.Request.Append(s.scratch[:0], req)
	if entry != nil {
		_, err := replayCall(s, f, entry, s.scratch)
		return entry.Index, err
	}
	if err := s.charge(false, len(s.scratch)); err != nil {
		return 0, s.fail(err)
	}
	index, err := s.Writer.Append(s.ctx, &oplog.HostCall{Func: f.Code, Request: s.scratch})
	if err != nil {
		return 0, s.fail(err)
	}
	s.Writer.Request()
	return index, nil
}

// Durable returns when the entry that Tell or Intend has recorded or passed is
// durable, and sees to that. Any task may call it.
func (s *Session) Durable(ctx context.Context, index oplog.Index) error {
	if s.Unrecorded || s.Writer == nil { // who only replays passes what is durable
		return nil
	}
	return s.Writer.CommitTo(ctx, index)
}

// Past are the requests of the calls of one function that are in the oplog. It is
// for one task at a time, which need not be that of the session.
type Past[Req, Resp any] struct {
	session *Session
	f       *Func[Req, Resp]
	cursor  *oplog.Cursor
	last    oplog.Index
}

// Recorded are the calls of f from an entry on up to the newest one.
func Recorded[Req, Resp any](s *Session, f *Func[Req, Resp], from oplog.Index) *Past[Req, Resp] {
	last := s.Writer.Last()
	return &Past[Req, Resp]{session: s, f: f, cursor: s.Cursor.Between(from, last), last: last}
}

// Next gives the next request, which is valid until the following Next, or false
// behind the last one. What was taken back is left out.
func (p *Past[Req, Resp]) Next(ctx context.Context) (req Req, ok bool, err error) {
	if err := p.session.Durable(ctx, p.last); err != nil {
		return req, false, err
	}
	for {
		entry, err := p.cursor.Next(ctx)
		if errors.Is(err, oplog.ErrEnd) {
			return req, false, nil
		}
		if err != nil {
			return req, false, err
		}
		call, is := entry.Body.(*oplog.HostCall)
		if !is || call.Func != p.f.Code || p.undone(entry.Index) {
			continue
		}
		if req, err = p.f.Request.Decode(call.Request); err != nil {
			return req, false, fmt.Errorf("decode the recorded request of %s: %w", p.f.Name, err)
		}
		return req, true, nil
	}
}

func (p *Past[Req, Resp]) undone(index oplog.Index) bool {
	for _, span := range p.session.undone {
		if span.From <= index && index <= span.To {
			return true
		}
	}
	return false
}
