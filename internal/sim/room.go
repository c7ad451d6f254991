package sim

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// Limits of simulated workers.
const (
	memoryLimit  = 64 << 20
	storageLimit = 16 << 20
	filesLimit   = 64
)

// room is what belongs to one worker and survives the process.
type room struct {
	program  *Program
	terminal terminal
	files    directory
	history  history
	outcome  *worker.Outcome
}

// launch says how the worker is started, each time alike.
func (r *room) launch(input *live.Input) worker.Launch {
	p := r.program
	l := worker.Launch{
		Worker: p.worker(), Program: p.Module, Args: p.Args, Env: p.Env,
		Memory: memoryLimit, Storage: storageLimit, Files: filesLimit,
		Input: input, Show: r.terminal.show, Shown: r.terminal.shown,
	}
	if p.Files != nil {
		l.Dirs = []oplog.Dir{{Host: "host", Guest: "/"}}
	}
	return l
}

// run runs the program until it ends or the process does.
func (r *room) run(ctx context.Context, w *World, rt *worker.Runtime) error {
	process, end := context.WithCancel(context.Background())
	input := live.NewInput(w.sim, &typist{world: w, process: process, left: r.program.Input}, false)
	outcome, err := rt.Run(ctx, r.launch(input))
	end()
	input.Close()
	if err != nil {
		return err
	}
	w.note("%s has ended: %s", r.program.Name, exit(outcome))
	if r.outcome != nil && exit(r.outcome) != exit(outcome) {
		return fmt.Errorf("it had ended with %s, and now with %s", exit(r.outcome), exit(outcome))
	}
	r.outcome = outcome
	return nil
}

func exit(o *worker.Outcome) string {
	if o.Error != nil {
		return "failure: " + o.Error.Reason
	}
	return fmt.Sprintf("exit code %d", o.Exited.Code)
}

// result is what there is to see once the program has ended.
func (r *room) result() (Result, error) {
	if check := r.program.Check; check != nil {
		seen := Seen{
			Stdout: []byte(r.terminal.stdout.String()), Files: map[string][]byte{}, Steady: !r.terminal.world.jumped,
		}
		for name, content := range r.files.files {
			seen.Files[name] = []byte(content)
		}
		if err := check(seen); err != nil {
			return Result{}, err
		}
	}
	normal := r.program.Normal
	if normal == nil {
		normal = func(s string) string { return s }
	}
	files := maps.Clone(r.files.files)
	for name, content := range files {
		files[name] = normal(content)
	}
	return Result{
		Stdout: normal(r.terminal.stdout.String()), Stderr: normal(r.terminal.stderr.String()),
		Exit: exit(r.outcome), Files: files,
	}, nil
}

// terminal is where a worker's output is seen. It outlives processes, and
// knows up to where it has been told.
type terminal struct {
	world          *World
	room           *room
	shown          oplog.Index
	stdout, stderr strings.Builder
}

// show is where output becomes visible: from here on it must never be lost.
func (t *terminal) show(index oplog.Index, stream oplog.Stream, p []byte) error {
	if t.world.sim.Crashed() {
		return fmt.Errorf("show entry %d: the process has crashed", index)
	}
	if index <= t.shown {
		return t.world.broken("%s: entry %d is shown again", t.room.program.Name, index)
	}
	t.world.note("%s shows entry %d, %s %q", t.room.program.Name, index, stream, p)
	t.shown = index
	t.room.history.shown(index, stream, p)
	if stream == oplog.Stderr {
		t.stderr.Write(p)
	} else {
		t.stdout.Write(p)
	}
	return nil
}
