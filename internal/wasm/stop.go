package wasm

import (
	"context"
	"errors"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// stopCause boxes an error for an atomic pointer.
type stopCause struct{ err error }

// Stop ends the running call, and every later one, with cause; the first cause
// wins. Any task may call it. The guest notices at its next yield, at most a
// few milliseconds of computing away; a host function that waits is not
// interrupted. The guest may have stopped anywhere, so its memory is good for
// nothing but being thrown away.
func (s *Store) Stop(cause error) {
	if cause == nil {
		cause = errors.New("stopped")
	}
	s.stopped.CompareAndSwap(nil, &stopCause{cause})
}

// interrupted is why the running call must end now, or nil.
func (s *Store) interrupted() error {
	if c := s.stopped.Load(); c != nil {
		return c.err
	}
	if s.done != nil {
		select {
		case <-s.done:
			return context.Cause(s.call)
		default:
		}
	}
	return nil
}

// yield is what rewritten guests call now and then. Being an ordinary Go
// function is most of its work: the machine code between two yields cannot be
// preempted, and would hold up the garbage collector and so the process.
func yield(in *Instance, stack []uint64) {
	if stack[0] == wasmbin.YieldOverflow {
		Abort(&Trap{Reason: stackOverflow, Overflow: true})
	}
	if err := in.interrupted(); err != nil {
		Abort(err)
	}
	g := &in.engine.gauge
	if g.handlerBytes(in.function.stack) > maxHandlerBytes {
		Abort(&Trap{Reason: "stack overflow: too many exception handlers on a long stack", Overflow: true})
	}
	g.fit(in.function.stack)
	if in.exceptionRefs {
		in.exceptions.note(g, in.function.stack)
	}
	if in.onYield != nil {
		in.onYield()
	}
}

// Abort ends the running call from inside a host function, without returning:
// the guest's Call returns err as it is.
func Abort(err error) {
	if err == nil {
		err = errors.New("abort without an error")
	}
	panic(&abortion{err})
}

// abortion is how Abort's error travels through wazero, which formats what it
// recovers: the text is empty to keep that cheap.
type abortion struct{ err error }

func (a *abortion) Error() string { return "" }
