package waterbear

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/access"
	"github.com/waterbear-run/waterbear/internal/agenda"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/gateway"
	"github.com/waterbear-run/waterbear/internal/host/blobstore"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/keyvalue"
	"github.com/waterbear-run/waterbear/internal/host/once"
	"github.com/waterbear-run/waterbear/internal/host/reach"
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/ledger"
	"github.com/waterbear-run/waterbear/internal/routes"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/worker"
)

// PlatformOptions say how a node looks after the workers of deployed
// components. A zero field means its default.
type PlatformOptions struct {
	// MaxInstances bounds the instances in memory, MaxMemory their linear
	// memories together, in bytes, and MaxRunning how many compute at once.
	MaxInstances int
	MaxMemory    uint64
	MaxRunning   int
	// IdleAfter is how long an instance stays in memory with nothing to do, and
	// SuspendAfter the wait for which it leaves memory in the middle of an
	// invocation.
	IdleAfter    time.Duration
	SuspendAfter time.Duration
	// ImageAfter is how long replaying a worker may have become, by an estimate,
	// before its state is saved so that it need not be; a larger memory makes it
	// longer. Negative: its state is never saved.
	ImageAfter time.Duration
	// Tracker is how changes of workers' memories are found: one of Trackers, or
	// "" for the best that works here. All give the same result.
	Tracker string
	// Defaults are the settings of workers whose component has none.
	Defaults api.Settings
	// PublicURL is where clients reach the REST interface, without a slash at its
	// end: what webhooks of programs begin with. Without it they are paths.
	PublicURL string
	// Config and Secrets are where programs' configuration and secrets come from:
	// dir:PATH, env:PREFIX, or the address of an HTTP service. The last that has a
	// value counts.
	Config, Secrets []string
	// SecretsKey is the file with the key that secrets are kept under, which is
	// made if it is missing: secrets.key in the state directory by default.
	SecretsKey string
	// Grace is how long Close lets invocations go on before it stops them
	// where they are.
	Grace time.Duration
	Log   *slog.Logger
}

// The defaults of PlatformOptions.
const (
	DefaultMaxInstances = 4096
	DefaultMaxRunning   = 64
	DefaultIdleAfter    = time.Minute
	DefaultSuspendAfter = 5 * time.Second
	DefaultImageAfter   = 10 * time.Millisecond
)

// Trackers are the ways to find changes of memories, best first.
func Trackers() []string {
	var names []string
	for _, t := range wasm.Trackers() {
		names = append(names, string(t))
	}
	return names
}

// DefaultShared is how many bytes a component may have in its buckets and containers
// where nobody says otherwise.
const DefaultShared = 10 << 30

// maxResident is how many workers a node has in mind at once.
const maxResident = 100_000

// DefaultSettings are the settings of workers where nobody has set any.
func DefaultSettings() api.Settings {
	return api.Settings{
		Limits: api.Limits{
			Memory: DefaultMemory, Storage: DefaultStorage, Shared: DefaultShared, Files: DefaultFiles,
			CPUTime: api.Duration(time.Minute), LogRate: 1 << 20, OplogRate: 8 << 20, Queue: 1000,
		},
		Retry: api.Retry{
			Attempts: 3, Initial: api.Duration(100 * time.Millisecond), Max: api.Duration(time.Minute), Factor: 2, Jitter: 0.2,
		},
		Images:    api.Images{Size: worker.DefaultImageSize, Age: api.Duration(10 * time.Minute)},
		Retention: api.Retention{Oplog: api.KeepEverything(), Results: api.KeepEverything(), Logs: api.KeepEverything()},
		HTTP: api.HTTP{
			Allow: []string{"public"}, Keys: api.KeysAuto, InDoubt: api.InDoubtFail, MaxResponse: 64 << 20, MaxRequest: 64 << 20, Proxy: api.ProxyOff, Trust: api.TrustSystem, Retries: api.HTTPRetries{
				Attempts: 1, Initial: api.Duration(200 * time.Millisecond), Max: api.Duration(time.Minute),
			},
		},
	}
}

// CheckReachable says why a list is none of hosts that programs may reach, as
// api.HTTP.Allow is, or nil.
func CheckReachable(patterns []string) error {
	_, err := reach.Parse(patterns)
	return err
}

// CheckInDoubtRules says why a list is none of rules for requests in doubt, as
// api.HTTP.InDoubtRules is, or nil.
func CheckInDoubtRules(rules []string) error {
	_, err := reach.ParseChoices(rules, api.InDoubts()...)
	return err
}

// CheckListenable says why a list is none of addresses where programs may listen,
// as api.Net.Listen is, or nil.
func CheckListenable(patterns []string) error {
	_, err := reach.ParseLocal(patterns)
	return err
}

// CheckProxy says why a text is no proxy that a server can be configured with, as
// api.HTTP.Proxy is, or nil.
func CheckProxy(text string) error { return catalog.CheckProxy(text) }

// CheckRoots says why a text is no certificates, as api.HTTP.Roots is, or nil.
func CheckRoots(text string) error { return catalog.CheckRoots(text) }

// Platform is the part of a node that looks after deployed components and their
// workers. Its methods may be called by any number of goroutines. Errors are an
// *api.Problem where the caller is at fault or can do something.
type Platform struct {
	node       *Node
	options    PlatformOptions
	catalog    *catalog.Catalog
	agenda     *agenda.Agenda
	tokens     *access.Tokens
	hooks      *access.Hooks
	workers    *worker.Workers
	ledgers    *ledger.Ledgers
	routes     *routes.Store
	gateway    *gateway.Gateway
	cells      *once.Cells
	buckets    *keyvalue.Store
	containers *blobstore.Store
	vault      *config.Vault // of secrets; nil: there are none
	keeping    sched.Task    // keeps house
	end        context.CancelCauseFunc
}

// Platform is where the node's deployed components are, or nil if it was opened
// without PlatformOptions.
func (n *Node) Platform() *Platform { return n.platform }

// openPlatform begins to look after deployed components.
func (n *Node) openPlatform(ctx context.Context) (err error) {
	p := &Platform{node: n, options: *n.options.Platform}
	if err := n.engine(ctx); err != nil {
		return err
	}
	if log := p.options.Log; log != nil {
		log.Debug("workers' memories", "changes are found by", string(n.runtime.Engine.Tracker()))
	}
	if p.vault, err = n.openConfig(); err != nil {
		return err
	}
	p.cells = once.NewCells(n.store.Cells(), n.sched, p.maxShared)
	p.buckets = keyvalue.NewStore(p.cells, n.sched.Now)
	n.runtime.Buckets = p.buckets
	p.containers = blobstore.NewStore(p.cells, n.sched.Now, n.runtime.Entropy)
	n.runtime.Containers = p.containers
	p.catalog, err = catalog.Open(ctx, catalog.Config{
		Sched: n.sched, Cells: n.store.Cells(), Blobs: n.store.Blobs(), Engine: n.runtime.Engine, Hosts: n.runtime.Hosts,
		Interfaces: n.runtime.Interfaces,
	})
	if err != nil {
		return err
	}
	if p.tokens, err = access.Open(ctx, n.sched, n.store.Cells(), n.runtime.Entropy); err != nil {
		return err
	}
	if p.hooks, err = access.OpenHooks(ctx, n.store.Cells(), n.runtime.Entropy); err != nil {
		return err
	}
	if p.hooks.Damaged != nil {
		n.warn("webhooks that were given out before do not work any more", p.hooks.Damaged)
	}
	if p.agenda, err = agenda.Open(ctx, agenda.Config{Sched: n.sched, Logs: n.store.Logs(), Committer: n.runtime.Committer}); err != nil {
		return err
	}
	if p.agenda.Damaged() != nil {
		if err := n.rebuildAgenda(ctx, p.agenda); err != nil {
			return err
		}
	}
	o := &p.options
	p.ledgers = n.openLedgers()
	p.workers = worker.NewWorkers(worker.Config{
		Runtime: n.runtime, Catalog: p.catalog, Agenda: p.agenda,
		Defaults:     worker.Merge(o.Defaults, DefaultSettings()),
		MaxInstances: or(o.MaxInstances, DefaultMaxInstances), MaxRunning: or(o.MaxRunning, DefaultMaxRunning), MaxResident: maxResident,
		IdleAfter: or(o.IdleAfter, DefaultIdleAfter), SuspendAfter: or(o.SuspendAfter, DefaultSuspendAfter),
		ImageAfter: or(o.ImageAfter, DefaultImageAfter), Webhook: p.webhookURL,
	})
	if err := p.openRoutes(ctx); err != nil {
		return err
	}
	ctx, p.end = context.WithCancelCause(context.WithoutCancel(ctx))
	p.keeping = n.sched.Go("keep house", func() { n.keepHouse(ctx) })
	n.platform = p
	return nil
}

// rebuildAgenda puts every worker of a component on an agenda that could not be
// read whole: they are looked at, and those without work are taken off.
func (n *Node) rebuildAgenda(ctx context.Context, a *agenda.Agenda) error {
	for w, err := range n.store.Logs().Workers(ctx, id.Worker{}) {
		if err != nil {
			return err
		}
		if w.Component != runComponent && w.Component != agenda.Worker.Component {
			a.Set(w, 1)
		}
	}
	a.Rebuilt()
	return nil
}

// housekeepEvery is how often the store may tidy up.
const housekeepEvery = 10 * time.Second

// tidyEvery is how often buckets are looked through for what can be forgotten, and
// sweepEvery how often containers are; both once when a node has been open for
// settling. Those of components that have little room left are relieved every
// relieveEvery, but no more than one part of relieveShare of the time.
const (
	tidyEvery  = 24 * time.Hour
	sweepEvery = 6 * time.Hour
	settling   = 10 * time.Minute

	relieveEvery = time.Minute
	relieveShare = 20
)

// keepHouse lets the store tidy up now and then. A disk that is full or broken
// shows where something is to be kept; here it only waits.
func (n *Node) keepHouse(ctx context.Context) {
	h, ok := n.store.(storage.Housekeeper)
	// A node that is opened anew before all of that time has passed looks, too.
	began := n.sched.Now().Add(settling)
	tidied, swept, relieve := began.Add(-tidyEvery), began.Add(-sweepEvery), n.sched.Now()
	for ok && n.sched.Sleep(ctx, housekeepEvery) == nil {
		if now := n.sched.Now(); now.Sub(tidied) > tidyEvery {
			tidied = now
			if err := n.platform.buckets.Tidy(ctx); err != nil && ctx.Err() == nil {
				n.warn("the buckets could not be tidied up", err)
			}
		}
		if now := n.sched.Now(); now.Sub(swept) > sweepEvery {
			swept = now
			if err := n.platform.containers.Sweep(ctx); err != nil && ctx.Err() == nil {
				n.warn("the containers could not be swept", err)
			}
		}
		if now := n.sched.Now(); now.After(relieve) {
			if err := n.platform.containers.Relieve(ctx); err != nil && ctx.Err() == nil {
				n.warn("containers of components with little room left could not be swept", err)
			}
			took := n.sched.Now().Sub(now)
			relieve = now.Add(max(relieveEvery, relieveShare*took))
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = h.Housekeep(ctx); err != nil {
				n.warn("the store could not be tidied up", err)
				break
			}
		}
	}
}

// warn tells whoever runs the node what it goes on in spite of.
func (n *Node) warn(what string, err error) {
	if log := n.options.Platform.Log; log != nil {
		log.Warn(what, "error", err)
	}
}

// close stops all workers where they are.
func (p *Platform) close() error {
	p.end(errClosed)
	p.keeping.Wait()
	grace, cancel := context.WithCancelCause(context.Background())
	timer := p.node.sched.Go("grace", func() {
		_ = p.node.sched.Sleep(grace, p.options.Grace)
		cancel(errClosed)
	})
	p.workers.Close(grace)
	cancel(errClosed)
	timer.Wait()
	p.agenda.Close()
	return p.catalog.Close()
}

var errClosed = errors.New("the node is closed")

// workerOf is the worker that component and name say.
func workerOf(component, name string) (id.Worker, error) {
	w := id.Worker{Component: component, Name: name}
	if err := w.Check(); err != nil {
		return w, api.NewProblem(api.CodeInvalid, err.Error())
	}
	if component == runComponent || component == agenda.Worker.Component {
		return w, api.NewProblem(api.CodeNoComponent, fmt.Sprintf("component %q is kept for waterbear itself", component))
	}
	return w, nil
}

// Ready says why nothing can be accepted now, or nil.
func (p *Platform) Ready() error {
	if err := p.node.runtime.Committer.Stalled(); err != nil {
		return worker.Unavailable(err)
	}
	return nil
}

// Stats are figures for monitoring.
func (p *Platform) Stats() api.Stats {
	s, c := p.workers.Stats(), p.node.runtime.Committer
	s.Commits, s.CommitBytes = c.Flushes(), c.Bytes()
	if err := c.Stalled(); err != nil {
		s.Stalled = err.Error()
	}
	return s
}
