package worker

import (
	"context"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/hostdir"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// process is an instance of a program and all that surrounds it.
type process struct {
	instance *wasm.Instance
	system   *wasip1.System
	files    *filesystem.FS
	mounts   []mounted // by their number in the Create entry
	blobs    storage.Blobs
	over     bool // the program does nothing more: only its files are looked at
}

// build makes an instance whose every observation goes through session.
func (rt *Runtime) build(ctx context.Context, module *wasm.Module, c *oplog.Create, session *durable.Session, input ambient.Input) (*process, error) {
	p := &process{blobs: rt.Store.Blobs()}
	for i, d := range c.Dirs {
		p.mounts = append(p.mounts, mounted{Shown: &hostdir.Shown{
			Session: session, Host: rt.Directories, Blobs: p.blobs, Number: uint64(i), Root: d.Host,
		}})
	}
	stdio := ambient.NewStdio(session, input)
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
	p.system, err = wasip1.New(wasi.Config{
		Args: c.Args, Env: c.Env, FS: p.files, Preopens: preopens,
		Clocks: clocks, Random: ambient.NewRandom(c.Seed, 0), Stdio: stdio, MaxFiles: int(c.Files),
	})
	if err != nil {
		return nil, err
	}
	p.instance, err = module.Instantiate(ctx, wasm.InstanceConfig{
		Hosts: []*wasm.Host{rt.WASI}, State: p, MaxMemory: c.Memory,
	})
	if err != nil {
		return nil, refused(ctx, err)
	}
	return p, nil
}

// WASIP1 gives the host functions of WASI 0.1 their state.
func (p *process) WASIP1() *wasip1.System { return p.system }

func (p *process) close() { _ = p.instance.Close() }

// main runs the program until it ends or ctx is done.
func (p *process) main(ctx context.Context) error {
	if err := p.instance.Start(ctx); err != nil {
		return err
	}
	return p.instance.Call(ctx, entryPoint, nil)
}
