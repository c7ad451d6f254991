package durable

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// ErrEndOfLog ends a session that may only replay, where its oplog ends.
var ErrEndOfLog = errors.New("the oplog ends here")

// DivergenceError says that a program, replayed, did not do what it had done.
// It stops that worker and nothing else; the oplog is as it was.
type DivergenceError struct {
	Worker   id.Worker
	Index    oplog.Index // of the entry that was expected
	Expected string
	Got      string
}

func (e *DivergenceError) Error() string {
	return fmt.Sprintf("replay of %s diverged at entry %d: expected %s, got %s", e.Worker, e.Index, e.Expected, e.Got)
}

// Config makes a session.
type Config struct {
	Worker id.Worker
	// Cursor gives the entries to replay, behind Create.
	Cursor *oplog.Cursor
	// Writer records what comes after them; nil for a session that only replays.
	Writer *oplog.Writer
	// AtEnd is what ends a session that only replays, where its oplog ends; nil:
	// ErrEndOfLog.
	AtEnd error
	// Skip are the spans that replay leaves out, in order.
	Skip []oplog.Span
	// Unrecorded says that calls are performed and not recorded, for workers
	// that are never replayed. Output is recorded all the same.
	Unrecorded bool
	// Passed, if set, sees the entries that do not steer replay, those in Skip
	// too. They are valid until it returns.
	Passed func(*oplog.Entry)
	// Charge, if set, hears of what is about to be recorded, in bytes; its error
	// ends the session.
	Charge func(output bool, bytes int) error
	// Live, if set, is called once, when the first thing happens that is not in
	// the oplog.
	Live func() error
	// Recorded, if set, hears of output as it is recorded, before it is durable:
	// it may be shown only after the entry's commit.
	Recorded func(index oplog.Index, stream oplog.Stream, p []byte) error
	// Resolved, if set, gives what a person has said of a call in doubt, or nil.
	Resolved func(call oplog.Index) *oplog.CallResolved
	// Repeating, if set, hears of calls that are about to be performed again.
	Repeating func(e oplog.Entry)
}

// Session is one instance's way to its oplog. It is for one task at a time.
type Session struct {
	Config
	// Within is where the attempt began that calls are a part of, if they are.
	Within oplog.Index
	ctx    context.Context
	undone []oplog.Span // Skip, all of it

	entry    *oplog.Entry // the next entry that steers replay, once peeked
	peeked   bool
	left     []byte // what the entry at entry holds of output beyond what was written again
	live     bool
	unasked  bool   // something of a response waits for Ask
	failed   error  // what ended the session; every later call returns it
	scratch  []byte // requests and responses are encoded here
	replayed uint64
	calls    uint64
	repeats  map[oplog.Index]Repeat // of calls in doubt
	noted    oplog.Index            // entries that an unrecorded session would have
	regions
}

// NewSession begins at the cursor's first entry. When ctx is done, what waits
// in a call returns its cause.
func NewSession(ctx context.Context, c Config) *Session {
	return &Session{Config: c, ctx: ctx, undone: c.Skip, repeats: map[oplog.Index]Repeat{}}
}

// Replayed is how many entries were taken from the oplog so far.
func (s *Session) Replayed() uint64 { return s.replayed }

// Replaying reports whether the oplog has more to replay, as far as was looked.
func (s *Session) Replaying() bool { return !s.live }

// Calls is how many calls were made so far whose answer might have been another.
func (s *Session) Calls() uint64 { return s.calls }

// Context is done when the session's work is to stop.
func (s *Session) Context() context.Context { return s.ctx }

// peek gives the next entry that steers replay, or nil when live.
func (s *Session) peek() (*oplog.Entry, error) {
	if s.failed != nil {
		return nil, s.failed
	}
	if s.live || s.peeked {
		return s.entry, nil
	}
	for {
		entry, err := s.Cursor.Next(s.ctx)
		if errors.Is(err, oplog.ErrEnd) {
			return nil, s.goLive()
		}
		if err != nil {
			return nil, s.fail(err)
		}
		s.replayed++
		if s.passes(entry) {
			continue
		}
		_, s.left, _ = written(entry.Body)
		s.entry, s.peeked = entry, true
		return entry, nil
	}
}

// passes reports whether entry does not steer replay.
func (s *Session) passes(entry *oplog.Entry) bool {
	hint := oplog.Hint(entry.Body)
	for len(s.Skip) > 0 && s.Skip[0].To < entry.Index {
		s.Skip = s.Skip[1:]
	}
	undone := len(s.Skip) > 0 && s.Skip[0].From <= entry.Index
	if hint && !undone {
		s.repeated(entry.Body)
	}
	if hint && s.Passed != nil {
		s.Passed(entry)
	}
	return hint || undone
}

func (s *Session) goLive() error {
	if s.Writer == nil {
		return s.fail(cmp.Or(s.AtEnd, ErrEndOfLog))
	}
	s.live, s.entry = true, nil
	if s.Live != nil {
		if err := s.Live(); err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// advance leaves the entry that peek gave; its bytes stay valid until the
// following peek.
func (s *Session) advance() { s.peeked = false }

func (s *Session) fail(err error) error {
	s.failed = err
	return err
}

func (s *Session) diverge(expected *oplog.Entry, got string) error {
	return s.fail(&DivergenceError{s.Worker, expected.Index, describe(expected.Body), got})
}

// describe says what an entry stands for, in a divergence.
func describe(b oplog.Body) string {
	switch b := b.(type) {
	case *oplog.HostCall:
		return fmt.Sprintf("call of function %d with request %x", b.Func, clip(b.Request))
	case *oplog.HostCallStarted:
		return fmt.Sprintf("call of function %d with request %x", b.Func, clip(b.Request))
	case *oplog.Log:
		return fmt.Sprintf("%d bytes to %s: %q", len(b.Bytes), b.Stream, clip(b.Bytes))
	case *oplog.Response:
		return fmt.Sprintf("a response with status %d and %d fields", b.Status, len(b.Fields))
	case *oplog.ResponseBody:
		return fmt.Sprintf("%d bytes of the response: %q", len(b.Bytes), clip(b.Bytes))
	case *oplog.ResponseEnd:
		return fmt.Sprintf("the end of the response %q", b.Failure)
	case *oplog.InvocationFinished:
		return fmt.Sprintf("the end of the invocation with the result %s", clip(b.Result))
	}
	return oplog.Name(b)
}

// clip keeps errors short.
func clip(p []byte) []byte { return p[:min(len(p), 64)] }

// Run performs a call of f and records it, or returns what is recorded.
// perform's error means that the host could not do its part: nothing is
// recorded, the session is over, and the worker can be resumed. What the guest
// is to see, failures too, is in Resp.
func Run[Req, Resp any](s *Session, f *Func[Req, Resp], req Req, perform func(context.Context, Req) (Resp, error)) (resp Resp, err error) {
	entry, err := s.peek()
	if err != nil {
		return resp, err
	}
	s.calls++
	if s.Unrecorded {
		if resp, err = perform(s.ctx, req); err != nil {
			return resp, s.fail(fmt.Errorf("%s: %w", f.Name, err))
		}
		return resp, nil
	}
	request := f.Request.Append(s.scratch[:0], req)
	s.scratch = request
	if f.Effect == ReadLocal || f.Effect == WriteQueued {
		if entry != nil {
			return replayCall(s, f, entry, request)
		}
		return performCall(s, f, req, request, perform)
	}
	started, err := s.intend(f.Code, f.Name, entry, request)
	if err != nil {
		return resp, err
	}
	if err := s.Durable(s.ctx, started); err != nil {
		return resp, s.fail(err)
	}
	return finish(s, f, started, func(ctx context.Context) (Resp, error) { return perform(ctx, req) })
}

// Start records the intent of a call of f that goes on beside the program, or
// passes a recorded one. The intent is durable when Start returns, and its index
// names the call. Whether the call is under way is for the caller to know: after
// a crash it is not, and without an outcome it is in doubt.
func Start[Req, Resp any](s *Session, f *Func[Req, Resp], req Req) (oplog.Index, error) {
	started, err := Intend(s, f, req)
	if err != nil {
		return 0, err
	}
	if err := s.Durable(s.ctx, started); err != nil {
		return 0, s.fail(err)
	}
	return started, nil
}

// Intend is Start for a call that a task of its own begins: it does not wait. The
// call must not begin before Durable has returned for its index, so that calls
// that are intended one after the other become durable together.
func Intend[Req, Resp any](s *Session, f *Func[Req, Resp], req Req) (oplog.Index, error) {
	entry, err := s.peek()
	if err != nil {
		return 0, err
	}
	s.calls++
	if s.Unrecorded {
		return oplog.Index(s.calls), nil
	}
	s.scratch = f.Request.Append(s.scratch[:0], req)
	return s.intend(f.Code, f.Name, entry, s.scratch)
}

// Finish records the outcome of a call that Start began, or returns what is
// recorded. Of perform it is as of Run's.
func Finish[Req, Resp any](s *Session, f *Func[Req, Resp], started oplog.Index, perform func(context.Context) (Resp, error)) (resp Resp, err error) {
	s.calls++
	if !s.Unrecorded {
		return finish(s, f, started, perform)
	}
	if _, err = s.peek(); err != nil {
		return resp, err
	}
	if resp, err = perform(s.ctx); err != nil {
		return resp, s.fail(fmt.Errorf("%s: %w", f.Name, err))
	}
	return resp, nil
}

// intend passes the intent at entry, or records one where that is nil.
func (s *Session) intend(code uint64, name string, entry *oplog.Entry, request []byte) (oplog.Index, error) {
	if entry != nil {
		call, ok := entry.Body.(*oplog.HostCallStarted)
		if !ok || call.Func != code || !bytes.Equal(call.Request, request) {
			return 0, s.diverge(entry, fmt.Sprintf("call of %s (function %d) with request %x", name, code, clip(request)))
		}
		s.advance()
		return entry.Index, nil
	}
	err := s.charge(false, len(request))
	var started oplog.Index
	if err == nil {
		started, err = s.Writer.Append(s.ctx, &oplog.HostCallStarted{Func: code, Request: request, Within: s.Within})
	}
	if err != nil {
		return 0, s.fail(err)
	}
	return started, nil
}

// finish is Finish of a session that records.
func finish[Req, Resp any](s *Session, f *Func[Req, Resp], started oplog.Index, perform func(context.Context) (Resp, error)) (resp Resp, err error) {
	entry, err := s.peek()
	if err != nil {
		return resp, err
	}
	if entry != nil {
		finished, ok := entry.Body.(*oplog.HostCallFinished)
		if !ok || finished.Started != started {
			return resp, s.diverge(entry, fmt.Sprintf("the outcome of %s", f.Name))
		}
		s.advance()
		delete(s.repeats, started)
		resp, err = f.Response.Decode(finished.Response)
		return resp, s.wrapDecode(f.Name, err)
	}
	if resp, err = perform(s.ctx); err != nil {
		return resp, s.fail(fmt.Errorf("%s: %w", f.Name, err))
	}
	s.scratch = f.Response.Append(s.scratch[:0], resp)
	delete(s.repeats, started)
	_, err = s.Writer.Append(s.ctx, &oplog.HostCallFinished{Started: started, Response: s.scratch})
	if err != nil {
		return resp, s.fail(err)
	}
	return resp, nil
}

func replayCall[Req, Resp any](s *Session, f *Func[Req, Resp], entry *oplog.Entry, request []byte) (resp Resp, err error) {
	call, ok := entry.Body.(*oplog.HostCall)
	if !ok || call.Func != f.Code || !bytes.Equal(call.Request, request) {
		return resp, s.diverge(entry, fmt.Sprintf("call of %s (function %d) with request %x", f.Name, f.Code, clip(request)))
	}
	s.advance()
	resp, err = f.Response.Decode(call.Response)
	return resp, s.wrapDecode(f.Name, err)
}

// wrapDecode keeps a nil error nil.
func (s *Session) wrapDecode(name string, err error) error {
	if err == nil {
		return nil
	}
	return s.fail(fmt.Errorf("decode the recorded response of %s: %w", name, err))
}

func performCall[Req, Resp any](s *Session, f *Func[Req, Resp], req Req, request []byte, perform func(context.Context, Req) (Resp, error)) (resp Resp, err error) {
	if resp, err = perform(s.ctx, req); err != nil {
		return resp, s.fail(fmt.Errorf("%s: %w", f.Name, err))
	}
	n := len(request)
	s.scratch = f.Response.Append(request, resp)
	if err := s.charge(false, len(s.scratch)); err != nil {
		return resp, s.fail(err)
	}
	if err := s.Writer.AppendHostCall(s.ctx, f.Code, s.scratch[:n], s.scratch[n:]); err != nil {
		return resp, s.fail(err)
	}
	return resp, nil
}

// charge is asked before something is recorded.
func (s *Session) charge(output bool, bytes int) error {
	if s.Charge == nil {
		return nil
	}
	return s.Charge(output, bytes+entryOverhead)
}

// entryOverhead is about what an entry takes beside what is in it.
const entryOverhead = 16

// Begin passes the beginning of the next recorded attempt, or gives nil where
// the oplog ends: what follows is live.
func (s *Session) Begin() (*oplog.InvocationStarted, oplog.Index, error) {
	entry, err := s.peek()
	if err != nil || entry == nil {
		return nil, 0, err
	}
	started, ok := entry.Body.(*oplog.InvocationStarted)
	if !ok {
		return nil, 0, s.diverge(entry, "the end of the invocation before it")
	}
	s.advance()
	return started, entry.Index, nil
}

// Finish says that the attempt has ended with result. If that is recorded it
// compares; replayed is false if it is for the caller to record.
func (s *Session) Finish(result []byte) (replayed bool, err error) {
	entry, err := s.peek()
	if err != nil || entry == nil {
		return false, err
	}
	finished, ok := entry.Body.(*oplog.InvocationFinished)
	if !ok || !bytes.Equal(finished.Result, result) {
		return false, s.diverge(entry, fmt.Sprintf("the end of the invocation with the result %s", clip(result)))
	}
	s.advance()
	return true, nil
}

// End says that the program has ended: its oplog must have nothing more. It
// returns the error that ended the session, if one did.
func (s *Session) End() error {
	entry, err := s.peek()
	if err != nil || entry == nil {
		return err
	}
	return s.diverge(entry, "the end of the program")
}
