// Package ambient is what surrounds every program: time, randomness and the
// standard streams, each recorded so that it is the same at replay. The
// adapters of the WASI versions stand on it; it hides which of its answers
// come from the oplog.
package ambient

import "github.com/waterbear-run/waterbear/internal/durable"

// The codes of the recorded functions. A code is never used again for
// something else.
const (
	codeRealtime  = 1
	codeMonotonic = 2
	codeWait      = 3
	codeShortWait = 4
	codeStdin     = 5
)

// Funcs lists what this package records.
func Funcs() []durable.Declared {
	return []durable.Declared{&realtime, &monotonic, &wait, &shortWait, &stdin}
}
