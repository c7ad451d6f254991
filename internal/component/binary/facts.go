package binary

import "github.com/waterbear-run/waterbear/wit"

// resourceName is a resource type as one definition, import or export made it
// known. Two of them can be names of the same resource type; what can be seen
// from outside is decided by name.
type resourceName struct{ resource *wit.Resource }

// facts are what a value type has with all that it is made of.
type facts struct {
	size    int32 // see maxTypeSize, which it is at most
	bytes   int32 // in a 64-bit memory, at most maxElemBytes
	align   uint8
	depth   uint8 // at most maxTypeDepth + 1
	borrow  bool  // a borrow is in it
	handle  bool  // an own or a borrow is in it
	pointer bool  // a string or a list is in it
}

// factsOf gives the facts of a type, whose parts are known to be within the
// limits.
func (d *decoder) factsOf(t *wit.Type) facts {
	if f, ok := d.facts[t]; ok {
		return f
	}
	f := facts{size: 1, depth: 1, align: 1}
	switch t.Kind {
	case wit.Bool, wit.S8, wit.U8:
		f.bytes = 1
	case wit.S16, wit.U16:
		f.bytes, f.align = 2, 2
	case wit.S32, wit.U32, wit.F32, wit.Char, wit.Own, wit.Borrow:
		f.bytes, f.align = 4, 4
		f.borrow, f.handle = t.Kind == wit.Borrow, t.Kind != wit.Char && t.Resource != nil
	case wit.S64, wit.U64, wit.F64:
		f.bytes, f.align = 8, 8
	case wit.String, wit.List:
		f.pointer = true
		if t.Elem != nil {
			f.add(d.factsOf(t.Elem))
		}
		f.bytes, f.align = 16, 8
	case wit.Record, wit.Tuple:
		for i := range t.Fields {
			part := d.factsOf(t.Fields[i].Type)
			f.append(part)
			f.add(part)
		}
		f.bytes = alignTo(f.bytes, f.align)
	case wit.Flags:
		f.align = flagsBytes(len(t.Fields))
		f.bytes = int32(f.align)
	default:
		d.variantFacts(t, &f)
	}
	f.bytes = min(f.bytes, maxElemBytes)
	d.facts[t] = f
	return f
}

// variantFacts fills in the facts of a type of cases.
func (d *decoder) variantFacts(t *wit.Type, f *facts) {
	most := int32(0)
	f.align = discriminantBytes(caseCount(t))
	f.bytes = int32(f.align)
	for _, payload := range parts(t) {
		p := d.factsOf(payload)
		f.align = max(f.align, p.align)
		most = max(most, p.bytes)
		f.add(p)
	}
	f.bytes = alignTo(alignTo(f.bytes, f.align)+most, f.align)
}

// add counts a part in.
func (f *facts) add(part facts) {
	f.size = min(f.size+part.size, maxTypeSize)
	f.depth = max(f.depth, min(part.depth, maxTypeDepth)+1)
	f.borrow = f.borrow || part.borrow
	f.handle = f.handle || part.handle
	f.pointer = f.pointer || part.pointer
}

// append lays a field out behind those before it.
func (f *facts) append(field facts) {
	f.align = max(f.align, field.align)
	f.bytes = min(alignTo(f.bytes, field.align)+field.bytes, maxElemBytes)
}

func alignTo(n int32, align uint8) int32 { return (n + int32(align) - 1) / int32(align) * int32(align) }

func flagsBytes(n int) uint8 {
	switch {
	case n <= 8:
		return 1
	case n <= 16:
		return 2
	}
	return 4
}

func discriminantBytes(cases int) uint8 {
	switch {
	case cases <= 1<<8:
		return 1
	case cases <= 1<<16:
		return 2
	}
	return 4
}

// caseCount is how many cases there are in a type that has some.
func caseCount(t *wit.Type) int {
	if t.Kind == wit.Option || t.Kind == wit.Result {
		return 2
	}
	return len(t.Fields)
}

// parts are the types directly in a type, in order.
func parts(t *wit.Type) []*wit.Type {
	var all []*wit.Type
	for i := range t.Fields {
		if t.Fields[i].Type != nil {
			all = append(all, t.Fields[i].Type)
		}
	}
	if t.Elem != nil {
		all = append(all, t.Elem)
	}
	if t.Err != nil {
		all = append(all, t.Err)
	}
	return all
}

// funcFacts are the size of a function type, and whether it has handles.
func (d *decoder) funcFacts(f *wit.Func) facts {
	if known, ok := d.funcs[f]; ok {
		return known
	}
	all := facts{size: 1}
	for i := range f.Params {
		all.add(d.factsOf(f.Params[i].Type))
	}
	if f.Result != nil {
		all.add(d.factsOf(f.Result))
	}
	d.funcs[f] = all
	return all
}

// sizeOf is the size of the type of an item.
func (d *decoder) sizeOf(t *ExternType) int {
	switch {
	case t.Module != nil:
		return t.Module.size
	case t.Func != nil:
		return int(d.funcFacts(t.Func).size)
	case t.Component != nil:
		return t.Component.size
	case t.Instance != nil:
		return t.Instance.size
	case t.Value != nil:
		return int(d.factsOf(t.Value).size)
	}
	return 1
}

// depthOf is how deep instance and component types lie in each other in the type
// of an item.
func depthOf(t *ExternType) int {
	switch {
	case t.Component != nil:
		return t.Component.depth
	case t.Instance != nil:
		return t.Instance.depth
	}
	return 0
}

// addSize adds to the size of a type that is being built.
func (d *decoder) addSize(at int, size *int, more int) {
	*size += more
	if *size >= maxTypeSize {
		d.fail(at, "effective type size exceeds the limit of %d", maxTypeSize)
	}
}

// charge counts work that the bytes of the component do not account for.
func (d *decoder) charge(n int) {
	d.work += n
	if limit := freeWork + workPerByte*(d.pos-d.coreBytes); d.work > limit {
		d.fail(d.pos, "type checking takes more than %d steps: types are too large for how often they are used", limit)
	}
}
