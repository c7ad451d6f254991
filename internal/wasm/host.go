package wasm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// HostFunc is one function a host offers to guests.
type HostFunc struct {
	Name            string
	Params, Results []ValueType
	// Call reads the parameters from stack and writes the results over them.
	// The stack is valid until Call returns.
	Call func(in *Instance, stack []uint64)
}

// HostModule is the functions that guests import under one module name.
type HostModule struct {
	Name  string
	Funcs []HostFunc
}

// Host is a HostModule made ready for the instances of one engine.
type Host struct {
	name     string
	funcs    []HostFunc
	compiled wazero.CompiledModule
	module   api.Module
}

// Host makes a host module available to instances that name it in their
// InstanceConfig, or are linked with it. It is made once and lives as long as the
// engine, or until it is closed.
func (e *Engine) Host(m HostModule) (*Host, error) {
	h, err := e.host(m)
	if err != nil {
		return nil, fmt.Errorf("make host module %s: %w", m.Name, err)
	}
	return h, nil
}

// Hosts makes several host modules, or none.
func (e *Engine) Hosts(modules ...HostModule) ([]*Host, error) {
	list := make([]*Host, 0, len(modules))
	for _, m := range modules {
		h, err := e.Host(m)
		if err != nil {
			for _, made := range list {
				err = errors.Join(err, made.Close())
			}
			return nil, err
		}
		list = append(list, h)
	}
	return list, nil
}

func (e *Engine) host(m HostModule) (*Host, error) {
	h := &Host{name: importName(m.Name), funcs: m.Funcs}
	builder := e.runtime.NewHostModuleBuilder(h.name)
	seen := make(map[string]bool, len(m.Funcs))
	for _, f := range m.Funcs {
		if seen[f.Name] {
			return nil, fmt.Errorf("two functions are named %s", f.Name)
		}
		seen[f.Name] = true
		adapter := &hostCall{name: m.Name + "." + f.Name, call: f.Call}
		builder.NewFunctionBuilder().
			WithGoFunction(adapter, toAPI(f.Params), toAPI(f.Results)).
			Export(f.Name)
	}
	ctx := context.Background()
	var err error
	if h.compiled, err = builder.Compile(ctx); err != nil {
		return nil, err
	}
	// The instance is anonymous: imports are resolved by the list of hosts an
	// instance is given, never by a name that all instances would share.
	h.module, err = e.runtime.InstantiateModule(ctx, h.compiled, e.instantiation)
	return h, err
}

// Close frees the host. No instance that was linked with it may be open.
func (h *Host) Close() error {
	ctx := context.Background()
	return errors.Join(h.module.Close(ctx), h.compiled.Close(ctx))
}

// importName is how a module name is written in a rewritten module.
func importName(module string) string {
	if module == "" {
		return wasmbin.EmptyModule
	}
	return module
}

// hostCall is a host function as wazero calls it.
type hostCall struct {
	name string
	call func(in *Instance, stack []uint64)
}

// Call finds the instance in the context, which wazero hands through as the
// instance gave it. The instance remembers the function it is in, so that a
// panic is blamed on the right side.
func (h *hostCall) Call(ctx context.Context, stack []uint64) {
	in := (*Instance)(ctx.(*guestContext))
	in.host = h
	h.call(in, stack)
	in.host = nil
}

// missing explains a failed instantiation by the imports that no host offers,
// all of them, or else by err.
func (in *Instance) missing(err error) error {
	var lacks []string
	for _, i := range in.module.imports {
		h := in.hostNamed(importName(i.Module))
		if h == nil {
			lacks = append(lacks, fmt.Sprintf("%s.%s", i.Module, i.Name))
			continue
		}
		at := slices.IndexFunc(h.funcs, func(f HostFunc) bool { return f.Name == i.Name })
		if at < 0 {
			lacks = append(lacks, fmt.Sprintf("%s.%s", i.Module, i.Name))
		} else if f := h.funcs[at]; !slices.Equal(f.Params, i.Params) || !slices.Equal(f.Results, i.Results) {
			lacks = append(lacks, fmt.Sprintf("%s.%s as %s, which is %s here",
				i.Module, i.Name, signature(i.Params, i.Results), signature(f.Params, f.Results)))
		}
	}
	if len(lacks) == 0 {
		return err
	}
	return errors.New("it needs functions that are not offered: " + strings.Join(lacks, ", "))
}
