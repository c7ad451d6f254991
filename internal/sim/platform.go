package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	clients = 4 // of a Platform
	errands = 30
	// patience is how long a faulty process lives at most: a store that has
	// failed may never work again before it is opened anew.
	patience = time.Minute
	// soonEnough is within which everything that was accepted has ended once
	// nothing goes wrong any more.
	soonEnough = 10 * time.Minute
)

// Platform is a machine whose processes look after the workers of two programs,
// for clients who live longer than any process. What they are told must hold
// for ever.
type Platform struct {
	machine
	bounds
	guests   Guests
	clients  []*client
	dossiers map[id.Worker]*dossier
	workers  []id.Worker // of dossiers, in order
	past     *past       // what retention has let go of
	moment   int64       // of what clients do and see
	settled  bool        // everything has ended

	node *node // of the present process
	// For tests of what finds faults: between may put itself between the clients
	// and a node, beside goes on beside it until ctx is done.
	between func(service) service
	beside  func(ctx context.Context, n *node)
}

// NewPlatform makes a world in which clients invoke the functions of guests.
func NewPlatform(host Host, guests Guests, o Options) *Platform {
	w := &Platform{
		machine: newMachine(host, o), guests: guests, dossiers: map[id.Worker]*dossier{},
	}
	r := rand.New(rand.NewPCG(o.Seed, 0xb0d5))
	w.bounds = bounds{
		instances: 1 + r.IntN(4), running: 1 + r.IntN(3), residents: 2 + r.IntN(8), queue: 3 + r.Uint64N(20),
		idleAfter: time.Duration(magnitude(r, 7, 10)), suspendAfter: time.Duration(magnitude(r, 7, 9.5)),
		stay:       []time.Duration{0, time.Hour}[r.IntN(2)],
		imageAfter: []time.Duration{-1, 0, time.Duration(magnitude(r, 4, 7))}[r.IntN(3)],
		imageSize:  []uint64{0, 1, 1000}[r.IntN(3)],
		retention:  drawRetention(r), cutAfter: 1 + r.Uint64N(20),
	}
	w.past = newPast(&w.machine)
	for _, name := range []string{"plain", "pair", "mixed", "motley", "fleeting", ephemeral} {
		w.employ(id.Worker{Component: module, Name: name})
	}
	for _, name := range []string{"plain", "motley", "keeping", "fleeting", ephemeral} {
		w.employ(id.Worker{Component: component, Name: name})
	}
	for _, name := range []string{"asking", "curious"} {
		w.employ(id.Worker{Component: asker, Name: name})
	}
	for i := range clients {
		w.clients = append(w.clients, &client{
			world: w, number: i, random: rand.New(rand.NewPCG(o.Seed, uint64(i))), errands: errands,
		})
	}
	return w
}

// drawRetention draws how much is kept: little, so that it matters, or all.
func drawRetention(r *rand.Rand) (keep api.Retention) {
	draw := func(most uint64) api.Keep {
		switch r.IntN(4) {
		case 0:
			return api.KeepFor(time.Duration(magnitude(r, 6, 12)))
		case 1, 2:
			return api.KeepInvocations(1 + r.Uint64N(most))
		}
		return api.KeepEverything()
	}
	if r.IntN(3) > 0 {
		keep.Oplog = draw(4)
	}
	if r.IntN(2) == 0 {
		keep.Results, keep.Logs = draw(8), draw(8)
	}
	return keep
}

// employ lets clients know of a worker.
func (w *Platform) employ(worker id.Worker) {
	w.workers = append(w.workers, worker)
	w.dossiers[worker] = newDossier(worker, worker.Name == "fleeting", w.retention.Results)
}

// Run lets processes come and go until the clients have done all they wanted and
// everything that was accepted has ended.
func (w *Platform) Run() error {
	w.buried = func() error { return w.node.bury() }
	return w.run(w.process)
}

// Deeds are what clients did to the workers, for those who want to judge it.
func (w *Platform) Deeds() []Deed {
	var all []Deed
	for _, name := range w.workers {
		all = append(all, w.dossiers[name].resolve()...)
	}
	return all
}

// Truncations is how often entries of a worker's oplog have gone.
func (w *Platform) Truncations() int { return w.past.times }

// Answers is how many promises of workers were settled.
func (w *Platform) Answers() (n int) {
	for _, name := range w.workers {
		if a := w.dossiers[name].last; a != nil {
			n += len(a.answers)
		}
	}
	return n
}

// process is a node from its start to its end.
func (w *Platform) process(p *plan) (done bool, err error) {
	ctx := context.Background()
	w.node = &node{}
	_ = w.sim.Sleep(ctx, p.down)
	if w.over = w.finished(); !p.faulty {
		w.setClock()
	}
	opened, err := w.Backing.open(ctx)
	if err != nil {
		return false, fmt.Errorf("open the store: %w", err)
	}
	if err := w.judge(func() error { return w.check(ctx, w.past.complete(opened.Logs())) }); err != nil {
		return false, err
	}
	n := w.node
	err = n.open(&w.machine, newDisk(w.past.over(opened), p), w.guests, w.bounds, w.entropy)
	if err == nil {
		done, err = w.serve(p, opened, n)
	}
	grace, cancel := context.WithCancel(ctx)
	if !p.faulty || w.random.IntN(2) == 0 {
		cancel()
	}
	enough := w.sim.Go("grace", func() {
		_ = w.sim.Sleep(grace, time.Duration(magnitude(w.random, 5, 9)))
		cancel()
	})
	err = errors.Join(err, n.close(grace))
	cancel()
	enough.Wait()
	return done, errors.Join(err, opened.Close())
}

// finished reports whether the clients have done all they wanted.
func (w *Platform) finished() bool {
	return !slices.ContainsFunc(w.clients, func(c *client) bool { return c.errands > 0 })
}

// check compares all oplogs with what clients know.
func (w *Platform) check(ctx context.Context, logs storage.Logs) error {
	for _, name := range w.workers {
		d := w.dossiers[name]
		if err := d.check(ctx, logs); err != nil {
			return err
		}
		if w.settled && len(d.last.queue) > 0 {
			return fmt.Errorf("%s: it was done, and has %d invocations in its queue", name, len(d.last.queue))
		}
	}
	return nil
}

// serve lets the clients use the node.
func (w *Platform) serve(p *plan, opened storage.Store, n *node) (done bool, err error) {
	ctx, stop := context.WithCancelCause(context.Background())
	var s service = n.workers
	if w.between != nil {
		s = w.between(s)
	}
	var tasks []sched.Task
	for _, c := range w.clients {
		tasks = append(tasks, w.sim.Go("client", func() { c.live(ctx, s) }))
	}
	var aside []sched.Task
	spawn := func(name string, f func(context.Context)) {
		aside = append(aside, w.sim.Go(name, func() { f(ctx) }))
	}
	spawn("signal", func(ctx context.Context) { w.signal(ctx, p, stop) })
	spawn("housekeeping", func(ctx context.Context) { w.housekeep(ctx, p, opened) })
	if p.full {
		spawn("room", func(ctx context.Context) {
			if w.sim.Sleep(ctx, time.Duration(magnitude(w.random, 6, 10))) == nil {
				w.note("the disk has room again")
				p.relieve()
			}
		})
	}
	if w.beside != nil {
		spawn("beside", func(ctx context.Context) { w.beside(ctx, n) })
	}
	for _, t := range tasks {
		t.Wait()
	}
	switch {
	case w.broke != nil: // it is known what is wrong
	case w.settled:
		done, err = true, w.askAll(s)
	case !p.faulty:
		if err = w.settle(s, n, w.past.complete(opened.Logs())); err == nil {
			w.settled = true
		}
	}
	stop(errInterrupted)
	for _, t := range aside {
		t.Wait()
	}
	return done, err
}

// signal is a person who stops the process.
func (w *Platform) signal(ctx context.Context, p *plan, stop context.CancelCauseFunc) {
	after := p.interrupt
	switch {
	case !p.faulty:
		return
	case after == 0:
		after = patience
	}
	if w.sim.Sleep(ctx, after) == nil {
		w.note("interrupt")
		stop(errInterrupted)
	}
}

// settle waits until everything that was accepted has ended, which without
// faults it does by itself as soon as people let it.
func (w *Platform) settle(s service, n *node, logs storage.Logs) error {
	ctx, stop := context.WithCancelCause(context.Background())
	kind := w.sim.Go("answer", func() { w.answerAll(ctx, s) })
	defer kind.Wait()
	defer stop(nil)
	if err := w.await(ctx, logs); err != nil {
		return err
	}
	for _, name := range w.workers {
		for _, goOn := range []func(context.Context, id.Worker) error{s.Resume, s.Retry} {
			err := w.insist(func() error { return goOn(ctx, name) })
			if err != nil && !isCode(err, api.CodeWorkerBusy, api.CodeNoWorker) {
				return w.broken("let %s go on: %w", name, err)
			}
		}
	}
	if err := w.askAll(s); err != nil {
		return err
	}
	end := w.sim.Monotonic() + soonEnough
	for {
		stats := n.workers.Stats()
		if stats.Queue == 0 && n.agenda.Len() == 0 {
			return nil
		}
		if w.sim.Monotonic() > end {
			return w.broken("%v after everything has ended there are %d invocations in queues, and %d workers on the agenda", soonEnough, stats.Queue, n.agenda.Len())
		}
		_ = w.sim.Sleep(context.Background(), time.Second)
	}
}

// answerAll settles every promise that is pending, until ctx is done.
func (w *Platform) answerAll(ctx context.Context, s service) {
	for w.sim.Sleep(ctx, time.Second) == nil {
		for _, name := range w.workers {
			d := w.dossiers[name]
			if name.Component != asker {
				continue
			}
			list, err := s.Promises(ctx, d.worker)
			if err != nil {
				continue // there is no such worker, or too much to do now
			}
			for _, p := range list {
				if p.State == api.PromisePending {
					w.clients[0].settle(ctx, s, d, p)
				}
			}
		}
	}
}

// await waits until every worker that was not stopped has done what it accepted,
// without anybody asking for it.
func (w *Platform) await(ctx context.Context, logs storage.Logs) error {
	end := w.sim.Monotonic() + soonEnough
	for _, name := range w.workers {
		for {
			a, err := readAudit(ctx, logs, name, w.retention.Results)
			if err != nil {
				return w.broken("%w", err)
			}
			if len(a.queue) == 0 || a.halted {
				break
			}
			if w.sim.Monotonic() > end {
				return w.broken("%s: nothing went wrong for %v, and the invocation accepted by entry %d has not ended", name, soonEnough, a.queue[0])
			}
			_ = w.sim.Sleep(ctx, time.Second)
		}
	}
	return nil
}

// askAll asks how every invocation that was acknowledged has ended.
func (w *Platform) askAll(s service) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	timer := w.sim.Go("deadline", func() {
		_ = w.sim.Sleep(ctx, soonEnough)
		cancel(errLate)
	})
	defer timer.Wait()
	defer cancel(nil)
	for _, name := range w.workers {
		d := w.dossiers[name]
		for _, index := range slices.Sorted(maps.Keys(d.known)) {
			was := d.known[index]
			var v api.Invocation
			err := w.insist(func() (err error) {
				v, err = s.Invocation(ctx, name, was.Key, true)
				return err
			})
			if d.forgot(err) {
				continue
			}
			if err == nil && !v.State.Done() {
				err = fmt.Errorf("it is %s", v.State)
			}
			if err == nil {
				err = d.learn(v)
			}
			if err != nil {
				return w.broken("%s: a client was told %s, and asks for its end: %w", name, told(was), err)
			}
		}
	}
	return nil
}

// insist asks again, as clients should, while the node has too much to do.
func (m *machine) insist(ask func() error) error {
	end := m.sim.Monotonic() + soonEnough
	err := ask()
	for isCode(err, api.CodeOverloaded) && m.sim.Monotonic() < end {
		_ = m.sim.Sleep(context.Background(), time.Second)
		err = ask()
	}
	return err
}

var errLate = errors.New("time is up")

func isCode(err error, codes ...api.Code) bool {
	var p *api.Problem
	return errors.As(err, &p) && slices.Contains(codes, p.Code)
}
