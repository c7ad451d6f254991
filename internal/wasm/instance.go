package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// InstanceConfig is what one instance is given.
type InstanceConfig struct {
	// Hosts are where the module's imports are found.
	Hosts []*Host
	// State is for the host functions: see Instance.State.
	State any
	// MaxMemory bounds the linear memory, in bytes; memory.grow beyond it
	// gives the guest -1. Zero means DefaultMaxMemory.
	MaxMemory uint64
	// OnYield, if set, is called in the guest's task each time the guest
	// yields, at least every few milliseconds of computing.
	OnYield func()
}

// Instance is a running module: its memory, globals and tables. It makes one
// call at a time; only Stop may be called while it does.
type Instance struct {
	engine    *Engine
	module    api.Module
	memory    *linearMemory
	functions map[string]*guestFunction

	state   any
	onYield func()
	hosts   []*Host

	activity atomic.Int32
	stopped  atomic.Pointer[stopCause]
	// The rest belongs to the task that made activity calling.
	host  *hostCall       // the host function the guest is in
	done  <-chan struct{} // of the running call's context
	call  context.Context
	setup context.Context // during instantiation only: what wazero looks up
}

// What an instance does now.
const (
	idle int32 = iota
	calling
	closed
)

// ErrBusy is returned by what an instance cannot do during a call.
var ErrBusy = errors.New("instance is in a call")

// guestFunction is an exported function with the stack it runs on.
type guestFunction struct {
	call  api.Function
	slots int
}

// Instantiate makes an instance with fresh memory. Nothing of the guest runs
// before Start or Call.
func (m *Module) Instantiate(ctx context.Context, c InstanceConfig) (*Instance, error) {
	if err := m.engine.open(); err != nil {
		return nil, err
	}
	in := &Instance{
		engine: m.engine, state: c.State, onYield: c.OnYield, hosts: c.Hosts,
		functions: make(map[string]*guestFunction),
	}
	if err := in.build(m, c.MaxMemory); err != nil {
		in.memory.Free()
		m.engine.release()
		return nil, fmt.Errorf("instantiate module: %w", err)
	}
	return in, nil
}

func (in *Instance) build(m *Module, maxMemory uint64) (err error) {
	defer func() {
		in.setup = nil
		if r := recover(); r != nil {
			a, ok := r.(*abortion)
			if !ok {
				panic(r)
			}
			err = a.err
		}
	}()
	if maxMemory == 0 {
		maxMemory = DefaultMaxMemory
	}
	in.setup = experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
		func(least, most uint64) experimental.LinearMemory {
			if least > maxMemory {
				Abort(fmt.Errorf("it declares a memory of at least %d bytes, and the limit is %d", least, maxMemory))
			}
			in.memory = reserve(min(most, maxMemory))
			return in.memory
		}))
	in.setup = experimental.WithImportResolver(in.setup, in.resolve)
	in.module, err = m.engine.runtime.InstantiateModule((*guestContext)(in), m.compiled, m.engine.instantiation)
	return err
}

// resolve finds the host that offers a module of imports.
func (in *Instance) resolve(name string) api.Module {
	for _, h := range in.hosts {
		if h.name == name {
			return h.module
		}
	}
	return nil
}

// State is what the instance was given for its host functions.
func (in *Instance) State() any { return in.state }

// Memory is the whole linear memory as it is now. The slice is valid until the
// guest runs again, and must not be touched after Close: that kills the
// process.
func (in *Instance) Memory() []byte { return in.memory.bytes() }

// Call runs an exported function to its end. Parameters are read from stack
// and results written over them, so it must have room for the longer of the
// two. The error is what a host function gave to Abort, the cause given to
// Stop, the cause of ctx when that is done first, or a *Trap.
func (in *Instance) Call(ctx context.Context, export string, stack []uint64) error {
	if !in.activity.CompareAndSwap(idle, calling) {
		if in.activity.Load() == closed {
			return fmt.Errorf("call %s: instance %w", export, ErrClosed)
		}
		return fmt.Errorf("call %s: %w", export, ErrBusy)
	}
	defer in.activity.Store(idle)
	f, err := in.function(export)
	if err != nil {
		return err
	}
	if len(stack) < f.slots {
		return fmt.Errorf("call %s: it needs a stack of %d values, got %d", export, f.slots, len(stack))
	}
	in.call, in.done, in.host = ctx, ctx.Done(), nil
	if err := in.interrupted(); err != nil {
		return err
	}
	if err := f.call.CallWithStack((*guestContext)(in), stack); err != nil {
		return in.failure(export, err)
	}
	return nil
}

// function finds an export and keeps it: making one allocates its stack.
func (in *Instance) function(export string) (*guestFunction, error) {
	if f, ok := in.functions[export]; ok {
		return f, nil
	}
	call := in.module.ExportedFunction(export)
	if call == nil {
		return nil, fmt.Errorf("call %s: the module exports no such function", export)
	}
	d := exportOf(export, call.Definition())
	f := &guestFunction{call: call, slots: max(slots(d.Params), slots(d.Results))}
	in.functions[export] = f
	return f, nil
}

// Close frees the instance and its memory. It is refused during a call.
func (in *Instance) Close() error {
	if !in.activity.CompareAndSwap(idle, closed) {
		if in.activity.Load() == closed {
			return nil
		}
		return fmt.Errorf("close instance: %w", ErrBusy)
	}
	defer in.engine.release()
	err := in.module.Close(context.Background())
	in.memory.Free()
	return err
}

// guestContext is an Instance as the context that wazero hands from a call to
// the host functions called in it: finding the instance again is one type
// assertion. It carries no values, deadline or cancellation of its own; yield
// watches the caller's context.
type guestContext Instance

// Deadline implements context.Context.
func (c *guestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *guestContext) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (c *guestContext) Err() error { return nil }

// Value implements context.Context. Only instantiation looks anything up.
func (c *guestContext) Value(key any) any {
	if c.setup == nil {
		return nil
	}
	return c.setup.Value(key)
}
