package wasm

import (
	"errors"
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
