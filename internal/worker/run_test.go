package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func TestWorkerEndsWithItsProgramsExitCodeAndOutput(t *testing.T) {
	w := newWorld(t)
	o := w.ends(script(t, "print hello there", "warn careful now", "exit 7"))
	if o.Exited == nil || o.Exited.Code != 7 || o.Finished || w.out.String() != "hello there\n" || w.err.String() != "careful now\n" {
		t.Errorf("got %+v, stdout %q, stderr %q", o, w.out.String(), w.err.String())
	}
	if s := w.status(); s.Exited == nil || s.Exited.Code != 7 || s.Create.Seed[0] != 42 {
		t.Errorf("the oplog says %+v", s)
	}
}

func TestFinishedWorkerIsNotRunAgainAndShowsOnlyWhatWasNotShown(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, map[string]string{"f": "before"})
	l := script(t, "print one", "sleep 1s", "print two", "write /data/f after", "exit 3")
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
	w.ends(l)
	entries, applied := w.status().Last, len(w.hosts.applied)
	for shown, want := range map[oplog.Index]string{0: "one \ntwo \n", w.shown: "", w.shown - 1: "two \n", w.shown + 100: ""} {
		again := *w
		again.out, again.shown = strings.Builder{}, shown
		o := again.ends(l)
		if !o.Finished || o.Exited == nil || o.Exited.Code != 3 || o.Replayed != 0 || o.Recorded != 0 {
			t.Errorf("got %+v", o)
		}
		if got := again.out.String(); got != want {
			t.Errorf("with entries up to %d shown: got %q, want %q", shown, got, want)
		}
	}
	if w.status().Last != entries || len(w.hosts.applied) != applied {
		t.Error("a finished worker recorded or changed something")
	}
}

func TestStartedHearsWhatIsAboutToHappen(t *testing.T) {
	w := newWorld(t)
	l := script(t, "print one", "sleep 1h")
	var heard []string
	l.Started = func(s *oplog.Status) {
		switch {
		case s == nil:
			heard = append(heard, "new")
		case s.Ended():
			heard = append(heard, "ended")
		default:
			heard = append(heard, "resumed")
		}
	}
	w.stopAt("one")
	_, _ = w.run(l)
	w.seen = nil
	w.ends(l)
	w.ends(l)
	if want := []string{"new", "resumed", "ended"}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
}

func TestInterruptedWorkerResumesWhereItWas(t *testing.T) {
	w := newWorld(t)
	l := script(t, "print one", "sleep 1h", "print two")
	w.stopAt("one")
	began := w.sim.Monotonic()
	o, err := w.run(l)
	if o != nil && (o.Exited != nil || o.Error != nil) || !errors.Is(err, errStop) {
		t.Fatalf("got %+v, %v, want the cause", o, err)
	}
	if s := w.status(); s.Interrupted == nil || s.Interrupted.Reason != errStop.Error() || s.Ended() {
		t.Errorf("the oplog says %+v", s)
	}
	w.seen = nil
	o = w.ends(l)
	if w.out.String() != "one \ntwo \n" || o.Replayed == 0 {
		t.Errorf("got %q and %+v", w.out.String(), o)
	}
	if took := w.sim.Monotonic() - began; took < time.Hour || took > time.Hour+time.Minute {
		t.Errorf("both runs took %v, want the hour once", took)
	}
	if w.status().Interrupted != nil {
		t.Error("it is still interrupted")
	}
}

func TestSpinningWorkerCanBeInterrupted(t *testing.T) {
	w := newWorld(t)
	w.stopAt("begin")
	// The watch for the context is a task of its own, so the program must park.
	_, err := w.run(script(t, "print begin", "sleep 1ms", "spin"))
	if !errors.Is(err, errStop) || w.status().Interrupted == nil {
		t.Errorf("got %v and %+v", err, w.status())
	}
}

func TestEveryInterruptionLeadsToTheSameEnd(t *testing.T) {
	steps := []string{"print one", "write /data/f one", "now", "cat", "sleep 1s", "append /data/f two", "print two", "read /data/g", "exit 5"}
	run := func(interrupt int) (out string, files map[string]string) {
		w := newWorld(t)
		w.stdin = "some input\n"
		dir := directory(t, map[string]string{"g": "of the host"})
		l := script(t, steps...)
		l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
		n := 0
		w.seen = func(_ context.Context, stop context.CancelCauseFunc, _ []byte) error {
			if n++; n == interrupt {
				stop(errStop)
			}
			return nil
		}
		o, err := w.run(l)
		if errors.Is(err, errStop) {
			o, err = w.run(l)
		}
		if err != nil || o.Exited == nil || o.Exited.Code != 5 {
			t.Fatalf("interrupted at output %d: %+v, %v", interrupt, o, err)
		}
		return w.out.String(), w.files()
	}
	wantOut, wantFiles := run(0)
	if !strings.Contains(wantOut, "some input\ntwo") || wantFiles["data/f"] != "onetwo" {
		t.Fatalf("got %q and %v", wantOut, wantFiles)
	}
	for i := 1; i <= 5; i++ {
		if out, files := run(i); out != wantOut || fmt.Sprint(files) != fmt.Sprint(wantFiles) {
			t.Errorf("interrupted at output %d: got %q and %v, want %q and %v", i, out, files, wantOut, wantFiles)
		}
	}
}

func TestOtherCommandIsRefusedAndSaysWhatDiffers(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, nil)
	l := script(t, "print one")
	l.Env, l.Dirs = []string{"A=1"}, []oplog.Dir{{Host: dir, Guest: "/data"}}
	w.ends(l)
	entries := w.status().Last
	for _, c := range []struct {
		what   string
		change func(*Launch)
		says   string
	}{
		{"program", func(l *Launch) { l.Program = guests.Wasm(t, "hostile") }, w.status().Create.Program.String()},
		{"arguments", func(l *Launch) { l.Args = []string{"guest", "print two"} }, `it had ["guest" "print one"], not ["guest" "print two"]`},
		{"arguments", func(l *Launch) { l.Args = append(l.Args, "") }, `not ["guest" "print one" ""]`},
		{"environment", func(l *Launch) { l.Env = nil }, `it had ["A=1"], not []`},
		{"directories", func(l *Launch) { l.Dirs = nil }, `::/data"], not []`},
		{"directories", func(l *Launch) { l.Dirs = []oplog.Dir{{Host: dir, Guest: "/other"}} }, `::/other"]`},
		{"directories", func(l *Launch) { l.Dirs = []oplog.Dir{{Host: dir + "x", Guest: "/data"}} }, dir + "x"},
		{"limits", func(l *Launch) { l.Memory++ }, "268435457"},
		{"limits", func(l *Launch) { l.Storage-- }, "16777215"},
		{"limits", func(l *Launch) { l.Files = 3 }, "3"},
	} {
		other := l
		other.Args = slices.Clone(l.Args)
		c.change(&other)
		other.Started = func(*oplog.Status) { t.Errorf("%s: it was started", c.what) }
		_, err := w.run(other)
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || mismatch.What != c.what || mismatch.Worker != alice ||
			!strings.Contains(err.Error(), "run/alice was created with other "+c.what) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want it to say %q", c.what, err, c.says)
		}
	}
	if w.status().Last != entries {
		t.Error("a refused run recorded something")
	}
}

func TestTrapEndsTheWorkerAndItsFilesAreKept(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, nil)
	l := script(t, "print before", "write /data/f content", "write /private mine", "trap", "print never")
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
	o := w.ends(l)
	if o.Error == nil || o.Exited != nil || o.Error.Reason != "out of bounds memory access" || len(o.Error.Stack) == 0 {
		t.Fatalf("got %+v", o.Error)
	}
	if w.out.String() != "before \n" {
		t.Errorf("got output %q", w.out.String())
	}
	if files := w.files(); files["data/f"] != "content" || files["private"] != "mine" {
		t.Errorf("got files %v", files)
	}
	if !slices.Equal(w.hosts.applied, []string{"set f"}) {
		t.Errorf("written back: %q", w.hosts.applied)
	}
	if again := w.ends(l); !again.Finished || again.Error == nil || again.Error.Reason != o.Error.Reason {
		t.Errorf("run again: %+v", again)
	}
}

func TestProgramsThatCannotRunAreRefusedAndLeaveNoWorker(t *testing.T) {
	refused := map[string]Launch{
		"nothing": {Program: nil},
		"text":    {Program: []byte("#!/bin/sh\necho hello\n")},
		"half":    {Program: guests.Wasm(t, "hostile")[:1000]},
	}
	for _, odd := range guests.Odds {
		if odd.Refused {
			refused[odd.Name] = Launch{Program: guests.Wasm(t, "odd/"+odd.Name)}
		}
	}
	for name, l := range refused {
		w := newWorld(t)
		l.Worker, l.Args, l.Memory, l.Storage, l.Files = alice, []string{"x"}, 1<<30, 1<<20, 64
		_, err := w.run(l)
		if err == nil {
			t.Errorf("%s runs", name)
			continue
		}
		if _, err := oplog.ReadStatus(t.Context(), w.store.Logs(), alice); !errors.Is(err, oplog.ErrNoWorker) {
			t.Errorf("%s: a worker was created: %v", name, err)
		}
	}
}

func TestLibraryIsRefusedWithWhatToDo(t *testing.T) {
	w := newWorld(t)
	l := hostile(t)
	l.Program = guests.Wasm(t, "odd/no-start")
	if _, err := w.run(l); !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "build it as a command") {
		t.Errorf("got %v", err)
	}
}

func TestEntryPointOfAnotherTypeIsRefusedWithWhatToDo(t *testing.T) {
	w := newWorld(t)
	l := hostile(t)
	l.Program = guests.Wasm(t, "odd/start-takes-argument")
	if _, err := w.run(l); !errors.Is(err, errEntryPoint) {
		t.Errorf("got %v, want errEntryPoint", err)
	}
}

func TestUnknownImportIsNamed(t *testing.T) {
	for name, want := range map[string]string{"odd/unknown-wasi": "wasi_snapshot_preview1", "odd/unknown-import": "env"} {
		w := newWorld(t)
		l := hostile(t)
		l.Program = guests.Wasm(t, name)
		if _, err := w.run(l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want the import of %s", name, err, want)
		}
	}
}

func TestDirectoryThatIsNotThereIsRefusedAndLeavesNoWorker(t *testing.T) {
	w := newWorld(t)
	l := script(t, "print one")
	l.Dirs = []oplog.Dir{{Host: "/no/such/directory", Guest: "/data"}}
	if _, err := w.run(l); err == nil || !strings.Contains(err.Error(), "/no/such/directory") {
		t.Errorf("got %v", err)
	}
	if _, err := oplog.ReadStatus(t.Context(), w.store.Logs(), alice); !errors.Is(err, oplog.ErrNoWorker) {
		t.Errorf("a worker was created: %v", err)
	}
}

func TestOplogThatDoesNotFitTheProgramDiverges(t *testing.T) {
	w := newWorld(t)
	l := script(t, "print one", "sleep 1h")
	w.stopAt("one")
	_, _ = w.run(l)
	// The oplog of another worker, under the name of this one.
	create := w.status().Create
	w.store = newWorld(t).store
	w.process(func(rt *Runtime) {
		writer := rt.Committer.NewWriter(alice, 0)
		for _, b := range []oplog.Body{&create, &oplog.Log{Stream: oplog.Stdout, Bytes: []byte("two \n")}, &oplog.Log{Stream: oplog.Stdout, Bytes: []byte("x")}} {
			if _, err := writer.Append(context.Background(), b); err != nil {
				t.Error(err)
			}
		}
		if err := writer.Commit(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.seen = nil
	_, err := w.run(l)
	var divergence *durable.DivergenceError
	if !errors.As(err, &divergence) || divergence.Worker != alice || divergence.Index != 2 {
		t.Errorf("got %v, want a divergence at entry 2", err)
	}
	if s := w.status(); s.Ended() {
		t.Errorf("it has ended: %+v", s)
	}
}

func TestFullStorageEndsTheRunAndItCanBeResumed(t *testing.T) {
	w := newWorld(t)
	dir := directory(t, map[string]string{"f": "content"})
	l := script(t, "print one", "sleep 1s", "read /data/f", "print two")
	l.Dirs = []oplog.Dir{{Host: dir, Guest: "/data"}}
	store := &refusing{Store: w.store}
	var err error
	w.process(func(rt *Runtime) {
		rt.Store = store
		l := l
		l.Show = func(_ oplog.Index, _ oplog.Stream, p []byte) error {
			store.full = strings.Contains(string(p), "one")
			return nil
		}
		_, err = rt.Run(context.Background(), l)
	})
	if !errors.Is(err, storage.ErrFull) {
		t.Errorf("got %v, want the full disk", err)
	}
	if o := w.ends(l); o.Exited == nil || w.out.String() != "one \ncontent\ntwo \n" {
		t.Errorf("got %+v and %q", o, w.out.String())
	}
}
