package wasm

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// ImportName is the name that an import is looked up under: an instance or a host,
// by whatever name Link is given it, and the name there.
type ImportName = wasmbin.ImportName

// linkedTableRoom bounds what the tables of a linked module can grow by, in items.
const linkedTableRoom = 1 << 14

// CompileLinked is Compile for a module that is linked with others. names has one
// for each import of the module, in order.
func (e *Engine) CompileLinked(ctx context.Context, source []byte, names []ImportName, progress func(stage string, done float64)) (*Module, error) {
	return e.compile(ctx, source, wasmbin.Options{
		TableItems: MaxTableItems, TableRoom: linkedTableRoom, Link: &wasmbin.Link{Imports: names},
	}, progress)
}

// Source is where a linked instance finds imports: an *Instance of the same store,
// or a *Host.
type Source interface{ exports() api.Module }

func (in *Instance) exports() api.Module { return in.running }

func (h *Host) exports() api.Module { return h.module }

// Link makes an instance of a module that was made by CompileLinked. sources are
// where its imports are looked up: the module names that it was compiled with are
// their numbers. The instance is complete but for what Init does, and lives as long
// as the store.
//
// The error is a *Trap if segments reach beyond tables: the link takes place
// within a call of the store.
func (m *Module) Link(s *Store, sources []Source) (*Instance, error) {
	in, err := m.link(s, sources)
	if err != nil {
		if _, ok := err.(*Trap); !ok {
			err = fmt.Errorf("link module: %w", err)
		}
		return nil, err
	}
	return in, nil
}

func (m *Module) link(s *Store, sources []Source) (*Instance, error) {
	if err := s.interrupted(); err != nil {
		return nil, err
	}
	if !s.sum.fits(m.minMemory) {
		return nil, fmt.Errorf("it declares a memory of at least %d bytes, and of %d there are %d left",
			m.minMemory, s.sum.most, s.sum.most-s.sum.used)
	}
	if !m.base.use() {
		return nil, fmt.Errorf("module %w", ErrClosed)
	}
	in := &Instance{module: m, Store: s, functions: make(map[string]*guestFunction), sources: sources}
	s.instances = append(s.instances, in)
	s.exceptionRefs = s.exceptionRefs || m.exceptionRefs
	if err := in.instantiate(math.MaxUint64); err != nil {
		s.instances = s.instances[:len(s.instances)-1]
		in.memory.Free()
		_ = m.base.release() // what went wrong is known
		return nil, err
	}
	in.initial = in.Globals()
	if m.elements != "" {
		if err := in.invoke(in.find(m.elements, 0), nil); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// Init runs what a linked module does once in its life, before anything else of
// it is called: its data segments are written, and its start function is called.
// An instance that gets the state of another does not need it. It takes place
// within a call of the store.
func (in *Instance) Init() error {
	for _, name := range []string{in.module.data, in.module.start} {
		if name == "" {
			continue
		}
		if err := in.invoke(in.find(name, 0), nil); err != nil {
			return err
		}
	}
	return nil
}

// MemoryImport is the number of the import that is the module's memory, or -1 if
// it has one of its own or none.
func (m *Module) MemoryImport() int { return m.memoryImport }

// InstanceBytes estimates what an instance takes of the host's memory besides its
// linear memory.
func (m *Module) InstanceBytes() uint64 { return m.instanceBytes }

// Func is an exported function of a linked instance.
type Func struct {
	in *Instance
	f  *guestFunction
}

// Func finds an exported function.
func (in *Instance) Func(name string) (*Func, error) {
	slots, ok := in.module.slots[name]
	if !ok {
		return nil, fmt.Errorf("the module exports no function %q", name)
	}
	if slots == references {
		return nil, fmt.Errorf("the function %q takes or returns references, which a host cannot hold", name)
	}
	f, ok := in.functions[name]
	if !ok {
		f = &guestFunction{name: name, slots: slots}
		in.functions[name] = f
	}
	return &Func{in, f}, nil
}

// Call runs the function within a call of the store, which may be from inside a
// host function. Parameters, results and errors are those of Instance.Call; an
// error is to end the whole call of the store.
func (f *Func) Call(stack []uint64) error {
	if len(stack) < f.f.slots {
		return fmt.Errorf("call %s: it needs a stack of %d values, got %d", f.f.name, f.f.slots, len(stack))
	}
	return f.in.invoke(f.f, stack)
}

// resolve finds what offers a module of imports.
func (in *Instance) resolve(name string) api.Module {
	switch {
	case name == wasmbin.YieldModule:
		return in.engine.yield.module
	case name == wasmbin.SharedModule && in.shared != nil:
		return in.shared
	case in.shared != nil:
		if i, err := strconv.Atoi(name); err == nil && i < len(in.sources) {
			return in.sources[i].exports()
		}
	default:
		if h := in.hostNamed(name); h != nil {
			return h.module
		}
	}
	return nil
}

// instantiate has wazero make the instance, with a memory of up to most bytes.
func (in *Instance) instantiate(most uint64) (err error) {
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
	e := in.engine
	in.setup = experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
		func(_, declared uint64) experimental.LinearMemory {
			in.memory = reserve(min(declared, most, in.memoryLimit()), in.module.base, &e.memory, e.tracking.tracker)
			in.memory.sum = in.memorySum()
			return in.memory
		}))
	in.setup = experimental.WithImportResolver(in.setup, in.resolve)
	in.running, err = e.runtime.InstantiateModule((*guestContext)(in), in.module.compiled, e.instantiation)
	if err != nil {
		return err
	}
	for _, name := range in.module.globals {
		in.globals = append(in.globals, in.global(name))
	}
	if in.module.changed != "" {
		in.changed = in.global(in.module.changed)
	}
	return nil
}

// memorySum is where the memory of a linked instance is accounted for.
func (in *Instance) memorySum() *memorySum {
	if in.shared == nil {
		return nil
	}
	return &in.sum
}

// memoryLimit is how long the memory of a linked instance can become.
func (in *Instance) memoryLimit() uint64 {
	if s := in.memorySum(); s != nil {
		return s.most - s.used
	}
	return math.MaxUint64
}
