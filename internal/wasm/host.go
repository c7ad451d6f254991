package wasm

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"
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
	name   string
	funcs  []HostFunc
	module api.Module
}

// Host makes a host module available to instances that name it in their
// InstanceConfig. It is made once per engine and lives as long.
func (e *Engine) Host(m HostModule) (*Host, error) {
	ctx := context.Background()
	builder := e.runtime.NewHostModuleBuilder(m.Name)
	seen := make(map[string]bool, len(m.Funcs))
	for _, f := range m.Funcs {
		if seen[f.Name] {
			return nil, fmt.Errorf("make host module %s: two functions are named %s", m.Name, f.Name)
		}
		seen[f.Name] = true
		adapter := &hostCall{name: m.Name + "." + f.Name, call: f.Call}
		builder.NewFunctionBuilder().
			WithGoFunction(adapter, toAPI(f.Params), toAPI(f.Results)).
			Export(f.Name)
	}
	compiled, err := builder.Compile(ctx)
	if err != nil {
		return nil, fmt.Errorf("make host module %s: %w", m.Name, err)
	}
	// The instance is anonymous: imports are resolved by the list of hosts an
	// instance is given, never by a name that all instances would share.
	module, err := e.runtime.InstantiateModule(ctx, compiled, e.instantiation)
	if err != nil {
		return nil, fmt.Errorf("make host module %s: %w", m.Name, err)
	}
	return &Host{name: m.Name, funcs: m.Funcs, module: module}, nil
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
