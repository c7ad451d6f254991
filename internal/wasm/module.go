package wasm

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Module is compiled code, ready to be instantiated.
type Module struct {
	engine   *Engine
	compiled wazero.CompiledModule
}

// Compile makes a module ready to run. It takes seconds for a large module
// that is not in the cache: progress, which may be nil, is told the stage and
// the fraction done, from 0 to 1.
func (e *Engine) Compile(ctx context.Context, source []byte, progress func(stage string, done float64)) (*Module, error) {
	if progress == nil {
		progress = func(string, float64) {}
	}
	progress("compile", 0)
	compiled, err := e.runtime.CompileModule(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("compile module: %w", err)
	}
	progress("compile", 1)
	return &Module{engine: e, compiled: compiled}, nil
}

// Imports lists the functions the module needs.
func (m *Module) Imports() []Import {
	var imports []Import
	for _, f := range m.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		imports = append(imports, Import{
			Module: module, Name: name,
			Params: fromAPI(f.ParamTypes()), Results: fromAPI(f.ResultTypes()),
		})
	}
	return imports
}

// Exports lists the functions the module offers, by name.
func (m *Module) Exports() []Export {
	var exports []Export
	for name, f := range m.compiled.ExportedFunctions() {
		exports = append(exports, exportOf(name, f))
	}
	return exports
}

func exportOf(name string, f api.FunctionDefinition) Export {
	return Export{Name: name, Params: fromAPI(f.ParamTypes()), Results: fromAPI(f.ResultTypes())}
}

// Close frees the module's code once its instances are closed too.
func (m *Module) Close() error {
	return m.compiled.Close(context.Background())
}
