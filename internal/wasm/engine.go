package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// Config says how an Engine works.
type Config struct {
	// CacheDir keeps compiled code between runs of the process; any number of
	// processes may share it. If it cannot be used, or is empty, compiled code
	// is kept in memory only.
	CacheDir string
	// MaxMemory bounds the linear memories of all instances together, in bytes.
	// Zero: there is no such bound.
	MaxMemory uint64
	// Interpreter runs guests without compiling them, some fifty times slower:
	// for comparing the two.
	Interpreter bool
	// Tracker finds what guests have changed. If it is empty, that is the best
	// one that works; one that is named has to.
	Tracker Tracker
}

// features is everything guests may use: WebAssembly 2.0 with SIMD and the
// finished proposals that compilers emit today. Shared memory is not among
// them: nothing could record its races.
const features = api.CoreFeaturesV2 |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling

// Engine compiles and runs modules. Its methods may be called by any number of
// tasks at once.
type Engine struct {
	runtime wazero.Runtime
	files   wazero.CompilationCache // nil without a cache
	cache   *cache                  // nil without a cache
	// instantiation is the same for every instance: no name, so that instances
	// cannot see each other, and no function called by wazero itself.
	instantiation wazero.ModuleConfig
	yield         *Host
	shared        wazero.CompiledModule // of stores
	gauge         gauge
	memory        memoryBudget
	tracking      tracking
	images        string // where files can be made that are mapped, or ""
	states        *states
	comparisons   sync.Pool // of *comparison
	redundant     int       // see redundantPages

	// compiling is held by the task that compiles; what follows it is that
	// task's.
	compiling chan struct{}
	speed     float64 // bytes per progressTick

	mu        sync.Mutex
	instances int
	closed    bool
}

// ErrClosed is returned by the methods of an engine or instance that was
// closed.
var ErrClosed = errors.New("is closed")

// New makes an engine.
func New(ctx context.Context, c Config) (*Engine, error) {
	e := &Engine{
		// Nobody asks wazero for chance, and seeding its own source anew would be
		// a twentieth of what an instance costs.
		instantiation: wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(strings.NewReader("")),
		compiling:     make(chan struct{}, 1),
		speed:         firstSpeed,
		memory:        memoryBudget{most: c.MaxMemory},
		redundant:     redundantPages,
	}
	var err error
	if e.tracking, err = chooseTracker(c.Tracker); err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfig()
	if c.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	} else if c.CacheDir != "" {
		e.useCache(c.CacheDir)
	}
	if dir := e.cache.dir(); dir != "" && sparse(dir) {
		e.images = dir
	}
	e.states = openStates(func() (stateDisk, error) { return newStateFile(e.images) }, &e.memory)
	if e.files != nil {
		config = config.WithCompilationCache(e.files)
	}
	// Debug sections are hostile input to a large parser, and are not needed
	// to run anything; function names come from the name section.
	config = config.WithCoreFeatures(features).WithDebugInfoEnabled(false)
	e.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := e.prepareYield(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// useCache keeps compiled code in dir if that is possible.
func (e *Engine) useCache(dir string) {
	c, err := openCache(dir)
	if err != nil {
		return
	}
	files, err := wazero.NewCompilationCacheWithDir(c.private.code())
	if err != nil {
		c.close()
		return
	}
	e.cache, e.files = c, files
}

// prepareYield makes the function that every rewritten module imports.
func (e *Engine) prepareYield(ctx context.Context) (err error) {
	e.yield, err = e.Host(HostModule{Name: wasmbin.YieldModule, Funcs: []HostFunc{
		{Name: wasmbin.YieldName, Params: []ValueType{I32}, Call: yield},
	}})
	if err != nil {
		return err
	}
	if e.shared, err = e.compileShared(ctx); err != nil {
		return err
	}
	e.gauge, err = newGauge(ctx, e)
	if e.cache != nil {
		e.cache.private.clear() // modules have been compiled
	}
	return err
}

// Close frees all compiled code. It is refused while instances are open.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	if e.instances > 0 {
		return fmt.Errorf("close engine: %d instances are still open", e.instances)
	}
	e.closed = true
	err := e.runtime.Close(context.Background())
	if e.files != nil {
		err = errors.Join(err, e.files.Close(context.Background()))
	}
	e.cache.close()
	return errors.Join(err, e.tracking.close(), e.states.close())
}

// open counts an instance in, so that the engine stays while it lives.
func (e *Engine) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("engine %w", ErrClosed)
	}
	e.instances++
	return nil
}

// release counts an instance out.
func (e *Engine) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.instances--
}
