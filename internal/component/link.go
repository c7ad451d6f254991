package component

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

// linker follows a component from definition to definition, into the components
// that it instantiates, and writes down what is to be done for an instance.
type linker struct {
	program *Program
	hosts   []*HostInterface
	// ofHost are the resource types of the host.
	ofHost  map[*wit.Resource]int
	guests  map[guestKey]int
	entered map[[2]int][]int // see entering
	funcs   int              // see count
	work    int
	// plain are the types without handles, which are the same everywhere.
	plain        map[*wit.Type]*canon.Type
	variants     map[string]int // core modules by source and names, in builds
	builds       []build
	main         *binary.Component
	used         map[*binary.CoreModule]bool
	variantBytes int // see maxVariantBytes
}

// Items of index spaces: *binary.CoreModule, coreExports, coreItem, *coreFunc,
// *function, resource, *closure, instance; nil for types that are nothing at run
// time.
type (
	// coreExports are those of a core instance.
	coreExports interface {
		export(name string) any
	}
	// coreInstance is an instance of a core module.
	coreInstance struct {
		index  int
		byName map[string]wasmbin.Kind
	}
	// coreBundle is a core instance that is made of items.
	coreBundle map[string]any
	// coreItem is a table, a memory, a global or a tag.
	coreItem struct {
		instance int
		name     string
	}
	resource int
	// closure is a component with what is around it.
	closure struct {
		component *binary.Component
		outer     *scope
	}
	// instance is the exports of an instance.
	instance map[string]any
)

func (c *coreInstance) export(name string) any {
	if c.byName[name] == wasmbin.Func {
		return &coreFunc{instance: c.index, name: name}
	}
	return coreItem{c.index, name}
}

func (c coreBundle) export(name string) any { return c[name] }

// scope is a component instance while it is followed.
type scope struct {
	component *binary.Component
	index     int // in Program.components
	outer     *scope
	items     [binary.Sorts][]any
	resources map[*wit.Resource]int
	types     canon.Scope
}

func newLinker(hosts []*HostInterface) *linker {
	return &linker{
		program: &Program{exports: map[string]*function{}, handles: map[string]int{}},
		hosts:   hosts,
		ofHost:  map[*wit.Resource]int{}, guests: map[guestKey]int{}, entered: map[[2]int][]int{},
		plain: map[*wit.Type]*canon.Type{}, variants: map[string]int{},
		used: map[*binary.CoreModule]bool{},
	}
}

// root follows the outermost component.
func (l *linker) root(c *binary.Component) (instance, error) {
	l.main = c
	return l.instantiate(&closure{component: c}, -1, nil)
}

// charge accounts for work.
func (l *linker) charge(n int) error {
	if l.work += n; l.work > maxWork {
		return fmt.Errorf("it takes more than %d steps to link: components are instantiated too often for what is in them", maxWork)
	}
	return nil
}

// count accounts for a function or a resource type.
func (l *linker) count() error {
	if l.funcs++; l.funcs > maxFuncs {
		return fmt.Errorf("it has more than %d functions between core modules and components", maxFuncs)
	}
	return nil
}

// instantiate follows an instance of a component, which parent makes, with args
// for its imports; those of the outermost are the host's.
func (l *linker) instantiate(c *closure, parent int, args instance) (instance, error) {
	p := l.program
	if len(p.components)+len(p.cores) >= MaxInstances {
		return nil, fmt.Errorf("it has more than %d instances", MaxInstances)
	}
	s := &scope{
		component: c.component, index: len(p.components), outer: c.outer,
		resources: map[*wit.Resource]int{},
	}
	s.types = canon.Scope{Plain: l.plain, Resolve: func(r *wit.Resource) (canon.Resource, error) {
		i, err := s.resource(r)
		return canon.Resource{Index: uint32(i), Local: err == nil && p.resources[i].component == s.index}, err
	}}
	p.components = append(p.components, componentPlan{parent: parent})
	if err := l.charge(1 + len(c.component.Defs)); err != nil {
		return nil, err
	}
	exports := instance{}
	for _, def := range c.component.Defs {
		item, err := l.define(s, def, args, exports)
		if err != nil {
			return nil, err
		}
		if _, ok := def.(*binary.ResourceType); !ok {
			s.items[def.Sort()] = append(s.items[def.Sort()], item)
		}
	}
	return exports, nil
}

// define follows one definition and gives the item that it is.
func (l *linker) define(s *scope, def binary.Def, args, exports instance) (any, error) {
	switch def := def.(type) {
	case *binary.CoreModule:
		return def, nil
	case *binary.CoreInstance:
		return l.coreInstance(s, def)
	case *binary.CoreBundle:
		bundle := coreBundle{}
		for _, e := range def.Exports {
			bundle[e.Name] = s.item(e.Ref)
		}
		return bundle, l.charge(len(bundle))
	case *binary.CoreAlias:
		return s.items[binary.CoreInstanceSort][def.Instance].(coreExports).export(def.Name), nil
	case *binary.SubComponent:
		return &closure{def.Component, s}, nil
	case *binary.Instance:
		return l.subInstance(s, def)
	case *binary.Bundle:
		bundle := instance{}
		for _, e := range def.Exports {
			bundle[e.Name] = s.item(e.Ref)
		}
		return bundle, l.charge(len(bundle))
	case *binary.Alias:
		return s.items[binary.InstanceSort][def.Instance].(instance)[def.Name], nil
	case *binary.OuterAlias:
		from := s
		for range def.Outward {
			from = from.outer
		}
		return from.items[def.Of][def.Index], nil
	case *binary.ResourceType:
		return nil, l.resourceType(s, def)
	case *binary.Lift:
		return l.lift(s, def)
	case *binary.Lower:
		return l.lower(s, def)
	case *binary.ResourceFunc:
		return l.resourceFunc(s, def)
	case *binary.Import:
		item, err := l.importItem(s, def, args)
		if err != nil {
			return nil, err
		}
		return item, s.bind(def.Binds, item)
	case *binary.Export:
		item := s.item(def.Item)
		exports[def.Name] = item
		return item, s.bind(def.Binds, item)
	}
	return nil, fmt.Errorf("there is no definition of type %T", def)
}

// item finds what a reference is to.
func (s *scope) item(r binary.Ref) any {
	if r.Sort == binary.Type {
		if i, ok := s.resources[r.Resource]; ok && r.Resource != nil {
			return resource(i)
		}
		return nil
	}
	return s.items[r.Sort][r.Index]
}

// resource finds the resource type that one of the component is.
func (s *scope) resource(r *wit.Resource) (int, error) {
	if i, ok := s.resources[r]; ok {
		return i, nil
	}
	return 0, fmt.Errorf("the resource type %s is not bound", r.Name)
}

// bind makes the resource types known that come with an item.
func (s *scope) bind(binds []binary.Binding, item any) error {
	for _, b := range binds {
		at := item
		for _, name := range b.Path {
			of, ok := at.(instance)
			if !ok {
				return fmt.Errorf("the resource type %s is not where it should be", b.Resource.Name)
			}
			at = of[name]
		}
		r, ok := at.(resource)
		if !ok {
			return fmt.Errorf("the resource type %s is not where it should be", b.Resource.Name)
		}
		s.resources[b.Resource] = int(r)
	}
	return nil
}

func (l *linker) subInstance(s *scope, def *binary.Instance) (any, error) {
	args := instance{}
	for _, a := range def.Args {
		args[a.Name] = s.item(a.Ref)
	}
	if err := l.charge(len(args)); err != nil {
		return nil, err
	}
	exports, err := l.instantiate(s.items[binary.ComponentSort][def.Component].(*closure), s.index, args)
	if err != nil {
		return nil, err
	}
	return exports, s.bind(def.Binds, exports)
}

func (l *linker) resourceType(s *scope, def *binary.ResourceType) error {
	if err := l.count(); err != nil {
		return err
	}
	p := l.program
	r := resourcePlan{
		name: def.Resource.Name, component: s.index,
		entering: map[int][]int{-1: l.entering(s.index, -1)},
	}
	if def.Dtor >= 0 {
		r.dtor = s.coreFunc(def.Dtor)
	}
	s.resources[def.Resource] = len(p.resources)
	p.resources = append(p.resources, r)
	return nil
}

func (s *scope) coreFunc(i int) *coreFunc {
	if i < 0 {
		return nil
	}
	return s.items[binary.CoreFunc][i].(*coreFunc)
}

// guestKey tells apart where values are lifted from and lowered to.
type guestKey struct {
	component, memory int
	realloc           coreFunc
}

// guest gives the number of what options lead to.
func (l *linker) guest(s *scope, o *binary.Options) int {
	p := l.program
	g := guestPlan{component: s.index, memory: -1, realloc: s.coreFunc(o.Realloc)}
	if o.Memory >= 0 {
		g.memory = p.cores[s.items[binary.CoreMemory][o.Memory].(coreItem).instance].memory
	}
	key := guestKey{component: g.component, memory: g.memory, realloc: coreFunc{instance: -1}}
	if g.realloc != nil {
		key.realloc = *g.realloc
	}
	i, ok := l.guests[key]
	if !ok {
		i = len(p.guests)
		p.guests = append(p.guests, g)
		l.guests[key] = i
	}
	return i
}

var encodings = map[binary.Encoding]canon.Encoding{
	binary.UTF8: canon.UTF8, binary.UTF16: canon.UTF16, binary.Latin1OrUTF16: canon.Latin1OrUTF16,
}

// abi works out a function type in a component instance.
func (l *linker) abi(s *scope, t *wit.Func, core wasmbin.FuncType, side canon.Side) (*canon.Func, error) {
	if err := l.count(); err != nil {
		return nil, err
	}
	before := s.types.Work
	f, err := s.types.Func(t)
	if err == nil {
		err = l.charge(typeWork * (s.types.Work - before))
	}
	if err != nil {
		return nil, err
	}
	got := f.Core(side)
	if !sameCore(got.Params, core.Params) || !sameCore(got.Results, core.Results) {
		return nil, errors.New("a core function is not of the type that its function is flattened to")
	}
	return f, nil
}

var coreTypes = [...]wasmbin.ValueType{canon.I32: wasmbin.I32, canon.I64: wasmbin.I64, canon.F32: wasmbin.F32, canon.F64: wasmbin.F64}

func sameCore(a []canon.Core, b []wasmbin.ValueType) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if coreTypes[a[i]] != b[i] {
			return false
		}
	}
	return true
}

func (l *linker) lift(s *scope, def *binary.Lift) (any, error) {
	abi, err := l.abi(s, def.Type, def.Core, canon.Lifted)
	if err != nil {
		return nil, err
	}
	core := s.coreFunc(int(def.CoreFunc))
	index := l.program.lifts
	l.program.lifts++
	return &function{
		name: cmp.Or(core.name, "function"), typ: def.Type, scope: s,
		lift: &lift{
			index: index, component: s.index, core: *core, abi: abi,
			guest: l.guest(s, &def.Options), encoding: encodings[def.Options.Encoding],
			postReturn: s.coreFunc(def.Options.PostReturn),
			fromHost:   l.entering(s.index, -1),
		},
	}, nil
}

// entering are the component instances that a call of one enters, which another
// one or, if that is -1, the host makes (CanonicalABI.md, "entering_set").
func (l *linker) entering(callee, caller int) []int {
	p, key := l.program, [2]int{callee, caller}
	if set, ok := l.entered[key]; ok {
		return set
	}
	inside := map[int]bool{}
	for i := caller; i >= 0; i = p.components[i].parent {
		inside[i] = true
	}
	var set []int
	for i := callee; i >= 0; i = p.components[i].parent {
		if !inside[i] {
			set = append(set, i)
		}
	}
	l.entered[key] = set
	return set
}
