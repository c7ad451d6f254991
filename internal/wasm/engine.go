package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Config says how an Engine works.
type Config struct {
	// CacheDir keeps compiled code between runs of the process; any number of
	// processes may share it. Empty: nothing is kept.
	CacheDir string
	// Interpreter runs guests without compiling them, some fifty times slower:
	// for comparing the two.
	Interpreter bool
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
	// instantiation is the same for every instance: no name, so that instances
	// cannot see each other, and no function called by wazero itself.
	instantiation wazero.ModuleConfig

	mu        sync.Mutex
	instances int
	closed    bool
}

// ErrClosed is returned by the methods of an engine, module or instance that
// was closed.
var ErrClosed = errors.New("is closed")

// New makes an engine.
func New(ctx context.Context, c Config) (*Engine, error) {
	config := wazero.NewRuntimeConfig()
	if c.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	// Debug sections are hostile input to a large parser, and are not needed
	// to run anything; function names come from the name section.
	config = config.WithCoreFeatures(features).WithDebugInfoEnabled(false)
	return &Engine{
		runtime:       wazero.NewRuntimeWithConfig(ctx, config),
		instantiation: wazero.NewModuleConfig().WithName("").WithStartFunctions(),
	}, nil
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
	return e.runtime.Close(context.Background())
}

// open counts an instance in, so that the engine stays while it lives.
func (e *Engine) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("instantiate: engine %w", ErrClosed)
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
