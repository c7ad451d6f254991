// Package exchange is the HTTP requests of programs, recorded: the intent of each
// is durable before its first byte leaves, its outcome and the body that follows
// are in the oplog as the program has seen them. It hides which of what it gives
// comes from there, and what becomes of a request whose connection is gone: after
// a crash, or because the worker had left memory.
//
// Such a request is in doubt until its outcome is recorded. If its repetition has
// the effect of one request, it is sent again, with the same key; otherwise the
// policy says whether it is, or fails, or waits for a person.
package exchange

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/reach"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
)

// Client sends requests.
type Client interface {
	// Begin sends r, on a task of its own, until ctx is done or the reply is
	// closed. That task calls leave first, which waits, and lets nobody outside
	// know of r unless it returns nil. changed is called each time that there is
	// more of the reply. r is valid until then, and is not changed.
	Begin(ctx context.Context, r *Request, p Policy, leave func(context.Context) error, changed func()) Reply
}

// Reply is what comes back. Its methods never wait.
type Reply interface {
	// Head gives how the response begins, and false as long as it has not.
	Head() (Head, bool)
	// Ready reports whether Read would give something.
	Ready() bool
	// Read gives up to limit bytes of the body, and false as long as neither
	// bytes nor the end are there.
	Read(limit int) (Piece, bool)
	// Close gives up what has not come yet.
	Close()
}

// Egress is the way that requests take.
type Egress struct {
	Proxy     string // a URL, or what package api has for it
	Roots     string // PEM: certificates to trust
	RootsOnly bool   // and not those of the machine
}

// Policy is what a worker's requests may do. It counts when something is done and
// is never asked for at replay.
type Policy struct {
	Reach reach.Rules
	// MaxBody bounds the body of a response, in bytes.
	MaxBody uint64
	// Egress is how they leave.
	Egress Egress
	// Attempts is how often a request is sent that fails in a way that passes, if
	// its repetition has the effect of one. Pause is what comes before the second
	// attempt, and each pause is twice as long as the one before up to MaxPause,
	// which bounds what a response asks for, too.
	Attempts        uint64
	Pause, MaxPause time.Duration
	// Keys says that requests whose repetition is not the same get a key.
	Keys bool
	// InDoubt says what becomes of a request in doubt whose repetition may have
	// another effect; Choices, before that, of some requests, by the names of
	// durable.Policy.
	InDoubt durable.Policy
	Choices reach.Choices
}

// Config is what an instance's exchanges are made of.
type Config struct {
	Session *durable.Session
	Sched   sched.Scheduler
	Events  *await.Waiter // where the program waits for what comes
	Client  Client
	Policy  func() Policy
	// Secret is what keys are made with, known to this worker alone.
	Secret [sha256.Size]byte
	// Pace, if set, says how long to wait before so many bytes of a body are
	// recorded: bodies are not too fast for what is recorded in a while, but
	// wait.
	Pace func(bytes int) time.Duration
}

// Exchanges are those of one instance. They are for one task at a time.
type Exchanges struct {
	Config
	replies map[uint64]Reply
	uploads map[uint64]*upload // of requests whose body follows them
	paused  map[uint64]bool    // those that are to be sent again, and then under way
	attempt uint64             // what the program does now
	keys    uint64             // made in it
}

// MaxPiece bounds what one read gives, in bytes.
const MaxPiece = 64 << 10

// New makes the exchanges of an instance, which has none under way.
func New(c Config) *Exchanges {
	return &Exchanges{Config: c, replies: map[uint64]Reply{}, uploads: map[uint64]*upload{}, paused: map[uint64]bool{}}
}

// Begin says which invocation the requests that follow belong to: an attempt that
// is repeated gives its requests the same keys.
func (e *Exchanges) Begin(invocation uint64) { e.attempt, e.keys = invocation, 0 }

// UnderWay reports whether anything is.
func (e *Exchanges) UnderWay() bool { return len(e.replies) > 0 }

// Close gives up all that is under way.
func (e *Exchanges) Close() {
	for call := range e.replies {
		e.HangUp(call)
	}
}

// HangUp gives up what has not come yet of an exchange.
func (e *Exchanges) HangUp(call uint64) {
	e.drop(call)
	e.Session.Dropped(call)
	delete(e.paused, call)
}

// drop ends what is under way of an exchange.
func (e *Exchanges) drop(call uint64) {
	if r := e.replies[call]; r != nil {
		r.Close()
		delete(e.replies, call)
	}
	if u := e.uploads[call]; u != nil {
		u.Close()
		delete(e.uploads, call)
	}
}

// MaxHead bounds a request without its body, in bytes: it is in one entry.
const MaxHead = 512 << 10

// ErrHead refuses a request that is too long for an entry.
var ErrHead = fmt.Errorf("the request has more than %d bytes without its body", MaxHead)

// Send sends a request, to which it may add a key. It waits neither for the intent
// to be durable, before which nothing leaves, nor for anything that comes back: so
// requests that a program sends at the same time share a commit.
func (e *Exchanges) Send(r Request) (*Exchange, error) {
	if err := e.addKey(&r); err != nil {
		return nil, err
	}
	t := newTicket(&r)
	if len(t.append(nil)) > MaxHead {
		return nil, ErrHead
	}
	call, err := durable.Intend(e.Session, &send, t)
	if err != nil {
		return nil, err
	}
	x := &Exchange{Call: call, Request: r}
	if !e.Session.Replaying() {
		e.replies[call] = e.open(x)
	}
	return x, nil
}

// addKey gives a request that is not the same when it is repeated what makes it
// so.
func (e *Exchanges) addKey(r *Request) error {
	if r.repeatable() {
		return nil
	}
	e.keys++
	made, err := durable.Run(e.Session, &key, durable.None{}, func(context.Context, durable.None) (string, error) {
		if !e.Policy().Keys {
			return "", nil
		}
		return e.keyOf(r), nil
	})
	if err == nil && made != "" {
		r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], Field{keyField, []byte(made)})
	}
	return err
}

// keyOf is the key of the request that the attempt makes now. The worker's name is not
// in it, and need not be: the secret is drawn anew for each worker, so no two make the
// same key, also none that has the name of one that was deleted.
func (e *Exchanges) keyOf(r *Request) string {
	sum := hmac.New(sha256.New, e.Secret[:])
	b := binary.BigEndian.AppendUint64([]byte("idempotency key"), e.attempt)
	b = binary.BigEndian.AppendUint64(b, e.keys)
	for _, s := range []string{r.Method, r.Scheme, r.Authority, r.Path} {
		b = durable.AppendText(b, s)
	}
	sum.Write(b)
	h := sum.Sum(nil)
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// open begins an exchange anew.
func (e *Exchanges) open(x *Exchange) Reply {
	r := x.Request
	if r.Streamed {
		r.Source = e.begin(x)
	}
	leave := func(ctx context.Context) error { return e.Session.Durable(ctx, x.Call) }
	return e.Client.Begin(e.Session.Context(), &r, e.Policy(), leave, e.Events.Wake)
}

// held reports whether x waits for a person.
func (e *Exchanges) held(x *Exchange) bool {
	return e.replies[x.Call] == nil && !x.Answered && x.Ended != Aborted && !e.postponed(x) && e.Session.Held(x.Call, e.Policy().inDoubt(&x.Request))
}

// postponed reports whether the request of x is to be sent again, and has not been:
// so it is not in doubt.
func (e *Exchanges) postponed(x *Exchange) bool {
	r, repeated := e.Session.Repeated(x.Call)
	return e.paused[x.Call] || repeated && (r.Slept || r.Until > oplog.At(e.Sched.Now()))
}

// revive lets an exchange go on of which nothing is under way: it is in doubt, or
// waits until it is sent again.
func (e *Exchanges) revive(x *Exchange) error {
	if e.replies[x.Call] != nil || x.Answered && x.Empty {
		return nil
	}
	again, repeated := e.Session.Repeated(x.Call)
	switch {
	case x.Answered:
	case repeated && again.Until > oplog.At(e.Sched.Now()):
		e.paused[x.Call] = true
		return nil
	case e.paused[x.Call]:
		delete(e.paused, x.Call)
		e.replies[x.Call] = e.open(x)
		return nil
	}
	var r Reply
	var err error
	if !x.Answered && again.Slept {
		r, err = e.repeat(x, "the pause is over")
	} else {
		r, err = e.recover(x)
	}
	if err == nil {
		e.replies[x.Call] = r
	}
	return err
}

// recover says what becomes of an exchange in doubt.
func (e *Exchanges) recover(x *Exchange) (Reply, error) {
	policy, lost := e.Policy().inDoubt(&x.Request), broken{&Failure{Reason: ConnectionTerminated}}
	switch {
	case x.Ended == Aborted:
		return broken{&Failure{Reason: ProtocolError}}, nil
	case x.Given:
		return &given{body: x.Body[min(x.Offset, uint64(len(x.Body))):]}, nil
	case x.Answered && (!x.resumable() || policy != durable.Retry), x.Request.Streamed && e.Session.Unrecorded:
		return lost, nil
	case x.Answered:
		r, err := e.repeat(x, "the connection was lost before the body had come")
		return &resumed{Reply: r, of: *x, skip: x.Offset}, err
	}
	v, err := e.Session.InDoubt(x.Call, policy)
	switch {
	case err != nil:
		return nil, err
	case v.Again:
		return e.repeat(x, "in doubt: its outcome is not known")
	case v.Given:
		h, err := send.Response.Decode(v.Response)
		return &given{h, h.Body}, err
	}
	return lost, nil
}

// repeat sends the request of x again, now, and records that before.
func (e *Exchanges) repeat(x *Exchange, why string) (Reply, error) {
	now := oplog.At(e.Sched.Now())
	if _, err := e.Session.Repeat(x.Call, now, now, why); err != nil {
		return nil, err
	}
	return e.open(x), nil
}

// Event is that more of x has come than the program has seen.
func (e *Exchanges) Event(x *Exchange) await.Event {
	v := e.event(x, await.HTTP, e.ready)
	if x.Answered {
		v.Past = x.Offset + 1
	} else {
		v.Again = func() (bool, error) { return e.again(x) }
	}
	return v
}

func (e *Exchanges) event(x *Exchange, source await.Source, come func(*Exchange) bool) await.Event {
	return await.Event{
		Source: source, ID: x.Call, Held: func() bool { return e.held(x) }, Begin: func() error { return e.revive(x) },
		Come: func() bool { return come(x) }, Pause: func() time.Duration { return e.pause(x) },
	}
}

// ready reports whether more of x has come than the program has seen.
func (e *Exchanges) ready(x *Exchange) bool {
	if x.Answered && x.Empty {
		return true
	}
	r := e.replies[x.Call]
	switch {
	case r == nil:
		return false
	case x.Answered:
		return r.Ready()
	}
	_, ok := r.Head()
	return ok
}

// pace waits until so many bytes of a body can be recorded.
func (e *Exchanges) pace(ctx context.Context, bytes int) error {
	if e.Pace == nil {
		return nil
	}
	for d := e.Pace(bytes); d > 0; d = e.Pace(bytes) {
		wait := func() error { return e.Sched.Sleep(ctx, d) }
		if park := e.Events.Park; park != nil {
			nap := wait
			wait = func() error { return park(nap) }
		}
		if err := wait(); err != nil {
			return err
		}
	}
	return nil
}

// Outcome takes the head of the response, or waits for it.
func (e *Exchanges) Outcome(x *Exchange) (Head, error) {
	h, err := durable.Finish(e.Session, &send, x.Call, func(ctx context.Context) (Head, error) {
		if err := e.Events.Hold(ctx, e.Event(x)); err != nil {
			return Head{}, err
		}
		h, _ := e.replies[x.Call].Head()
		return h, stopped(ctx, h.Failure)
	})
	if err == nil {
		x.answered(h)
	}
	return h, err
}

// stopped is why work is to stop that has hung up for that reason: it is no failure
// of the exchange, which is in doubt.
func stopped(ctx context.Context, failure *Failure) error {
	if failure == nil {
		return nil
	}
	return context.Cause(ctx)
}

// Read gives up to limit bytes of the body of a response. If none are there it
// gives none, or waits for some if it is to block. Behind an end there is nothing
// more to read.
func (e *Exchanges) Read(x *Exchange, limit int, block bool) (Piece, error) {
	if x.Empty {
		return Piece{End: true}, nil
	}
	req := reading{x.Call, x.Offset + 1, uint64(min(limit, MaxPiece)), block}
	p, err := durable.Run(e.Session, &read, req, func(ctx context.Context, req reading) (p Piece, err error) {
		if err = e.revive(x); err == nil && block {
			err = e.Events.Hold(ctx, e.Event(x))
		}
		if err == nil {
			err = e.pace(ctx, int(req.limit))
		}
		if err == nil {
			p, _ = e.replies[x.Call].Read(int(req.limit))
			err = stopped(ctx, p.Failure)
		}
		return p, err
	})
	p.Bytes = bytes.Clone(p.Bytes) // what was decoded is soon no more
	if err == nil && len(p.Bytes) > 0 {
		x.Offset += uint64(len(p.Bytes))
		x.forget()
	}
	return p, err
}
