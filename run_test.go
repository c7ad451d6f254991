package waterbear

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/id"
)

func TestRunGivesOutputAndExitCodeAndTheWorkerIsThereAfterwards(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	var stdout, stderr bytes.Buffer
	c := script(t, "hello", "print hello", "warn careful", "exit 3")
	c.Env, c.Stdout, c.Stderr = []string{"A=1"}, &stdout, &stderr
	exit, err := n.Run(t.Context(), c)
	if err != nil || exit.Code != 3 || exit.Finished || exit.Failure != "" || exit.Stats.Recorded == 0 || exit.Stats.Total <= 0 {
		t.Fatalf("got %+v, %v", exit, err)
	}
	if stdout.String() != "hello \n" || stderr.String() != "careful \n" {
		t.Errorf("got %q and %q", stdout.String(), stderr.String())
	}
	mustClose(t, n)
	w, err := open(t, dir).Worker(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	if w.Status != Exited || w.ExitCode == nil || *w.ExitCode != 3 || w.Reason != "the program exited with code 3" || w.Stdout != 7 ||
		w.Stderr != 9 || w.Resumes != 0 || !slices.Equal(w.Args, c.Args) || !slices.Equal(w.Env, c.Env) || w.Created.IsZero() ||
		w.Changed.Before(w.Created) || w.Entries == 0 || w.Bytes == 0 || len(w.Program) != 64 || !strings.HasPrefix(w.Mode, "replay: ") {
		t.Errorf("got %+v", w)
	}
	if want := (Limits{DefaultMemory, DefaultStorage, DefaultFiles}); w.Limits != want {
		t.Errorf("got limits %+v, want the defaults %+v", w.Limits, want)
	}
}

func TestFinishedWorkerSaysSoAndShowsNothingTwice(t *testing.T) {
	n := open(t, stateDir(t))
	c := script(t, "a", "print hello", "exit 3")
	run(t, n, c)
	var starts []Start
	c.Started = func(s Start) { starts = append(starts, s) }
	exit, out := run(t, n, c)
	if !exit.Finished || exit.Code != 3 || out != "" {
		t.Errorf("got %+v and %q", exit, out)
	}
	if len(starts) != 1 || !starts[0].Finished || starts[0].Resumed || starts[0].Entries == 0 {
		t.Errorf("heard %+v", starts)
	}
}

func TestInterruptedRunIsResumedByAnotherNode(t *testing.T) {
	dir := stateDir(t)
	n := open(t, dir)
	c := script(t, "a", "print one", "cat", "print two")
	r := begin(t, n, c)
	r.shows("one")
	if w, err := n.Worker(t.Context(), "a"); err != nil || w.Status != Running {
		t.Errorf("while it runs: %+v, %v", w, err)
	}
	r.interrupt()
	w, err := n.Worker(t.Context(), "a")
	if err != nil || w.Status != Interrupted || w.Reason != "interrupted" || w.ExitCode != nil {
		t.Errorf("got %+v, %v", w, err)
	}
	mustClose(t, n)
	n = open(t, dir)
	var start Start
	c.Started = func(s Start) { start = s }
	exit, out := run(t, n, c)
	if exit.Code != 0 || exit.Finished || out != "two \n" || !start.Resumed || start.Finished || start.Entries != w.Entries || exit.Stats.Replayed == 0 {
		t.Errorf("got %+v, %q, started by %+v", exit, out, start)
	}
	if w, err := n.Worker(t.Context(), "a"); err != nil || w.Status != Exited || w.Resumes != 1 {
		t.Errorf("got %+v, %v", w, err)
	}
}

func TestTrapIsAFailureWithItsReason(t *testing.T) {
	n := open(t, stateDir(t))
	exit, out := run(t, n, Command{Name: "a", Program: guests.Wasm(t, "hostile"), Args: []string{"hostile", "trap-after-output"}})
	if exit.Code != ExitTrap || exit.Failure == "" || !strings.HasPrefix(out, "the last line") {
		t.Errorf("got %+v and %q", exit, out)
	}
	w, err := n.Worker(t.Context(), "a")
	if err != nil || w.Status != Failed || w.Reason != exit.Failure || w.ExitCode != nil {
		t.Errorf("got %+v, %v", w, err)
	}
}

func TestOtherCommandUnderTheNameIsAMismatch(t *testing.T) {
	n := open(t, stateDir(t))
	run(t, n, script(t, "a", "print one"))
	_, err := n.Run(t.Context(), script(t, "a", "print two"))
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) || mismatch.What != "arguments" {
		t.Errorf("got %v", err)
	}
}

func TestFreshForgetsTheOldWorkerAndWhatItShowed(t *testing.T) {
	n := open(t, stateDir(t))
	run(t, n, script(t, "a", "print one", "exit 3"))
	c := script(t, "a", "print two")
	c.Fresh = true
	for range 2 {
		if exit, out := run(t, n, c); exit.Finished || exit.Code != 0 || out != "two \n" {
			t.Errorf("got %+v and %q", exit, out)
		}
	}
	c.Name = "new"
	if _, out := run(t, n, c); out != "two \n" {
		t.Errorf("a fresh worker of a new name printed %q", out)
	}
}

func TestLimitsAreReachedAsTheProgramSeesThem(t *testing.T) {
	for name, c := range map[string]struct {
		step  string
		limit Limits
		want  string
		code  int
	}{
		"storage":        {"zeros /f 3000000", Limits{Storage: 1 << 20}, "No space left on device", 0},
		"enough storage": {"zeros /f 3000000", Limits{Storage: 4 << 20}, "", 0},
		"files":          {"open / 20", Limits{Files: 20}, "opened some: true true", 0},
		"memory":         {"grow 200", Limits{Memory: 64 << 20}, "", 2},
		"enough memory":  {"grow 40", Limits{Memory: 128 << 20}, "40\n", 0},
	} {
		n := open(t, stateDir(t))
		command := script(t, "a", c.step)
		command.Limits = c.limit
		exit, out := run(t, n, command)
		if exit.Code != c.code || !strings.Contains(out, c.want) || c.want == "" && out != "" {
			t.Errorf("%s: got %+v and %q, want exit code %d and %q", name, exit, out, c.code, c.want)
		}
	}
}

func TestProgramThatNeedsMoreMemoryThanItMayHaveIsRefused(t *testing.T) {
	n := open(t, stateDir(t))
	c := script(t, "a", "print one")
	c.Memory = 64 << 10
	if _, err := n.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the limit is 65536") {
		t.Errorf("got %v", err)
	}
	if _, err := n.Worker(t.Context(), "a"); !errors.Is(err, ErrNoWorker) {
		t.Errorf("a worker was created: %v", err)
	}
}

func TestInvalidNamesAreRefusedByEveryCall(t *testing.T) {
	n := open(t, stateDir(t))
	for _, name := range []string{"", "../x", "a/b", "-x"} {
		for call, err := range calls(t, n, name) {
			if !errors.Is(err, id.ErrName) {
				t.Errorf("%s of %q: got %v, want ErrName", call, name, err)
			}
		}
	}
}

func TestUnknownWorkersAreNoWorkers(t *testing.T) {
	n := open(t, stateDir(t))
	for call, err := range calls(t, n, "nobody") {
		if call != "Run" && (!errors.Is(err, ErrNoWorker) || !strings.Contains(err.Error(), "nobody; `waterbear ps` lists those there are")) {
			t.Errorf("%s: got %v, want ErrNoWorker and what to do", call, err)
		}
	}
}

// calls makes every call that names a worker.
func calls(t *testing.T, n *Node, name string) map[string]error {
	t.Helper()
	errs := map[string]error{}
	_, errs["Run"] = n.Run(t.Context(), Command{Name: name})
	_, errs["Worker"] = n.Worker(t.Context(), name)
	_, errs["Files"] = n.Files(t.Context(), name)
	errs["Delete"] = n.Delete(t.Context(), name)
	errs["Logs"], errs["Oplog"] = nil, nil
	for _, err := range n.Logs(t.Context(), name, ReadOptions{}) {
		errs["Logs"] = err
	}
	for _, err := range n.Oplog(t.Context(), name, ReadOptions{Follow: true}) {
		errs["Oplog"] = err
	}
	return errs
}

func TestWorkerThatRunsIsBusy(t *testing.T) {
	n := open(t, stateDir(t))
	c := script(t, "a", "print one", "cat")
	r := begin(t, n, c)
	r.shows("one")
	if _, err := n.Run(t.Context(), c); !errors.Is(err, ErrBusy) {
		t.Errorf("Run: got %v, want ErrBusy", err)
	}
	c.Fresh = true
	if _, err := n.Run(t.Context(), c); !errors.Is(err, ErrBusy) {
		t.Errorf("Run afresh: got %v, want ErrBusy", err)
	}
	if err := n.Delete(t.Context(), "a"); !errors.Is(err, ErrBusy) {
		t.Errorf("Delete: got %v, want ErrBusy", err)
	}
	r.interrupt()
	if err := n.Delete(t.Context(), "a"); err != nil {
		t.Errorf("Delete of what was interrupted: %v", err)
	}
}

func TestWorkersRunBesideEachOther(t *testing.T) {
	n := open(t, stateDir(t))
	a, b := begin(t, n, script(t, "a", "print one", "cat", "exit 1")), begin(t, n, script(t, "b", "print one", "cat", "exit 2"))
	a.shows("one")
	b.shows("one")
	workers, err := n.Workers(t.Context())
	if err != nil || len(workers) != 2 || workers[0].Name != "a" || workers[1].Name != "b" || workers[0].Status != Running {
		t.Errorf("got %+v, %v", workers, err)
	}
	for _, r := range []*running{b, a} {
		_ = r.stdin.Close()
		<-r.ended
	}
	if a.err != nil || b.err != nil || a.exit.Code != 1 || b.exit.Code != 2 {
		t.Errorf("got %+v, %v and %+v, %v", a.exit, a.err, b.exit, b.err)
	}
}

func TestFilesAreThereWhileAWorkerRunsAndWhenItHasEnded(t *testing.T) {
	n := open(t, stateDir(t))
	c := script(t, "a", "mkdir /sub", "write /sub/f content", "print one", "cat", "remove /sub/f")
	r := begin(t, n, c)
	r.shows("one")
	files, err := n.Files(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := fs.ReadFile(files, "sub/f"); string(content) != "content" {
		t.Errorf("while it runs: %q, %v", content, err)
	}
	_ = r.stdin.Close()
	<-r.ended
	if files, err = n.Files(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(files, "sub/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("when it has ended: %v, want it gone", err)
	}
}

func TestInputGivenAgainIsComparedAndSkipped(t *testing.T) {
	n := open(t, stateDir(t))
	c := Command{Name: "a", Program: small(t), Args: []string{"hostile", "echo"}}
	stopped := func(input string) error {
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		typed, typing := io.Pipe()
		c := c
		c.Stdin = io.MultiReader(strings.NewReader(input), typed)
		c.Stdout = writing(func([]byte) error {
			stop(ErrInterrupted)
			return nil
		})
		_, err := n.Run(ctx, c)
		_ = typing.Close()
		return err
	}
	if err := stopped("some input"); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	c.Stdin = strings.NewReader("SOME input and more")
	if _, err := n.Run(t.Context(), c); !errors.Is(err, live.ErrInputDiffers) {
		t.Errorf("other input: got %v, want ErrInputDiffers", err)
	}
	c.Stdin = strings.NewReader("some input and more")
	if exit, out := run(t, n, c); exit.Code != 0 || out != " and more" {
		t.Errorf("the same input: got %+v and %q", exit, out)
	}
}

// writing is a function that takes output.
type writing func(p []byte) error

func (w writing) Write(p []byte) (int, error) { return len(p), w(p) }

func TestOutputThatCannotBeWrittenEndsTheRunAndComesAgain(t *testing.T) {
	n := open(t, stateDir(t))
	c := script(t, "a", "print one", "sleep 1000h")
	broken := errors.New("broken pipe")
	c.Stdout = writing(func([]byte) error { return broken })
	if _, err := n.Run(t.Context(), c); !errors.Is(err, broken) || !strings.Contains(err.Error(), "write to stdout: broken pipe") {
		t.Fatalf("got %v", err)
	}
	if w, err := n.Worker(t.Context(), "a"); err != nil || w.Status != Interrupted || w.Reason != "write to stdout: broken pipe" {
		t.Errorf("got %+v, %v", w, err)
	}
	r := begin(t, n, c)
	r.shows("one")
	r.interrupt()
}

func TestDirectoriesAreTheSameWhereverTheNextProcessIsStarted(t *testing.T) {
	state, here := stateDir(t), t.TempDir()
	c := script(t, "a", "print one", "cat", "write /data/f 1")
	c.Dirs = []Dir{{Host: ".", Guest: "/data"}}
	t.Chdir(here)
	n := open(t, state)
	r := begin(t, n, c)
	r.shows("one")
	r.interrupt()
	t.Chdir(t.TempDir())
	var mismatch *MismatchError
	if _, err := n.Run(t.Context(), c); !errors.As(err, &mismatch) || mismatch.What != "directories" {
		t.Errorf("another directory of that name: got %v, want a mismatch", err)
	}
	c.Dirs[0].Host = here
	run(t, n, c)
	if content, err := os.ReadFile(filepath.Join(here, "f")); string(content) != "1" {
		t.Errorf("got %q, %v", content, err)
	}
}
