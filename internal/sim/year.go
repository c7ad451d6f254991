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
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

const day = 24 * time.Hour

// yearly is how a node is set in a Year. Everything about how its workers are kept
// is here, but for what a seed decides.
var yearly = bounds{
	instances: 3, running: 2, residents: 8, queue: 1000,
	idleAfter: time.Hour, suspendAfter: 10 * time.Minute, imageSize: 1000,
	grain:     5 * time.Minute,
	retention: api.Retention{Oplog: api.KeepInvocations(50), Results: api.KeepEverything(), Logs: api.KeepEverything()}, cutAfter: 10,
}

// Year is a long time in which a few workers are called, sleep and are woken,
// while processes come and go. Each worker has one client, who writes down in a
// diary what it wanted and got.
type Year struct {
	machine
	bounds
	guests  Guests
	past    *past // what retention has let go of
	length  time.Duration
	diaries []*diary
	begins  []oplog.Time // of processes
	stats   api.Stats    // of all processes, those fields that only grow
	settled bool

	node *node
	// As of Platform.
	between func(service) service
	beside  func(ctx context.Context, n *node)
}

// NewYear makes a world that lasts so long.
func NewYear(host Host, guests Guests, length time.Duration, o Options) *Year {
	y := &Year{
		machine: newMachine(host, o), bounds: yearly, guests: guests, length: length,
	}
	y.imageAfter = []time.Duration{0, 100 * time.Microsecond}[rand.New(rand.NewPCG(o.Seed, 0xb0d5)).IntN(2)]
	y.script, y.past = y.draw, newPast(&y.machine)
	for i, w := range []id.Worker{
		{Component: module, Name: "calendar"},
		{Component: module, Name: "sleeper"},
		{Component: component, Name: "calendar"},
		{Component: component, Name: "keeping"},
	} {
		y.diaries = append(y.diaries, &diary{
			year: y, dossier: newDossier(w, false, api.Keep{}), random: rand.New(rand.NewPCG(o.Seed, uint64(i))),
		})
	}
	return y
}

// Run lets the time pass, and checks what came of it.
func (y *Year) Run() error {
	y.buried = func() error {
		y.count(y.node)
		return y.node.bury()
	}
	for y.life = 1; ; y.life++ {
		done, err := y.live(y.plan(), y.process)
		if y.broke != nil {
			err = y.broke
		}
		if err != nil {
			return fmt.Errorf("seed %#x, process %d, day %d: %w", y.Seed, y.life, y.sim.Monotonic()/day, err)
		}
		if done {
			return nil
		}
	}
}

// draw plans a process that lives for days as a rule, and one at the end that
// nothing happens to.
func (y *Year) draw(p *plan) {
	if p.faulty = y.sim.Monotonic() < y.length; !p.faulty {
		return
	}
	r := y.random
	switch r.IntN(8) {
	case 0:
		p.down = time.Duration(magnitude(r, 13, 14.5)) // up to 3 days
	case 1, 2, 3:
		p.down = time.Duration(magnitude(r, 9, 13))
	}
	switch r.IntN(10) {
	case 0:
		p.crash = 1 + magnitude(r, 1, 3)
	case 1:
		p.powerOff = int(magnitude(r, 0, 2))
	case 2:
		p.kill = int(magnitude(r, 0, 2))
	}
}

// process is a node from its start to its end, which is a crash more often than
// not.
func (y *Year) process(p *plan) (done bool, err error) {
	ctx := context.Background()
	y.node = &node{}
	_ = y.sim.Sleep(ctx, p.down)
	opened, err := y.Backing.open(ctx)
	if err != nil {
		return false, fmt.Errorf("open the store: %w", err)
	}
	if !p.faulty || y.life%25 == 0 {
		if err := y.judge(func() error { return y.check(ctx, y.past.complete(opened.Logs())) }); err != nil {
			return false, err
		}
	}
	b := y.bounds
	b.unverified = p.faulty // to replay a year each time takes too long
	n := y.node
	err = n.open(&y.machine, newDisk(y.past.over(opened), p), y.guests, b, y.entropy)
	if err == nil {
		y.begins = append(y.begins, oplog.At(y.sim.Now()))
		done, err = y.serve(p, n)
	}
	err = errors.Join(err, n.closeNow())
	y.count(n)
	return done, errors.Join(err, opened.Close())
}

// count adds up what a process did.
func (y *Year) count(n *node) {
	if n.workers == nil {
		return
	}
	s := n.workers.Stats()
	y.stats.Evictions += s.Evictions
	y.stats.Images += s.Images
	y.stats.Deltas += s.Deltas
	y.stats.Recoveries += s.Recoveries
}

// serve lets clients use the node until the process ends.
func (y *Year) serve(p *plan, n *node) (done bool, err error) {
	ctx, stop := context.WithCancelCause(context.Background())
	var s service = n.workers
	if y.between != nil {
		s = y.between(s)
	}
	var tasks []sched.Task
	spawn := func(name string, f func()) { tasks = append(tasks, y.sim.Go(name, f)) }
	if y.beside != nil {
		spawn("beside", func() { y.beside(ctx, n) })
	}
	if p.faulty {
		for _, d := range y.diaries {
			spawn("client", func() { d.live(ctx, s) })
		}
		_ = y.sim.Sleep(ctx, min(time.Duration(magnitude(y.random, 12, 15.6)), y.length-y.sim.Monotonic()))
		if y.random.IntN(4) > 0 {
			y.sim.Crash()
		}
	} else {
		done, err = y.settled, y.settle(ctx, s, n)
		y.settled = true
	}
	stop(errInterrupted)
	for _, t := range tasks {
		t.Wait()
	}
	return done, err
}

// settle waits until everything that was accepted has ended by itself, and asks
// for all of it.
func (y *Year) settle(ctx context.Context, s service, n *node) error {
	for end := y.sim.Monotonic() + ahead + nap + day; n.agenda.Len() > 0 && y.sim.Monotonic() < end; {
		_ = y.sim.Sleep(ctx, time.Hour)
	}
	for _, d := range y.diaries {
		for d.pending != nil {
			d.send(ctx, s)
			if y.broke != nil {
				return y.broke
			}
		}
		for _, index := range slices.Sorted(maps.Keys(d.known)) {
			v, err := s.Invocation(ctx, d.worker, d.known[index].Key, false)
			if err == nil && !v.State.Done() {
				err = fmt.Errorf("it is %s", v.State)
			}
			if err == nil {
				err = d.learn(v)
			}
			if err != nil {
				return y.broken("%s: a client was told %s, and asks for its end: %w", d.worker, told(d.known[index]), err)
			}
		}
		v, err := s.Invoke(ctx, d.worker, api.Call{Function: "get"}) // audited as the rest is
		if err != nil || !v.State.Done() {
			return y.broken("%s: after a year it answers %s, %w", d.worker, told(v), err)
		}
	}
	return nil
}

// check judges the oplogs.
func (y *Year) check(ctx context.Context, logs storage.Logs) error {
	for _, d := range y.diaries {
		if err := d.check(ctx, logs); err != nil {
			return err
		}
		if y.settled {
			if err := d.complete(ctx, logs); err != nil {
				return fmt.Errorf("%s: %w", d.worker, err)
			}
		}
	}
	return nil
}

// drowsy is a scheduler whose timers go off at multiples of grain: of a year's
// seconds hardly any has something in it.
type drowsy struct {
	*sched.Simulation
	grain time.Duration
}

func (s drowsy) Sleep(ctx context.Context, d time.Duration) error {
	end := s.Monotonic() + d
	return s.Simulation.Sleep(ctx, (end+s.grain-1)/s.grain*s.grain-s.Monotonic())
}
