package waterbear

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// The limits of workers that ask for none.
const (
	DefaultMemory  = 1 << 30
	DefaultStorage = 1 << 30
	DefaultFiles   = 1024
)

// MismatchError refuses to resume a worker by a command that differs from the
// one that made it.
type MismatchError = worker.MismatchError

// ErrProgram refuses a program that cannot be run at all: it is no valid
// module or component, or needs what Waterbear does not have.
var ErrProgram = worker.ErrProgram

// Run runs a program as a durable process until it ends: from its start, or
// from where it was if it did not end before. A program that has ended is not
// run again; Run tells how it ended. Canceling ctx stops it so that it can be
// resumed; Run then returns ctx's cause, and the figures of the run so far.
func (n *Node) Run(ctx context.Context, c Command) (Exit, error) {
	if n.options.ReadOnly {
		return Exit{}, errReadOnly
	}
	if err := catalog.CheckSettings("command", api.Settings{HTTP: c.HTTP}); err != nil {
		return Exit{}, err
	}
	w, err := workerID(c.Name)
	if err != nil {
		return Exit{}, err
	}
	if err := n.claim(ctx, w); err != nil {
		return Exit{}, err
	}
	defer n.release(w)
	dirs, err := directories(c.Dirs)
	if err != nil {
		return Exit{}, err
	}
	if c.Fresh {
		if err := n.delete(ctx, w); err != nil && !errors.Is(err, ErrNoWorker) {
			return Exit{}, err
		}
	}
	if err := n.engine(ctx); err != nil {
		return Exit{}, err
	}
	seen, err := openSeen(n.disk, n.options.Dir, w)
	if err != nil {
		return Exit{}, err
	}
	input := live.NewInput(n.sched, c.Stdin, c.StdinContinues)
	defer input.Close()
	began := n.sched.Monotonic()
	outcome, err := n.runtime.Run(ctx, worker.Launch{
		Worker: w, Program: c.Program, Args: c.Args, Env: c.Env, Dirs: dirs,
		Memory: or(c.Memory, DefaultMemory), Storage: or(c.Storage, DefaultStorage), Files: uint64(or(c.Files, DefaultFiles)),
		Net:   c.Net,
		HTTP:  worker.Merge(api.Settings{HTTP: c.HTTP}, DefaultSettings()).HTTP,
		Input: input, Shown: seen.index,
		Show: func(index oplog.Index, stream oplog.Stream, p []byte) error {
			if err := write(c, stream, p); err != nil {
				return err
			}
			return seen.mark(index)
		},
		Started: func(s *oplog.Status) {
			if c.Started != nil {
				c.Started(start(s))
			}
		},
	})
	if closeErr := seen.close(); err == nil {
		err = closeErr
	}
	if errors.Is(err, storage.ErrFull) {
		err = fmt.Errorf("%w; free some space and run %s again: it resumes where it was", err, w.Name)
	}
	exit := Exit{}
	if outcome != nil {
		exit = exitOf(outcome)
	}
	exit.Stats.Total = n.sched.Monotonic() - began
	return exit, err
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// directories names the host's directories absolutely: a worker goes on with
// the same ones wherever its next process is started.
func directories(dirs []Dir) ([]oplog.Dir, error) {
	all := make([]oplog.Dir, len(dirs))
	for i, d := range dirs {
		host, err := filepath.Abs(d.Host)
		if err != nil {
			return nil, fmt.Errorf("show directory %s: %w", d.Host, err)
		}
		all[i] = oplog.Dir{Host: host, Guest: d.Guest}
	}
	return all, nil
}

func start(s *oplog.Status) Start {
	if s == nil {
		return Start{}
	}
	return Start{Resumed: !s.Ended(), Finished: s.Ended(), Entries: s.Last}
}

func exitOf(o *worker.Outcome) Exit {
	e := Exit{Finished: o.Finished, Stats: Stats{Replayed: o.Replayed, Recorded: o.Recorded, Recovery: o.Recovery}}
	switch {
	case o.Exited != nil:
		e.Code = int(o.Exited.Code)
	case o.Error != nil:
		e.Code, e.Failure = ExitTrap, o.Error.Reason
	}
	return e
}

// write shows a piece of output to who ran the program.
func write(c Command, stream oplog.Stream, p []byte) error {
	out := c.Stdout
	if stream == oplog.Stderr {
		out = c.Stderr
	}
	if out == nil {
		return nil
	}
	if _, err := out.Write(p); err != nil {
		return fmt.Errorf("write to %s: %w", stream, err)
	}
	return nil
}

var errReadOnly = errors.New("the state directory was opened for reading only")
