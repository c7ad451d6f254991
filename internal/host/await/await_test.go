package await

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

// world is a simulated machine, with input that comes when it is told to.
type world struct {
	t     *testing.T
	sim   *sched.Simulation
	store *memory.Store
	input sched.Condition
	there bool
	fails error
	waits int // that the guest had to wait
}

var alice = id.Worker{Component: "shop", Name: "alice"}

func newWorld(t *testing.T) *world {
	w := &world{t: t, sim: sched.NewSimulation(1), store: memory.New()}
	w.input = w.sim.NewCondition()
	return w
}

func (w *world) Live() uint64 { return uint64(w.sim.Monotonic()) }
func (w *world) Saw(uint64)   {}

func (w *world) Ready(ctx context.Context) (int, bool, error) {
	err := w.input.Wait(ctx, func() bool { return w.there })
	return 1, false, errors.Join(err, w.fails)
}

func (w *world) after(d time.Duration, do func()) sched.Task {
	return w.sim.Go("later", func() {
		_ = w.sim.Sleep(context.Background(), d)
		do()
	})
}

// life lets a program run over what was recorded before, and commits what it adds.
func (w *world) life(program func(*Waiter)) {
	w.t.Helper()
	err := w.sim.Run(func() {
		ctx := context.Background()
		_, last, err := w.store.Logs().Bounds(ctx, alice)
		if err != nil {
			w.t.Error(err)
			return
		}
		c, err := oplog.NewCommitter(ctx, w.sim, w.store.Logs(), 0)
		if err != nil {
			w.t.Error(err)
			return
		}
		s := durable.NewSession(ctx, durable.Config{
			Worker: alice, Writer: c.NewWriter(alice, last), Cursor: oplog.NewCursor(w.store.Logs(), alice, 1, last),
		})
		program(New(Config{Session: s, Sched: w.sim, Clock: w, Input: w, Park: func(wait func() error) error {
			w.waits++
			return wait()
		}}))
		if err := errors.Join(s.Writer.Commit(ctx), c.Close()); err != nil {
			w.t.Error(err)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestAWaitEndsByWhateverComesFirst waits for two events, input and a time at
// once, and again at replay, when none of them is asked.
func TestAWaitEndsByWhateverComesFirst(t *testing.T) {
	const hour = uint64(time.Hour)
	for _, c := range []struct {
		name     string
		event    time.Duration // when the second one comes; 0 never
		input    time.Duration // likewise
		deadline uint64
		want     Readiness
	}{
		{"an event", time.Second, time.Minute, hour, Readiness{uint64(time.Second), false, []bool{false, true}}},
		{"input", time.Minute, time.Second, hour, Readiness{uint64(time.Second), true, []bool{false, false}}},
		{"the time", 0, 0, uint64(time.Second), Readiness{uint64(time.Second), false, []bool{false, false}}},
		{"an event without a time", time.Second, 0, Forever, Readiness{uint64(time.Second), false, []bool{false, true}}},
		{"nothing, for it only looks", time.Second, time.Second, 0, Readiness{0, false, []bool{false, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			events := func(come *bool) []Event {
				return []Event{
					{Source: HTTP, ID: 7, Come: func() bool { return false }},
					{Source: Incoming, ID: 8, Past: 3, Come: func() bool { return *come }},
				}
			}
			var got Readiness
			w.life(func(a *Waiter) {
				come := false
				var later []sched.Task
				if c.event > 0 {
					later = append(later, w.after(c.event, func() { come = true; a.Wake() }))
				}
				if c.input > 0 {
					later = append(later, w.after(c.input, func() { w.there = true; w.input.Wake() }))
				}
				r, err := a.Wait(c.deadline, true, events(&come))
				if err != nil {
					t.Error(err)
				}
				got = r
				for _, task := range later {
					task.Wait()
				}
			})
			about := got // each step of a simulation takes some nanoseconds
			about.Now -= about.Now % uint64(time.Millisecond)
			if !reflect.DeepEqual(about, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			waits := w.waits
			w.life(func(a *Waiter) {
				list := events(nil)
				list[0].Come, list[1].Come = nil, nil
				if again, err := a.Wait(c.deadline, true, list); err != nil || !reflect.DeepEqual(again, got) {
					t.Errorf("replay gives %+v, %v", again, err)
				}
			})
			if w.waits != waits {
				t.Error("replay waits")
			}
		})
	}
}

func TestInputThatIsThereIsSeenByALook(t *testing.T) {
	w := newWorld(t)
	w.there = true
	w.life(func(a *Waiter) {
		r, err := a.Wait(0, true, nil)
		if err != nil || !r.Stdin {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestInputThatFailsEndsTheWait(t *testing.T) {
	for _, there := range []bool{false, true} {
		w := newWorld(t)
		w.there, w.fails = there, errors.New("the disk is gone")
		w.life(func(a *Waiter) {
			task := w.after(time.Second, func() { w.there = true; w.input.Wake() })
			if _, err := a.Wait(Forever, true, nil); !errors.Is(err, w.fails) {
				t.Errorf("there at once: %t: got %v", there, err)
			}
			task.Wait()
		})
	}
}

func TestRecordedValuesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		same(t, wait.Request, waiting{rapid.Uint64().Draw(t, "deadline"), rapid.Bool().Draw(t, "stdin"), []Event{
			{Source: HTTP, ID: rapid.Uint64().Draw(t, "id"), Past: 2}, {Source: Incoming, ID: 3, Past: rapid.Uint64().Draw(t, "past")},
		}})
		same(t, wait.Response, Readiness{rapid.Uint64().Draw(t, "now"), rapid.Bool().Draw(t, "input"), rapid.SliceOfN(rapid.Bool(), 1, 3).Draw(t, "come")})
	})
}

// same demands that a codec gives back what it was given, and nothing for less or
// more.
func same[T any](t *rapid.T, c durable.Codec[T], v T) {
	b := c.Append(nil, v)
	got, err := c.Decode(bytes.Clone(b))
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Fatalf("got %+v (%v), want %+v", got, err, v)
	}
	for n := range b {
		if _, err := c.Decode(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken", n, len(b))
		}
	}
	if _, err := c.Decode(append(b, 0)); err == nil {
		t.Fatal("a byte too many is taken")
	}
	_ = c.Show(v)
}
