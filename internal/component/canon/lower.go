package canon

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/waterbear-run/waterbear/wit"
)

// Lower gives values to core modules. One serves one call.
type Lower struct {
	Encoding Encoding
	Guest    Guest // nil if types need no memory
	Handles  *Handles
	Task     *Task // that borrows are for

	memory []byte
}

// ValueError is a value that is not of the type it is to be. It is the fault of
// who gave it, and never a guest's.
type ValueError struct {
	Kind  wit.Kind
	Value wit.Value
	Why   string // "" if it is of another Go type than it has to
}

// Error says what was given and what it should have been.
func (e *ValueError) Error() string {
	if e.Why != "" {
		return fmt.Sprintf("this is no %s: %s", e.Kind, e.Why)
	}
	return fmt.Sprintf("a value of Go type %T is no %s", e.Value, e.Kind)
}

func notOf(t *Type, v wit.Value) error { return &ValueError{Kind: t.kind, Value: v} }

func badValue(t *Type, format string, args ...any) error {
	return &ValueError{Kind: t.kind, Why: fmt.Sprintf(format, args...)}
}

// realloc changes an allocation and checks what it has become.
func (l *Lower) realloc(old, oldSize, align uint32, size uint64) (uint32, error) {
	if size > maxRealloc {
		return 0, trapf("%d bytes are more than can be allocated", size)
	}
	ptr, err := l.Guest.Realloc(old, oldSize, align, uint32(size))
	if err != nil {
		return 0, err
	}
	if err := l.valid(ptr, size, align); err != nil {
		return 0, err
	}
	return ptr, nil
}

// valid checks a pointer to size bytes against the memory as it has become.
func (l *Lower) valid(ptr uint32, size uint64, align uint32) error {
	if l.Guest == nil {
		return trapf("there is no memory to pass a value in")
	}
	l.memory = l.Guest.Memory()
	if ptr&(align-1) != 0 {
		return errAlignment
	}
	if uint64(ptr)+size > uint64(len(l.memory)) {
		return errBounds
	}
	return nil
}

// at is the memory from a pointer on that was found valid. It is to be asked for
// anew whenever something may have been allocated in between.
func (l *Lower) at(ptr uint32, n uint32) []byte { return l.memory[ptr : uint64(ptr)+uint64(n)] }

// store puts a value into memory (store).
func (l *Lower) store(t *Type, v wit.Value, ptr uint32) error {
	switch t.kind {
	case wit.String, wit.List:
		begin, n, err := l.pointed(t, v)
		if err != nil {
			return err
		}
		m := l.at(ptr, 8)
		binary.LittleEndian.PutUint32(m, begin)
		binary.LittleEndian.PutUint32(m[4:], n)
		return nil
	case wit.Record, wit.Tuple:
		fields, ok := v.([]wit.Value)
		if !ok || len(fields) != len(t.fields) {
			return notOf(t, v)
		}
		return l.storeFields(t, fields, ptr)
	case wit.Variant, wit.Enum, wit.Option, wit.Result:
		c, payload, err := caseOf(t, v)
		if err != nil {
			return err
		}
		putWord(l.at(ptr, t.disc), c.Index, t.disc)
		if payload == nil {
			return nil
		}
		return l.store(payload, c.Payload, ptr+t.payload)
	}
	bits, err := l.scalar(t, v)
	if err != nil {
		return err
	}
	if t.size == 8 {
		binary.LittleEndian.PutUint64(l.at(ptr, 8), bits)
	} else {
		putWord(l.at(ptr, t.size), uint32(bits), t.size)
	}
	return nil
}

func (l *Lower) storeFields(t *Type, fields []wit.Value, ptr uint32) error {
	for i, f := range t.fields {
		if err := l.store(f.typ, fields[i], ptr+f.offset); err != nil {
			return err
		}
	}
	return nil
}

func putWord(m []byte, v, size uint32) {
	switch size {
	case 1:
		m[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(m, uint16(v))
	default:
		binary.LittleEndian.PutUint32(m, v)
	}
}

// caseOf checks a case and finds the type of its payload.
func caseOf(t *Type, v wit.Value) (wit.Case, *Type, error) {
	c, ok := v.(wit.Case)
	if !ok {
		return c, nil, notOf(t, v)
	}
	if c.Index >= t.cases {
		return c, nil, badValue(t, "it has no case %d", c.Index)
	}
	payload := t.fields[c.Index].typ
	if payload == nil && c.Payload != nil {
		return c, nil, badValue(t, "the case %d has no payload", c.Index)
	}
	return c, payload, nil
}

// scalar gives the bits of a value that one core value holds, extended by the
// signedness of its type to 32 bits or 64.
func (l *Lower) scalar(t *Type, v wit.Value) (uint64, error) {
	switch v := v.(type) {
	case bool:
		if t.kind == wit.Bool {
			if v {
				return 1, nil
			}
			return 0, nil
		}
	case int8:
		if t.kind == wit.S8 {
			return uint64(uint32(v)), nil
		}
	case uint8:
		if t.kind == wit.U8 {
			return uint64(v), nil
		}
	case int16:
		if t.kind == wit.S16 {
			return uint64(uint32(v)), nil
		}
	case uint16:
		if t.kind == wit.U16 {
			return uint64(v), nil
		}
	case int32:
		if t.kind == wit.S32 {
			return uint64(uint32(v)), nil
		}
	case uint32:
		return l.unsigned(t, v)
	case int64:
		if t.kind == wit.S64 {
			return uint64(v), nil
		}
	case uint64:
		if t.kind == wit.U64 {
			return v, nil
		}
	case float32:
		if t.kind == wit.F32 {
			return uint64(bitsOf32(v)), nil
		}
	case float64:
		if t.kind == wit.F64 {
			return bitsOf64(v), nil
		}
	case wit.Rune:
		if t.kind == wit.Char {
			if _, err := charOf(uint32(v)); err != nil {
				return 0, badValue(t, "%v", err)
			}
			return uint64(v), nil
		}
	}
	return 0, notOf(t, v)
}

// unsigned gives the bits of what is a uint32 in Go.
func (l *Lower) unsigned(t *Type, v uint32) (uint64, error) {
	switch t.kind {
	case wit.U32:
		return uint64(v), nil
	case wit.Flags:
		if v&^t.mask != 0 {
			return 0, badValue(t, "it has no label %#x", v&^t.mask)
		}
		return uint64(v), nil
	case wit.Own:
		i, err := l.Handles.New(t.ref.Index, v)
		return uint64(i), err
	case wit.Borrow:
		i, err := l.Handles.lowerBorrow(t.ref, v, l.Task)
		return uint64(i), err
	}
	return 0, notOf(t, v)
}

func bitsOf32(f float32) uint32 {
	if math.IsNaN(float64(f)) {
		return nan32
	}
	return math.Float32bits(f)
}

func bitsOf64(f float64) uint64 {
	if math.IsNaN(f) {
		return nan64
	}
	return math.Float64bits(f)
}

// pointed puts a string or a list into memory of its own, and gives the pointer
// and the length that stand for it.
func (l *Lower) pointed(t *Type, v wit.Value) (ptr, n uint32, err error) {
	if l.Guest == nil {
		return 0, 0, trapf("there is no memory to pass a value in")
	}
	if t.kind == wit.String {
		return l.text(t, v)
	}
	elem := t.elem
	switch v := v.(type) {
	case []byte:
		if elem.kind != wit.U8 {
			break
		}
		return l.copyList(elem, v)
	case numbers:
		if !elem.dense || len(v)%int(elem.size) != 0 {
			break
		}
		return l.copyList(elem, v)
	case []wit.Value:
		return l.list(elem, v)
	}
	return 0, 0, notOf(t, v)
}

// copyList stores a list that is there as it will lie in memory.
func (l *Lower) copyList(elem *Type, bytes []byte) (ptr, n uint32, err error) {
	ptr, err = l.realloc(0, 0, elem.align, uint64(len(bytes)))
	if err != nil {
		return 0, 0, err
	}
	copy(l.memory[ptr:], bytes)
	return ptr, uint32(len(bytes)) / elem.size, nil
}

// list stores the elements of a list (store_list_into_range).
func (l *Lower) list(elem *Type, v []wit.Value) (ptr, n uint32, err error) {
	ptr, err = l.realloc(0, 0, elem.align, uint64(len(v))*uint64(elem.size))
	if err != nil {
		return 0, 0, err
	}
	for i, e := range v {
		if err := l.store(elem, e, ptr+uint32(i)*elem.size); err != nil {
			return 0, 0, err
		}
	}
	return ptr, uint32(len(v)), nil
}

// flat writes the core values of a value (lower_flat). Those of a variant that
// its payload does not need are 0.
func (l *Lower) flat(t *Type, v wit.Value, stack []uint64) error {
	switch t.kind {
	case wit.String, wit.List:
		ptr, n, err := l.pointed(t, v)
		stack[0], stack[1] = uint64(ptr), uint64(n)
		return err
	case wit.Record, wit.Tuple:
		fields, ok := v.([]wit.Value)
		if !ok || len(fields) != len(t.fields) {
			return notOf(t, v)
		}
		return l.flatFields(t, fields, stack)
	case wit.Variant, wit.Enum, wit.Option, wit.Result:
		c, payload, err := caseOf(t, v)
		if err != nil {
			return err
		}
		stack[0] = uint64(c.Index)
		clear(stack[1:t.flats])
		if payload == nil {
			return nil
		}
		return l.flat(payload, c.Payload, stack[1:])
	}
	bits, err := l.scalar(t, v)
	stack[0] = bits
	return err
}

func (l *Lower) flatFields(t *Type, fields []wit.Value, stack []uint64) error {
	for i, f := range t.fields {
		if err := l.flat(f.typ, fields[i], stack); err != nil {
			return err
		}
		stack = stack[f.typ.flats:]
	}
	return nil
}
