// Package sim is a world in which everything goes wrong on purpose, and
// according to a seed. It runs the real worker, oplog and storage code with
// real guests as tasks of a sched.Simulation: processes crash at any step, the
// disk is slow, fails, fills up and loses what was not synced, clocks jump,
// people interrupt. Then it checks that nobody outside could tell: what was
// shown and written equals that of a run in which nothing went wrong.
//
// A World is all that survives a process: the store, the terminals, the host
// directories. The package hides in which order things happen; a seed says it.
package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

const (
	// maxFaultyLives is how many processes in a row have faults; those after
	// them have none, so that every world comes to an end.
	maxFaultyLives = 8
	// maxLives is when a world without faults is given up.
	maxLives = maxFaultyLives + 2
)

// Program is what a worker of a World runs.
type Program struct {
	Name   string // of the worker
	Module []byte
	Args   []string
	Env    []string
	Input  string            // its whole standard input
	Files  map[string]string // of the host directory shown as "/"; nil: none is
	// Normal makes two runs comparable that saw different clocks; nil compares
	// byte by byte.
	Normal func(string) string
	// Check, if set, judges what there is to see at the end.
	Check func(Seen) error
}

// Seen is what there is to see of a program that has ended.
type Seen struct {
	Stdout []byte
	Files  map[string][]byte
	Steady bool // the wall clock did not jump while the program was running
}

func (p *Program) worker() id.Worker { return id.Worker{Component: "sim", Name: p.Name} }

// Result is what the outside knows of a program that has ended.
type Result struct {
	Stdout, Stderr string
	Exit           string            // the exit code, or why it failed
	Files          map[string]string // of its host directory
}

// Host is what runs the guests of any number of worlds: compiled code does not
// depend on a seed.
type Host struct {
	Engine *wasm.Engine
	WASI   *wasm.Host
}

// Options choose a World.
type Options struct {
	Seed     uint64
	Calm     bool // nothing goes wrong
	Backing  Backing
	Programs []Program
	Trace    func(string) // if set, hears what happens
}

// World is a machine on which processes come and go.
type World struct {
	Options
	host    Host
	sim     *sched.Simulation
	random  *rand.Rand // decides about faults
	rooms   map[string]*room
	life    int
	present *plan       // of the present process
	jumped  bool        // the wall clock has
	script  func(*plan) // if set, makes plans instead of the seed
	crashes int
	broke   error // the first property that was found broken
}

// errBroken is wrapped by every error that says a property does not hold.
var errBroken = errors.New("broken property")

// New makes a world.
func New(host Host, o Options) *World {
	w := &World{
		Options: o, host: host, sim: sched.NewSimulation(o.Seed),
		random: rand.New(rand.NewPCG(o.Seed, 0xfa017)), rooms: map[string]*room{},
	}
	for i := range o.Programs {
		p := &o.Programs[i]
		r := &room{program: p, history: history{worker: p.worker()}}
		r.files = directory{world: w, room: r, files: maps.Clone(p.Files)}
		r.terminal = terminal{world: w, room: r}
		w.rooms[p.Name] = r
	}
	return w
}

// Run lets processes come and go until every program has ended, checks what it
// can on the way, and gives the results by program.
func (w *World) Run() (map[string]Result, error) {
	for w.life = 1; w.life <= maxLives; w.life++ {
		done, err := w.live(w.plan())
		if w.broke != nil {
			err = w.broke
		}
		if err != nil {
			return nil, fmt.Errorf("seed %#x, process %d: %w", w.Seed, w.life, err)
		}
		if done {
			return w.results()
		}
	}
	return nil, fmt.Errorf("seed %#x: not at an end after %d processes, the last two without faults", w.Seed, maxLives)
}

// TraceHash is over everything that happened.
func (w *World) TraceHash() uint64 { return w.sim.Trace() }

// Crashes is how many processes did not end by themselves.
func (w *World) Crashes() int { return w.crashes }

// broken reports that a property does not hold, which ends the world.
func (w *World) broken(format string, args ...any) error {
	err := fmt.Errorf("%w: %w", errBroken, fmt.Errorf(format, args...))
	if w.broke == nil {
		w.broke = err
	}
	w.note("%v", err)
	return err
}

func (w *World) note(format string, args ...any) {
	event := fmt.Sprintf(format, args...)
	w.sim.Record(event)
	if w.Trace != nil {
		w.Trace(fmt.Sprintf("%d %v %s", w.life, w.sim.Monotonic(), event))
	}
}

// live is one process: it opens the store, resumes every program that has not
// ended, and stops when they have, or before. done reports whether all have.
func (w *World) live(p *plan) (done bool, err error) {
	w.present = p
	w.note("process begins: %v", p)
	w.Backing.begin(p)
	w.sim.OnStep = p.step
	var failed error
	err = w.sim.Run(func() { done, failed = w.process(p) })
	w.sim.OnStep = nil
	if errors.Is(err, sched.ErrCrashed) {
		w.note("crash after %d steps", p.steps)
		w.crashes++
		w.Backing.crash(w.random, p.dark)
		return false, nil
	}
	w.Backing.end()
	if err != nil {
		return false, err
	}
	if failed != nil {
		w.note("process ends: %v", failed)
		w.crashes++
		if !p.excuses(failed) {
			return false, failed
		}
		return false, nil
	}
	return done, nil
}

// process is what a node does from its start to its end. Nothing is deferred:
// a process that crashes closes nothing.
func (w *World) process(p *plan) (done bool, err error) {
	ctx := context.Background()
	_ = w.sim.Sleep(ctx, p.down)
	opened, err := w.Backing.open(ctx)
	if err != nil {
		return false, fmt.Errorf("open the store: %w", err)
	}
	for _, name := range w.names() {
		err := w.judge(func() error { return w.rooms[name].history.check(ctx, opened.Logs()) })
		if err != nil {
			return false, err
		}
	}
	committer, err := oplog.NewCommitter(ctx, w.sim, newDisk(opened, p).Logs(), 0)
	if err == nil {
		done, err = w.runAll(p, opened, committer)
		err = errors.Join(err, committer.Close())
	}
	return done, errors.Join(err, opened.Close())
}

// judge looks at the oplogs without faults: what a failing read shows proves
// nothing. It must not park.
func (w *World) judge(look func() error) error {
	w.present.judging = true
	defer func() { w.present.judging = false }()
	if err := look(); err != nil {
		return w.broken("%w", err)
	}
	return nil
}

// runAll runs all programs that have not ended, beside each other.
func (w *World) runAll(p *plan, opened storage.Store, committer *oplog.Committer) (done bool, err error) {
	store := newDisk(opened, p)
	ctx, interrupt := context.WithCancelCause(context.Background())
	defer interrupt(nil)
	var failures []error
	var tasks []sched.Task
	for _, name := range w.names() {
		r := w.rooms[name]
		tasks = append(tasks, w.sim.Go(name, func() {
			if err := r.run(ctx, w, w.runtime(r, store, committer)); err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", name, err))
			}
		}))
	}
	over, stop := context.WithCancel(context.Background())
	defer stop()
	signal := w.sim.Go("signal", func() {
		if w.sim.Sleep(over, p.interrupt) == nil && p.interrupt > 0 {
			w.note("interrupt")
			interrupt(errInterrupted)
		}
	})
	tidy := w.sim.Go("housekeeping", func() { w.housekeep(over, p, opened) })
	for _, t := range tasks {
		t.Wait()
	}
	stop()
	signal.Wait()
	tidy.Wait()
	if err := errors.Join(failures...); err != nil {
		return false, err
	}
	for _, r := range w.rooms {
		if r.outcome == nil {
			return false, nil
		}
	}
	return true, nil
}

// housekeep lets a store that wants it tidy up now and then. What goes wrong
// meanwhile loses nothing, and so is nobody's concern.
func (w *World) housekeep(ctx context.Context, p *plan, opened storage.Store) {
	keeper, ok := opened.(storage.Housekeeper)
	if !ok || p.housekeep == 0 {
		return
	}
	for w.sim.Sleep(ctx, time.Duration(w.random.Int64N(int64(p.housekeep)))) == nil {
		more, err := keeper.Housekeep(context.Background())
		w.note("housekeeping, more %t, %v", more, err)
	}
}

func (w *World) runtime(r *room, store storage.Store, committer *oplog.Committer) *worker.Runtime {
	return &worker.Runtime{
		Sched: w.sim, Store: store, Committer: committer, Engine: w.host.Engine, WASI: w.host.WASI,
		Directories: &r.files, Entropy: entropy,
	}
}

// entropy gives every worker of every world the same seed, so that their
// random numbers can be compared.
func entropy(p []byte) error {
	for i := range p {
		p[i] = byte(i)
	}
	return nil
}

// names are the programs, in order.
func (w *World) names() []string { return slices.Sorted(maps.Keys(w.rooms)) }

func (w *World) results() (map[string]Result, error) {
	results := map[string]Result{}
	for _, name := range w.names() {
		var err error
		if results[name], err = w.rooms[name].result(); err != nil {
			return nil, fmt.Errorf("seed %#x: %s: %w", w.Seed, name, err)
		}
	}
	return results, nil
}
