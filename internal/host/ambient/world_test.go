package ambient

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

// world is a worker's oplog and the machine that its processes run on.
type world struct {
	t       testing.TB
	sim     *sched.Simulation
	store   *memory.Store
	created uint64

	source    io.Reader // of the next process's standard input
	continues bool
	alive     context.Context // until the present process ends
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, sim: sched.NewSimulation(seed), store: memory.New()}
	w.created = uint64(w.sim.Now().UnixNano())
	return w
}

// process is one process's time with the worker.
type process struct {
	*world
	session *durable.Session
	clocks  *Clocks
	stdio   *Stdio
	stop    context.CancelCauseFunc
}

// last is how many entries are durable.
func (w *world) last() oplog.Index {
	_, last, err := w.store.Logs().Bounds(context.Background(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}

// run lets a program run in a new process, which ends in order unless the
// program crashes the simulation.
func (w *world) run(program func(p *process)) {
	w.t.Helper()
	err := w.sim.Run(func() {
		ctx, stop := context.WithCancelCause(context.Background())
		defer stop(nil)
		w.alive = ctx
		committer, err := oplog.NewCommitter(ctx, w.sim, w.store.Logs(), 0)
		if err != nil {
			w.t.Error(err)
			return
		}
		last := w.last()
		p := &process{world: w, stop: stop}
		p.session = durable.NewSession(ctx, durable.Config{
			Worker: alice, Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, last), Writer: committer.NewWriter(alice, last),
		})
		input := live.NewInput(w.sim, w.source, w.continues)
		p.stdio = NewStdio(p.session, input)
		p.clocks = NewClocks(p.session, w.sim, p.stdio.Input(), w.created)
		program(p)
		p.commit()
		input.Close()
		if err := committer.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if err != nil && !errors.Is(err, sched.ErrCrashed) {
		w.t.Fatal(err)
	}
}

// down lets time pass while no process runs.
func (w *world) down(d time.Duration) {
	w.t.Helper()
	if err := w.sim.Run(func() { _ = w.sim.Sleep(context.Background(), d) }); err != nil {
		w.t.Fatal(err)
	}
}

func (p *process) commit() {
	if err := p.session.Writer.Commit(context.Background()); err != nil {
		p.t.Error(err)
	}
}

// crash ends the process; what was not committed is gone.
func (p *process) crash() {
	p.sim.Crash()
	p.sim.Yield()
}

func (p *process) sleep(d time.Duration) {
	if err := p.sim.Sleep(context.Background(), d); err != nil {
		p.t.Error(err)
	}
}

func (p *process) monotonic() uint64 {
	v, err := p.clocks.Monotonic()
	if err != nil {
		p.t.Error(err)
	}
	return v
}

func (p *process) realtime() uint64 {
	v, err := p.clocks.Realtime()
	if err != nil {
		p.t.Error(err)
	}
	return v
}

func (p *process) wait(deadline uint64, stdin bool) Readiness {
	r, err := p.clocks.Wait(deadline, stdin)
	if err != nil {
		p.t.Error(err)
	}
	return r
}

func (p *process) read(limit int) string {
	b, err := p.stdio.Read(limit)
	if err != nil {
		p.t.Error(err)
	}
	return string(b)
}

// near reports whether got is want and the little time that the simulation
// takes for the steps of its tasks.
func near(got, want uint64) bool { return got >= want && got-want < uint64(time.Millisecond) }
