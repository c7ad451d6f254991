package durable

import (
	"bytes"

	"github.com/waterbear-run/waterbear/internal/oplog"
)

// MaxOutput bounds one entry of output; longer writes become several.
const MaxOutput = 64 << 10

// response stands, among the streams of a program, for the body of the response
// that it writes.
const response oplog.Stream = 0

// written gives what an entry holds of output, and to which stream.
func written(b oplog.Body) (stream oplog.Stream, p []byte, ok bool) {
	switch b := b.(type) {
	case *oplog.Log:
		return b.Stream, b.Bytes, true
	case *oplog.ResponseBody:
		return response, b.Bytes, true
	}
	return 0, nil, false
}

func entryOf(stream oplog.Stream, p []byte) oplog.Body {
	if stream == response {
		return &oplog.ResponseBody{Bytes: p}
	}
	return &oplog.Log{Stream: stream, Bytes: p}
}

// Output records what the program writes to stream, or checks that it writes
// what it had written. Chunks need not be cut as they were.
func (s *Session) Output(stream oplog.Stream, p []byte) error {
	for len(p) > 0 {
		entry, err := s.peek()
		if err != nil {
			return err
		}
		if entry == nil {
			return s.record(stream, p)
		}
		to, _, ok := written(entry.Body)
		n := min(len(p), len(s.left))
		if !ok || to != stream || !bytes.Equal(p[:n], s.left[:n]) {
			return s.diverge(entry, describe(entryOf(stream, p)))
		}
		p, s.left = p[n:], s.left[n:]
		if len(s.left) == 0 {
			s.advance()
		}
	}
	return nil
}

// record records output, and asks for its commit.
func (s *Session) record(stream oplog.Stream, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), MaxOutput)
		index, err := s.add(stream != response, n, entryOf(stream, p[:n]))
		if err == nil && s.Recorded != nil && stream != response {
			err = s.Recorded(index, stream, p[:n])
		}
		if err != nil {
			return s.fail(err)
		}
		p = p[n:]
	}
	return nil
}

// add appends an entry that is to be seen outside soon: output now, a part of a
// response once the program turns to something else.
func (s *Session) add(output bool, size int, body oplog.Body) (oplog.Index, error) {
	if err := s.charge(output, size); err != nil {
		return 0, err
	}
	index, err := s.Writer.Append(s.ctx, body)
	switch {
	case err != nil:
	case output:
		s.Writer.Request()
	default:
		s.unasked = true
	}
	return index, err
}

// Ask asks for the commit of what was recorded of a response since it was asked
// last. It is called when the program waits, and while it computes; so a response
// that is done at once takes one flush with the end of its invocation.
func (s *Session) Ask() {
	if s.unasked {
		s.unasked = false
		s.Writer.Request()
	}
}

// Respond records how the response to the request begins that is the attempt, or
// checks that it begins as it had. So it is with what follows, ResponseBody and
// EndResponse. All of it is recorded of every session, and may be given to the
// client once it is durable.
func (s *Session) Respond(r *oplog.Response) error {
	size := 0
	for _, f := range r.Fields {
		size += len(f.Name) + len(f.Value)
	}
	return s.answer(size, r)
}

// ResponseBody is Output for the body of the response.
func (s *Session) ResponseBody(p []byte) error { return s.Output(response, p) }

// EndResponse ends the response.
func (s *Session) EndResponse(e *oplog.ResponseEnd) error { return s.answer(len(e.Failure), e) }

func (s *Session) answer(size int, body oplog.Body) error {
	entry, err := s.peek()
	switch {
	case err != nil:
		return err
	case entry == nil:
		if _, err := s.add(false, size, body); err != nil {
			return s.fail(err)
		}
		return nil
	case !oplog.Equal(entry.Body, body):
		return s.diverge(entry, describe(body))
	}
	s.advance()
	return nil
}
