package worker

import (
	"context"
	"errors"

	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/await"
	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/internal/host/exchange"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/promise"
	"github.com/waterbear-run/waterbear/internal/host/socket"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// process is an instance of a program and all that surrounds it.
type process struct {
	program *catalog.Compiled
	guest   guest // empty for a component that has not begun
	system  system
	own     platform.System
	http    *exchange.Exchanges // nil: it can send no requests
	files   *filesystem.FS
	mounts  []mounted // by their number in the Create entry
	memory  uint64    // its limit, in bytes
	blobs   storage.Blobs
	net     *socket.Sockets
	over    bool // the program does nothing more: only its files are looked at
}

// build makes an instance whose every observation goes through session.
func (rt *Runtime) build(ctx context.Context, program *catalog.Compiled, c *oplog.Create, session *durable.Session, l Launch) (*process, error) {
	self := &identity{worker: session.Worker, create: c, seed: c.Seed, key: session.Worker.Name, attempt: 1}
	p := &process{program: program, memory: c.Memory, blobs: rt.Store.Blobs(), own: platform.System{
		Session: session, Context: self, Promises: promise.New(promise.Config{Session: session}),
		Config: &config.Values{Session: session, Component: session.Worker.Component},
	}}
	for i, d := range c.Dirs {
		p.mounts = append(p.mounts, mounted{Shown: &hostdir.Shown{
			Session: session, Host: rt.Directories, Blobs: p.blobs, Number: uint64(i), Root: d.Host,
		}})
	}
	stdio := ambient.NewStdio(session, l.Input)
	clocks := ambient.NewClocks(session, rt.Sched, stdio.Input(), uint64(c.At))
	p.files = filesystem.New(filesystem.Config{
		Now:    clocks.Stamp,
		Load:   p.load,
		Packs:  packs{session.Context(), p.blobs},
		Limits: filesystem.Limits{Bytes: c.Storage},
	})
	preopens, err := p.mount(ctx, p.blobs, c.Dirs)
	if err != nil {
		return nil, err
	}
	surroundings := wasi.Config{
		Args: c.Args, Env: c.Env, FS: p.files, Preopens: preopens, Values: p.own.Config,
		Clocks: clocks, Random: ambient.NewRandom(c.Seed, 0), Stdio: stdio, MaxFiles: int(c.Files),
	}
	events := await.New(await.Config{Session: session, Sched: rt.Sched, Clock: clocks, Input: stdio.Input()})
	surroundings.Events = events
	p.net = socket.New(socket.Config{
		Session: session, Sched: rt.Sched, Events: events, Network: rt.Sockets,
		Policy: func() socket.Policy { return socketPolicy(l.Net) },
	})
	if rt.Sockets != nil {
		surroundings.Sockets = p.net
	}
	if rt.HTTP != nil {
		policy := httpPolicy(l.HTTP)
		p.http = exchange.New(exchange.Config{
			Session: session, Sched: rt.Sched, Events: events, Client: rt.HTTP, Policy: func() exchange.Policy { return policy }, Secret: c.Seed,
		})
		surroundings.HTTP = p.http
	}
	p.system, err = newSystem(program.Component != nil, surroundings)
	if err != nil {
		return nil, err
	}
	if program.Component != nil {
		return p, p.tryComponent(ctx)
	}
	p.guest.module, err = program.Module.Instantiate(ctx, wasm.InstanceConfig{
		Hosts: rt.Hosts, State: p, MaxMemory: c.Memory,
	})
	if err != nil {
		return nil, refused(ctx, err)
	}
	return p, nil
}

// tryComponent finds out whether an instance of the component can be made, while
// nothing of the program runs and no worker has been created. That a start would
// trap is for the worker to record.
func (p *process) tryComponent(ctx context.Context) error {
	in, err := p.program.Component.Blank(ctx, p.componentConfig())
	var trap *wasm.Trap
	switch {
	case errors.As(err, &trap):
		return nil
	case err != nil:
		return refused(ctx, err)
	}
	return in.Close()
}

func (p *process) componentConfig() component.Config {
	return component.Config{State: p, MaxMemory: p.memory}
}

// WASIP1 gives the host functions of WASI 0.1 their state.
func (p *process) WASIP1() *wasip1.System { return p.system.preview1 }

// WASIP2 gives the host functions of WASI 0.2 their state.
func (p *process) WASIP2() *wasip2.System { return p.system.preview2 }

// Platform gives the host's own functions their state.
func (p *process) Platform() *platform.System { return &p.own }

func (p *process) close() {
	p.net.CloseAll()
	if p.http != nil {
		p.http.Close()
	}
	if p.guest != (guest{}) {
		_ = p.guest.close() // refused only during a call, which is over
	}
}

// main runs the program until it ends, and gives its exit code, or until ctx is
// done.
func (p *process) main(ctx context.Context) (code uint32, err error) {
	if p.program.Component == nil {
		return runModule(ctx, p.guest.module)
	}
	p.guest.component, err = p.program.Component.Instantiate(ctx, p.componentConfig())
	if err != nil {
		return exitCode(err)
	}
	return runComponent(ctx, p.guest.component, p.program.RunExport())
}
