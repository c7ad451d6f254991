// Package sim is a world in which everything goes wrong on purpose, and
// according to a seed. It runs the real worker, oplog and storage code with
// real guests as tasks of a sched.Simulation: processes crash at any step, the
// disk is slow, fails, fills up and loses what was not synced, clocks jump,
// people interrupt. Then it checks that nobody outside could tell: what was
// shown and written equals that of a run in which nothing went wrong.
//
// There are several kinds of worlds, on the same machine. In a World programs run, one
// process at a time: it is all that survives a process, the store, the terminals,
// the host directories. In a Platform clients invoke the functions of deployed
// programs, and in a Year they do so for long; in a Market workers call each other, and
// in a Family they fork themselves. The package hides in which order things happen; a
// seed says it.
package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
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

// World is a machine on which processes come and go.
type World struct {
	machine
	Programs []Program
	rooms    map[string]*room
}

// New makes a world in which some programs run.
func New(host Host, programs []Program, o Options) *World {
	w := &World{machine: newMachine(host, o), Programs: programs, rooms: map[string]*room{}}
	for i := range programs {
		p := &programs[i]
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
	if err := w.run(w.process); err != nil {
		return nil, err
	}
	return w.results()
}

// process is what a process does from its start to its end: it opens the store,
// resumes every program that has not ended, and stops when they have, or before.
// done reports whether all have. Nothing is deferred: a process that crashes
// closes nothing.
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

func (w *World) runtime(r *room, store storage.Store, committer *oplog.Committer) *worker.Runtime {
	return &worker.Runtime{
		Sched: w.sim, Store: store, Committer: committer, Engine: w.host.Engine, Hosts: w.host.Hosts,
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
