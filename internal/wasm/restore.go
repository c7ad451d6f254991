package wasm

import (
	"errors"
	"fmt"
)

// Restore gives the instance the state s, whatever it was before: another state,
// or what a call that failed has left.
//
// After an error the instance is to be closed, unless that is
// ErrMemoryExhausted. It cannot be restored once it has state beyond memory and
// globals, after a call that has overflowed the stack or ended in a HostError, and
// if its memory has grown to the declared maximum and would have to become
// smaller.
func (in *Instance) Restore(s *Saved) error {
	if err := in.enter("restore"); err != nil {
		return err
	}
	defer in.leave()
	if err := in.restore(s); err != nil {
		return fmt.Errorf("restore an instance: %w", err)
	}
	return nil
}

func (in *Instance) restore(s *Saved) error {
	if err := errors.Join(in.whole(), in.canHave(s)); err != nil {
		return err
	}
	if in.tainted {
		return errTainted
	}
	if err := in.renew(s.size, s.base, s.file); err != nil {
		return err
	}
	if in.memory != nil {
		in.memory.watch.state = s
		if err := in.memory.load(s); err != nil {
			return err
		}
	}
	if s.globals == nil {
		return in.SetGlobals(in.initial)
	}
	return in.SetGlobals(s.globals)
}

var errTainted = errors.New("a call has overflowed the stack or failed in the host")

// renew makes the memory one of size bytes that shows b or, if that is not nil,
// f.
func (in *Instance) renew(size uint64, b *baseImage, f *stateFile) error {
	m := in.memory
	if m == nil {
		return nil
	}
	if err := m.usable(); err != nil {
		return err
	}
	if size > m.limit {
		return fmt.Errorf("its memory may have %d bytes, not %d", m.limit, size)
	}
	have := m.size
	if size != have && have >= in.module.maxMemory {
		return fmt.Errorf("its memory has grown to the maximum of %d bytes that it declares", have)
	}
	if err := m.become(size, b, f); err != nil || size == have {
		return err
	}
	// The engine learns the length of a memory when it grows, and takes what it
	// is given then.
	m.shown = true
	if _, ok := in.running.Memory().Grow(1); !ok || len(m.bytes()) != int(size) || m.shown {
		m.broken = true
		return fmt.Errorf("the engine does not take a memory of %d bytes for one of %d", size, have)
	}
	return nil
}

// load completes s in a memory that shows it.
func (m *linearMemory) load(s *Saved) error {
	if len(s.slots)+len(s.heap) == 0 {
		return nil
	}
	m.touch()
	if err := s.load(m.bytes()); err != nil {
		m.broken = true
		return fmt.Errorf("read saved pages: %w", err)
	}
	return nil
}
