// Package canon is the canonical ABI of the component model (CanonicalABI.md of
// WebAssembly/component-model): how values that are typed by WIT lie in the
// memories of core modules and in the parameters of core functions, and what a
// handle to a resource is. All that can be known of a type is worked out once, in
// a Func or a Type; lifting and lowering go by that.
//
// Memory, indexes and lengths are the guest's and may be anything. Whatever the
// specification says of them is checked: what is wrong is a *Trap, and what is
// made of them on the host's side is bounded by MaxLifted.
package canon

import "fmt"

// Encoding is how strings lie in a memory.
type Encoding uint8

// The encodings.
const (
	UTF8 Encoding = iota
	UTF16
	// Latin1OrUTF16 is Latin-1, or UTF-16 where the highest bit of the length
	// is set.
	Latin1OrUTF16
)

// Limits of the specification.
const (
	// MaxFlatParams and MaxFlatResults are how many core values the parameters
	// and results of a core function are, before they are passed in memory.
	MaxFlatParams  = 16
	MaxFlatResults = 1
	// maxBytes bounds a list or a string, in bytes, when it is lifted.
	maxBytes = 1<<28 - 1
	// maxRealloc bounds what is allocated at once.
	maxRealloc = 1<<32 - 1
	// utf16Tag is the bit of a length that says UTF-16.
	utf16Tag = 1 << 31
)

// Limits of ours.
const (
	// MaxLifted bounds the host's memory that the values of one call take when
	// they are lifted, in bytes. Pointers into a memory may all point to the
	// same place, so the memory's size is no bound.
	MaxLifted = 128 << 20
	// MaxTypeDepth bounds how deep types lie in each other.
	MaxTypeDepth = 100
	// MaxHandles bounds the handles in one table.
	MaxHandles = 1 << 20
)

// Trap is a violation of the canonical ABI by a guest. It is to end the call.
type Trap struct{ Reason string }

// Error says what was wrong.
func (t *Trap) Error() string { return t.Reason }

func trapf(format string, args ...any) error {
	return &Trap{fmt.Sprintf(format, args...)}
}

// The traps that are met on fast paths.
var (
	errBounds    = &Trap{"a pointer leads out of the memory"}
	errAlignment = &Trap{"a pointer is not aligned"}
	errTooLarge  = &Trap{fmt.Sprintf("the values of the call take more than %d bytes", MaxLifted)}
)

// Guest is the core module instance that values are lifted from or lowered to.
type Guest interface {
	// Memory is the memory as it is now. The slice is good until the guest runs.
	Memory() []byte
	// Realloc has the guest allocate memory, or change the size of what it has
	// allocated. What it returns may be anything.
	Realloc(old, oldSize, align, newSize uint32) (uint32, error)
}
