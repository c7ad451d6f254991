// Package promise is the promises of programs, recorded: a program makes one,
// hands its name to somebody, and waits for what becomes of it, out of memory
// and for years. The package hides which of what it gives comes from the oplog,
// and how a name comes about: from the worker's secret, the invocation and the
// label, so that an attempt that is repeated makes the same promises again, and
// who was told of one by an attempt that failed need not be told anew.
package promise

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/id"
)

// What a program can ask for at most.
const (
	MaxLabel   = 256       // bytes of a label
	MaxValue   = 256 << 10 // bytes of a value, or of why there is none
	MaxAwaited = 1024      // promises that one wait is for
	MaxLabels  = 4096      // different labels of the promises that an attempt makes
	maxName    = 512       // bytes of what is looked at as a promise's name
)

// Refusal is why the host does not do what a program asks, or 0.
type Refusal byte

// The refusals. Programs and oplogs know them by these numbers.
const (
	Unsupported Refusal = 1 + iota // the worker can have no promises
	Unknown                        // there is no such promise, or no more
	Settled                        // somebody else has settled it
	TooMany                        // promises, or bytes that became of them
	TooLarge                       // the label or the value
	Invalid                        // a name or a label that nothing can have
)

var refusals = [...]string{
	"", "workers that are ephemeral or run without a server have no promises", "there is no such promise, or no more",
	"the promise has been settled by somebody else", "there are too many promises, or what became of them takes too much room",
	"the label or the value is too large", "it is not well-formed",
}

// String says it to people.
func (r Refusal) String() string {
	if int(r) < len(refusals) {
		return refusals[r]
	}
	return fmt.Sprintf("refusal %d", byte(r))
}

// Outcome is what has become of a promise.
type Outcome struct {
	Failed bool
	Value  []byte // or why it has failed
}

// State is how far a promise is.
type State byte

// The states.
const (
	Missing State = iota // there is no such promise, or no more
	Pending
	Completed
	Failed
)

// Owner is the worker whose promises they are. Its names are those within the
// worker.
type Owner interface {
	// Make makes a promise, unless the attempt has made it already.
	Make(name, label string) (Refusal, error)
	// Take gives what has become of a promise.
	Take(name string) (Outcome, State, error)
	// Withdraw makes that nobody can settle it any more.
	Withdraw(name string) (Refusal, error)
	// Look tells how far a promise is.
	Look(name string) State
}

// Others are the promises of all workers.
type Others interface {
	// Settle is done once for a key, however often it is repeated.
	Settle(ctx context.Context, p id.Promise, o Outcome, key string) (Refusal, error)
	// Webhook is the URL by which anybody can complete a promise, once.
	Webhook(p id.Promise) string
}

// Events are what the program waits for.
type Events interface {
	// Wait returns when the monotonic clock shows deadline or one of the events has
	// come. With a deadline that has passed it only looks.
	Wait(deadline uint64, stdin bool, list []await.Event) (await.Readiness, error)
}

// Config is what an instance's promises are made of.
type Config struct {
	Session *durable.Session
	Events  Events
	Worker  id.Worker
	Owner   Owner  // nil: the worker has none
	Others  Others // nil: there are none
	// Secret is what names and keys are made with, known to this worker alone.
	Secret [sha256.Size]byte
}

// Promises are those of one instance. They are for one task at a time.
type Promises struct {
	Config
	invocation uint64            // what the program does now
	made       map[string]uint64 // promises made in it, by label
	settled    uint64            // how often it settled one
}

// New makes the promises of an instance.
func New(c Config) *Promises { return &Promises{Config: c, made: map[string]uint64{}} }

// Begin says which invocation the promises that follow belong to.
func (p *Promises) Begin(invocation uint64) {
	p.invocation, p.settled = invocation, 0
	clear(p.made)
}

// Make makes a promise and gives its name.
func (p *Promises) Make(label string) (string, Refusal, error) {
	switch {
	case p.Owner == nil:
		return "", Unsupported, nil
	case len(label) > MaxLabel:
		return "", TooLarge, nil
	case !utf8.ValidString(label):
		return "", Invalid, nil
	}
	n := p.made[label]
	if n == 0 && len(p.made) >= MaxLabels {
		return "", TooMany, nil
	}
	p.made[label] = n + 1
	made, err := durable.Run(p.Session, &makes, label, func(context.Context, string) (answer, error) {
		name := p.name(label, n)
		refusal, err := p.Owner.Make(name, label)
		return answer{refusal, []byte(name)}, err
	})
	if err != nil || made.refusal != 0 {
		return "", made.refusal, err
	}
	return id.Promise{Worker: p.Worker, Name: string(made.value)}.String(), 0, nil
}

// nameBits is base32 as names may have it.
var nameBits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// name is that of the promise number n of a label that the invocation makes.
func (p *Promises) name(label string, n uint64) string {
	return nameBits.EncodeToString(p.sum("promise", n).text(label).Sum(nil)[:16])
}

// Take gives what has become of a promise, if anything has, and does not wait
// for it.
func (p *Promises) Take(promise string) (o Outcome, settled bool, r Refusal, err error) {
	name, refusal := p.own(promise)
	if refusal != 0 {
		return o, false, refusal, nil
	}
	t, err := durable.Run(p.Session, &take, name, func(_ context.Context, name string) (taken, error) {
		o, state, err := p.Owner.Take(name)
		return taken{state, o.Value}, err
	})
	if err == nil && t.state == Missing {
		r = Unknown
	}
	return Outcome{t.state == Failed, slices.Clone(t.value)}, t.state == Completed || t.state == Failed, r, err
}

// Withdraw makes that nobody can settle a promise any more.
func (p *Promises) Withdraw(promise string) (Refusal, error) {
	name, refusal := p.own(promise)
	if refusal != 0 {
		return refusal, nil
	}
	a, err := durable.Run(p.Session, &withdraw, name, func(_ context.Context, name string) (answer, error) {
		refusal, err := p.Owner.Withdraw(name)
		return answer{refusal: refusal}, err
	})
	return a.refusal, err
}

// own gives the name within the worker of a promise of its own.
func (p *Promises) own(promise string) (string, Refusal) {
	if p.Owner == nil {
		return "", Unsupported
	}
	name, ok := strings.CutPrefix(promise, p.Worker.String()+"/")
	if !ok || len(promise) > maxName || id.CheckName(name) != nil {
		return "", Unknown
	}
	return name, 0
}

// Wait returns when the monotonic clock shows deadline or something has become of
// one of these promises, and tells of which. One that does not exist counts: there
// is nothing to wait for.
func (p *Promises) Wait(deadline uint64, promises []string) ([]bool, Refusal, error) {
	switch {
	case p.Owner == nil:
		return nil, Unsupported, nil
	case len(promises) > MaxAwaited:
		return nil, TooMany, nil
	}
	list := make([]await.Event, len(promises))
	for i, promise := range promises {
		list[i] = p.Event(promise)
	}
	r, err := p.Events.Wait(deadline, false, list)
	return r.Come, 0, err
}

// Event is that something has become of a promise, or that it does not exist.
func (p *Promises) Event(promise string) await.Event {
	name, _ := p.own(promise)
	return await.Event{Source: await.Promise, Name: name, Come: func() bool {
		return p.Owner == nil || p.Owner.Look(name) != Pending
	}}
}

// Settle completes a promise of any worker, or lets it fail.
func (p *Promises) Settle(promise string, o Outcome) (Refusal, error) {
	n := p.settled
	p.settled++
	switch {
	case p.Others == nil:
		return Unsupported, nil
	case len(o.Value) > MaxValue:
		return TooLarge, nil
	case len(promise) > maxName:
		return Invalid, nil
	}
	name, err := id.ParsePromise(promise)
	if err != nil {
		return Invalid, nil
	}
	s := settlement{promise, o, fmt.Sprintf("worker-%x", p.sum("settlement", n).Sum(nil)[:16])}
	a, err := durable.Run(p.Session, &settle, s, func(ctx context.Context, s settlement) (answer, error) {
		refusal, err := p.Others.Settle(ctx, name, s.Outcome, s.key)
		return answer{refusal: refusal}, err
	})
	return a.refusal, err
}

// Webhook gives the URL by which anybody can complete a promise of this worker,
// once.
func (p *Promises) Webhook(promise string) (string, Refusal, error) {
	name, refusal := p.own(promise)
	if refusal == 0 && p.Others == nil {
		refusal = Unsupported
	}
	if refusal != 0 {
		return "", refusal, nil
	}
	a, err := durable.Run(p.Session, &webhook, name, func(_ context.Context, name string) (answer, error) {
		if p.Owner.Look(name) == Missing {
			return answer{refusal: Unknown}, nil
		}
		return answer{value: []byte(p.Others.Webhook(id.Promise{Worker: p.Worker, Name: name}))}, nil
	})
	return string(a.value), a.refusal, err
}

// sum begins what only this worker can compute of what it does now.
func (p *Promises) sum(what string, n uint64) secretSum {
	s := secretSum{hmac.New(sha256.New, p.Secret[:])}.text(what).text(p.Worker.String())
	s.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, p.invocation), n))
	return s
}
