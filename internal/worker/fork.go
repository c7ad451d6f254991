package worker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// forking is one making of a copy of a worker.
type forking struct {
	ws     *Workers
	origin id.Worker
	target id.Worker
	key    string               // of the program's call; "" if a person asks
	last   oplog.Index          // the last entry that is copied
	create oplog.Create         // the origin's
	waits  map[oplog.Index]bool // invocations that stay with the origin
	next   []oplog.Body         // what follows in the copy behind its Forked
}

// Fork implements platform.Workers.
func (p peers) Fork(ctx context.Context, c platform.Fork) (name string, err error) {
	r := p.r
	target, err := r.forkTarget(c.Worker)
	switch {
	case err != nil:
		return "", err
	case p.b.self.accepted == 0:
		return "", invalid("a worker cannot be forked while it is initialized")
	case p.b.http.UnderWay():
		return "", invalid("a worker cannot be forked while HTTP requests of it are under way: read their responses to the end, or drop them, before")
	}
	r.mu.Lock()
	f := forking{
		ws: r.ws, origin: r.worker, target: target, key: c.Key, last: c.At, create: r.machine.life.Create, waits: r.machine.life.Waits(),
		next: []oplog.Body{&oplog.HostCallFinished{Started: c.At, Response: platform.InCopy(target.String())}},
	}
	r.mu.Unlock()
	err = p.apart(func() error { return told(f.make(ctx), false) })
	return target.String(), err
}

// forkTarget reads the name of a copy.
func (r *resident) forkTarget(name string) (id.Worker, error) {
	if !strings.Contains(name, "/") {
		name = r.worker.Component + "/" + name
	}
	target, err := peer(name)
	if err == nil && target.Component != r.worker.Component {
		err = invalid("a copy of %s is a worker of the same component, and %s is not", r.worker, target)
	}
	return target, err
}

// make makes the copy, unless it has been made already.
func (f *forking) make(ctx context.Context) error {
	ws := f.ws
	if err := ws.beginCreating(ctx, f.target.Component); err != nil {
		return err
	}
	defer ws.endCreating(f.target.Component)
	leave, made, err := f.claim(ctx)
	if err != nil || made {
		return err
	}
	err = f.write(ctx)
	leave()
	if err == nil && len(f.next) > 0 {
		ws.Agenda.Set(f.target, soon)
	}
	return err
}

// claim keeps others from making a worker of the copy's name, and from asking for it,
// until leave is called. made tells that the copy is there already.
func (f *forking) claim(ctx context.Context) (leave func(), made bool, err error) {
	ws := f.ws
	for {
		r, err := ws.open(ctx, f.target)
		if err != nil {
			return nil, false, err
		}
		r.mu.Lock()
		exists, same, gone := r.exists(), f.isCopy(r.machine.life.Fork), r.gone
		if !exists && !gone {
			r.gone, r.machine.over = true, &halt{"a copy is made under this name"}
		}
		r.mu.Unlock()
		switch {
		case gone: // to be deleted, or claimed by another
			ws.release(r)
		case exists && same:
			ws.release(r)
			return nil, true, nil
		case exists:
			ws.release(r)
			return nil, false, api.NewProblem(api.CodeWorkerExists, fmt.Sprintf("there is a worker %s; a copy needs another name", f.target))
		default:
			return func() {
				ws.leave(r)
				ws.release(r)
			}, false, nil
		}
	}
}

// isCopy reports whether a worker that was made so is the copy.
func (f *forking) isCopy(fork *oplog.ForkedAt) bool {
	return fork != nil && f.key != "" && fork.Origin == f.origin && fork.Key == f.key
}

// write makes the copy's oplog durable, all of it at once.
func (f *forking) write(ctx context.Context) error {
	ws := f.ws
	w := ws.Committer.NewWhole(f.target)
	if err := f.copy(ctx, w); err != nil {
		return err
	}
	if len(f.next) > 0 {
		ws.Agenda.Hold(f.target) // durable no later than what there is to do
	}
	// It is made now, whether or not somebody waits for that.
	if err := w.Commit(ws.writing); err != nil {
		return Unavailable(err)
	}
	return nil
}

// copy appends the origin's entries as the copy has them, and what makes it one.
func (f *forking) copy(ctx context.Context, w *oplog.Writer) error {
	now := oplog.At(f.ws.Sched.Now())
	create := f.create
	create.Seed = f.seed()
	next := oplog.Index(1)
	for e, err := range oplog.Read(ctx, f.ws.Store.Logs(), f.origin, 1, f.last) {
		if err == nil && e.Index != next {
			err = &oplog.TruncatedError{Worker: f.origin, From: next, To: e.Index - 1}
		}
		if oplog.IsTruncated(err) {
			return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("%s cannot be copied: its retention has truncated its oplog", f.origin))
		}
		if err != nil {
			return err
		}
		if err := f.offer(w, oplog.Copied(e, &create, f.waits)); err != nil {
			return err
		}
		next++
	}
	if next != f.last+1 {
		return fmt.Errorf("copy the oplog of %s: %w", f.origin, io.ErrUnexpectedEOF)
	}
	forked := &oplog.Forked{At: now, Origin: f.origin, Seed: f.create.Seed, Key: f.key}
	for _, body := range append([]oplog.Body{forked}, f.next...) {
		if err := f.offer(w, body); err != nil {
			return err
		}
	}
	return nil
}

func (f *forking) offer(w *oplog.Writer, body oplog.Body) error {
	_, err := w.Offer(body)
	if errors.Is(err, storage.ErrTooLarge) {
		return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("%s cannot be copied: its oplog has more than %d MiB", f.origin, oplog.MaxWhole>>20))
	}
	return err
}

// seed is the key of the copy's random stream, which nobody can guess who does not
// know the origin's. The same copy has the same.
func (f *forking) seed() (seed [32]byte) {
	sum := hmac.New(sha256.New, f.create.Seed[:])
	fmt.Fprintf(sum, "copy\x00%s\x00%s\x00%d", f.target, f.key, f.last)
	return [32]byte(sum.Sum(nil))
}

// lineage is as whom the program of a body acts: up to where its worker was forked, as
// that one's origin.
type lineage struct {
	forks []oplog.ForkedAt // those that are to come, in order
	own   person
}

// person is as whom a program acts: who it is to others, and the secret that
// what nobody is to guess is made of.
type person struct {
	worker id.Worker
	seed   [32]byte
}

// first is as whom it begins.
func (l *lineage) first() person {
	if len(l.forks) == 0 {
		return l.own
	}
	return person{l.forks[0].Origin, l.forks[0].Seed}
}

// forked is called where the oplog says that the worker is a copy from here on.
func (b *body) forked(at oplog.Index) {
	l := &b.lineage
	for len(l.forks) > 0 && l.forks[0].Index <= at {
		l.forks = l.forks[1:]
	}
	b.become(l.first())
	b.random.Rekey(l.first().seed)
}

// become lets the program act as a person from now on.
func (b *body) become(p person) {
	b.self.worker, b.self.seed = p.worker, p.seed
	b.http.Secret = p.seed
	b.promises.Worker, b.promises.Secret = p.worker, p.seed
}

// forksBehind are those that replay behind an entry comes to. It is called with r.mu
// held.
func (r *resident) forksBehind(covers oplog.Index) (list []oplog.ForkedAt) {
	for _, f := range r.machine.life.Forks {
		if f.Index > covers {
			list = append(list, f)
		}
	}
	return list
}
