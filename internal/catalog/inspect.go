package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/api"
	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// The exports with a meaning of their own (WASI 0.1, "command" and "reactor").
const (
	exportStart      = "_start"
	exportInitialize = "_initialize"
)

// internalPrefixes begin the names of exports that toolchains make for
// themselves and for the component model: nobody invokes them.
var internalPrefixes = []string{"__wasm", "cabi_"}

// prepared is a module that can be run, and what there is to tell of it.
type prepared struct {
	code    *Compiled
	kind    api.Kind
	exports []api.Function
	serves  bool // HTTP requests
	imports []string
	calls   []string
}

// prepare compiles source and finds out whether and how it can be run. The
// caller owns the code.
func (c *Catalog) prepare(ctx context.Context, source []byte, progress func(api.Progress)) (*prepared, error) {
	code, err := c.compile(ctx, source, progress)
	if err != nil {
		return nil, err
	}
	p := &prepared{code: code}
	if code.Component != nil {
		err = p.inspectComponent()
	} else {
		err = p.inspect()
	}
	if err == nil {
		err = c.try(ctx, code)
	}
	if err != nil {
		return nil, errors.Join(err, code.Close())
	}
	return p, nil
}

// inspect finds out how the module is invoked.
func (p *prepared) inspect() error {
	for _, i := range p.code.Module.Imports() {
		if name := i.Module + "." + i.Name; !slices.Contains(p.imports, name) {
			p.imports = append(p.imports, name)
		}
	}
	p.kind = api.Library
	for _, e := range p.code.Module.Exports() {
		switch {
		case e.Name == exportStart || e.Name == exportInitialize:
			if len(e.Params)+len(e.Results) > 0 {
				return &programError{fmt.Sprintf("its %q takes or returns values, and that of a WASI 0.1 command or reactor does not: build it as one of these", e.Name)}
			}
			if e.Name == exportStart {
				p.kind = api.Command
			}
		case slices.ContainsFunc(internalPrefixes, func(prefix string) bool { return strings.HasPrefix(e.Name, prefix) }):
		default:
			p.exports = append(p.exports, api.Function{Name: e.Name, Params: typeNames(e.Params), Results: typeNames(e.Results)})
		}
	}
	if p.kind == api.Command {
		p.exports = []api.Function{{Name: api.RunFunction, Params: []string{"string..."}, Results: []string{"i32"}}}
		return nil
	}
	if !slices.ContainsFunc(p.exports, invocable) {
		return &programError{`it exports no function that could be invoked: neither "_start", as a program does, nor one that takes and returns i32, i64, f32 and f64 alone; export one`}
	}
	return nil
}

// invocable reports whether values of all the function's types can be passed.
// Those of which they cannot are listed all the same, so that a person sees why
// a call is refused.
func invocable(f api.Function) bool { return wit.CanPass(f.Params) && wit.CanPass(f.Results) }

func typeNames(types []wasm.ValueType) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return names
}

// try makes an instance, of which nothing runs: so it is known that all imports
// are offered and that the initial memory and tables can be made.
func (c *Catalog) try(ctx context.Context, code *Compiled) error {
	var in interface{ Close() error }
	var err error
	if code.Component != nil {
		in, err = code.Component.Blank(ctx, component.Config{MaxMemory: maxMemory})
	} else {
		in, err = code.Module.Instantiate(ctx, wasm.InstanceConfig{Hosts: c.Hosts, MaxMemory: maxMemory})
	}
	if err == nil {
		return in.Close()
	}
	if ctx.Err() != nil || errors.Is(err, wasm.ErrClosed) || errors.Is(err, wasm.ErrMemoryExhausted) {
		return err
	}
	return &programError{err.Error()}
}
