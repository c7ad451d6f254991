package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// compiled is the code of a program: of a core module or of a component.
type compiled struct {
	module    *wasm.Module
	component *component.Program
	// typed are the functions that a component exports, by their whole names.
	typed map[string]*wit.Func
}

// Close frees the code. No instance may be open.
func (c *compiled) Close() error {
	if c.component != nil {
		return c.component.Close()
	}
	return c.module.Close()
}

// cores are the core modules of an instance, in their order.
func (c *compiled) cores() []*wasm.Module {
	if c.component != nil {
		return c.component.Modules()
	}
	return []*wasm.Module{c.module}
}

// compile compiles a program of either kind.
func (c *Catalog) compile(ctx context.Context, source []byte, progress func(api.Progress)) (*compiled, error) {
	var report func(string, float64)
	if progress != nil {
		report = func(stage string, done float64) { progress(api.Progress{Stage: stage, Done: done}) }
	}
	p, err := c.compileEither(ctx, source, report)
	var file *fs.PathError // of the cache: the disk's fault, not the program's
	if err != nil && ctx.Err() == nil && !errors.Is(err, wasm.ErrClosed) && !errors.As(err, &file) {
		return nil, &programError{err.Error()}
	}
	return p, err
}

func (c *Catalog) compileEither(ctx context.Context, source []byte, report func(string, float64)) (*compiled, error) {
	if !binary.IsComponent(source) {
		m, err := c.Engine.Compile(ctx, source, report)
		if err != nil {
			return nil, err
		}
		return &compiled{module: m}, nil
	}
	decoded, err := binary.Decode(source)
	if err != nil {
		return nil, err
	}
	p, err := component.Compile(ctx, c.Engine, decoded, c.Interfaces, report)
	if err != nil {
		return nil, err
	}
	made := &compiled{component: p, typed: map[string]*wit.Func{}}
	for _, e := range p.Exports() {
		made.typed[e.Name] = e.Type
	}
	return made, nil
}

// describe gives the interface of a component as WIT.
func describe(source []byte) (string, error) {
	decoded, err := binary.Decode(source)
	if err != nil {
		return "", err
	}
	document, err := decoded.WIT()
	if err != nil {
		return "", err
	}
	return document.String(), nil
}

// runInterface begins the name of the interface that makes a component a command
// (wasi:cli/run).
const runInterface = "wasi:cli/run@0.2."

// RunExport is the function that runs a command, "" if the component is none.
func runExport(p *component.Program) string {
	for _, e := range p.Exports() {
		if strings.HasPrefix(e.Name, runInterface) && strings.HasSuffix(e.Name, "#run") {
			return e.Name
		}
	}
	return ""
}

// inspectComponent finds out how the component is invoked.
func (p *prepared) inspectComponent() error {
	program := p.code.component
	p.imports = program.Imports()
	p.kind = api.Library
	if runExport(program) != "" {
		p.kind = api.Command
		p.exports = []api.Function{{Name: api.RunFunction, Params: []string{"string..."}, Results: []string{"i32"}}}
		return nil
	}
	for _, e := range program.Exports() {
		f := api.Function{Name: e.Name, Params: []string{}, Results: []string{}}
		for _, param := range e.Type.Params {
			f.Params = append(f.Params, fmt.Sprintf("%s: %s", param.Name, param.Type))
		}
		if e.Type.Result != nil {
			f.Results = append(f.Results, e.Type.Result.String())
		}
		p.exports = append(p.exports, f)
	}
	if len(p.exports) == 0 {
		return &programError{"it exports neither wasi:cli/run, as a program does, nor a function that could be invoked; export one in its world"}
	}
	return nil
}
