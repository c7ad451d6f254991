package wasm

import (
	"errors"
	"fmt"
	"slices"
)

// maxKeptFunctions is how many functions a recycled instance keeps ready, with
// ten thousand bytes of stack each.
const maxKeptFunctions = 64

// Recycle makes an instance that is in no call exactly what Instantiate would
// make with c, for a fraction of the cost: whatever it has done before has left
// no trace, and a Stop is forgotten. It must not be in use by anyone else: a
// late Stop would hit the new user.
//
// After an error the instance is to be closed. That is so for an instance that
// is Unimageable, after a call that has overflowed the stack or
// ended in a HostError, for a memory that has grown to its declared maximum, and
// for limits or hosts that the instance was not made for.
func (in *Instance) Recycle(c InstanceConfig) error {
	if err := in.enter("recycle"); err != nil {
		return err
	}
	defer in.leave()
	if err := in.recycle(c); err != nil {
		in.tainted = true
		return fmt.Errorf("recycle instance: %w", err)
	}
	return nil
}

func (in *Instance) recycle(c InstanceConfig) error {
	m := in.module
	if err := m.check(&c); err != nil {
		return err
	}
	if err := in.whole(); err != nil {
		return err
	}
	switch {
	case in.shared != nil:
		return errors.New("it is linked with others")
	case in.tainted:
		return errTainted
	case !in.offers(c.Hosts):
		return errors.New("it was linked with other hosts")
	}
	if err := in.limit(c.MaxMemory); err != nil {
		return err
	}
	if err := in.renew(m.minMemory, m.base, nil); err != nil {
		return err
	}
	if err := in.SetGlobals(in.initial); err != nil {
		return err
	}
	if len(in.functions) > maxKeptFunctions {
		clear(in.functions)
	}
	in.state, in.onYield, in.hosts, in.maxStack = c.State, c.OnYield, c.Hosts, stackLimit(c.MaxStack)
	in.active = active{}
	in.stopped.Store(nil)
	return nil
}

// offers tells whether hosts are those that the imports were found in.
func (in *Instance) offers(hosts []*Host) bool {
	if slices.Equal(hosts, in.hosts) {
		return true
	}
	for _, i := range in.module.imports {
		name := importName(i.Module)
		if hostNamed(hosts, name) != hostNamed(in.hosts, name) {
			return false
		}
	}
	return true
}

// limit bounds what the memory can become.
func (in *Instance) limit(most uint64) error {
	if in.memory == nil {
		return nil
	}
	if most = min(most, in.module.maxMemory); most > uint64(len(in.memory.reserved)) {
		return fmt.Errorf("its memory was made for %d bytes, and the new limit is %d", len(in.memory.reserved), most)
	}
	in.memory.limit, in.memory.refused = most, false
	return nil
}
