package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// Launch is a program to run to its end as a worker, or to go on with.
type Launch struct {
	Worker  id.Worker
	Program []byte
	Args    []string
	Env     []string
	Dirs    []oplog.Dir // without their trees
	Memory  uint64
	Storage uint64
	Files   uint64

	// Net says what the program's sockets may do.
	Net api.Net
	// HTTP says what its requests may do, in this run.
	HTTP api.HTTP

	Input ambient.Input
	// Show is where output becomes visible, from the entry behind Shown on.
	Show  Show
	Shown oplog.Index
	// Started, if set, hears how the run begins, before the program acts.
	Started func(*oplog.Status)
}

// Outcome is how a run ended.
type Outcome struct {
	Exited   *oplog.Exited // one of the two is set
	Error    *oplog.Error
	Finished bool          // it had ended before
	Replayed uint64        // entries
	Recorded uint64        // entries
	Recovery time.Duration // until the program was where it had been
}

// Run runs the worker until its program ends. When ctx is done first, the
// program is stopped where it is, the worker can be run again, and Run returns
// the cause, with the figures of the outcome.
func (rt *Runtime) Run(ctx context.Context, l Launch) (*Outcome, error) {
	status, err := oplog.ReadStatus(ctx, rt.Store.Logs(), l.Worker)
	if errors.Is(err, oplog.ErrNoWorker) {
		status, err = nil, nil
	}
	if err == nil && status != nil {
		err = l.matches(&status.Create)
	}
	if err != nil {
		return nil, err
	}
	if l.Started != nil {
		l.Started(status)
	}
	if status != nil {
		if err := rt.showBacklog(ctx, l, status.Last); err != nil {
			return nil, err
		}
		if status.Ended() {
			return &Outcome{Exited: status.Exited, Error: status.Error, Finished: true}, nil
		}
	}
	program, err := rt.compile(ctx, l.Program)
	if err != nil {
		return nil, err
	}
	r := &run{rt: rt, launch: l, program: program, began: rt.Sched.Monotonic()}
	outcome, err := r.run(ctx, status)
	return outcome, errors.Join(err, program.Close())
}

// matches says how l differs from what the worker was created with.
func (l *Launch) matches(c *oplog.Create) error {
	differ := func(what string, had, have any) error {
		return &MismatchError{l.Worker, what, fmt.Sprint(had), fmt.Sprint(have)}
	}
	program := storage.Hash(sha256.Sum256(l.Program))
	sameDir := func(a, b oplog.Dir) bool { return a.Host == b.Host && a.Guest == b.Guest }
	switch {
	case program != c.Program:
		return differ("program", c.Program, program)
	case !slices.Equal(l.Args, c.Args):
		return differ("arguments", fmt.Sprintf("%q", c.Args), fmt.Sprintf("%q", l.Args))
	case !slices.Equal(l.Env, c.Env):
		return differ("environment", fmt.Sprintf("%q", c.Env), fmt.Sprintf("%q", l.Env))
	case !slices.EqualFunc(l.Dirs, c.Dirs, sameDir):
		return differ("directories", showDirs(c.Dirs), showDirs(l.Dirs))
	case l.Memory != c.Memory || l.Storage != c.Storage || l.Files != c.Files:
		return differ("limits", fmt.Sprintf("%d bytes of memory, %d of storage, %d files", c.Memory, c.Storage, c.Files),
			fmt.Sprintf("%d, %d and %d", l.Memory, l.Storage, l.Files))
	}
	return nil
}

func showDirs(dirs []oplog.Dir) string {
	shown := make([]string, len(dirs))
	for i, d := range dirs {
		shown[i] = d.Host + "::" + d.Guest
	}
	return fmt.Sprintf("%q", shown)
}

// showBacklog shows what was recorded and perhaps not seen by anyone.
func (rt *Runtime) showBacklog(ctx context.Context, l Launch, last oplog.Index) error {
	if l.Shown >= last {
		return nil
	}
	for entry, err := range oplog.Read(ctx, rt.Store.Logs(), l.Worker, l.Shown+1, last) {
		if err != nil {
			return err
		}
		if log, ok := entry.Body.(*oplog.Log); ok {
			if err := l.Show(entry.Index, log.Stream, log.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaying tells how far a program is on the way back to where it was.
func (rt *Runtime) replaying(done float64) {
	if rt.Progress != nil {
		rt.Progress("replaying", done)
	}
}

// run is one instance's time, from its start to the program's end.
type run struct {
	rt      *Runtime
	launch  Launch
	program *catalog.Compiled
	began   time.Duration
	live    time.Duration // when replay was over
	writer  *oplog.Writer
	shower  *shower
	session *durable.Session
	input   *rewindable
	regions
}

func (r *run) run(ctx context.Context, status *oplog.Status) (*Outcome, error) {
	create, last := (*oplog.Create)(nil), oplog.Index(0)
	err := r.recall(ctx, status)
	if status != nil {
		create, last = &status.Create, status.Last
	} else if create, err = r.create(ctx); err != nil {
		err = fmt.Errorf("create %s: %w", r.launch.Worker, err)
	}
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.writer = r.rt.Committer.NewWriter(r.launch.Worker, last)
	r.shower = newShower(r.rt.Sched, r.writer, r.launch.Show, stop)
	if last > 0 {
		r.rt.replaying(0)
	}
	r.input = &rewindable{Input: r.launch.Input}
	outcome := &Outcome{}
	r.open(ctx, last)
	err = r.execute(ctx, create, last == 0, outcome)
	outcome.Replayed = r.session.Replayed()
	for back, ok := goesBack(ctx, err); ok; back, ok = goesBack(ctx, err) {
		err = r.goBack(ctx, back, create, outcome)
	}
	outcome.Recorded, outcome.Recovery = r.writer.Last()-last, max(0, r.live-r.began)
	// Whatever happened, what was recorded so far is worth keeping, and what is
	// durable is to be seen.
	if commitErr := r.writer.Commit(context.WithoutCancel(ctx)); err == nil {
		err = commitErr
	}
	if showErr := r.shower.close(); err == nil {
		err = showErr
	}
	return outcome, err
}

// open begins a session that replays entries up to last.
func (r *run) open(ctx context.Context, last oplog.Index) {
	r.session = durable.NewSession(ctx, durable.Config{
		Worker: r.launch.Worker,
		Cursor: oplog.NewCursor(r.rt.Store.Logs(), r.launch.Worker, 2, last),
		Writer: r.writer,
		Skip:   r.skip(last),
		Live: func() error {
			if r.live == 0 {
				r.live = r.rt.Sched.Monotonic()
				r.rt.replaying(1)
			}
			return nil
		},
		Recorded: func(index oplog.Index, stream oplog.Stream, p []byte) error {
			return r.shower.add(ctx, index, stream, p)
		},
	})
}

// create makes a new worker's first entry.
func (r *run) create(ctx context.Context) (*oplog.Create, error) {
	l, blobs := &r.launch, r.rt.Store.Blobs()
	c := &oplog.Create{
		At: oplog.At(r.rt.Sched.Now()), Epoch: r.rt.Committer.Epoch(), Args: l.Args, Env: l.Env,
		Dirs: slices.Clone(l.Dirs), Memory: l.Memory, Storage: l.Storage, Files: l.Files,
	}
	if err := r.rt.Entropy(c.Seed[:]); err != nil {
		return nil, fmt.Errorf("draw a seed: %w", err)
	}
	var err error
	if c.Program, _, err = blobs.Put(ctx, bytes.NewReader(l.Program)); err != nil {
		return nil, fmt.Errorf("keep the program: %w", err)
	}
	for i := range c.Dirs {
		if c.Dirs[i].Tree, err = hostdir.Record(ctx, r.rt.Directories, blobs, c.Dirs[i].Host); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// begin says in the oplog that this owner runs the worker now.
func (r *run) begin(ctx context.Context, create *oplog.Create, fresh bool) error {
	var first oplog.Body = create
	if !fresh {
		first = &oplog.Recovered{At: oplog.At(r.rt.Sched.Now()), Epoch: r.rt.Committer.Epoch()}
	}
	_, err := r.writer.Append(ctx, first)
	if err == nil {
		err = r.repeatRegion(ctx)
	}
	r.writer.Request()
	return err
}

// execute builds the instance, runs it and records how it ended.
func (r *run) execute(ctx context.Context, create *oplog.Create, fresh bool, outcome *Outcome) error {
	p, err := r.build(ctx, create)
	if err != nil {
		return err
	}
	defer p.close()
	if err := r.begin(ctx, create, fresh); err != nil {
		return err
	}
	return r.main(ctx, p, outcome)
}

func (r *run) build(ctx context.Context, create *oplog.Create) (*process, error) {
	l := r.launch
	l.Input = r.input
	p, err := r.rt.build(ctx, r.program, create, r.session, l)
	if err == nil {
		p.own.Control = r
	}
	return p, err
}

// main runs the program and records how it ended.
func (r *run) main(ctx context.Context, p *process, outcome *Outcome) error {
	code, err := p.main(ctx)
	var trap *wasm.Trap
	switch {
	case err == nil:
		outcome.Exited = &oplog.Exited{Code: uint64(code)}
		err = r.finish(ctx, p, outcome)
	case errors.As(err, &trap):
		outcome.Error = &oplog.Error{Reason: trap.Reason, Stack: trap.Stack}
		err = r.finish(ctx, p, outcome)
	}
	if err != nil {
		return r.interrupted(ctx, err)
	}
	return nil
}

// finish settles the program's files and records its end, durably.
func (r *run) finish(ctx context.Context, p *process, o *Outcome) error {
	files, err := p.settle(ctx)
	if err != nil {
		return err
	}
	if err := r.session.End(); err != nil {
		return err
	}
	at := oplog.At(r.rt.Sched.Now())
	var last oplog.Body
	if o.Exited != nil {
		o.Exited.At, o.Exited.Files = at, files
		last = o.Exited
	} else {
		o.Error.At, o.Error.Files = at, files
		last = o.Error
	}
	if _, err := r.writer.Append(ctx, last); err != nil {
		return err
	}
	return r.writer.Commit(context.WithoutCancel(ctx))
}

// interrupted records that the run was stopped on purpose, if it was.
func (r *run) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	_, appendErr := r.writer.Append(context.WithoutCancel(ctx), &oplog.Interrupted{At: oplog.At(r.rt.Sched.Now()), Reason: cause.Error()})
	return errors.Join(cause, appendErr)
}
