package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// Store is the instances that run as one. Those of a Store that was made by
// NewStore are linked with each other: one of them makes one call at a time, in
// which they call each other, and limits hold for all of them together. A module
// that stands alone has a Store to itself.
type Store struct {
	engine   *Engine
	state    any
	onYield  func()
	maxStack uint64
	// stackLeft is what is left of it for calls.
	stackLeft api.MutableGlobal

	activity atomic.Int32
	stopped  atomic.Pointer[stopCause]
	// What follows belongs to the task that made activity calling.
	call context.Context // of the caller
	done <-chan struct{} // of that context
	// depth is how many calls of functions there are, one from inside the other.
	depth int

	// What follows is of linked instances.
	shared    api.Module // has what they share
	instances []*Instance
	sum       memorySum
	// exceptionRefs tells that a module takes references to exceptions.
	exceptionRefs bool
}

// StoreConfig is what the instances of a store are given.
type StoreConfig struct {
	// State, MaxStack and OnYield are those of an InstanceConfig. MaxMemory
	// bounds the sum of all linear memories.
	State     any
	MaxMemory uint64
	MaxStack  uint32
	OnYield   func()
}

// memorySum is what the memories of a store have together, and may have.
type memorySum struct{ used, most uint64 }

// fits tells whether a memory may grow by n bytes.
func (s *memorySum) fits(n uint64) bool { return s == nil || s.used+n <= s.most }

// change accounts for a memory that had so many bytes and now has others.
func (s *memorySum) change(from, to uint64) {
	if s != nil {
		s.used += to - from
	}
}

// What a store does now.
const (
	idle int32 = iota
	calling
	closed
)

// ErrBusy is returned for what an instance cannot do during a call.
var ErrBusy = errors.New("instance is in a call")

// nestedStack is taken from the stack for a call from inside a host function: a
// stack of its own comes with it.
const nestedStack = 16 << 10

// NewStore makes a store that modules can be linked in.
func (e *Engine) NewStore(c StoreConfig) (*Store, error) {
	if err := e.open(); err != nil {
		return nil, fmt.Errorf("make store: %w", err)
	}
	s := &Store{
		engine: e, state: c.State, onYield: c.OnYield, maxStack: stackLimit(c.MaxStack),
		sum: memorySum{most: cmp.Or(c.MaxMemory, DefaultMaxMemory)},
	}
	var err error
	if s.shared, err = e.runtime.InstantiateModule(context.Background(), e.shared, e.instantiation); err != nil {
		e.release()
		return nil, fmt.Errorf("make store: %w", err)
	}
	s.stackLeft = s.shared.ExportedGlobal(wasmbin.SharedStack).(api.MutableGlobal)
	return s, nil
}

// compileShared compiles the module that has what linked modules share.
func (e *Engine) compileShared(ctx context.Context) (wazero.CompiledModule, error) {
	return e.runtime.CompileModule(ctx, wasmbin.SharedSource())
}

// stackLimit completes a limit of the stack.
func stackLimit(most uint32) uint64 {
	return uint64(min(cmp.Or(most, DefaultMaxStack), math.MaxInt32))
}

// State is what the store was given for host functions.
func (s *Store) State() any { return s.state }

// Enter begins a call: what is called then by Func.Call, until Leave, is one. The
// error is ErrBusy or ErrClosed, or that a memory was lost when an instance was to
// be restored.
func (s *Store) Enter(ctx context.Context) error {
	if err := s.enter("the store"); err != nil {
		return err
	}
	for _, in := range s.instances {
		if err := in.memory.usable(); err != nil {
			s.leave()
			return fmt.Errorf("call the store: %w", err)
		}
	}
	s.begin(ctx)
	return nil
}

// Leave ends what Enter has begun.
func (s *Store) Leave() { s.leave() }

// enter makes the store busy.
func (s *Store) enter(what string) error {
	if s.activity.CompareAndSwap(idle, calling) {
		return nil
	}
	if s.activity.Load() == closed {
		return fmt.Errorf("call %s: instance %w", what, ErrClosed)
	}
	return fmt.Errorf("call %s: %w", what, ErrBusy)
}

// begin makes what follows a call for ctx.
func (s *Store) begin(ctx context.Context) {
	s.call, s.done, s.depth = ctx, ctx.Done(), 0
	s.stackLeft.Set(s.maxStack) // a call that failed has not given back what it took
	for _, in := range s.instances {
		in.memory.touch()
	}
}

// leave ends a call.
func (s *Store) leave() {
	s.call, s.done = nil, nil
	s.activity.Store(idle)
}

// Context is that of the call that is under way.
func (s *Store) Context() context.Context { return s.call }

// Reuse makes a store what NewStore would make with c, but for its instances: they
// stay what they are, and are to be given other states before they are called. A
// Stop is forgotten. It must not be in use by anyone else: a late Stop would hit
// the new user. The bound of the memories has to be the same.
func (s *Store) Reuse(c StoreConfig) error {
	if err := s.enter("reuse"); err != nil {
		return err
	}
	defer s.leave()
	if most := cmp.Or(c.MaxMemory, DefaultMaxMemory); most != s.sum.most {
		return fmt.Errorf("reuse store: its memories were made for %d bytes, not %d", s.sum.most, most)
	}
	s.state, s.onYield, s.maxStack = c.State, c.OnYield, stackLimit(c.MaxStack)
	s.stopped.Store(nil)
	return nil
}

// Close frees all instances of a store that was made by NewStore, and their
// memories. It is refused during a call.
func (s *Store) Close() error {
	if !s.activity.CompareAndSwap(idle, closed) {
		if s.activity.Load() == closed {
			return nil
		}
		return fmt.Errorf("close store: %w", ErrBusy)
	}
	defer s.engine.release()
	var err error
	for i := len(s.instances) - 1; i >= 0; i-- {
		err = errors.Join(err, s.instances[i].running.Close(context.Background()))
	}
	for _, in := range s.instances {
		in.memory.Free()
		err = errors.Join(err, in.module.base.release())
	}
	return errors.Join(err, s.shared.Close(context.Background()))
}
