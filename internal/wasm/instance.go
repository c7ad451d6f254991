package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
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
	// MaxStack bounds the stack of a call, in bytes, by an estimate that is the
	// same on every machine; calls nested deeper are a Trap. Zero means
	// DefaultMaxStack.
	MaxStack uint32
	// OnYield, if set, is called in the guest's task each time the guest
	// yields.
	OnYield func()
}

// DefaultMaxStack bounds the stack of a call if the configuration does not.
// Other engines allow a thirtieth of it; the memory is taken only when needed.
const DefaultMaxStack = 16 << 20

// Instance is a running module: its memory, globals and tables. It makes one
// call at a time; only Stop may be used while it does, and the other methods
// by host functions in that call.
type Instance struct {
	*Store
	module    *Module
	running   api.Module
	memory    *linearMemory
	globals   []api.MutableGlobal
	changed   api.Global // nil if there is no other state that could change
	functions map[string]*guestFunction
	tainted   bool // a call ended in a way that may have left traces

	// initial are the values that the globals have begun with.
	initial []uint64

	hosts   []*Host
	sources []Source // of a linked instance

	active
	setup context.Context // during instantiation: what wazero looks up
}

// active is a call that an instance is in: of several, one from inside the other,
// the innermost. It belongs to the task that made the store busy.
type active struct {
	function   *guestFunction
	host       *hostCall // the host function the guest is in, or nil
	exceptions exceptionRoots
}

// guestFunction is a function of an instance with the stack it runs on, which is
// made when it is needed.
type guestFunction struct {
	name  string
	call  api.Function
	stack callStack
	slots int
	busy  bool
}

// forget lets the stack go.
func (f *guestFunction) forget() { f.call, f.stack = nil, nil }

// Instantiate makes an instance with fresh memory. Nothing of the guest runs
// before Start or Call.
func (m *Module) Instantiate(ctx context.Context, c InstanceConfig) (*Instance, error) {
	in, err := m.instantiate(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("instantiate module: %w", err)
	}
	return in, nil
}

// check completes a configuration.
func (m *Module) check(c *InstanceConfig) error {
	c.MaxMemory = cmp.Or(c.MaxMemory, DefaultMaxMemory)
	if m.minMemory > c.MaxMemory {
		return fmt.Errorf("it declares a memory of at least %d bytes, and the limit is %d", m.minMemory, c.MaxMemory)
	}
	return nil
}

func (m *Module) instantiate(ctx context.Context, c InstanceConfig) (*Instance, error) {
	if err := m.check(&c); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if !m.base.use() {
		return nil, fmt.Errorf("module %w", ErrClosed)
	}
	if err := m.engine.open(); err != nil {
		return nil, errors.Join(err, m.base.release())
	}
	in := &Instance{
		Store:  &Store{engine: m.engine, state: c.State, onYield: c.OnYield, maxStack: stackLimit(c.MaxStack), exceptionRefs: m.exceptionRefs},
		module: m, hosts: c.Hosts, functions: make(map[string]*guestFunction),
	}
	if err := in.build(c.MaxMemory); err != nil {
		in.memory.Free()
		m.engine.release()
		return nil, errors.Join(err, m.base.release())
	}
	return in, nil
}

func (in *Instance) build(maxMemory uint64) error {
	if err := in.instantiate(maxMemory); err != nil {
		return in.missing(err)
	}
	in.stackLeft = in.global(in.module.stack)
	in.module.initialOnce.Do(func() { in.module.initial = in.Globals() })
	in.initial = in.module.initial
	return nil
}

// Module is what the instance was made of.
func (in *Instance) Module() *Module { return in.module }

// global finds a mutable global that the rewriter has exported.
func (in *Instance) global(name string) api.MutableGlobal {
	return in.running.ExportedGlobal(name).(api.MutableGlobal)
}

func (in *Instance) hostNamed(name string) *Host {
	if name == wasmbin.YieldModule {
		return in.module.engine.yield
	}
	return hostNamed(in.hosts, name)
}

func hostNamed(hosts []*Host, name string) *Host {
	for _, h := range hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// Memory is the whole linear memory as it is now, nil if there is none. The
// slice is valid until the guest runs again, and must not be touched after
// Close: that kills the process.
func (in *Instance) Memory() []byte {
	in.memory.touch()
	return in.memory.bytes()
}

// MemoryRefused reports whether the guest has asked for more memory than its
// configuration allows, and got -1. With another limit it might have gone on in
// another way.
func (in *Instance) MemoryRefused() bool { return in.memory != nil && in.memory.refused }

// Globals reads the instance's mutable globals: with the memory, its state. It
// must not be called during a call.
func (in *Instance) Globals() []uint64 {
	values := make([]uint64, len(in.globals))
	for i, g := range in.globals {
		values[i] = g.Get()
	}
	return values
}

// SetGlobals writes what Globals has read, in another instance of the same
// module.
func (in *Instance) SetGlobals(values []uint64) error {
	if len(values) != len(in.globals) {
		return fmt.Errorf("set globals: the module has %d, got %d", len(in.globals), len(values))
	}
	for i, g := range in.globals {
		g.Set(values[i])
	}
	return nil
}

// Call runs an exported function to its end. Parameters are read from stack
// and results written over them, so it must have room for the longer of the
// two. The error is what a host function gave to Abort, the cause given to
// Stop, the cause of ctx when that is done first, a *Trap, or a *HostError.
func (in *Instance) Call(ctx context.Context, export string, stack []uint64) error {
	if err := in.enter(export); err != nil {
		return err
	}
	defer in.leave()
	f, ok := in.functions[export]
	if !ok {
		slots, ok := in.module.slots[export]
		if !ok {
			return fmt.Errorf("call %s: the module exports no such function", export)
		}
		if slots == references {
			return fmt.Errorf("call %s: it takes or returns references, which a host cannot hold", export)
		}
		f = in.find(export, slots)
	}
	if len(stack) < f.slots {
		return fmt.Errorf("call %s: it needs a stack of %d values, got %d", export, f.slots, len(stack))
	}
	return in.run(ctx, f, stack)
}

// Start runs the module's start function, if it has one: what the module does
// once in its life, before anything else of it is called.
func (in *Instance) Start(ctx context.Context) error {
	if err := in.enter("the start function"); err != nil {
		return err
	}
	defer in.leave()
	if in.module.start == "" {
		return nil
	}
	return in.run(ctx, in.find(in.module.start, 0), nil)
}

// find makes an exported function ready and keeps it: its stack alone takes
// ten thousand bytes to allocate.
func (in *Instance) find(export string, slots int) *guestFunction {
	f, ok := in.functions[export]
	if !ok {
		f = &guestFunction{name: export, slots: slots}
		in.functions[export] = f
	}
	return f
}

// prepare gives a function what it runs on.
func (in *Instance) prepare(f *guestFunction) {
	f.call = in.running.ExportedFunction(f.name)
	f.stack = in.engine.gauge.of(f.call)
}

// run makes a call of a function.
func (in *Instance) run(ctx context.Context, f *guestFunction, stack []uint64) error {
	if err := in.memory.usable(); err != nil {
		return err
	}
	in.memory.touch()
	in.begin(ctx)
	return in.invoke(f, stack)
}

// invoke runs a function within a call, which may be from inside a host function
// that this instance or another has called.
func (in *Instance) invoke(f *guestFunction, stack []uint64) error {
	if err := in.interrupted(); err != nil {
		return err
	}
	if f.busy {
		// A stack serves one call at a time.
		f = &guestFunction{name: f.name, slots: f.slots}
	}
	if f.call == nil {
		in.prepare(f)
	}
	left := in.stackLeft.Get()
	if in.depth > 0 {
		if int32(left) < nestedStack {
			return &Trap{Reason: stackOverflow, Overflow: true}
		}
		in.stackLeft.Set(left - nestedStack)
	}
	in.depth++
	outer := in.active
	in.active = active{function: f}
	f.busy = true
	err := f.call.CallWithStack((*guestContext)(in), stack)
	f.busy = false
	if err != nil {
		err = in.failure(err)
	}
	if in.engine.gauge.stackBytes(f.stack) > keptStack {
		// It has needed a long stack and would hold on to it.
		f.forget()
	}
	in.active = outer
	in.depth--
	in.stackLeft.Set(left)
	return err
}

// Close frees the instance and its memory. It is refused during a call. A linked
// instance is closed with its store.
func (in *Instance) Close() error {
	if in.shared != nil {
		return errors.New("close instance: it is linked")
	}
	if !in.activity.CompareAndSwap(idle, closed) {
		if in.activity.Load() == closed {
			return nil
		}
		return fmt.Errorf("close instance: %w", ErrBusy)
	}
	defer in.module.engine.release()
	err := in.running.Close(context.Background())
	in.memory.Free()
	return errors.Join(err, in.module.base.release())
}
