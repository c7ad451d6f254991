// Package ledger tells of the external calls of workers: what was asked, what came
// of it, and how often it was performed. It reads all of it from oplogs, which are
// the truth, and hides how: backwards, in windows, so that the newest calls of a
// worker that has made millions are found at once.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Bounds of what one page reads.
const (
	window    = 1 << 10 // entries read at a time
	maxLooked = 1 << 16 // entries of a page
	// maxAhead is how many entries behind a page are searched for what became of
	// calls in it.
	maxAhead = 1 << 16
	// maxTraces is of how many calls a page remembers something before it has come
	// to them.
	maxTraces   = 1 << 13
	maxProblems = 100
	maxRepeats  = 100     // that are told of one call
	maxLine     = 2 << 10 // bytes of a request or a response on a line
)

// Config is what ledgers are read from.
type Config struct {
	Logs storage.Logs
	// Functions are those that oplogs speak of.
	Functions []durable.Declared
	// Key names an invocation.
	Key func(a *oplog.InvocationAccepted, index oplog.Index) string
}

// Ledgers are those of all workers. It may be used by any number of tasks.
type Ledgers struct {
	Config
	functions map[uint64]durable.Declared
}

// New makes the ledgers.
func New(c Config) *Ledgers {
	l := &Ledgers{Config: c, functions: map[uint64]durable.Declared{}}
	for _, f := range c.Functions {
		code, _, _ := f.Declaration()
		l.functions[code] = f
	}
	return l
}

// Query says which calls of a worker a page has.
type Query struct {
	Worker id.Worker
	// Below chooses those whose intents are below this entry; 0: all.
	Below oplog.Index
	State api.CallState // "": any
	Reads bool          // also those that only ask or wait
	Limit int
	Standing
}

// Standing is how a worker stands.
type Standing struct {
	// Live says that it has an instance: what has no outcome is under way.
	Live bool
	// Held are the calls for which it waits for a person.
	Held []oplog.Index
}

// Page is some calls, the newest first.
type Page struct {
	Calls    []api.ExternalCall
	Next     oplog.Index // the Below of the next page; 0 at the end
	Problems []api.Problem
}

// Page reads a page of a worker's ledger.
func (l *Ledgers) Page(ctx context.Context, q Query) (Page, error) {
	first, last, err := l.Logs.Bounds(ctx, q.Worker)
	if err != nil {
		return Page{}, fmt.Errorf("read the bounds of the oplog of %s: %w", q.Worker, err)
	}
	r := &reading{Ledgers: l, Query: q, traces: map[oplog.Index]*trace{}, failed: map[oplog.Index]bool{}, attempts: map[oplog.Index]attempt{}}
	to := last
	if q.Below != 0 {
		to = min(to, q.Below-1)
		r.ahead = true
		if err := r.scan(ctx, q.Below, min(last, q.Below+maxAhead-1)); err != nil {
			return r.page, err
		}
		r.ahead = false
	}
	for looked := oplog.Index(0); to >= first && to > 0; to = r.from - 1 {
		if looked >= maxLooked {
			r.page.Next = to + 1
			return r.page, nil
		}
		r.from = first
		if to-first >= window {
			r.from = to - window + 1
		}
		looked += to - r.from + 1
		if err := r.scan(ctx, r.from, to); err != nil {
			return r.page, err
		}
		full, err := r.take(ctx)
		if full || err != nil {
			return r.page, err
		}
	}
	if first > 1 {
		r.problem(&oplog.TruncatedError{Worker: q.Worker, From: 1, To: first - 1}, api.CodeExpired)
	}
	return r.page, nil
}

// Call tells all of one call, or gives nil if entry index is the intent of none.
func (l *Ledgers) Call(ctx context.Context, w id.Worker, index oplog.Index, s Standing) (*api.ExternalCall, error) {
	_, last, err := l.Logs.Bounds(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("read the bounds of the oplog of %s: %w", w, err)
	}
	if index == 0 || index > last {
		return nil, nil
	}
	r := &reading{
		Ledgers: l, Query: Query{Worker: w, Reads: true, Limit: 1, Standing: s}, only: index, from: index,
		traces: map[oplog.Index]*trace{}, failed: map[oplog.Index]bool{}, attempts: map[oplog.Index]attempt{},
	}
	if err := r.scan(ctx, index, min(last, index+maxAhead)); err != nil {
		return nil, err
	}
	if _, err := r.take(ctx); err != nil || len(r.page.Calls) == 0 {
		return nil, err
	}
	return &r.page.Calls[0], nil
}

// Given turns what a person gives as the response of a call into what its outcome
// records. It is nil if entry index is the intent of no call.
func (l *Ledgers) Given(ctx context.Context, w id.Worker, index oplog.Index, response []byte) ([]byte, error) {
	r := &reading{Ledgers: l, Query: Query{Worker: w}}
	body, err := r.entry(ctx, index)
	if err != nil {
		return nil, err
	}
	started, ok := body.(*oplog.HostCallStarted)
	if !ok {
		return nil, nil
	}
	f := l.functions[started.Func]
	if f == nil {
		return nil, api.NewProblem(api.CodeInvalid, fmt.Sprintf("function %d is not known here", started.Func))
	}
	b, err := f.TakeGiven(response)
	if err != nil {
		return nil, api.NewProblem(api.CodeInvalid, err.Error())
	}
	return b, nil
}

// trace is what was read of a call.
type trace struct {
	function durable.Declared  // nil if it is not known
	intent   *api.ExternalCall // nil if that is below the window
	within   oplog.Index
	ended    oplog.Time // 0: it has no outcome
	response string
	outcome  durable.Facts
	attempts uint64
	repeats  []api.CallRepeat
	held     oplog.Time
	resolved struct {
		index oplog.Index
		at    oplog.Time
		how   oplog.Resolution
	}
}

// attempt is one of an invocation, as far as it can be read.
type attempt struct {
	number    uint64
	key, name string
}

// reading is one run of Page.
type reading struct {
	*Ledgers
	Query
	page     Page
	only     oplog.Index   // the only call that is wanted; 0: all
	from     oplog.Index   // where the present window begins
	ahead    bool          // it is behind what the page has
	intents  []oplog.Index // of the window
	traces   map[oplog.Index]*trace
	failed   map[oplog.Index]bool // attempts that were taken back, by where they began
	attempts map[oplog.Index]attempt
}

// problem notes what cannot be told of.
func (r *reading) problem(err error, code api.Code) {
	if len(r.page.Problems) < maxProblems {
		r.page.Problems = append(r.page.Problems, *api.NewProblem(code, err.Error()))
	}
}

// scan reads entries in their order.
func (r *reading) scan(ctx context.Context, from, to oplog.Index) error {
	r.intents = r.intents[:0]
	for e, err := range oplog.Read(ctx, r.Logs, r.Worker, from, to) {
		var corrupt *storage.CorruptError
		switch {
		case errors.As(err, &corrupt):
			r.problem(err, api.CodeDamaged)
		case err != nil:
			return err
		default:
			if err := r.note(ctx, e); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// note takes what an entry says of calls.
func (r *reading) note(ctx context.Context, e oplog.Entry) error {
	switch b := e.Body.(type) {
	case *oplog.HostCallStarted:
		if !r.ahead && r.wanted(b.Func) && (r.only == 0 || r.only == e.Index) {
			r.begun(e, b)
		}
	case *oplog.HostCallFinished:
		return r.ended(ctx, e, b)
	case *oplog.HostCallRepeated:
		if t := r.trace(b.Started); t != nil {
			t.attempts = max(t.attempts, b.Attempt)
			if r.only != 0 && len(t.repeats) < maxRepeats {
				t.repeats = append(t.repeats, api.CallRepeat{At: b.At.Time(), Attempt: b.Attempt, Reason: b.Reason})
			}
		}
	case *oplog.CallHeld:
		if t := r.trace(b.Started); t != nil {
			t.held = max(t.held, b.At)
		}
	case *oplog.CallResolved:
		if t := r.trace(b.Started); t != nil && t.resolved.index < e.Index {
			t.resolved.index, t.resolved.at, t.resolved.how = e.Index, b.At, b.How
		}
	case *oplog.InvocationFailed:
		r.failed[b.Started] = true
	}
	return nil
}

// begun takes an intent.
func (r *reading) begun(e oplog.Entry, b *oplog.HostCallStarted) {
	t := r.trace(e.Index)
	if t == nil {
		return
	}
	t.function, t.within = r.functions[b.Func], b.Within
	v := &api.ExternalCall{Worker: r.Worker.String(), Index: e.Index, Began: e.At.Time(), Function: fmt.Sprintf("function %d", b.Func)}
	if f := t.function; f != nil {
		_, v.Function, _ = f.Declaration()
		v.Request = line(f.ShowRequest(b.Request))
		facts := f.RequestFacts(b.Request)
		if v.Key = facts.Key; r.only != 0 {
			v.RequestDetail = facts.Lines
		}
	}
	t.intent = v
	r.intents = append(r.intents, e.Index)
}

// ended takes an outcome.
func (r *reading) ended(ctx context.Context, e oplog.Entry, b *oplog.HostCallFinished) error {
	t := r.trace(b.Started)
	if t == nil {
		return nil
	}
	t.ended = e.At
	if t.function == nil && t.intent == nil { // it is below the window
		body, err := r.entry(ctx, b.Started)
		if err != nil {
			return err
		}
		if started, ok := body.(*oplog.HostCallStarted); ok {
			t.function = r.functions[started.Func]
		}
	}
	if f := t.function; f != nil {
		t.response, t.outcome = line(f.ShowResponse(b.Response)), f.ResponseFacts(b.Response)
	}
	if r.only == 0 {
		t.outcome.Lines = nil
	}
	return nil
}

// trace is that of the call with the intent at index, or nil if nobody asks for it.
func (r *reading) trace(index oplog.Index) *trace {
	t := r.traces[index]
	switch {
	case t != nil || r.only != 0 && index != r.only || r.ahead && index >= r.Below:
		return t
	case len(r.traces) >= maxTraces && index < r.from:
		return nil
	}
	t = &trace{attempts: 1}
	r.traces[index] = t
	return t
}

// wanted reports whether calls of a function are in the ledger.
func (r *reading) wanted(code uint64) bool {
	f := r.functions[code]
	if f == nil {
		return true // of a newer version
	}
	_, _, effect := f.Declaration()
	return r.Reads || effect == durable.WriteRemote
}

// take adds the calls of the window to the page, the newest first, and forgets
// them. It reports whether the page is full.
func (r *reading) take(ctx context.Context) (full bool, err error) {
	for _, index := range slices.Backward(r.intents) {
		v := r.tell(r.traces[index])
		if r.State != "" && v.State != r.State {
			continue
		}
		if len(r.page.Calls) == r.Limit {
			r.page.Next = index + 1
			return true, nil
		}
		if err := r.place(ctx, r.traces[index].within, &v); err != nil {
			return false, err
		}
		r.page.Calls = append(r.page.Calls, v)
	}
	maps.DeleteFunc(r.traces, func(index oplog.Index, _ *trace) bool { return index >= r.from })
	return false, nil
}
