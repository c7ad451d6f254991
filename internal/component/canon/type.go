package canon

import (
	"fmt"

	"github.com/waterbear-run/waterbear/wit"
)

// Core is a core value type of parameters and results.
type Core uint8

// The core value types. Whatever the type, a slot of a call's stack holds its
// bits: those of an i32 and an f32 in the low half.
const (
	I32 Core = iota
	I64
	F32
	F64
)

// short tells the types of 32 bits.
func (c Core) short() bool { return c == I32 || c == F32 }

// Type is a value type as it lies in memory and in core values.
type Type struct {
	kind  wit.Kind
	size  uint32
	align uint32
	// flat are the core values that it is made of, no more than MaxFlatParams of
	// them: flats says how many there are, and flat is nil if that is too many.
	flat  []Core
	flats int

	// fields are those of a record, a tuple; and the payloads of the cases of a
	// variant, an option or a result, where type may be nil.
	fields  []field
	cases   uint32 // of a variant, an enum, an option or a result
	disc    uint32 // size of the discriminant
	payload uint32 // where the payload begins
	elem    *Type  // of a list
	mask    uint32 // of flags
	ref     Resource

	// dense tells that a list of it is nothing but numbers without gaps, which
	// need no looking at.
	dense   bool
	borrows bool // there are borrows in it
	handles bool // there are handles in it
	// weight is what a value of it takes of the host's memory, without what it
	// points to.
	weight uint32
}

type field struct {
	offset uint32
	typ    *Type
}

// Resource is a resource type at run time, as one component instance sees it.
type Resource struct {
	// Index names the type. Two are the same if it is the same.
	Index uint32
	// Local tells that the component instance has made the type, and so is passed
	// representations for borrows of it.
	Local bool
}

// Scope works out types for one component instance. Types that are given by the
// same pointer are worked out once.
type Scope struct {
	// Resolve says which resource type one is. It is called for types of handles.
	Resolve func(*wit.Resource) (Resource, error)
	// Plain, if set, keeps the types without handles, which are the same for all
	// component instances.
	Plain map[*wit.Type]*Type
	// Work counts the types, and their parts, that were worked out.
	Work int

	known map[*wit.Type]*Type
}

// Type works out a type. It is refused if it is not well formed, nested deeper
// than MaxTypeDepth, or not smaller than 2^28 bytes.
func (ts *Scope) Type(t *wit.Type) (*Type, error) { return ts.typeAt(t, 0) }

func (ts *Scope) typeAt(t *wit.Type, depth int) (*Type, error) {
	if t == nil {
		return nil, fmt.Errorf("a type is missing")
	}
	if depth > MaxTypeDepth {
		return nil, fmt.Errorf("types are nested deeper than %d", MaxTypeDepth)
	}
	if p, ok := ts.known[t]; ok {
		return p, nil
	}
	if p, ok := ts.Plain[t]; ok {
		return p, nil
	}
	ts.Work += 1 + len(t.Fields)
	p := &Type{kind: t.Kind}
	if err := ts.layOut(p, t, depth+1); err != nil {
		return nil, err
	}
	if p.size > maxBytes {
		return nil, fmt.Errorf("a type of %d bytes is too large", p.size)
	}
	switch {
	case !p.handles && ts.Plain != nil:
		ts.Plain[t] = p
	case ts.known == nil:
		ts.known = map[*wit.Type]*Type{t: p}
	default:
		ts.known[t] = p
	}
	return p, nil
}

// scalars are the types that lie in one core value as they are.
var scalars = map[wit.Kind]struct {
	size  uint32
	core  Core
	dense bool
}{
	wit.Bool: {1, I32, false}, wit.S8: {1, I32, true}, wit.U8: {1, I32, true},
	wit.S16: {2, I32, true}, wit.U16: {2, I32, true}, wit.S32: {4, I32, true}, wit.U32: {4, I32, true},
	wit.S64: {8, I64, true}, wit.U64: {8, I64, true}, wit.F32: {4, F32, true}, wit.F64: {8, F64, true},
	wit.Char: {4, I32, false}, wit.Own: {4, I32, false}, wit.Borrow: {4, I32, false},
}

// What values take of the host's memory: an interface, and what it points to.
const (
	weightValue  = 16
	weightScalar = weightValue + 8
	weightCase   = weightValue + 24
	weightSlice  = weightValue + 24
)

func (ts *Scope) layOut(p *Type, t *wit.Type, depth int) (err error) {
	if s, ok := scalars[t.Kind]; ok {
		p.size, p.align, p.dense = s.size, s.size, s.dense
		p.flat, p.flats, p.weight = []Core{s.core}, 1, weightScalar
		if t.Kind == wit.Own || t.Kind == wit.Borrow {
			p.handles, p.borrows = true, t.Kind == wit.Borrow
			p.ref, err = ts.Resolve(t.Resource)
		}
		return err
	}
	switch t.Kind {
	case wit.String:
		p.pair()
	case wit.List:
		p.pair()
		if p.elem, err = ts.typeAt(t.Elem, depth); err == nil {
			p.handles, p.borrows = p.elem.handles, p.elem.borrows
		}
	case wit.Record, wit.Tuple:
		err = ts.layOutFields(p, t.Fields, depth)
	case wit.Variant:
		err = ts.layOutCases(p, t.Fields, depth)
	case wit.Enum:
		err = ts.layOutCases(p, make([]wit.Field, len(t.Fields)), depth)
	case wit.Option:
		err = ts.layOutCases(p, []wit.Field{{}, {Type: t.Elem}}, depth)
	case wit.Result:
		err = ts.layOutCases(p, []wit.Field{{Type: t.Elem}, {Type: t.Err}}, depth)
	case wit.Flags:
		err = p.layOutFlags(len(t.Fields))
	default:
		err = fmt.Errorf("there is no type of kind %d", t.Kind)
	}
	return err
}

// pair lays out a pointer and a length.
func (p *Type) pair() {
	p.size, p.align, p.flat, p.flats, p.weight = 8, 4, []Core{I32, I32}, 2, weightSlice
}

func (p *Type) layOutFlags(n int) error {
	switch {
	case n == 0 || n > 32:
		return fmt.Errorf("flags of %d labels", n)
	case n <= 8:
		p.size = 1
	case n <= 16:
		p.size = 2
	default:
		p.size = 4
	}
	p.align, p.mask = p.size, uint32(1<<n-1)
	p.flat, p.flats, p.weight = []Core{I32}, 1, weightScalar
	return nil
}

func (ts *Scope) layOutFields(p *Type, fields []wit.Field, depth int) error {
	if len(fields) == 0 {
		return fmt.Errorf("a %s without fields", p.kind)
	}
	size := uint64(0)
	p.align, p.weight, p.dense = 1, weightSlice, true
	for _, f := range fields {
		t, err := ts.typeAt(f.Type, depth)
		if err != nil {
			return err
		}
		at := alignUp(size, t.align)
		p.dense = p.dense && t.dense && at == size
		p.fields = append(p.fields, field{uint32(at), t})
		if size = at + uint64(t.size); size > maxBytes {
			return fmt.Errorf("a type of more than %d bytes is too large", maxBytes)
		}
		p.align = max(p.align, t.align)
		p.weight = addWeight(p.weight, t.weight)
		p.handles, p.borrows = p.handles || t.handles, p.borrows || t.borrows
		if p.flats += t.flats; p.flats <= MaxFlatParams {
			p.flat = append(p.flat, t.flat...)
		}
	}
	whole := alignUp(size, p.align)
	p.dense = p.dense && whole == size
	p.size = uint32(whole)
	p.limitFlat()
	return nil
}

func (ts *Scope) layOutCases(p *Type, cases []wit.Field, depth int) error {
	switch n := len(cases); {
	case n == 0:
		return fmt.Errorf("a %s without cases", p.kind)
	case n <= 1<<8:
		p.disc = 1
	case n <= 1<<16:
		p.disc = 2
	default:
		p.disc = 4
	}
	p.cases, p.weight = uint32(len(cases)), weightCase
	p.flat, p.flats = []Core{I32}, 1
	align, size, weight := uint32(1), uint32(0), uint32(0)
	for _, c := range cases {
		if c.Type == nil {
			p.fields = append(p.fields, field{})
			continue
		}
		t, err := ts.typeAt(c.Type, depth)
		if err != nil {
			return err
		}
		p.fields = append(p.fields, field{typ: t})
		align, size, weight = max(align, t.align), max(size, t.size), max(weight, t.weight)
		p.handles, p.borrows = p.handles || t.handles, p.borrows || t.borrows
		p.joinFlat(t)
	}
	p.align = max(p.disc, align)
	p.payload = uint32(alignUp(uint64(p.disc), align))
	p.size = uint32(alignUp(uint64(p.payload)+uint64(size), p.align))
	p.weight = addWeight(p.weight, weight)
	p.limitFlat()
	return nil
}

// joinFlat makes the core values of a variant hold a payload (flatten_variant).
func (p *Type) joinFlat(payload *Type) {
	p.flats = max(p.flats, 1+payload.flats)
	for i, c := range payload.flat {
		at := 1 + i
		switch {
		case at == len(p.flat):
			p.flat = append(p.flat, c)
		case p.flat[at] == c:
		case p.flat[at].short() && c.short():
			p.flat[at] = I32
		default:
			p.flat[at] = I64
		}
	}
}

// limitFlat forgets core values that are too many ever to be passed.
func (p *Type) limitFlat() {
	if p.flats > MaxFlatParams {
		p.flat, p.flats = nil, MaxFlatParams+1
	}
}

func addWeight(a, b uint32) uint32 { return min(a+b, 1<<30) }

func alignUp(n uint64, align uint32) uint64 {
	return (n + uint64(align) - 1) &^ (uint64(align) - 1)
}
