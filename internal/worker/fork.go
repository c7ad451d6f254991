package worker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
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
	last   oplog.Index   // the last entry that is copied
	life   oplog.Life    // the origin's
	at     *imaged       // its newest image, or nil
	create oplog.Create  // the copy's
	forked *oplog.Forked // what follows on the entries copied
	next   []oplog.Body  // and on that
	lost   error         // why there is no image of the origin's state, if it cannot be rebuilt
}

// fork begins to make a copy that has the origin's entries up to last. It is called with
// r.mu held.
func (r *resident) fork(target id.Worker, key string, last oplog.Index) *forking {
	life := *r.machine.life
	life.Undone, life.Deltas, life.Queue = slices.Clone(life.Undone), slices.Clone(life.Deltas), slices.Clone(life.Queue)
	f := &forking{ws: r.ws, origin: r.worker, target: target, last: last, life: life, at: r.image, create: life.Create}
	f.forked = &oplog.Forked{At: oplog.At(r.ws.Sched.Now()), Origin: r.worker, Seed: life.Create.Seed, Key: key}
	// Nobody can guess it who does not know the origin's, and the same copy has the same.
	sum := hmac.New(sha256.New, life.Create.Seed[:])
	fmt.Fprintf(sum, "copy\x00%s\x00%s\x00%d", target, key, last)
	f.create.Seed, f.create.Epoch = [32]byte(sum.Sum(nil)), r.ws.Committer.Epoch()
	return f
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
	f := r.fork(target, c.Key, c.At)
	r.mu.Unlock()
	f.next = []oplog.Body{&oplog.HostCallFinished{Started: c.At, Response: platform.InCopy(target.String())}}
	err = p.apart(func() error { return told(f.make(ctx), false) })
	return target.String(), err
}

// Fork makes a copy of a worker that is in no invocation, with all that it has come to.
// It gives the copy's whole name.
func (ws *Workers) Fork(ctx context.Context, w id.Worker, name string) (id.Worker, error) {
	r, err := ws.openExisting(ctx, w)
	if err != nil {
		return w, err
	}
	defer ws.release(r)
	target, err := r.forkTarget(name)
	if refused := (*platform.WorkerError)(nil); errors.As(err, &refused) {
		return w, api.NewProblem(api.CodeInvalid, refused.Message)
	}
	r.mu.Lock()
	life, why := r.machine.life, ""
	switch {
	case life.Create.Ephemeral:
		why = "it is ephemeral, and has no state"
	case life.Begun != 0:
		why = "it is in an invocation: wait for its end, or let the program fork itself"
	case life.Exited != nil:
		why = "its program has ended"
	case life.Stuck != nil:
		why = "it cannot go on itself: " + life.Stuck.Reason
	}
	f := r.fork(target, "", r.writer.Last())
	r.mu.Unlock()
	if why != "" {
		return w, api.NewProblem(api.CodeWorkerBusy, fmt.Sprintf("%s cannot be copied: %s", w, why))
	}
	if err := r.commit(ctx); err != nil {
		return w, err
	}
	return target, f.make(ctx)
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
	return fork != nil && f.forked.Key != "" && fork.Origin == f.origin && fork.Key == f.forked.Key
}

// write makes the copy's oplog durable, all of it at once.
func (f *forking) write(ctx context.Context) error {
	ws := f.ws
	base, err := f.makeBase(ctx)
	var w *oplog.Writer
	if err == nil {
		w, err = f.copy(ctx, base)
	}
	if err != nil {
		if base != nil {
			_ = ws.deleteBlobs(context.WithoutCancel(ctx), base.blobs) // what is left of them takes room, and does no harm
		}
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

// copy appends the origin's entries as the copy has them, those behind the base if
// there is one, and what makes it a copy.
func (f *forking) copy(ctx context.Context, base *copyBase) (*oplog.Writer, error) {
	next := oplog.Index(1)
	if base != nil {
		next = base.image.Covers + 1
	}
	w, waits := f.ws.Committer.NewWhole(f.target, next-1), f.life.Waits()
	for e, err := range oplog.Read(ctx, f.ws.Store.Logs(), f.origin, next, f.last) {
		if err == nil && e.Index != next {
			err = &oplog.TruncatedError{Worker: f.origin, From: next, To: e.Index - 1}
		}
		if oplog.IsTruncated(err) {
			return nil, f.tooLarge("its oplog is truncated, and its state cannot be saved")
		}
		if err != nil {
			return nil, err
		}
		if err := f.offer(w, oplog.Copied(e, &f.create, waits)); err != nil {
			return nil, err
		}
		next++
	}
	if next != f.last+1 {
		return nil, fmt.Errorf("copy the oplog of %s: %w", f.origin, io.ErrUnexpectedEOF)
	}
	tail := append([]oplog.Body{f.forked}, f.next...)
	if base != nil {
		tail = append(tail, base.image)
	}
	for _, body := range tail {
		if err := f.offer(w, body); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (f *forking) offer(w *oplog.Writer, body oplog.Body) error {
	_, err := w.Offer(body)
	if errors.Is(err, storage.ErrTooLarge) {
		return f.tooLarge(fmt.Sprintf("what is to be copied of its oplog has more than %d MiB", oplog.MaxWhole>>20))
	}
	return err
}

// tooLarge says why the entries alone make no copy: that is for good, unless there
// would be an image if the origin could be rebuilt now.
func (f *forking) tooLarge(why string) error {
	if f.lost != nil {
		return fmt.Errorf("copy %s: %s: rebuild it: %w", f.origin, why, f.lost)
	}
	return api.NewProblem(api.CodeTooLarge, fmt.Sprintf("%s cannot be copied: %s", f.origin, why))
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
