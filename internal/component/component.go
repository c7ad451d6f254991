// Package component runs WebAssembly components: it links what component/binary
// has decoded to the interfaces of the host, compiles the core modules with
// package wasm, and instantiates the whole as one Instance. It hides nested
// components, aliases, the many core modules that a component is made of, and
// the canonical ABI between them.
package component

import "context"

// Config is what one instance is given.
type Config struct {
	// State is for the host functions: see Call.State.
	State any
}

// Instance is a running component.
type Instance struct {
	state any
	ctx   context.Context
}
