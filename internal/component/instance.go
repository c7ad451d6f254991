package component

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// Config is what one instance is given.
type Config struct {
	// State is for the host functions: see Call.State.
	State any
	// MaxMemory bounds the sum of all linear memories, in bytes; MaxStack the
	// stack of a call, over all core modules that it goes through; OnYield is
	// called each time the guest yields. They are those of wasm.StoreConfig.
	MaxMemory uint64
	MaxStack  uint32
	OnYield   func()
}

// Instance is a running component: all its core module instances and handles. It
// makes one call at a time; only Stop may be used while it does.
type Instance struct {
	program    *Program
	state      any
	store      *wasm.Store
	cores      []*wasm.Instance
	components []componentState
	guests     []guest
	lifts      []liftState
	dtors      []callable  // by resource type
	calls      []*liftCall // under way, the inner behind the outer, and some spare
	depth      int         // of calls, see maxCalls
	failed     bool        // a call was left in the middle
	call       Call
}

// componentState is the state of a component instance (CanonicalABI.md,
// "Component Instances").
type componentState struct {
	handles canon.Handles
	// entered tells that it is in a call, and kept that it must not make one: its
	// realloc or its post-return function runs.
	entered, kept bool
}

// ErrTrapped is returned for calls of an instance that an earlier call has left in
// the middle, by a trap or another error: nothing can be said of its state. It is
// a *wasm.Trap.
var ErrTrapped error = &wasm.Trap{Reason: "cannot enter component instance: an earlier call of it has failed"}

// Instantiate makes an instance and runs what the component does once in its life:
// the start functions of its core modules. The error is what Instance.Call returns
// where that fails.
func (p *Program) Instantiate(ctx context.Context, c Config) (*Instance, error) {
	return p.instantiate(ctx, c, true)
}

// Blank makes an instance in which nothing of the guest has run: it is to be given
// the state of another one before it is called.
func (p *Program) Blank(ctx context.Context, c Config) (*Instance, error) {
	return p.instantiate(ctx, c, false)
}

func (p *Program) instantiate(ctx context.Context, c Config, fresh bool) (*Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("instantiate component: %w", context.Cause(ctx))
	}
	in := &Instance{
		program: p, state: c.State,
		cores:      make([]*wasm.Instance, 0, len(p.cores)),
		components: make([]componentState, len(p.components)),
		guests:     make([]guest, len(p.guests)),
		lifts:      make([]liftState, p.lifts),
		dtors:      make([]callable, len(p.resources)),
	}
	in.call.instance = in
	for i := range in.guests {
		in.guests[i] = guest{in: in, plan: &p.guests[i]}
	}
	var err error
	in.store, err = p.engine.NewStore(in.storeConfig(&c))
	if err != nil {
		return nil, fmt.Errorf("instantiate component: %w", err)
	}
	if err := in.build(ctx, fresh); err != nil {
		return nil, errors.Join(err, in.store.Close())
	}
	return in, nil
}

func (in *Instance) storeConfig(c *Config) wasm.StoreConfig {
	return wasm.StoreConfig{State: in, MaxMemory: c.MaxMemory, MaxStack: c.MaxStack, OnYield: c.OnYield}
}

// build instantiates the core modules. An error of the guest is given back as it
// is.
func (in *Instance) build(ctx context.Context, fresh bool) error {
	if err := in.store.Enter(ctx); err != nil {
		return err
	}
	defer in.store.Leave()
	for i := range in.program.cores {
		core := &in.program.cores[i]
		sources := make([]wasm.Source, len(core.sources))
		for j, s := range core.sources {
			sources[j] = in.program.host
			if s.instance != trampolines {
				sources[j] = in.cores[s.instance]
			}
		}
		made, err := core.module.Link(in.store, sources)
		if err != nil {
			return err
		}
		in.cores = append(in.cores, made)
		if !fresh {
			continue
		}
		if err := made.Init(); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the running call, and every later one, with cause. Any task may call
// it: see wasm.Store.
func (in *Instance) Stop(cause error) { in.store.Stop(cause) }

// Close frees the instance. It is refused during a call.
func (in *Instance) Close() error { return in.store.Close() }

// guest is a core module instance as values are lifted from it and lowered to it.
type guest struct {
	in      *Instance
	plan    *guestPlan
	memory  *wasm.Instance
	realloc callable
	stack   [4]uint64 // of realloc
}

// hasMemory tells whether there is a memory, which is found when it is first used:
// it is there by then.
func (g *guest) hasMemory() bool {
	if g.memory == nil && g.plan.memory >= 0 {
		g.memory = g.in.cores[g.plan.memory]
	}
	return g.memory != nil
}

// Memory implements canon.Guest.
func (g *guest) Memory() []byte {
	if !g.hasMemory() {
		return nil
	}
	return g.memory.Memory()
}

// Realloc implements canon.Guest.
func (g *guest) Realloc(old, oldSize, align, newSize uint32) (uint32, error) {
	if g.plan.realloc == nil {
		return 0, trapf("there is no realloc function to allocate memory by")
	}
	f, err := g.in.callable(&g.realloc, g.plan.realloc)
	if err != nil {
		return 0, err
	}
	g.stack = [4]uint64{uint64(old), uint64(oldSize), uint64(align), uint64(newSize)}
	c := &g.in.components[g.plan.component]
	c.kept = true
	err = f.call(g.in, g.stack[:])
	c.kept = false
	return uint32(g.stack[0]), err
}

// callable is a core function that can be called.
type callable struct {
	guest *wasm.Func
	tramp *trampoline
}

// callable finds a core function, once.
func (in *Instance) callable(known *callable, f *coreFunc) (*callable, error) {
	if known.guest != nil || known.tramp != nil {
		return known, nil
	}
	known.tramp = f.tramp
	if f.tramp == nil {
		var err error
		if known.guest, err = in.cores[f.instance].Func(f.name); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func (c *callable) call(in *Instance, stack []uint64) error {
	if c.tramp != nil {
		return c.tramp.run(in, stack)
	}
	return c.guest.Call(stack)
}
