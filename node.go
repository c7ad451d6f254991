package waterbear

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/waterbear-run/waterbear/internal/host/live"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// runComponent is the component of workers that `run` makes, which have no
// deployed program.
const runComponent = "run"

// shard is the one shard of a node without a cluster.
const shard = id.Shard(0)

// Node is an open state directory and what runs on it.
type Node struct {
	options Options
	disk    vfs.FS
	sched   sched.Scheduler
	store   storage.Store
	runtime worker.Runtime
	sockets *live.Sockets
	http    *live.HTTP // nil before a program is needed

	platform *Platform // nil if the options do not ask for it

	mu       sync.Mutex         // guards the making of runtime.Engine, claimed and sweeping
	claimed  map[id.Worker]bool // by calls under way
	sweeping bool               // nobody may claim a worker, for what it keeps would be swept away
	swept    sched.Condition    // those who want to claim one wait here
	close    sync.Once
	closed   error
}

// Open opens the state directory, taking it for this process unless it is to be
// read only. The error says what to do if another process has it, a newer
// waterbear wrote it, or it cannot be written.
func Open(ctx context.Context, o Options) (*Node, error) {
	if o.Dir == "" {
		return nil, errNoDir
	}
	n := &Node{options: o, disk: vfs.OS(), sched: sched.NewGoroutines(), claimed: map[id.Worker]bool{}}
	n.swept = n.sched.NewCondition()
	var err error
	if o.ReadOnly {
		n.store, err = local.OpenReadOnly(ctx, n.disk, o.Dir)
	} else {
		n.store, err = local.Open(ctx, n.disk, o.Dir, local.Options{Progress: func(done float64) { n.progress("indexing", done) }})
	}
	if err != nil {
		return nil, fmt.Errorf("open state directory %s: %w", o.Dir, err)
	}
	n.runtime = worker.Runtime{
		Sched: n.sched, Store: n.store, Directories: live.Directories{}, Progress: n.progress,
		Entropy: func(p []byte) error {
			_, err := rand.Read(p)
			return err
		},
	}
	n.sockets = live.NewSockets(n.sched)
	n.runtime.Sockets = n.sockets
	if !o.ReadOnly {
		if err := n.take(ctx); err != nil {
			return nil, errors.Join(err, n.store.Close())
		}
	}
	return n, nil
}

// take makes the node the owner of what is stored, and begins to look after it.
func (n *Node) take(ctx context.Context) (err error) {
	if n.options.Platform == nil {
		n.runtime.Committer, err = oplog.NewCommitter(ctx, n.sched, n.store.Logs(), shard)
		return err
	}
	n.runtime.Committer, err = oplog.NewCommitter(ctx, n.sched, n.store.Logs(), shard, oplog.Retry)
	if err != nil {
		return err
	}
	if err = n.openPlatform(ctx); err != nil {
		return errors.Join(fmt.Errorf("open the platform: %w", err), n.runtime.Committer.Close())
	}
	return nil
}

var errNoDir = errors.New("open a state directory: Options.Dir does not name one")

func (n *Node) progress(stage string, done float64) {
	if n.options.Progress != nil {
		n.options.Progress(Progress{stage, done})
	}
}

// engine makes the WebAssembly engine when a program is first needed: reading
// commands do without.
func (n *Node) engine(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.runtime.Engine != nil {
		return nil
	}
	config := wasm.Config{CacheDir: filepath.Join(n.options.Dir, "cache")}
	if n.options.Platform != nil {
		config.MaxMemory, config.Tracker = n.options.Platform.MaxMemory, wasm.Tracker(n.options.Platform.Tracker)
	}
	engine, err := wasm.New(ctx, config)
	if err != nil {
		return err
	}
	hosts, err := engine.Hosts(append(platform.Modules(), wasip1.Module())...)
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	n.http = live.NewHTTP(n.sched)
	n.runtime.HTTP = n.http
	n.runtime.Engine, n.runtime.Hosts, n.runtime.Interfaces = engine, hosts, append(wasip2.Interfaces(), platform.Interfaces()...)
	return nil
}

// Close makes what was recorded durable and gives the state directory back. No
// call may be under way. It may be called twice.
func (n *Node) Close() error {
	n.close.Do(func() {
		if n.platform != nil {
			n.closed = n.platform.close()
		}
		n.sockets.Close() // what was sent may still be waiting for its commit
		if n.http != nil {
			n.http.Close()
		}
		if n.runtime.Committer != nil {
			n.closed = errors.Join(n.closed, n.runtime.Committer.Close())
		}
		if n.runtime.Engine != nil {
			n.closed = errors.Join(n.closed, n.runtime.Engine.Close())
		}
		n.closed = errors.Join(n.closed, n.store.Close())
	})
	return n.closed
}

// workerID is the worker that people call name.
func workerID(name string) (id.Worker, error) {
	if component, _, ok := strings.Cut(name, "/"); ok {
		return id.Worker{}, fmt.Errorf("%w: %q is the name of a server's worker, and this is about durable processes; `waterbear worker --help` has the commands for workers of %s", id.ErrName, name, component)
	}
	w := id.Worker{Component: runComponent, Name: name}
	return w, w.Check()
}

// status reads what the oplog says of a worker, or ErrNoWorker.
func (n *Node) status(ctx context.Context, name string) (*oplog.Status, error) {
	w, err := workerID(name)
	if err != nil {
		return nil, err
	}
	s, err := oplog.ReadStatus(ctx, n.store.Logs(), w)
	if errors.Is(err, oplog.ErrNoWorker) {
		err = noWorker(w)
	}
	return s, err
}

// extent is the status of a worker whose oplog is too damaged to tell more.
func (n *Node) extent(ctx context.Context, name string) (*oplog.Status, error) {
	w, err := workerID(name)
	if err != nil {
		return nil, err
	}
	_, last, err := n.store.Logs().Bounds(ctx, w)
	return &oplog.Status{Worker: w, Last: last}, err
}

func noWorker(w id.Worker) error {
	return fmt.Errorf("%w: %s; `waterbear ps` lists those there are", ErrNoWorker, w.Name)
}

// claim takes a worker for one call of Run or Delete.
func (n *Node) claim(ctx context.Context, w id.Worker) error {
	busy := false
	err := n.swept.Wait(ctx, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.sweeping {
			return false
		}
		busy = n.claimed[w]
		n.claimed[w] = true
		return true
	})
	if err == nil && busy {
		err = fmt.Errorf("%w: %s", ErrBusy, w.Name)
	}
	return err
}

func (n *Node) release(w id.Worker) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.claimed, w)
}

// beginSweep keeps everyone from claiming a worker, unless somebody else than
// the caller has one.
func (n *Node) beginSweep() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sweeping || len(n.claimed) > 1 {
		return false
	}
	n.sweeping = true
	return true
}

func (n *Node) endSweep() {
	n.mu.Lock()
	n.sweeping = false
	n.mu.Unlock()
	n.swept.Wake()
}

// Workers lists the durable processes, by name.
func (n *Node) Workers(ctx context.Context) ([]Worker, error) {
	var all []Worker
	for w, err := range n.store.Logs().Workers(ctx, id.Worker{Component: runComponent}) {
		if err != nil {
			return nil, err
		}
		if w.Component != runComponent {
			break // those of deployed components
		}
		s, err := oplog.ReadStatus(ctx, n.store.Logs(), w)
		if damaged(err) {
			all = append(all, Worker{Name: w.Name, Status: Failed, Reason: err.Error()})
			continue
		}
		if err != nil {
			return nil, err
		}
		v, err := n.view(ctx, s)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Worker tells of one worker all that its oplog says.
func (n *Node) Worker(ctx context.Context, name string) (Worker, error) {
	s, err := n.status(ctx, name)
	if damaged(err) {
		reason := err.Error()
		s, err = n.extent(ctx, name)
		return Worker{Name: name, Status: Failed, Reason: reason, Entries: s.Last}, err
	}
	if err != nil {
		return Worker{}, err
	}
	v, err := n.view(ctx, s)
	if err != nil {
		return Worker{}, err
	}
	if err := n.describe(ctx, s, &v); err != nil {
		return Worker{}, err
	}
	return v, nil
}

// view makes what people see of a status.
func (n *Node) view(ctx context.Context, s *oplog.Status) (Worker, error) {
	c := &s.Create
	v := Worker{
		Name: s.Worker.Name, Program: c.Program.String(), Args: c.Args, Env: c.Env,
		Limits:  Limits{Memory: c.Memory, Storage: c.Storage, Files: int(c.Files)},
		Created: c.At.Time(), Changed: s.Changed.Time(), Entries: s.Last,
		Mode: "replay: recovery runs the program again from its start, and takes what it observed from the oplog",
	}
	for _, d := range c.Dirs {
		v.Dirs = append(v.Dirs, Dir{d.Host, d.Guest})
	}
	switch {
	case s.Exited != nil:
		code := int(s.Exited.Code)
		v.Status, v.ExitCode, v.Reason = Exited, &code, fmt.Sprintf("the program exited with code %d", code)
	case s.Error != nil:
		v.Status, v.Reason = Failed, s.Error.Reason
	default:
		running, err := n.running(ctx, s)
		if err != nil {
			return v, err
		}
		switch {
		case running:
			v.Status, v.Reason = Running, "a process is running it"
		case s.Interrupted != nil:
			v.Status, v.Reason = Interrupted, s.Interrupted.Reason
		default:
			v.Status, v.Reason = Interrupted, "its process was killed, or lost power; run it again to resume"
		}
	}
	return v, nil
}

// refresh lets a node that only reads see what was appended since.
func (n *Node) refresh(ctx context.Context) error {
	if store, ok := n.store.(*local.Store); ok && n.options.ReadOnly {
		return store.Refresh(ctx)
	}
	return nil
}

// running reports whether a process runs the worker: the one that has the state
// directory, if the worker was last run by it.
func (n *Node) running(ctx context.Context, s *oplog.Status) (bool, error) {
	if !n.options.ReadOnly {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.claimed[s.Worker], nil
	}
	locked, err := n.disk.Locked(filepath.Join(n.options.Dir, local.LockName))
	if err != nil || !locked {
		return false, err
	}
	newest, err := n.store.Logs().Epoch(ctx, shard)
	if err != nil {
		return false, err
	}
	owner, err := s.Owner(ctx, n.store.Logs())
	if damaged(err) {
		err = nil // the newest that is known
	}
	return newest == owner, err
}
