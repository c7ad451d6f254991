package wasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// changes names what a guest can change that is neither memory nor a numeric
// global, by the bit that tells of it.
var changes = [...]struct {
	bit    uint64
	reason string
}{
	{wasmbin.ChangedTable, "it has changed a table (table.set, table.grow, table.fill, table.copy or table.init)"},
	{wasmbin.ChangedSegment, "it has dropped a segment of a table (elem.drop)"},
	{wasmbin.ChangedReference, "it has set a global that holds a reference"},
	{wasmbin.ChangedVector, "it has set a global that holds a vector (v128)"},
}

// Unimageable says why the instance has state beyond its memory and globals, so
// that it can be rebuilt only by running it; none if it has not. As a rule that
// is something that the guest has done, and then holds for as long as the
// instance exists. It must not be called during a call.
func (in *Instance) Unimageable() []string {
	reasons := in.module.unimageable
	if in.changed == nil {
		return reasons
	}
	reasons = slices.Clip(reasons)
	told := in.changed.Get()
	for _, c := range changes {
		if told&c.bit != 0 {
			reasons = append(reasons, c.reason)
		}
	}
	return reasons
}

// whole is an error if the instance has state beyond its memory and globals.
func (in *Instance) whole() error {
	if reasons := in.Unimageable(); len(reasons) > 0 {
		return errors.New("it has state beyond memory and globals: " + strings.Join(reasons, ", "))
	}
	return nil
}

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
	in.memory.touch()
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
