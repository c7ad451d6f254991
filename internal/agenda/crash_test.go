package agenda

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/storage/storagetest"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

// A life of the world below: each of some workers has an oplog whose entry n
// says "I am to be looked at at time due(n)", each time earlier than before,
// but for every fourth, by which it is done until the next. So a crash leaves,
// whenever it comes, an agenda that must have a worker for which the last entry
// says so, not later than that and at most one entry ahead.
const (
	sleepers = 4
	naps     = 12
)

func done(n uint64) bool { return n%4 == 0 }

func due(n uint64) oplog.Time { return oplog.Time(1000 - n) }

type world struct {
	t    *testing.T
	s    *sched.Simulation
	disk *vfs.Memory

	plan    func(call string) storagetest.Fault // of faults, or nil
	options []oplog.Option
}

func (w *world) open() (*local.Store, error) {
	return local.Open(context.Background(), w.disk, "state", local.Options{
		FileBytes: 32 << 10, AllocateBytes: 8 << 10, FlushWeight: 16, FlushBytes: 8 << 10,
	})
}

// live is one process, until it is done or the disk fails.
func (w *world) live() error {
	store, err := w.open()
	if err != nil {
		return err
	}
	logs := store.Logs()
	if w.plan != nil {
		logs = storagetest.Faulty(store, w.plan).Logs()
	}
	c, err := oplog.NewCommitter(context.Background(), w.s, logs, shard, w.options...)
	if err != nil {
		return err
	}
	a, err := open(context.Background(), Config{Sched: w.s, Logs: logs, Committer: c}, hasty)
	if err != nil {
		return err
	}
	if a.Damaged() != nil {
		w.t.Errorf("Damaged() = %v", a.Damaged())
	}
	errs := make([]error, sleepers)
	var tasks []sched.Task
	for i := range sleepers {
		tasks = append(tasks, w.s.Go("sleeper", func() { errs[i] = w.nap(store.Logs(), c, a, i) }))
	}
	for _, task := range tasks {
		task.Wait()
	}
	a.Close()
	return errors.Join(append(errs, c.Close(), store.Close())...)
}

func (w *world) nap(logs storage.Logs, c *oplog.Committer, a *Agenda, i int) error {
	ctx := context.Background()
	_, last, err := logs.Bounds(ctx, worker(i))
	if err != nil {
		return err
	}
	own := c.NewWriter(worker(i), last)
	for n := last + 1; n <= naps; n++ {
		if !done(n) {
			a.Set(worker(i), due(n))
		}
		if _, err := own.Append(ctx, &oplog.Resumed{At: due(n)}); err != nil {
			return err
		}
		if err := own.Commit(ctx); err != nil {
			return err
		}
		if done(n) {
			a.Forget(worker(i))
		}
		_ = w.s.Sleep(ctx, 20*time.Microsecond)
	}
	return nil
}

// check opens what a crash left behind.
func (w *world) check() error {
	store, err := w.open()
	if err != nil {
		return err
	}
	defer store.Close()
	ctx := context.Background()
	a := &Agenda{Config: Config{Logs: store.Logs()}, calendar: newCalendar()}
	if err := a.read(ctx); err != nil {
		return err
	}
	if a.damaged != nil {
		return a.damaged
	}
	for i := range sleepers {
		_, last, err := store.Logs().Bounds(ctx, worker(i))
		if err != nil {
			return err
		}
		at, ok := a.Due(worker(i))
		switch {
		case !ok && last > 0 && !done(last):
			return fmt.Errorf("%s is to be looked at at %d and not on the agenda", worker(i), due(last))
		case ok && (at > due(last) && !done(last) || at < due(last+1)):
			return fmt.Errorf("%s is to be looked at at %d, and on the agenda for %d", worker(i), due(last), at)
		}
	}
	return nil
}

// newWorld begins with a log that a process before has made long.
func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, s: sched.NewSimulation(seed), disk: vfs.NewMemory(seed)}
}

// afterwards lets the power be lost, keeping a share of what was not synced,
// and checks what is left, twice: the second process lives to its end.
func (w *world) afterwards(what string, k uint64) {
	w.t.Helper()
	r := rand.New(rand.NewPCG(k, 1))
	kept := []float64{0, 0.5, 1}[k%3]
	w.disk.SetFault(nil)
	w.disk = w.disk.Crash(func() bool { return r.Float64() < kept })
	if err := w.check(); err != nil {
		w.t.Fatalf("%s %d: %v", what, k, err)
	}
	var failed error
	if err := errors.Join(w.s.Run(func() { failed = w.live() }), failed); err != nil {
		w.t.Fatalf("%s %d, the process after: %v", what, k, err)
	}
	if err := w.check(); err != nil {
		w.t.Fatalf("%s %d, after the process after: %v", what, k, err)
	}
}

func TestNoCrashOfTheDiskLeavesTooLittleOnTheAgenda(t *testing.T) {
	for k, over := 0, false; !over; k++ {
		w := newWorld(t, uint64(k%5))
		w.disk.PowerOffAt(k)
		var failed error
		if err := w.s.Run(func() { failed = w.live() }); err != nil {
			t.Fatalf("change %d: %v", k, err)
		}
		if over = failed == nil; over && k < 100 {
			t.Errorf("the process ended after %d changes of the disk, so hardly anything was tried", k)
		}
		w.afterwards("power off at change", uint64(k))
	}
}

func TestNoCrashOfTheProcessLeavesTooLittleOnTheAgenda(t *testing.T) {
	for k, over := uint64(1), false; !over; k++ {
		w := newWorld(t, k%5)
		w.s.OnStep = func(next sched.Step) {
			if next.Number == k {
				w.s.Crash()
			}
		}
		var failed error
		err := w.s.Run(func() { failed = w.live() })
		w.s.OnStep = nil
		if err != nil && !errors.Is(err, sched.ErrCrashed) || failed != nil {
			t.Fatalf("step %d: %v", k, errors.Join(err, failed))
		}
		if over = err == nil; over && k < 100 {
			t.Errorf("the process ended after %d steps, so hardly anything was tried", k)
		}
		w.afterwards("crash at step", k)
	}
}

// TestADiskThatFailsNowAndThenTakesNothingOffTheAgenda lets appends and
// truncations fail, some after they are durable, beside each other.
func TestADiskThatFailsNowAndThenTakesNothingOffTheAgenda(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(t, seed)
		r := rand.New(rand.NewPCG(seed, 2))
		failed := map[string]int{}
		w.options = []oplog.Option{oplog.Retry}
		w.plan = func(call string) storagetest.Fault {
			if call != "Append" && call != "Truncate" {
				return storagetest.None
			}
			fault := []storagetest.Fault{storagetest.None, storagetest.None, storagetest.Before, storagetest.After}[r.IntN(4)]
			if fault != storagetest.None {
				failed[call]++
			}
			return fault
		}
		var ended error
		err := errors.Join(w.s.Run(func() { ended = w.live() }), ended)
		if err != nil && !errors.Is(err, storagetest.ErrInjected) { // at the end nothing is tried for long
			t.Fatalf("seed %d: %v", seed, err)
		}
		if failed["Append"] == 0 || failed["Truncate"] == 0 && seed == 0 {
			t.Errorf("seed %d: too little has failed: %v", seed, failed)
		}
		w.plan = nil
		w.afterwards("seed", seed)
	}
}

// TestTheCrashesMeetRewriting says that the worlds above rewrite the log.
func TestTheCrashesMeetRewriting(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(t, seed)
		var failed error
		if err := errors.Join(w.s.Run(func() { failed = w.live() }), failed); err != nil {
			t.Fatal(err)
		}
		store, err := w.open()
		if err != nil {
			t.Fatal(err)
		}
		if first, last, err := store.Logs().Bounds(t.Context(), Worker); err != nil || first < 5 || last+1-first > 20 {
			t.Errorf("seed %d: the log has the entries %d to %d, %v", seed, first, last, err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}
