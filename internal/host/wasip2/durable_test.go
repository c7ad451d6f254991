package wasip2

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

var alice = id.Worker{Component: "shop", Name: "alice"}

// life is a component's life on a machine that may die at any time.
type life struct {
	t       *testing.T
	program *component.Program
	sim     *sched.Simulation
	store   *memory.Store
	created uint64

	recorded int // by the process that runs
	die      int // when that many entries and outputs are recorded
}

// errDead is the end of a process.
var errDead = errors.New("the machine is off")

func newLife(t *testing.T, p *component.Program, die int) *life {
	l := &life{t: t, program: p, sim: sched.NewSimulation(1), store: memory.New(), die: die}
	l.created = uint64(l.sim.Now().UnixNano())
	return l
}

// last is the last entry that is durable.
func (l *life) last() oplog.Index {
	_, last, err := l.store.Logs().Bounds(context.Background(), alice)
	must(l.t, err)
	return last
}

// charge lets the process die.
func (l *life) charge(bool, int) error {
	if l.recorded++; l.recorded == l.die {
		return errDead
	}
	return nil
}

// process runs the component from its beginning, and gives how it ended.
func (l *life) process() (state string, ended error) {
	l.recorded = 0
	err := l.sim.Run(func() {
		ctx := context.Background()
		committer, err := oplog.NewCommitter(ctx, l.sim, l.store.Logs(), 0)
		must(l.t, err)
		last := l.last()
		session := durable.NewSession(ctx, durable.Config{
			Worker: alice, Cursor: oplog.NewCursor(l.store.Logs(), alice, 1, last), Writer: committer.NewWriter(alice, last), Charge: l.charge,
		})
		input := live.NewInput(l.sim, strings.NewReader("one\ntwo\n"), false)
		stdio := ambient.NewStdio(session, input)
		clocks := ambient.NewClocks(session, l.sim, stdio.Input(), l.created)
		r := &rig{t: l.t, fs: filesystem.New(filesystem.Config{Now: clocks.Stamp, Packs: discard{}})}
		r.sys, err = New(wasi.Config{
			Args: []string{"tour", "2000"}, FS: r.fs, Preopens: []wasi.Preopen{{Name: "/", Dir: filesystem.Root}},
			Clocks: clocks, Random: ambient.NewRandom([32]byte{7}, 0), Stdio: stdio,
		})
		must(l.t, err)
		in, err := l.program.Instantiate(ctx, component.Config{State: r.sys})
		must(l.t, err)
		_, ended = in.Call(ctx, entryOf(l.t, l.program), nil)
		state = r.everyFile() + string(r.sys.AppendState(nil))
		must(l.t, in.Close())
		must(l.t, session.Writer.Commit(ctx))
		input.Close()
		must(l.t, committer.Close())
	})
	must(l.t, err)
	return state, ended
}

// output is all that the oplog says of stdout.
func (l *life) output() string {
	var all bytes.Buffer
	cursor := oplog.NewCursor(l.store.Logs(), alice, 1, l.last())
	for {
		entry, err := cursor.Next(context.Background())
		if errors.Is(err, oplog.ErrEnd) {
			return all.String()
		}
		must(l.t, err)
		if log, is := entry.Body.(*oplog.Log); is && log.Stream == oplog.Stdout {
			all.Write(log.Bytes)
		}
	}
}

func TestComponentThatDiesAnywhereEndsAsIfItHadNot(t *testing.T) {
	p := compile(t, guests.Wasm(t, "components/tour"))
	steady := newLife(t, p, 0)
	state, ended := steady.process()
	must(t, ended)
	want := steady.output()
	if !strings.Contains(want, "slept long enough: true") {
		t.Fatalf("the program does not what it should: %s", want)
	}
	for die := 1; die <= steady.recorded; die++ {
		l := newLife(t, p, die)
		if _, ended := l.process(); !errors.Is(ended, errDead) {
			t.Fatalf("the process ended with %v before its entry %d", ended, die)
		}
		l.die = 0
		got, ended := l.process()
		if ended != nil || l.output() != want || got != state {
			t.Fatalf("died at entry %d of %d: ended with %v and\n%s\nwant\n%s", die, steady.recorded, ended, l.output(), want)
		}
		// All of it is in the oplog now: nothing is recorded any more.
		again, ended := l.process()
		if ended != nil || again != got || l.recorded != 0 {
			t.Fatalf("replay ended with %v, records %d entries", ended, l.recorded)
		}
	}
	t.Logf("%d entries", steady.recorded)
}
