package wasm

import (
	"fmt"
)

// Unimageable says why an instance of the module has state beyond its memory
// and globals, so that it can be rebuilt only by running it; none if it has not.
func (m *Module) Unimageable() []string { return m.unimageable }

// RestoreChanged gives a fresh instance the memory and the globals of another
// one of a module with the same Base. load is given the memory in its size, as
// it is in a fresh instance, and writes the pages to it that Changed gave there.
// Nothing of the guest has run before.
func (in *Instance) RestoreChanged(size uint64, globals []uint64, load func(memory []byte) error) error {
	if err := in.enter("restore"); err != nil {
		return err
	}
	defer in.leave()
	if err := in.resize(size); err != nil {
		return fmt.Errorf("restore an instance: %w", err)
	}
	if err := load(in.memory.bytes()); err != nil {
		return fmt.Errorf("restore an instance: %w", err)
	}
	return in.SetGlobals(globals)
}

// resize grows the memory to size bytes.
func (in *Instance) resize(size uint64) (err error) {
	have := uint64(len(in.memory.bytes()))
	if size == have {
		return nil
	}
	if size < have || size%wasmPage != 0 {
		return fmt.Errorf("the memory has %d bytes and cannot have %d", have, size)
	}
	defer func() {
		if a, ok := recover().(*abortion); ok {
			err = a.err
		}
	}()
	if _, ok := in.running.Memory().Grow(uint32((size - have) / wasmPage)); !ok {
		return fmt.Errorf("the memory has %d bytes and may not have %d", have, size)
	}
	return nil
}

var zeros [PageSize]byte
