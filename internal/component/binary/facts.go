package binary

import "github.com/waterbear-run/waterbear/wit"

// resourceName is a resource type as one definition, import or export made it
// known. Two of them can be names of the same resource type; what can be seen
// from outside is decided by name.
type resourceName struct{ resource *wit.Resource }

// facts are what a value type has with all that it is made of.
type facts struct {
	size    int32 // see maxTypeSize, which it is at most
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
	f := facts{
		size: 1, depth: 1,
		borrow:  t.Kind == wit.Borrow,
		handle:  t.Kind == wit.Borrow || t.Kind == wit.Own,
		pointer: t.Kind == wit.String || t.Kind == wit.List,
	}
	for _, p := range parts(t) {
		f.add(d.factsOf(p))
	}
	d.facts[t] = f
	return f
}

// add counts a part in.
func (f *facts) add(part facts) {
	f.size = min(f.size+part.size, maxTypeSize)
	f.depth = max(f.depth, min(part.depth, maxTypeDepth)+1)
	f.borrow = f.borrow || part.borrow
	f.handle = f.handle || part.handle
	f.pointer = f.pointer || part.pointer
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
