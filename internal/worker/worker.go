// Package worker is the life of a worker: created, run, killed, recovered,
// ended. A worker is its oplog; what runs is an instance that the oplog can
// build again at any time. The package hides which of a run is replay.
package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/host/socket"
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
	Hosts       []*wasm.Host               // what core modules may import
	Interfaces  []*component.HostInterface // what components may import
	Directories hostdir.Host
	HTTP        exchange.Client    // nil: programs cannot send requests
	Buckets     *keyvalue.Store    // nil: there are none
	Containers  *blobstore.Store   // nil: there are none
	Config      *config.Sources    // configuration and secrets; nil: there are none
	Sockets     socket.Network     // nil: programs have no sockets
	Entropy     func([]byte) error // for the seeds of new workers
	// Progress hears of work that somebody waits for: a stage, and 0 to 1.
	Progress func(stage string, done float64)
}

// entryPoint is the export that runs a core module (WASI 0.1, "command").
const entryPoint = "_start"

// ErrProgram refuses what cannot be run as a program, whatever the world does.
var ErrProgram = errors.New("this program cannot be run")

var (
	errNotCommand = fmt.Errorf(`%w: it exports no "_start": it is a library, not a program; build it as a command, or deploy it to a server (waterbear deploy)`, ErrProgram)
	errEntryPoint = fmt.Errorf(`%w: its "_start" takes or returns values, and that of a program does not; build it as a command`, ErrProgram)
	errNotRun     = fmt.Errorf(`%w: it exports no wasi:cli/run: it is a library, not a program; build it as a command, or deploy it to a server (waterbear deploy)`, ErrProgram)
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

// compile makes the code of a program, which must be a command.
func (rt *Runtime) compile(ctx context.Context, program []byte) (*catalog.Compiled, error) {
	c, err := catalog.Compile(ctx, rt.Engine, rt.Interfaces, program, rt.Progress)
	if err != nil {
		return nil, refused(ctx, err)
	}
	if err := checkCommand(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// checkCommand refuses what has no entry point.
func checkCommand(c *catalog.Compiled) error {
	if c.Component != nil {
		if c.RunExport() == "" {
			return errNotRun
		}
		if calls := c.Component.Foreign(); len(calls) > 0 {
			return fmt.Errorf("%w: it calls %s of another component, which there is on a server only (waterbear deploy)", ErrProgram, calls[0].Name)
		}
		return nil
	}
	for _, e := range c.Module.Exports() {
		if e.Name != entryPoint {
			continue
		}
		if len(e.Params)+len(e.Results) > 0 {
			return errEntryPoint
		}
		return nil
	}
	return errNotCommand
}
