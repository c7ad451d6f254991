package canon

import "fmt"

// Handles is the handle table of one component instance (CanonicalABI.md, "Table
// State" and "Resource State"). The zero value is an empty table.
type Handles struct {
	slots []slot // that of the handle i is slots[i-1]: 0 is no handle
	free  []uint32
}

// slot holds a handle, or is free.
type slot struct {
	used  bool
	owns  bool
	typ   uint32 // index of the resource type
	rep   uint32
	lends uint32
	task  *Task // that a borrow was passed to
}

// Task is a call into a component instance, while it lasts.
type Task struct {
	// borrows counts the handles that were passed to it as borrows and have not
	// been dropped.
	borrows int
}

// Done tells whether all that the task was lent has been given back. It must be
// when the result is there.
func (t *Task) Done() error {
	if t.borrows > 0 {
		return trapf("borrow handles still remain at the end of the call: %d", t.borrows)
	}
	return nil
}

// Loans are the handles that a call out of a component instance has lent.
type Loans struct {
	handles *Handles
	lent    []uint32
}

// Return gives back what was lent, when the call has its result.
func (l *Loans) Return() {
	for _, i := range l.lent {
		l.handles.slots[i-1].lends--
	}
	l.lent = l.lent[:0]
}

func (h *Handles) add(s slot) (uint32, error) {
	if n := len(h.free); n > 0 {
		i := h.free[n-1]
		h.free = h.free[:n-1]
		h.slots[i-1] = s
		return i, nil
	}
	if len(h.slots) == MaxHandles {
		return 0, trapf("there are more than %d handles", MaxHandles)
	}
	h.slots = append(h.slots, s)
	return uint32(len(h.slots)), nil
}

// get finds a handle of a type.
func (h *Handles) get(i, typ uint32) (*slot, error) {
	if i == 0 || uint64(i) > uint64(len(h.slots)) || !h.slots[i-1].used {
		return nil, trapf("unknown handle index %d", i)
	}
	s := &h.slots[i-1]
	if s.typ != typ {
		return nil, trapf("handle index %d is of another resource type than it is used with", i)
	}
	return s, nil
}

func (h *Handles) remove(i uint32) {
	h.slots[i-1] = slot{}
	h.free = append(h.free, i)
}

// New makes a handle that owns a resource of a type.
func (h *Handles) New(typ, rep uint32) (uint32, error) {
	return h.add(slot{used: true, owns: true, typ: typ, rep: rep})
}

// Rep is the representation of what a handle is to.
func (h *Handles) Rep(i, typ uint32) (uint32, error) {
	s, err := h.get(i, typ)
	if err != nil {
		return 0, err
	}
	return s.rep, nil
}

// Drop removes a handle. If it owned the resource, that is to be destroyed.
func (h *Handles) Drop(i, typ uint32) (rep uint32, owned bool, err error) {
	s, err := h.get(i, typ)
	if err != nil {
		return 0, false, err
	}
	if s.lends > 0 {
		return 0, false, trapf("cannot drop handle %d while it is lent", i)
	}
	rep, owned = s.rep, s.owns
	if !owned {
		s.task.borrows--
	}
	h.remove(i)
	return rep, owned, nil
}

// liftOwn takes a handle out to pass the resource on.
func (h *Handles) liftOwn(i, typ uint32) (uint32, error) {
	s, err := h.get(i, typ)
	switch {
	case err != nil:
		return 0, err
	case s.lends > 0:
		return 0, trapf("cannot pass on handle %d while it is lent", i)
	case !s.owns:
		return 0, trapf("cannot pass on the resource of handle %d, which is borrowed", i)
	}
	rep := s.rep
	h.remove(i)
	return rep, nil
}

// liftBorrow lends a handle.
func (h *Handles) liftBorrow(i, typ uint32, loans *Loans) (uint32, error) {
	s, err := h.get(i, typ)
	if err != nil {
		return 0, err
	}
	s.lends++
	loans.handles = h
	loans.lent = append(loans.lent, i)
	return s.rep, nil
}

// lowerBorrow makes a handle to what is borrowed for a task.
func (h *Handles) lowerBorrow(r Resource, rep uint32, task *Task) (uint32, error) {
	if r.Local {
		return rep, nil
	}
	i, err := h.add(slot{used: true, typ: r.Index, rep: rep, task: task})
	if err == nil {
		task.borrows++
	}
	return i, err
}

// HandleTable is a table at rest, in a form that can be written down.
type HandleTable struct {
	// Handles are the handles from 1 on. What is free is zero.
	Handles []Handle
	// Free are the numbers that are free, in the order in which they became so.
	Free []uint32
}

// Handle is a handle that owns a resource.
type Handle struct {
	Used bool
	Type uint32 // number of the resource type
	Rep  uint32
}

// Save writes the table down. That is possible while nothing is lent: between
// calls.
func (h *Handles) Save() (HandleTable, error) {
	t := HandleTable{Handles: make([]Handle, len(h.slots)), Free: append([]uint32(nil), h.free...)}
	for i, s := range h.slots {
		if s.used && (!s.owns || s.lends > 0) {
			return HandleTable{}, fmt.Errorf("the handle %d is lent", i+1)
		}
		t.Handles[i] = Handle{Used: s.used, Type: s.typ, Rep: s.rep}
	}
	return t, nil
}

// Load makes the table what another was when it was written down. types is how
// many resource types there are.
func (h *Handles) Load(t HandleTable, types int) error {
	if len(t.Handles) > MaxHandles {
		return fmt.Errorf("a table of %d handles, more than %d", len(t.Handles), MaxHandles)
	}
	slots, unused := make([]slot, len(t.Handles)), 0
	for i, s := range t.Handles {
		switch {
		case s.Used && uint64(s.Type) >= uint64(types):
			return fmt.Errorf("the handle %d is of the resource type %d of %d", i+1, s.Type, types)
		case s.Used:
			slots[i] = slot{used: true, owns: true, typ: s.Type, rep: s.Rep}
		default:
			unused++
		}
	}
	listed := make(map[uint32]bool, len(t.Free))
	for _, i := range t.Free {
		if i == 0 || uint64(i) > uint64(len(slots)) || slots[i-1].used || listed[i] {
			return fmt.Errorf("the handle %d is listed as free, and is not", i)
		}
		listed[i] = true
	}
	if len(t.Free) != unused {
		return fmt.Errorf("%d handles are free, and %d are listed", unused, len(t.Free))
	}
	h.slots, h.free = slots, append([]uint32(nil), t.Free...)
	return nil
}
