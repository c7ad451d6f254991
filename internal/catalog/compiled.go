package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// Compiled is the code of a program: of a core module or of a component. One of
// the two is set.
type Compiled struct {
	Module    *wasm.Module
	Component *component.Program
	// handler is the function of a component that answers HTTP requests, "" if
	// there is none.
	handler string
	// typed are the functions that a component exports, by their whole names.
	typed map[string]*wit.Func
}

// Close frees the code. No instance may be open.
func (c *Compiled) Close() error {
	if c.Component != nil {
		return c.Component.Close()
	}
	return c.Module.Close()
}

// cores are the core modules of an instance, in their order.
func (c *Compiled) cores() []*wasm.Module {
	if c.Component != nil {
		return c.Component.Modules()
	}
	return []*wasm.Module{c.Module}
}

// compile compiles a program of either kind.
func (c *Catalog) compile(ctx context.Context, source []byte, progress func(api.Progress)) (*Compiled, error) {
	var report func(string, float64)
	if progress != nil {
		report = func(stage string, done float64) { progress(api.Progress{Stage: stage, Done: done}) }
	}
	p, err := Compile(ctx, c.Engine, c.Interfaces, source, report)
	var file *fs.PathError // of the cache: the disk's fault, not the program's
	if err != nil && ctx.Err() == nil && !errors.Is(err, wasm.ErrClosed) && !errors.As(err, &file) {
		return nil, &programError{err.Error()}
	}
	return p, err
}

// Compile compiles a program of either kind; interfaces are what a component may
// import. report, unless it is nil, is told how far it is: see wasm.Engine.Compile.
func Compile(ctx context.Context, e *wasm.Engine, interfaces []*component.HostInterface, source []byte, report func(stage string, done float64)) (*Compiled, error) {
	if !binary.IsComponent(source) {
		m, err := e.Compile(ctx, source, report)
		if err != nil {
			return nil, err
		}
		return &Compiled{Module: m}, nil
	}
	decoded, err := binary.Decode(source)
	if err != nil {
		return nil, err
	}
	p, err := component.Compile(ctx, e, decoded, interfaces, report)
	if err != nil {
		return nil, err
	}
	made := &Compiled{Component: p, typed: map[string]*wit.Func{}}
	for _, e := range p.Exports() {
		made.typed[e.Name] = e.Type
		if IsHandler(e.Name) {
			made.handler = e.Name
		}
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

// RunExport is the function that runs a component which is a command, "" if it is
// none.
func (c *Compiled) RunExport() string {
	for _, e := range c.Component.Exports() {
		if strings.HasPrefix(e.Name, runInterface) && strings.HasSuffix(e.Name, "#run") {
			return e.Name
		}
	}
	return ""
}

// handlerInterface begins the name of the interface that makes a component one
// that answers HTTP requests (wasi:http/incoming-handler).
const handlerInterface = "wasi:http/incoming-handler@0.2."

// IsHandler reports whether a function of a component is the one that answers HTTP
// requests, by its whole name (wasi:http/incoming-handler).
func IsHandler(name string) bool {
	return strings.HasPrefix(name, handlerInterface) && strings.HasSuffix(name, "#handle")
}

// handles finds out whether there are handles of resources in types, which no
// client can pass or get. It remembers what it has found: types have parts in
// common.
type handles map[*wit.Type]bool

func (h handles) inFunc(f *wit.Func) bool {
	for _, p := range f.Params {
		if h.in(p.Type) {
			return true
		}
	}
	return h.in(f.Result)
}

func (h handles) in(t *wit.Type) bool {
	if t == nil {
		return false
	}
	found, known := h[t]
	if known {
		return found
	}
	found = t.Kind == wit.Own || t.Kind == wit.Borrow || h.in(t.Elem) || h.in(t.Err)
	for _, f := range t.Fields {
		found = found || h.in(f.Type)
	}
	h[t] = found
	return found
}

// inspectComponent finds out how the component is invoked.
func (p *prepared) inspectComponent() error {
	program := p.code.Component
	p.imports = program.Imports()
	for _, f := range program.Foreign() {
		if name := interfaceOf(f.Name); !slices.Contains(p.calls, name) {
			p.calls = append(p.calls, name)
		}
	}
	p.kind = api.Library
	if p.code.RunExport() != "" {
		p.kind = api.Command
		p.exports = []api.Function{{Name: api.RunFunction, Params: []string{"string..."}, Results: []string{"i32"}}}
		return nil
	}
	p.serves = p.code.handler != ""
	p.exports = []api.Function{}
	seen := handles{}
	for _, e := range program.Exports() {
		if seen.inFunc(e.Type) {
			continue // no client can call it
		}
		f := api.Function{Name: e.Name, Params: []string{}, Results: []string{}}
		for _, param := range e.Type.Params {
			f.Params = append(f.Params, fmt.Sprintf("%s: %s", param.Name, param.Type))
		}
		if e.Type.Result != nil {
			f.Results = append(f.Results, e.Type.Result.String())
		}
		p.exports = append(p.exports, f)
	}
	if len(p.exports) == 0 && !p.serves {
		return &programError{"it exports neither wasi:cli/run, as a program does, nor wasi:http/incoming-handler, nor a function that could be invoked, one without handles of resources; export one in its world"}
	}
	return nil
}
