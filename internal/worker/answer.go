package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/inbound"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// Answer is the response to one request, as the worker's oplog has it: it is read
// from there, each piece once it is durable. So the worker does not wait for who
// reads, and who comes later, or after a crash, reads the same. It is for one task
// at a time, but for Close.
type Answer struct {
	r        *resident
	index    oplog.Index // of the invocation
	key      string
	wait     *waiter         // nil: it has ended
	follower *oplog.Follower // if there is something to wait for
	next     oplog.Index     // where to read on
	last     oplog.Index     // the end of the invocation, once it is known to have ended
	mine     bool            // what is read is of an attempt of the invocation
	begun    bool            // the response was given
	newest   oplog.Index     // the last entry of what was given
	undone   []oplog.Span    // what is known not to be part of it
	parts    []Part
	result   error // behind parts

	closing sync.Once
}

// Part is a part of an answer.
type Part struct {
	Status   uint16          // set in the first
	Fields   []inbound.Field // of the first
	Bytes    []byte          // of the body
	Trailers []inbound.Field // of the last
	End      bool            // nothing follows
}

// readAhead is about how many bytes of a response are read at a time for one
// client.
const readAhead = 256 << 10

// ErrTakenBack says that what was given of an answer has not happened: the
// attempt failed, or the program has not finished its response. Another attempt
// may follow, whose answer is had by the same key.
var ErrTakenBack = errors.New("the response broke off")

// answerTo gives the answer to a request that was accepted before: c is the same.
func (r *resident) answerTo(ctx context.Context, index oplog.Index, c *api.Call) (*Answer, error) {
	r.mu.Lock()
	p := r.machine.life.Find(index)
	if p == nil {
		r.mu.Unlock()
		if err := r.writer.CommitSoon(ctx); err != nil {
			return nil, r.late(ctx, index, err)
		}
		v, err := r.past(ctx, index)
		if err == nil {
			err = r.same(c, v.Function, v.Args)
		}
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		a := &Answer{r: r, index: index, key: v.Key, next: v.From, last: v.To, undone: r.undoneFrom(v.From)}
		r.mu.Unlock()
		a.result = r.unanswered(&v)
		return a, nil
	}
	if refused := r.same(c, p.Function, []byte(p.Args)); refused != nil {
		r.mu.Unlock()
		// Who is told so must not find the key free after a crash.
		if err := r.writer.CommitSoon(ctx); err != nil {
			return nil, r.late(ctx, index, err)
		}
		return nil, refused
	}
	defer r.mu.Unlock()
	from := r.writer.Last() + 1 // attempts before have failed
	if life := r.machine.life; life.Begun != 0 && life.Attempt.Accepted == index {
		from = life.Begun
	}
	a := r.newAnswer(index, r.wait(index, p.InvocationAccepted), from)
	switch {
	case r.machine.life.Stuck != nil:
		r.settle(index, oplog.Entry{}, r.stuck(r.machine.life.Stuck.Reason))
	case r.machine.over != nil && !r.driving:
		r.settle(index, oplog.Entry{}, r.ended())
	}
	return a, nil
}

// newAnswer reads an answer from entry next on. It is called with r.mu held.
func (r *resident) newAnswer(index oplog.Index, w *waiter, next oplog.Index) *Answer {
	if w.answers++; w.end.Body != nil {
		r.writer.Request() // it ended before there was anybody who needs it durable
	}
	return &Answer{r: r, index: index, key: keyOf(w.accepted, index), wait: w, follower: r.writer.Follow(), next: next, undone: r.undoneFrom(next)}
}

// undoneFrom are the spans from an entry on that have not happened. It is called
// with r.mu held.
func (r *resident) undoneFrom(from oplog.Index) []oplog.Span {
	all := r.machine.life.Undone
	i := slices.IndexFunc(all, func(s oplog.Span) bool { return s.To >= from })
	if i < 0 {
		return nil
	}
	return slices.Clone(all[i:])
}

// unanswered is why an invocation that has ended has no response, or nil.
func (r *resident) unanswered(v *api.Invocation) error {
	switch v.State {
	case api.StateFinished:
		result, err := inbound.ParseResult(v.Result)
		if err == nil && result.Status != 0 {
			return nil
		}
		return r.unansweredBy("the program has answered nothing", v)
	case api.StateCanceled:
		return r.unansweredBy("it was canceled", v)
	}
	return r.unansweredBy("the program failed", v)
}

// unansweredBy is the problem of a request without a response. What happened in
// the program is for those who may look at the worker.
func (r *resident) unansweredBy(why string, v *api.Invocation) error {
	p := api.NewProblem(api.CodeInvocationFailed, fmt.Sprintf("%s has not answered the request: %s", r.worker, why))
	p.Invocation = v
	return p
}

// Key is the key of the invocation.
func (a *Answer) Key() string { return a.key }

// Next waits for the next part. The first has how the response begins; without a
// response the error is an *api.Problem. Behind the last part it is
// ErrTakenBack if what was given is not the whole response.
func (a *Answer) Next(ctx context.Context) (Part, error) {
	for len(a.parts) == 0 {
		if a.result != nil {
			return Part{}, a.result
		}
		if err := a.await(ctx); err != nil {
			return Part{}, a.late(ctx, err)
		}
		err := a.read(ctx)
		if oplog.IsTruncated(err) && !a.begun {
			err = a.recall(ctx, err)
		}
		if err != nil {
			return Part{}, a.unreadable(err)
		}
	}
	p := a.parts[0]
	a.parts = a.parts[1:]
	return p, nil
}

// Ready reports whether Next would not wait.
func (a *Answer) Ready() bool { return len(a.parts) > 0 || a.result != nil }

// await waits until there is more to read.
func (a *Answer) await(ctx context.Context) error {
	if a.wait == nil {
		return nil
	}
	var why error
	err := a.follower.Beyond(ctx, a.next-1, func() bool {
		a.r.mu.Lock()
		defer a.r.mu.Unlock()
		why = a.wait.err
		return why != nil
	})
	if err == nil && why != nil && a.r.writer.Committed() < a.next {
		err = why
	}
	return err
}

// late is what a client is told whose answer does not come.
func (a *Answer) late(ctx context.Context, err error) error {
	if a.begun {
		return fmt.Errorf("%w: %w", ErrTakenBack, err)
	}
	return a.r.late(ctx, a.index, err)
}

// unreadable is what a client is told whose answer cannot be read.
func (a *Answer) unreadable(err error) error {
	if oplog.IsTruncated(err) {
		err = api.NewProblem(api.CodeExpired, fmt.Sprintf(
			"%s has answered the request with the key %s, and its retention has let go of the response", a.r.worker, a.Key()))
	}
	if a.begun {
		return fmt.Errorf("%w: %w", ErrTakenBack, err)
	}
	return err
}

// read reads on, until there is something for the client.
func (a *Answer) read(ctx context.Context) error {
	to := a.r.writer.Committed()
	if a.last != 0 {
		to = min(to, a.last)
	}
	size, next := 0, a.next
	for e, err := range oplog.Read(ctx, a.r.ws.Store.Logs(), a.r.worker, next, to) {
		if err != nil {
			return err
		}
		if e.Index > a.next {
			return &oplog.TruncatedError{Worker: a.r.worker, From: a.next, To: e.Index - 1}
		}
		a.next = e.Index + 1
		if size += a.take(&e); size >= readAhead || a.result != nil {
			return nil
		}
	}
	if a.next == next && next <= to {
		return &oplog.TruncatedError{Worker: a.r.worker, From: next, To: to}
	}
	return nil
}

// recall gives an answer whose entries are truncated, if it is kept elsewhere.
func (a *Answer) recall(ctx context.Context, truncated error) error {
	found, _, err := a.r.archived(ctx, a.index)
	if err != nil {
		return err
	}
	if found == nil || found.Answer == nil {
		return truncated
	}
	a.mine = true
	for _, b := range []oplog.Body{&found.Answer.Response, &oplog.ResponseBody{Bytes: found.Answer.Body}, &found.Answer.End} {
		a.take(&oplog.Entry{Body: b})
	}
	return nil
}

// take adds what an entry tells the client, and gives about how much that is.
func (a *Answer) take(e *oplog.Entry) int {
	switch e.Body.(type) {
	case *oplog.Response, *oplog.ResponseBody, *oplog.ResponseEnd:
		for len(a.undone) > 0 && a.undone[0].To < e.Index {
			a.undone = a.undone[1:]
		}
		if len(a.undone) > 0 && a.undone[0].From <= e.Index {
			return 0
		}
		a.newest = e.Index
	}
	switch b := e.Body.(type) {
	case *oplog.Jump:
		if a.mine && a.begun && a.newest >= b.From {
			a.result = ErrTakenBack
		}
	case *oplog.InvocationStarted:
		if a.mine = b.Accepted == a.index; a.mine && a.begun {
			a.result = ErrTakenBack // as the end of the attempt before has told
		}
	case *oplog.Response:
		if a.mine {
			a.begun = true
			fields := inbound.Received(b.Fields)
			a.parts = append(a.parts, Part{Status: uint16(b.Status), Fields: cloned(fields)})
			return inbound.FieldsSize(fields)
		}
	case *oplog.ResponseBody:
		if a.mine {
			a.parts = append(a.parts, Part{Bytes: append([]byte(nil), b.Bytes...)})
			return len(b.Bytes)
		}
	case *oplog.ResponseEnd:
		if a.mine && b.Failure != "" {
			a.result = fmt.Errorf("%w: %s", ErrTakenBack, b.Failure)
		} else if a.mine {
			a.parts = append(a.parts, Part{Trailers: cloned(inbound.Received(b.Trailers)), End: true})
			a.result = errAllGiven
		}
	case *oplog.InvocationFailed, *oplog.InvocationFinished, *oplog.InvocationCanceled:
		a.ended(e)
	}
	return 0
}

var errAllGiven = errors.New("all of the response was given")

// ended takes the end of an attempt, or of the invocation.
func (a *Answer) ended(e *oplog.Entry) {
	over := endOf(e.Body) == a.index
	if f, ok := e.Body.(*oplog.InvocationFailed); !over && (!ok || f.Accepted != a.index) {
		return
	}
	a.mine = false
	switch {
	case a.begun:
		a.result = ErrTakenBack
	case over && a.wait != nil:
		v := accepted(a.r.worker, a.wait.accepted, a.index)
		ending(&v, *e)
		a.result = cmp.Or(a.r.unanswered(&v), ErrTakenBack)
	case over:
		a.result = ErrTakenBack
	}
}

func cloned(list []inbound.Field) []inbound.Field {
	for i := range list {
		list[i].Value = append([]byte(nil), list[i].Value...)
	}
	return list
}

// Close gives up reading. The worker goes on.
func (a *Answer) Close() {
	a.closing.Do(func() {
		if a.wait != nil {
			a.r.mu.Lock()
			a.wait.answers--
			a.r.mu.Unlock()
			a.r.leave(a.wait)
			a.follower.Close()
		}
		a.r.ws.release(a.r)
	})
}
