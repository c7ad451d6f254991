package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// module and component are what the workers of a Platform are of, a core module
// and a component that keeps resources between two calls, and asker a module that
// waits for promises. ephemeral is the name
// of those whose invocations have an instance each.
const (
	module    = "kit"
	component = "keeper"
	asker     = "asker"
	ephemeral = "ephemeral"
)

// Guests are the programs of a Platform by their names, kit, keeper and asker.
type Guests map[string][]byte

// node is a process that looks after the workers of some programs.
type node struct {
	committer *oplog.Committer
	catalog   *catalog.Catalog
	agenda    *agenda.Agenda
	workers   *worker.Workers
}

// service is what clients use of a node.
type service interface {
	Create(ctx context.Context, w id.Worker, n api.NewWorker) (created bool, err error)
	Invoke(context.Context, id.Worker, api.Call) (api.Invocation, error)
	Invocation(ctx context.Context, w id.Worker, key string, wait bool) (api.Invocation, error)
	Cancel(ctx context.Context, w id.Worker, key string) (api.Invocation, error)
	Interrupt(ctx context.Context, w id.Worker, reason string) error
	Resume(ctx context.Context, w id.Worker) error
	Retry(ctx context.Context, w id.Worker) error
	Delete(ctx context.Context, w id.Worker) error
	Promises(ctx context.Context, w id.Worker) ([]api.Promise, error)
	SettlePromise(context.Context, id.Promise, api.Settlement) (api.Promise, error)
}

// bounds are what a node may take: little, so that all of it is reached.
type bounds struct {
	instances, running, residents int
	idleAfter, suspendAfter, stay time.Duration
	imageAfter                    time.Duration // as worker.Config has it
	imageSize                     uint64        // as api.Images has it
	queue                         uint64
	retention                     api.Retention
	cutAfter                      uint64        // as worker.Config has it
	grain                         time.Duration // of its timers, if not 0
	unverified                    bool          // nothing is compared with replay
	adjust                        func(*worker.Config)
}

// open wires a node as the root package does, and deploys what is not there
// yet. A node that could not be opened is closed all the same.
func (n *node) open(m *machine, store storage.Store, guests Guests, b bounds, entropy func([]byte) error) (err error) {
	ctx := context.Background()
	var s sched.Scheduler = m.sim
	if b.grain > 0 {
		s = drowsy{m.sim, b.grain}
	}
	if n.committer, err = oplog.NewCommitter(ctx, s, store.Logs(), 0, oplog.Retry); err != nil {
		return err
	}
	n.catalog, err = catalog.Open(ctx, catalog.Config{
		Sched: s, Cells: store.Cells(), Blobs: store.Blobs(), Engine: m.host.Engine, Hosts: m.host.Hosts,
		Interfaces: append(wasip2.Interfaces(), platform.Interfaces()...),
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(guests)) {
		if _, err := n.catalog.Deploy(ctx, name, guests[name], nil); err != nil {
			return err
		}
	}
	if n.agenda, err = agenda.Open(ctx, agenda.Config{Sched: s, Logs: store.Logs(), Committer: n.committer}); err != nil {
		return err
	}
	if err := n.rebuild(ctx, m, store, guests); err != nil {
		return err
	}
	config := worker.Config{
		Runtime: worker.Runtime{
			Sched: s, Store: store, Committer: n.committer, Engine: m.host.Engine, Hosts: m.host.Hosts, Entropy: entropy,
		},
		Catalog: n.catalog, Agenda: n.agenda,
		Defaults: api.Settings{
			Limits: api.Limits{
				Memory: memoryLimit, Storage: storageLimit, Files: filesLimit, CPUTime: api.Duration(time.Minute),
				LogRate: 1 << 20, OplogRate: 8 << 20, Queue: b.queue,
			},
			Retention: b.retention,
			Retry:     api.Retry{Attempts: 3, Initial: api.Duration(time.Millisecond), Max: api.Duration(time.Second), Factor: 2, Jitter: 0.5},
			Images:    api.Images{Size: b.imageSize},
		},
		MaxInstances: b.instances, MaxRunning: b.running, MaxResident: b.residents,
		IdleAfter: b.idleAfter, SuspendAfter: b.suspendAfter, Stay: b.stay, CutAfter: b.cutAfter, ImageAfter: b.imageAfter,
		Verify: func(w id.Worker, err error) {
			if errors.Is(err, worker.ErrDiffers) {
				_ = m.broken("%s: %w", w, err)
			}
		},
	}
	if b.unverified {
		config.Verify = nil
	}
	if b.adjust != nil {
		b.adjust(&config)
	}
	n.workers = worker.NewWorkers(config)
	return nil
}

// rebuild makes an agenda anew that could not be read, as the root package does.
func (n *node) rebuild(ctx context.Context, m *machine, store storage.Store, guests Guests) error {
	damage := n.agenda.Damaged()
	switch {
	case damage == nil:
		return nil
	case !m.present.mayFail():
		return m.broken("the agenda is damaged: %w", damage)
	}
	for w, err := range store.Logs().Workers(ctx, id.Worker{}) {
		if err != nil {
			return err
		}
		if guests[w.Component] != nil {
			n.agenda.Set(w, 1)
		}
	}
	n.agenda.Rebuilt()
	return nil
}

// close ends a node once its invocations have had until grace is done.
func (n *node) close(grace context.Context) (err error) {
	if n.workers != nil {
		n.workers.Close(grace)
	}
	if n.agenda != nil {
		n.agenda.Close()
	}
	if n.committer != nil {
		err = n.committer.Close()
	}
	if n.catalog != nil {
		err = errors.Join(err, n.catalog.Close())
	}
	if err != nil {
		return fmt.Errorf("close the node: %w", err)
	}
	return nil
}

// closeNow is close without grace.
func (n *node) closeNow() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return n.close(now)
}

// bury frees what a node has of this process once the simulated one has
// crashed: instances and code. It must not park.
func (n *node) bury() error {
	if n.workers != nil {
		n.workers.Abandon()
	}
	if n.catalog != nil {
		return n.catalog.Close()
	}
	return nil
}
