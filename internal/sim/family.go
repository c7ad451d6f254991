package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	heads      = 3      // clients of a Family
	familyWork = 7      // errands of each
	treasury   = "all"  // the worker that all of them add to
	contested  = "one-" // begins the names that several want for a copy
)

// Family is a machine whose workers fork themselves, and are forked by clients.
// Whatever becomes of the processes meanwhile, each has at every time what follows
// from the scripts that it has done: copies what their origins had when they were
// made, and from then on their own. Nobody has a name twice.
type Family struct {
	machine
	bounds
	guests  Guests
	heads   []*head
	past    *past
	members map[string]*member // that are there for certain, by name
	names   []string           // that somebody may have
	wants   map[string][]*head // who wants, or has, a copy of a contested name
	keys    map[string]string  // that programs were given, and by whom and where
	total   int64              // of what was added to the treasury
	logs    storage.Logs       // of the present process, without faults
	checked struct{ forked, byHand, refused, histories int }

	node    *node                       // of the present process
	between func(familyNode) familyNode // as of Platform
}

// familyNode is what clients of a Family use of a node.
type familyNode interface {
	service
	Fork(ctx context.Context, w id.Worker, name string) (id.Worker, error)
	Worker(context.Context, id.Worker) (api.WorkerDetail, error)
}

// NewFamily makes a world in which workers of guests fork themselves.
func NewFamily(host Host, guests Guests, o Options) *Family {
	f := &Family{
		machine: newMachine(host, o), guests: guests,
		members: map[string]*member{}, wants: map[string][]*head{}, keys: map[string]string{},
	}
	r := rand.New(rand.NewPCG(o.Seed, 0xb0d5))
	f.bounds = bounds{
		instances: 1 + r.IntN(3), running: 1 + r.IntN(3), residents: 3 + r.IntN(8), queue: 1000,
		idleAfter: time.Duration(magnitude(r, 7, 10)), suspendAfter: time.Duration(magnitude(r, 3, 9)),
		imageAfter: []time.Duration{-1, 0, time.Duration(magnitude(r, 4, 7))}[r.IntN(3)],
		imageSize:  []uint64{0, 1, 1000}[r.IntN(3)],
		retention:  drawRetention(r), cutAfter: 1 + r.Uint64N(20),
	}
	if f.retention.Results.Limited() {
		// What a client may ask for again must not be forgotten.
		f.retention.Results = api.KeepInvocations(3 + r.Uint64N(5))
	}
	f.past = newPast(&f.machine)
	for i := range heads {
		h := &head{random: rand.New(rand.NewPCG(o.Seed, uint64(i))), number: i, own: []string{fmt.Sprint("founder-", i)}}
		f.heads, f.names = append(f.heads, h), append(f.names, h.own[0])
		f.members[h.own[0]] = &member{name: h.own[0], standings: []standing{{}}}
	}
	return f
}

// Copies are how many were made by programs, and by hand.
func (f *Family) Copies() (forked, byHand int) { return f.checked.forked, f.checked.byHand }

// Refusals is how many were not made because somebody else had the name.
func (f *Family) Refusals() int { return f.checked.refused }

// Histories is of how many copies the oplog was compared with that of the origin.
func (f *Family) Histories() int { return f.checked.histories }

// Truncations is how often entries of a worker's oplog have gone.
func (f *Family) Truncations() int { return f.past.times }

// Run lets processes come and go until all errands are done.
func (f *Family) Run() error {
	f.buried = func() error { return f.node.bury() }
	return f.run(f.process)
}

// process is a node from its start to its end.
func (f *Family) process(p *plan) (done bool, err error) {
	ctx := context.Background()
	f.node = &node{}
	_ = f.sim.Sleep(ctx, p.down)
	if !p.faulty {
		f.setClock()
	}
	opened, err := f.Backing.open(ctx)
	if err != nil {
		return false, fmt.Errorf("open the store: %w", err)
	}
	n := f.node
	if err = n.open(&f.machine, newDisk(f.past.over(opened), p), f.guests, f.bounds, f.entropy); err == nil {
		f.logs = f.past.complete(opened.Logs())
		done, err = f.serve(p, n)
	}
	return done, errors.Join(err, n.closeNow(), opened.Close())
}

// serve lets the clients use the node until they are done, or for a while.
func (f *Family) serve(p *plan, n *node) (done bool, err error) {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	var s familyNode = n.workers
	if f.between != nil {
		s = f.between(s)
	}
	end := f.sim.Go("signal", func() {
		limit := soonEnough * 6
		if p.faulty {
			limit = time.Duration(magnitude(f.random, 6, 10.5))
		}
		_ = f.sim.Sleep(ctx, limit)
		stop(errInterrupted)
	})
	var tasks []sched.Task
	for _, h := range f.heads {
		tasks = append(tasks, f.sim.Go("client", func() { f.work(ctx, h, s) }))
	}
	if p.full {
		tasks = append(tasks, f.sim.Go("room", func() {
			_ = f.sim.Sleep(ctx, time.Duration(magnitude(f.random, 6, 10)))
			p.relieve() // also at the end: who makes a copy waits for it to be durable, whoever leaves
		}))
	}
	people := f.sim.Go("people", func() { f.meddle(ctx, s) })
	for _, t := range tasks {
		t.Wait()
	}
	late := ctx.Err() != nil
	stop(nil)
	people.Wait()
	end.Wait()
	switch {
	case f.broke != nil:
		return false, nil // it is known what is wrong
	case late && !p.faulty:
		return false, f.broken("nothing went wrong for %v, and not everything is done: %s", soonEnough*6, f.standstill())
	case late || p.faulty:
		return false, nil
	}
	return true, f.conclude(s)
}

// standstill says what is left to do.
func (f *Family) standstill() string {
	var all []string
	for _, h := range f.heads {
		if h.errand != nil {
			v, err := f.node.workers.Worker(context.Background(), relation(h.errand.member.name))
			all = append(all, fmt.Sprintf("%+v of %s, which is %s, %s, %v", *h.errand, v.Name, v.Status, v.Reason, err))
		}
	}
	return strings.Join(all, "\n")
}

// meddle is people who stop workers for a while, also some that are just made, and let
// all go on that have failed.
func (f *Family) meddle(ctx context.Context, s familyNode) {
	for f.sim.Sleep(ctx, time.Duration(magnitude(f.random, 8, 10))) == nil {
		if f.random.IntN(2) == 0 {
			_ = s.Interrupt(ctx, relation(f.names[f.random.IntN(len(f.names))]), "a person says so")
			_ = f.sim.Sleep(ctx, time.Duration(magnitude(f.random, 5, 9)))
		}
		f.letGoOn(ctx, s)
	}
}

// letGoOn lets all workers go on that were stopped or have failed, as far as there are any.
func (f *Family) letGoOn(ctx context.Context, s familyNode) {
	for _, name := range append([]string{treasury}, f.names...) {
		for _, goOn := range []func(context.Context, id.Worker) error{s.Resume, s.Retry} {
			_ = f.insist(func() error { return goOn(ctx, relation(name)) })
		}
	}
}

func relation(name string) id.Worker { return id.Worker{Component: trading, Name: name} }

// conclude compares all that there is at the end.
func (f *Family) conclude(s familyNode) error {
	ctx := context.Background()
	f.letGoOn(ctx, s) // for people have stopped some lately
	names := slices.Sorted(maps.Keys(f.members))
	for _, name := range names {
		if err := f.examine(ctx, s, f.members[name]); err != nil {
			return f.broken("%s at the end: %w", name, err)
		}
	}
	total, err := f.steps(ctx, s, treasury, "add 0")
	if err == nil && total[0] != fmt.Sprint(f.total) {
		err = fmt.Errorf("its total is %s, and %d were told that they have added to it", total[0], f.total)
	}
	if err != nil {
		return f.broken("%s: %w", treasury, err)
	}
	var there []string
	for w, err := range f.logs.Workers(ctx, id.Worker{}) {
		if err != nil {
			return err
		}
		if w.Component == trading {
			there = append(there, w.Name)
		}
	}
	names = append(names, treasury)
	slices.Sort(names)
	if !slices.Equal(there, names) {
		return f.broken("there are the workers %q, want %q", there, names)
	}
	return nil
}

// steps lets a worker do a script, under no key.
func (f *Family) steps(ctx context.Context, s familyNode, name string, script ...string) (results []string, err error) {
	args, err := json.Marshal([]any{script})
	if err != nil {
		return nil, err
	}
	var v api.Invocation
	err = f.insist(func() (err error) {
		v, err = s.Invoke(ctx, relation(name), api.Call{Function: "steps", Args: args})
		return err
	})
	var out [1][]string
	if err == nil {
		err = json.Unmarshal(v.Result, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("it gives %s %s: %w", v.State, v.Result, err)
	}
	return out[0], nil
}
