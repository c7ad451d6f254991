package binary

import (
	"slices"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

// Opcodes of canonical definitions that WASI 0.2 has. Those behind are about
// concurrency, but for some.
const (
	canonLift = iota
	canonLower
	canonResourceNew
	canonResourceDrop
	canonResourceRep
)

// canon reads a canonical definition (Binary.md, "Canonical Definitions").
func (d *decoder) canon(s *scope) {
	pos := d.pos
	switch b := d.byte(); b {
	case canonLift:
		if zero := d.byte(); zero != 0 {
			d.refuseLeading(pos+1, zero, "canonical function lift")
		}
		d.lift(s, pos)
	case canonLower:
		if zero := d.byte(); zero != 0 {
			d.refuseLeading(pos+1, zero, "canonical function lower")
		}
		d.lower(s, pos)
	case canonResourceNew:
		d.resourceFunc(s, pos, ResourceNew)
	case canonResourceDrop:
		d.resourceFunc(s, pos, ResourceDrop)
	case canonResourceRep:
		d.resourceFunc(s, pos, ResourceRep)
	default:
		d.refuseCanon(pos, b)
	}
}

func (d *decoder) refuseCanon(pos int, b byte) {
	switch {
	case b == 0x1c, b == 0x1d, b == 0x1e:
		d.refuse(pos, &featureErrorContext)
	case 0x26 <= b && b <= 0x2d && b != 0x2e, 0x40 <= b && b <= 0x42:
		d.refuse(pos, &featureThreads)
	case b == 5, b == 6, 9 <= b && b <= 0x25:
		d.refuse(pos, &featureAsync)
	default:
		d.refuseLeading(pos, b, "canonical function")
	}
}

// resourceFunc reads a function that works on handles, behind its opcode.
func (d *decoder) resourceFunc(s *scope, pos int, op ResourceOp) {
	at := d.pos
	r := d.resourceAt(s)
	if r == nil {
		return
	}
	if op != ResourceDrop && !s.defined[r.Resource] {
		d.fail(at, "type is not a local resource")
	}
	f := &mapType
	if op == ResourceDrop {
		f = &dtorType
	}
	d.pushCore(s, pos, f)
	s.define(&ResourceFunc{Op: op, Resource: r.Resource})
}

// Core types of functions that handles or representations are passed to.
var (
	mapType  = CoreType{Kind: wasmbin.Func, Func: wasmbin.FuncType{Params: oneI32, Results: oneI32}}
	dtorType = CoreType{Kind: wasmbin.Func, Func: wasmbin.FuncType{Params: oneI32}}
	oneI32   = []wasmbin.ValueType{wasmbin.I32}
)

func (d *decoder) lift(s *scope, pos int) {
	def := &Lift{CoreFunc: d.u32(), Options: d.options(s)}
	at1 := d.pos
	i := d.u32()
	t := at(d, s.types, at1, i, "type")
	core := d.coreItemAt(s, pos, wasmbin.Func, def.CoreFunc)
	if d.err != nil {
		return
	}
	if t.Func == nil {
		d.fail(at1, "type index %d is not a function type", i)
		return
	}
	def.Type, def.Core = t.Func, core.Func
	if def.Options.PostReturn >= 0 {
		post := d.coreItemAt(s, pos, wasmbin.Func, uint32(def.Options.PostReturn))
		if post != nil && (!slices.Equal(post.Func.Params, core.Func.Results) || len(post.Func.Results) > 0) {
			d.fail(pos, "canonical option `post-return` uses a core function with an incorrect signature")
		}
	}
	want := d.signature(pos, t.Func, def.Options, true)
	if !slices.Equal(want.Params, core.Func.Params) {
		d.fail(pos, "lowered parameter types `%s` do not match parameter types `%s` of core function %d",
			typesText(want.Params), typesText(core.Func.Params), def.CoreFunc)
	}
	if !slices.Equal(want.Results, core.Func.Results) {
		d.fail(pos, "lowered result types `%s` do not match result types `%s` of core function %d",
			typesText(want.Results), typesText(core.Func.Results), def.CoreFunc)
	}
	d.push(s, pos, &ExternType{Of: Func, Func: t.Func})
	s.define(def)
}

func (d *decoder) lower(s *scope, pos int) {
	def := &Lower{Func: d.u32(), Options: d.options(s)}
	def.Type = at(d, s.funcs, pos, def.Func, "function")
	if d.err != nil {
		return
	}
	if def.Options.PostReturn >= 0 {
		d.fail(pos, "canonical option `post-return` cannot be specified for lowerings")
	}
	def.Core = d.signature(pos, def.Type, def.Options, false)
	d.pushCore(s, pos, &CoreType{Kind: wasmbin.Func, Func: def.Core})
	s.define(def)
}

// Kinds of options.
const (
	optionUTF8 = iota
	optionUTF16
	optionLatin1
	optionMemory
	optionRealloc
	optionPostReturn
	optionAsync
	optionCallback
	optionCoreType
	optionGC
)

var encodingNames = [...]string{"utf8", "utf16", "latin1-utf16"}

// options reads the options of a lift or a lower.
func (d *decoder) options(s *scope) Options {
	pos := d.pos
	o := Options{Memory: -1, Realloc: -1, PostReturn: -1}
	encoded := false
	d.vector(1, "canonical options", maxOptions, func() {
		pos := d.pos
		switch b := d.byte(); b {
		case optionUTF8, optionUTF16, optionLatin1:
			if encoded {
				d.fail(pos, "canonical encoding option `%s` conflicts with option `%s`", encodingNames[o.Encoding], encodingNames[b])
			}
			o.Encoding, encoded = Encoding(b), true
		case optionMemory:
			d.option(pos, &o.Memory, "memory")
		case optionRealloc:
			d.option(pos, &o.Realloc, "realloc")
		case optionPostReturn:
			d.option(pos, &o.PostReturn, "post-return")
		case optionAsync, optionCallback:
			d.refuse(pos, &featureAsync)
		case optionCoreType, optionGC:
			d.refuse(pos, &featureComponentGC)
		default:
			d.refuseLeading(pos, b, "canonical option")
		}
	})
	d.checkOptions(s, pos, o)
	return o
}

func (d *decoder) option(pos int, to *int, name string) {
	if *to >= 0 {
		d.fail(pos, "canonical option `%s` is specified more than once", name)
	}
	*to = int(d.u32())
}

var reallocType = wasmbin.FuncType{
	Params:  []wasmbin.ValueType{wasmbin.I32, wasmbin.I32, wasmbin.I32, wasmbin.I32},
	Results: []wasmbin.ValueType{wasmbin.I32},
}

// checkOptions checks what options refer to, but for post-return, whose type
// depends on the function.
func (d *decoder) checkOptions(s *scope, pos int, o Options) {
	if o.Memory >= 0 {
		d.coreItemAt(s, pos, wasmbin.Memory, uint32(o.Memory))
	}
	if o.Realloc < 0 || d.err != nil {
		return
	}
	if o.Memory < 0 {
		d.fail(pos, "canonical option `realloc` requires `memory` to also be specified")
	}
	f := d.coreItemAt(s, pos, wasmbin.Func, uint32(o.Realloc))
	if f != nil && !sameCoreFunc(&f.Func, &reallocType) {
		d.fail(pos, "canonical option `realloc` uses a core function with an incorrect signature")
	}
}

func sameCoreFunc(a, b *wasmbin.FuncType) bool {
	return slices.Equal(a.Params, b.Params) && slices.Equal(a.Results, b.Results)
}

// Limits of what is passed in core values (CanonicalABI.md, "Flattening").
const (
	maxFlatParams  = 16
	maxFlatResults = 1
)

// signature is the type of the core function that a function is lifted from or
// lowered to, and checks that the options are there that it needs.
func (d *decoder) signature(pos int, f *wit.Func, o Options, lift bool) wasmbin.FuncType {
	var core wasmbin.FuncType
	pointers := false
	for i := range f.Params {
		t := f.Params[i].Type
		pointers = pointers || d.factsOf(t).pointer
		core.Params = append(core.Params, d.flatten(t).types...)
		if len(core.Params) > maxFlatParams {
			break
		}
	}
	needsMemory, needsRealloc := pointers, pointers && lift
	if len(core.Params) > maxFlatParams {
		core.Params = []wasmbin.ValueType{wasmbin.I32}
		needsMemory, needsRealloc = true, needsRealloc || lift
	}
	if f.Result != nil {
		pointers := d.factsOf(f.Result).pointer
		core.Results = d.flatten(f.Result).types
		needsMemory = needsMemory || pointers
		needsRealloc = needsRealloc || pointers && !lift
	}
	if len(core.Results) > maxFlatResults {
		needsMemory = true
		core.Results = nil
		if lift {
			core.Results = []wasmbin.ValueType{wasmbin.I32}
		} else {
			core.Params = append(core.Params, wasmbin.I32)
		}
	}
	if needsMemory && o.Memory < 0 {
		d.fail(pos, "canonical option `memory` is required")
	}
	if needsRealloc && o.Realloc < 0 {
		d.fail(pos, "canonical option `realloc` is required")
	}
	return core
}

// flat is what a value type is as core values: as many of them as fit parameters,
// and one more if there are more.
type flat struct{ types []wasmbin.ValueType }

// flatten gives the core types of a value (CanonicalABI.md, "Flattening").
func (d *decoder) flatten(t *wit.Type) flat {
	if f, ok := d.flat[t]; ok {
		return f
	}
	d.charge(len(t.Fields))
	var f flat
	switch t.Kind {
	case wit.S64, wit.U64:
		f.types = []wasmbin.ValueType{wasmbin.I64}
	case wit.F32:
		f.types = []wasmbin.ValueType{wasmbin.F32}
	case wit.F64:
		f.types = []wasmbin.ValueType{wasmbin.F64}
	case wit.String, wit.List:
		f.types = []wasmbin.ValueType{wasmbin.I32, wasmbin.I32}
	case wit.Record, wit.Tuple:
		for i := range t.Fields {
			if f.types = append(f.types, d.flatten(t.Fields[i].Type).types...); len(f.types) > maxFlatParams {
				break
			}
		}
	case wit.Variant, wit.Option, wit.Result:
		f.types = []wasmbin.ValueType{wasmbin.I32}
		for _, p := range parts(t) {
			f.join(d.flatten(p).types)
		}
	default: // integers of 32 bits and less, char, enum, flags and handles
		f.types = []wasmbin.ValueType{wasmbin.I32}
	}
	f.types = slices.Clip(f.types[:min(len(f.types), maxFlatParams+1)])
	d.flat[t] = f
	return f
}

// join makes room for the payload of one more case, behind the discriminant.
func (f *flat) join(payload []wasmbin.ValueType) {
	for i, p := range payload {
		if i+1 == len(f.types) {
			f.types = append(f.types, p)
			continue
		}
		have := &f.types[i+1]
		switch {
		case *have == p:
		case narrow(*have) && narrow(p):
			*have = wasmbin.I32
		default:
			*have = wasmbin.I64
		}
	}
}

// narrow says whether a core value has 32 bits.
func narrow(t wasmbin.ValueType) bool { return t == wasmbin.I32 || t == wasmbin.F32 }
