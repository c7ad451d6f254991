package wasm

import "time"

// guestContext is an Instance as the context that wazero hands from a call to
// the host functions called in it: finding the instance again is one type
// assertion. It carries no values, deadline or cancellation of its own; yield
// watches the caller's context.
type guestContext Instance

// Deadline implements context.Context.
func (c *guestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *guestContext) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (c *guestContext) Err() error { return nil }

// Value implements context.Context. Only instantiation looks anything up.
func (c *guestContext) Value(key any) any {
	if c.setup == nil {
		return nil
	}
	return c.setup.Value(key)
}
