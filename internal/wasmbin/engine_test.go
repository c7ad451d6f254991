package wasmbin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// testFeatures are those the runtime enables.
const testFeatures = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesExceptionHandling

// engine runs modules in tests, with a host for their yields.
type engine struct {
	wazero.Runtime
	ctx    context.Context
	yields int
	// stop, if set, decides at each yield whether the guest is to be stopped.
	stop func() bool
}

var (
	errStopped  = errors.New("stopped at a yield")
	errOverflow = errors.New("stack overflow") // as the engine calls its own
)

func newEngine(t testing.TB) *engine {
	t.Helper()
	e, err := openEngine(wazero.NewRuntimeConfigCompiler())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(e.ctx) })
	return e
}

func openEngine(config wazero.RuntimeConfig) (*engine, error) {
	ctx := context.Background()
	e := &engine{ctx: ctx, Runtime: wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(testFeatures))}
	yield := func(_ context.Context, stack []uint64) {
		e.yields++
		if stack[0] == YieldOverflow {
			panic(errOverflow)
		}
		if e.stop != nil && e.stop() {
			panic(errStopped)
		}
	}
	_, err := e.NewHostModuleBuilder(YieldModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(yield), []api.ValueType{api.ValueTypeI32}, nil).
		Export(YieldName).Instantiate(ctx)
	return e, err
}

// load instantiates a module under a name.
func (e *engine) load(binary []byte, name string) (api.Module, error) {
	c, err := e.CompileModule(e.ctx, binary)
	if err != nil {
		return nil, err
	}
	return e.InstantiateModule(e.ctx, c, moduleConfig(name))
}

func moduleConfig(name string) wazero.ModuleConfig {
	return wazero.NewModuleConfig().WithName(name).WithStartFunctions()
}

// loadRewritten rewrites a module, instantiates it and runs its start function.
func (e *engine) loadRewritten(source []byte, name string) (api.Module, *Rewritten, error) {
	r, err := Rewrite(source, Options{})
	if err != nil {
		return nil, nil, err
	}
	m, err := e.loadResult(r, name)
	if err != nil {
		return nil, r, err
	}
	if r.Start != "" {
		_, err = m.ExportedFunction(r.Start).Call(e.ctx)
	}
	return m, r, err
}

// loadResult instantiates a rewritten module with its base image.
func (e *engine) loadResult(r *Rewritten, name string) (api.Module, error) {
	m, err := e.load(r.Module, name)
	if err == nil {
		putBase(m, r)
	}
	return m, err
}

func putBase(m api.Module, r *Rewritten) {
	for _, run := range r.Base {
		if !m.Memory().Write(run.Offset, run.Bytes) {
			panic("the base image is beyond the memory")
		}
	}
}

// refillStack does what the host does before a call, if the module is rewritten.
func refillStack(m api.Module) {
	if g, ok := m.ExportedGlobal("waterbear:stack").(api.MutableGlobal); ok {
		g.Set(DefaultStack)
	}
}

// outcome is what a call gave, in a form that is equal for equal outcomes:
// references are told apart only by whether they are null.
func outcome(results []uint64, types []api.ValueType, err error) string {
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		first, _, _ = strings.Cut(first, " (recovered by wazero)")
		return "error: " + first
	}
	var b strings.Builder
	i := 0
	for _, t := range types {
		switch ValueType(t) {
		case FuncRef, ExternRef, ExnRef:
			fmt.Fprintf(&b, " ref(%v)", results[i] != 0)
		case V128:
			fmt.Fprintf(&b, " v128:%x:%x", results[i], results[i+1])
			i++
		case I32, F32:
			fmt.Fprintf(&b, " %x", uint32(results[i]))
		default:
			fmt.Fprintf(&b, " %x", results[i])
		}
		i++
	}
	return "returned" + b.String()
}

// call calls an export and gives its outcome.
func (e *engine) call(m api.Module, name string, args ...uint64) string {
	f := m.ExportedFunction(name)
	if f == nil {
		return "error: no function " + name
	}
	refillStack(m)
	results, err := f.Call(e.ctx, args...)
	return outcome(results, f.Definition().ResultTypes(), err)
}
