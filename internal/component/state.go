package component

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// The state of an instance at rest is, for each of Cores, its memory and its
// globals, and for each component instance its handles. What Unimageable names is
// state beyond that. An instance gets the state of another one of the same program
// in three steps: Blank makes it, or Reset makes one that there is anew; each of
// its Cores is given memory and globals by wasm.Instance.Restore; and SetHandles
// gives it the handles. What the host keeps for handles of its own resources is
// the host's.

// Reset makes an instance what Blank would make with c, but for its Cores: they
// stay what they are and have to be given the states of others, whatever an earlier
// call has left. What the instance was given before, and a Stop, are forgotten. The
// bound of the memories has to be the one that it was made with. It must not be
// called during a call.
func (in *Instance) Reset(c Config) error {
	if err := in.store.Reuse(in.storeConfig(&c)); err != nil {
		return fmt.Errorf("reset component instance: %w", err)
	}
	in.state, in.failed, in.depth = c.State, false, 0
	for i := range in.components {
		in.components[i] = componentState{}
	}
	return nil
}

// Unimageable says why the instance has state beyond that, so that it can be
// rebuilt only by running it; none if it has not. It must not be called during a
// call.
func (in *Instance) Unimageable() (why []string) {
	for _, core := range in.cores {
		why = append(why, core.Unimageable()...)
	}
	return why
}

// Cores are the core module instances, in the order in which they were made. A
// memory or global that several of them share belongs to the one that has made it,
// and is nothing to the others. They may be looked at and set between calls, and
// not called.
func (in *Instance) Cores() []*wasm.Instance { return in.cores }

// Handles are the handles of each component instance. It must not be called during
// a call.
func (in *Instance) Handles() ([]canon.HandleTable, error) {
	if in.failed {
		return nil, fmt.Errorf("read handles: %w", ErrTrapped)
	}
	tables := make([]canon.HandleTable, len(in.components))
	for i := range in.components {
		var err error
		if tables[i], err = in.components[i].handles.Save(); err != nil {
			return nil, fmt.Errorf("read handles of component instance %d: %w", i, err)
		}
	}
	return tables, nil
}

// SetHandles gives the component instances the handles that Handles has read from
// another instance of the same program.
func (in *Instance) SetHandles(tables []canon.HandleTable) error {
	if len(tables) != len(in.components) {
		return errors.New("set handles: they are those of another program")
	}
	for i := range tables {
		if err := in.components[i].handles.Load(tables[i], len(in.program.resources)); err != nil {
			return fmt.Errorf("set handles of component instance %d: %w", i, err)
		}
	}
	return nil
}

// AppendHandles writes Handles down: the number of component instances, and for
// each the number of its handles and each of them, 0 for a free one, else the
// number of its resource type and 1, and its representation; then the number of
// free handles and each of these. All are unsigned LEB128.
func (in *Instance) AppendHandles(b []byte) ([]byte, error) {
	tables, err := in.Handles()
	if err != nil {
		return b, err
	}
	number := func(v uint64) { b = binary.AppendUvarint(b, v) }
	number(uint64(len(tables)))
	for _, t := range tables {
		number(uint64(len(t.Handles)))
		for _, h := range t.Handles {
			if !h.Used {
				number(0)
				continue
			}
			number(uint64(h.Type) + 1)
			number(uint64(h.Rep))
		}
		number(uint64(len(t.Free)))
		for _, i := range t.Free {
			number(uint64(i))
		}
	}
	return b, nil
}

var errHandles = errors.New("read handles: they are damaged")

// ReadHandles gives the component instances the handles that AppendHandles has
// written of another instance of the same program.
func (in *Instance) ReadHandles(b []byte) error {
	ok := true
	number := func(most uint64) uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > most {
			ok, b = false, nil
			return 0
		}
		b = b[n:]
		return v
	}
	tables := make([]canon.HandleTable, number(uint64(len(in.components))))
	for i := range tables {
		t := &tables[i]
		t.Handles = make([]canon.Handle, number(uint64(len(b))))
		for j := range t.Handles {
			if typ := number(math.MaxUint32); typ > 0 {
				t.Handles[j] = canon.Handle{Used: true, Type: uint32(typ - 1), Rep: uint32(number(math.MaxUint32))}
			}
		}
		t.Free = make([]uint32, number(uint64(len(b))))
		for j := range t.Free {
			t.Free[j] = uint32(number(math.MaxUint32))
		}
	}
	if !ok || len(b) > 0 {
		return errHandles
	}
	return in.SetHandles(tables)
}
