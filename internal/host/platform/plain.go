package platform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// reallocName is the export by which a core module allocates what the host gives
// it (CanonicalABI.md, "realloc").
const reallocName = "cabi_realloc"

// Modules are what core modules of WASI 0.1 can import: the same functions, each
// interface a module, by the canonical ABI with strings in UTF-8.
func Modules() []wasm.HostModule {
	var list []wasm.HostModule
	for _, i := range typed() {
		m := wasm.HostModule{Name: packageName + "/" + i.name + "@" + version}
		for _, f := range i.functions {
			m.Funcs = append(m.Funcs, plain(i.name, &f))
		}
		list = append(list, m)
	}
	return list
}

// plain is a function as core modules import it.
func plain(of string, f *function) wasm.HostFunc {
	name, call := of+"."+f.name, f.call
	scope := canon.Scope{Resolve: func(r *wit.Resource) (canon.Resource, error) {
		return canon.Resource{}, fmt.Errorf("a core module cannot hold the resource %s", r.Name)
	}}
	abi, err := scope.Func(f.typ)
	if err != nil {
		panic(fmt.Sprintf("platform: %s: %v", name, err))
	}
	core := abi.Core(canon.Lowered)
	return wasm.HostFunc{
		Name: f.name, Params: valueTypes(core.Params), Results: valueTypes(core.Results),
		Call: func(in *wasm.Instance, stack []uint64) {
			if err := callPlain(in, name, abi, call, stack); err != nil {
				wasm.Abort(err)
			}
		},
	}
}

func callPlain(in *wasm.Instance, name string, abi *canon.Func, call call, stack []uint64) error {
	s, err := system(in.State())
	if err != nil {
		return err
	}
	lift := canon.Lift{Memory: in.Memory()}
	args, err := abi.LiftParams(&lift, stack)
	if err != nil {
		return trapped(name, err)
	}
	result, err := call(s, args)
	if err != nil {
		return err
	}
	lower := canon.Lower{Guest: &plainGuest{in: in}}
	return trapped(name, abi.LowerResult(&lower, result, stack))
}

// trapped makes a guest's fault of a violation of the canonical ABI.
func trapped(name string, err error) error {
	if violation := (*canon.Trap)(nil); errors.As(err, &violation) {
		return trap("call of %s: %s", name, violation.Reason)
	}
	return err
}

var coreTypes = [...]wasm.ValueType{canon.I32: wasm.I32, canon.I64: wasm.I64, canon.F32: wasm.F32, canon.F64: wasm.F64}

func valueTypes(types []canon.Core) (list []wasm.ValueType) {
	for _, t := range types {
		list = append(list, coreTypes[t])
	}
	return list
}

// plainGuest is a core module as values are lowered to it.
type plainGuest struct {
	in    *wasm.Instance
	alloc *wasm.Func
}

// Memory implements canon.Guest.
func (g *plainGuest) Memory() []byte { return g.in.Memory() }

// Realloc implements canon.Guest. What the program calls from there is as good as
// any other call of it.
func (g *plainGuest) Realloc(old, oldSize, align, newSize uint32) (uint32, error) {
	if g.alloc == nil {
		if err := g.findRealloc(); err != nil {
			return 0, err
		}
	}
	stack := [4]uint64{uint64(old), uint64(oldSize), uint64(align), uint64(newSize)}
	err := g.alloc.Call(stack[:])
	return uint32(stack[0]), err
}

func (g *plainGuest) findRealloc() (err error) {
	i32 := wasm.I32
	for _, e := range g.in.Module().Exports() {
		if e.Name != reallocName {
			continue
		}
		if !slices.Equal(e.Params, []wasm.ValueType{i32, i32, i32, i32}) || !slices.Equal(e.Results, []wasm.ValueType{i32}) {
			return trap("the export %s is not a function that takes four i32 and gives one", reallocName)
		}
		g.alloc, err = g.in.Func(reallocName)
		return err
	}
	return trap("the module exports no %s, by which it would allocate what %s gives it: export one that does what realloc of C does", reallocName, packageName)
}
