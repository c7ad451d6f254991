// Package component runs WebAssembly components: it links what component/binary
// has decoded to the interfaces of the host, compiles the core modules with
// package wasm, and instantiates the whole as one Instance. It hides nested
// components, aliases, the many core modules that a component is made of, and
// the canonical ABI between them.
//
// All that does not depend on an instance is done once, when a Program is
// compiled: the tree of components is followed to its last instance, and comes
// out as a list of core modules to instantiate, in order, and of functions that
// are called by their number.
package component

import (
	"context"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// Limits on what a component may be made of when all its instances are counted.
const (
	// MaxInstances bounds the component instances and core module instances.
	MaxInstances = 1000
	// maxInstanceBytes bounds the host's memory that an instance of the program
	// takes, without the linear memories, by an estimate.
	maxInstanceBytes = 256 << 20
	// maxFuncs bounds the functions that lead into core modules and out of them,
	// and the resource types, together.
	maxFuncs = 20_000
	// maxVariantBytes bounds the core modules that have to be compiled more than
	// once, because instances of one find their imports under different names.
	maxVariantBytes = 16 << 20
	// maxWork bounds the definitions and types that are gone through to find out
	// what the instances are: small components that are instantiated many times
	// can have many of them. A type counts for typeWork.
	maxWork  = 2_000_000
	typeWork = 10
	// maxCalls is how deep calls may lie in each other that cross the border of a
	// component instance.
	maxCalls = 500
)

// Program is a component that is linked to the host and compiled: what is the same
// for all instances of it.
type Program struct {
	engine  *wasm.Engine
	modules []*wasm.Module
	// host has the trampolines: core functions that are not a guest's.
	host  *wasm.Host
	cores []corePlan
	// components are the component instances, the outermost first, each after the
	// one that it is in.
	components []componentPlan
	guests     []guestPlan
	resources  []resourcePlan
	tramps     []*trampoline
	lifts      int // how many there are
	exports    map[string]*function
	handles    map[string]int // exported resource types
	list       []Export
	imports    []string
	foreign    []Export
}

// Export is a function that a component offers.
type Export struct {
	// Name is that of the function or, behind the name of the interface that it is
	// in and a #, its name there: "run", "wasi:cli/run@0.2.0#run".
	Name string
	Type *wit.Func
}

// corePlan is a core module instance.
type corePlan struct {
	module  *wasm.Module
	sources []source
	memory  int // the core instance that its memory belongs to, -1 without one
}

// source is where a core module instance finds imports: another one, or the
// trampolines.
type source struct{ instance int }

// trampolines stands for the host among the sources.
const trampolines = -1

// componentPlan is a component instance.
type componentPlan struct {
	parent int // -1 of the outermost
}

// coreFunc is a core function: an export of a core module instance, or a
// trampoline.
type coreFunc struct {
	instance int // -1: it is the trampoline
	name     string
	tramp    *trampoline
}

// guestPlan is where values are lifted from and lowered to.
type guestPlan struct {
	component int
	memory    int // a core instance, -1 without
	realloc   *coreFunc
}

// resourcePlan is a resource type.
type resourcePlan struct {
	name string
	// component is the instance that has made it, -1 for the host.
	component int
	dtor      *coreFunc // nil: nothing is to be done
	// entering are, by the component instance that drops a resource, those that
	// are entered for it.
	entering map[int][]int
	host     *HostResource
}

// function is a function of a component: one of a guest or, if lift is nil, of
// the host.
type function struct {
	name string // for errors
	typ  *wit.Func
	// scope is the component instance in whose terms typ is.
	scope *scope
	lift  *lift
	host  *HostFunc
}

// lift is a core function as a function of a component.
type lift struct {
	index      int
	component  int
	core       coreFunc
	abi        *canon.Func
	guest      int // in guests
	encoding   canon.Encoding
	postReturn *coreFunc
	// fromHost are the component instances that are entered by a call of the host.
	fromHost []int
}

// Compile links a component to what the host offers and compiles its core
// modules. hosts are looked at in order; what none of them has is an error, and so
// is what has another type. progress is that of wasm.Engine.Compile, over all core
// modules.
func Compile(ctx context.Context, e *wasm.Engine, c *binary.Component, hosts []*HostInterface, progress func(stage string, done float64)) (*Program, error) {
	l := newLinker(hosts)
	exports, err := l.root(c)
	if err != nil {
		return nil, fmt.Errorf("link component: %w", err)
	}
	p := l.program
	p.engine = e
	if err := l.compile(ctx, progress); err != nil {
		return nil, errors.Join(fmt.Errorf("compile component: %w", err), p.Close())
	}
	p.offer("", c.Exports, exports)
	return p, nil
}

// offer lists the functions and resource types among exports under a prefix.
func (p *Program) offer(prefix string, types []binary.Extern, exports instance) {
	for i := range types {
		t := &types[i]
		switch v := exports[t.Name].(type) {
		case *function:
			p.exports[prefix+t.Name] = v
			p.list = append(p.list, Export{Name: prefix + t.Name, Type: t.Func})
		case resource:
			p.handles[prefix+t.Name] = int(v)
		case instance:
			if t.Instance != nil {
				p.offer(prefix+t.Name+"#", t.Instance.Exports, v)
			}
		}
	}
}

// Exports lists the functions that the component offers, in the order of its
// exports.
func (p *Program) Exports() []Export { return p.list }

// Imports lists what the component takes of the host, by name.
func (p *Program) Imports() []string { return p.imports }

// Foreign lists the functions that the component takes of other programs, by the
// whole names that it imports them by.
func (p *Program) Foreign() []Export { return p.foreign }

// Modules are the core modules that the Cores of an instance are of, in the same
// order: one occurs as often as it is instantiated.
func (p *Program) Modules() []*wasm.Module {
	modules := make([]*wasm.Module, len(p.cores))
	for i := range p.cores {
		modules[i] = p.cores[i].module
	}
	return modules
}

// Close frees the compiled code. No instance may be open.
func (p *Program) Close() error {
	var err error
	if p.host != nil {
		err = p.host.Close()
		p.host = nil
	}
	for _, m := range p.modules {
		err = errors.Join(err, m.Close())
	}
	p.modules = nil
	return err
}
