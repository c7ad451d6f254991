package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/catalog"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/host/ambient"
	"github.com/waterbear-run/waterbear/internal/host/filesystem"
	"github.com/waterbear-run/waterbear/internal/host/platform"
	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/internal/host/wasip1"
	"github.com/waterbear-run/waterbear/internal/host/wasip2"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// initializer is the export that a library runs once (WASI 0.1, "reactor").
const initializer = "_initialize"

// initialize runs what a library does once in its life.
func initialize(ctx context.Context, in *wasm.Instance, m *wasm.Module) error {
	if err := in.Start(ctx); err != nil {
		return err
	}
	if !slices.ContainsFunc(m.Exports(), func(e wasm.Export) bool { return e.Name == initializer }) {
		return nil
	}
	return in.Call(ctx, initializer, nil)
}

// preopens are the directories that every worker of a platform is given.
func preopens() []wasi.Preopen {
	return []wasi.Preopen{{Name: "/", Dir: filesystem.Root}}
}

// initialization is what a library does once in its life, done in a world of
// its own that belongs to no worker: without arguments, environment, files and
// input, with a clock that counts what is asked of it and random numbers of a
// seed of zeros. What the program writes is forgotten, and waits take no time.
type initialization struct {
	// observed says what the program has seen or done that may not be the same
	// for every worker: the names of host functions, "memory.grow" if memory was
	// refused, and how it ended unless it returned. If it is empty, every worker
	// that may have as much memory comes from its initialization with the same
	// memory, globals and descriptors, and with nothing recorded but its end.
	observed []string
	// guest is at rest, and system what a core module has open. Without an end in
	// order it is nil. It may be unimageable.
	guest  *guest
	system *wasip1.System
	now    uint64
}

// code is what a program was compiled to: one of the two.
type code struct {
	module    *wasm.Module
	component *component.Program
}

func codeOf(p *catalog.Program) code { return code{p.Module(), p.Component()} }

// initializationOf initializes a program. Of the limits those of memory, files
// and computing time hold. An error is the host's, or that ctx is done; whoever
// calls closes the instance.
func (rt *Runtime) initializationOf(ctx context.Context, c code, l api.Limits) (*initialization, error) {
	n := &initialization{now: firstReading}
	meter := newMeter(rt.Sched, api.Limits{CPUTime: l.CPUTime})
	meter.enforce()
	var err error
	if c.component != nil {
		err = n.runComponent(ctx, c.component, component.Config{State: n, MaxMemory: l.Memory, OnYield: meter.yield})
	} else {
		err = n.runModule(ctx, c.module, wasm.InstanceConfig{Hosts: rt.Hosts, State: n, MaxMemory: l.Memory, OnYield: meter.yield}, l)
	}
	if err != nil {
		n.close()
		return nil, fmt.Errorf("initialize a program for all workers: %w", err)
	}
	return n, nil
}

// runComponent instantiates a component, which is all of its initialization.
func (n *initialization) runComponent(ctx context.Context, p *component.Program, c component.Config) error {
	in, err := p.Instantiate(ctx, c)
	if err == nil {
		n.guest = &guest{component: in}
	}
	return n.end(err)
}

func (n *initialization) runModule(ctx context.Context, m *wasm.Module, c wasm.InstanceConfig, l api.Limits) (err error) {
	files := filesystem.New(filesystem.Config{Now: n.tick, Limits: filesystem.Limits{Bytes: l.Storage}})
	if _, err := files.MkdirAll(filesystem.Root, "/tmp"); err != nil {
		return err
	}
	n.system, err = wasip1.New(wasi.Config{
		FS: files, Preopens: preopens(), Clocks: n, Random: ambient.NewRandom([32]byte{}, 0), Stdio: n,
		MaxFiles: int(l.Files), Observed: n.observe,
	})
	if err != nil {
		return err
	}
	in, err := m.Instantiate(ctx, c)
	if err != nil {
		return err
	}
	n.guest = &guest{module: in}
	return n.end(initialize(ctx, in, m))
}

// end notes how the program's initialization ended, if err is of the program.
func (n *initialization) end(err error) error {
	if n.guest != nil && slices.ContainsFunc(n.guest.cores(), (*wasm.Instance).MemoryRefused) {
		n.observe("memory.grow")
	}
	if end := endOfProgram(err); end != "" {
		n.observe(end)
		n.close()
		return nil
	}
	return err
}

// endOfProgram says how a program ended, if an error of a call says that it did.
func endOfProgram(err error) string {
	var trap *wasm.Trap
	var exit *wasi.ExitError
	var limit *LimitError
	switch {
	case errors.As(err, &trap):
		return trap.Reason
	case errors.As(err, &exit), errors.As(err, &limit), errors.Is(err, errNoEnd):
		return err.Error()
	}
	return ""
}

// observe notes what was seen, once.
func (n *initialization) observe(what string) {
	if !slices.Contains(n.observed, what) {
		n.observed = append(n.observed, what)
	}
}

// close closes the instance, if there is one.
func (n *initialization) close() {
	if n.guest != nil {
		_ = n.guest.close() // refused only during a call
		n.guest = nil
	}
}

// WASIP1 gives the host functions of WASI 0.1 their state.
func (n *initialization) WASIP1() *wasip1.System { return n.system }

// WASIP2 ends the initialization of a component: what it asks of the host may not
// be the same for every worker, and what it has then is nothing but the host's.
func (n *initialization) WASIP2() *wasip2.System {
	n.observe("wasi 0.2")
	wasm.Abort(errNoEnd)
	return nil
}

// Platform gives the host's own functions nothing: what they say is not the same for
// every worker.
func (n *initialization) Platform() *platform.System {
	n.observe("waterbear:durable")
	return nil
}

const (
	// firstReading is not 0, which programs take for "no time".
	firstReading = uint64(1e9)
	// reading is by how much the clocks go on when they are read: some programs
	// look until time has passed.
	reading = uint64(1e3)
)

var errNoEnd = errors.New("it wants something that never comes")

// tick goes on and gives the time.
func (n *initialization) tick() uint64 {
	n.now += reading
	return n.now
}

// Realtime implements wasip1.Clocks.
func (n *initialization) Realtime() (uint64, error) { return n.tick(), nil }

// Monotonic implements wasip1.Clocks.
func (n *initialization) Monotonic() (uint64, error) { return n.tick(), nil }

// Touch implements wasip1.Clocks.
func (n *initialization) Touch() error { return nil }

// Wait implements wasip1.Clocks: it is over at once.
func (n *initialization) Wait(deadline uint64, stdin bool) (ambient.Readiness, error) {
	switch {
	case stdin:
		return ambient.Readiness{Now: n.tick(), Stdin: true, EOF: true}, nil
	case deadline == ambient.Forever:
		return ambient.Readiness{}, errNoEnd
	}
	n.now = max(n.tick(), deadline)
	return ambient.Readiness{Now: n.now}, nil
}

// Read implements wasip1.Stdio: input is at its end.
func (n *initialization) Read(int) ([]byte, error) { return nil, nil }

// Write implements wasip1.Stdio.
func (n *initialization) Write(int, []byte) error { return nil }
