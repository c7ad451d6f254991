// Package worker is the life of a worker: created, run, killed, recovered,
// ended. A worker is its oplog; what runs is an instance that the oplog can
// build again at any time. The package hides which of a run is replay.
package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// Runtime is what workers run on.
type Runtime struct {
	Sched       sched.Scheduler
	Store       storage.Store
	Committer   *oplog.Committer // nil where nothing may be written
	Engine      *wasm.Engine
	WASI        *wasm.Host // wasip1.Module
	Directories hostdir.Host
	Entropy     func([]byte) error // for the seeds of new workers
	// Progress hears of work that somebody waits for: a stage, and 0 to 1.
	Progress func(stage string, done float64)
}

// entryPoint is the export that runs a program (WASI 0.1, "command").
const entryPoint = "_start"

// ErrProgram refuses what cannot be run as a program, whatever the world does.
var ErrProgram = errors.New("this module cannot be run")

var (
	errNotCommand = fmt.Errorf(`%w: it exports no "_start": it is a library, not a program; build it as a command, or deploy it to a server (waterbear deploy)`, ErrProgram)
	errEntryPoint = fmt.Errorf(`%w: its "_start" takes or returns values, and that of a program does not; build it as a command`, ErrProgram)
)

// MismatchError refuses to go on with a worker that was created otherwise.
type MismatchError struct {
	Worker    id.Worker
	What      string // "program", "arguments", "environment", "directories", "limits"
	Had, Have string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s was created with other %s: it had %s, not %s", e.Worker, e.What, e.Had, e.Have)
}

// refused says that err is the program's fault, unless ctx ended the attempt.
func refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrProgram, err)
}

// compile makes a module of a program.
func (rt *Runtime) compile(ctx context.Context, program []byte) (*wasm.Module, error) {
	m, err := rt.Engine.Compile(ctx, program, rt.Progress)
	if err != nil {
		return nil, refused(ctx, err)
	}
	for _, e := range m.Exports() {
		if e.Name != entryPoint {
			continue
		}
		if len(e.Params)+len(e.Results) > 0 {
			return nil, errors.Join(errEntryPoint, m.Close())
		}
		return m, nil
	}
	return nil, errors.Join(errNotCommand, m.Close())
}
