package component_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/wasmbin"
	"github.com/waterbear-run/waterbear/wit"
)

func TestCallsThatCrossBordersInEachOtherAreBounded(t *testing.T) {
	p := compile(t, "reentry", nil)
	must(t, instantiate(t, p, component.Config{}), uint32(400), "down", uint32(400))
	must(t, instantiate(t, p, component.Config{}), uint32(20), "lifted", uint32(20))
	for _, c := range []component.Config{{}, {MaxStack: 1 << 20}} {
		in := instantiate(t, p, c)
		_, err := call(in, "down", uint32(1<<30))
		var trap *wasm.Trap
		if !errors.As(err, &trap) || !trap.Overflow {
			t.Errorf("got %v, want a stack overflow", err)
		}
	}
}

func TestOnlyAParentIsEnteredAgain(t *testing.T) {
	p := compile(t, "reentry", nil)
	must(t, instantiate(t, p, component.Config{}), uint32(0), "over", uint32(0))
	must(t, instantiate(t, p, component.Config{}), uint32(7), "up", uint32(0))
	must(t, instantiate(t, p, component.Config{}), uint32(7), "up", uint32(1)) // the parent, and the child in it
	for name, n := range map[string]uint32{"over": 2, "up": 3} {
		in := instantiate(t, p, component.Config{})
		_, err := call(in, name, n)
		wantTrap(t, err, "cannot enter component instance")
	}
}

// refused compiles a component that must not be, in no time.
func refused(t *testing.T, c *binary.Component, reason string) {
	t.Helper()
	began := time.Now()
	p, err := component.Compile(context.Background(), newEngine(t), c, nil, nil)
	if err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %v, want an error about %q", err, reason)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if p != nil {
		_ = p.Close()
	}
}

// times instantiates the component c n times, in a component around it.
func times(n int, c *binary.Component) *binary.Component {
	outer := &binary.Component{Defs: []binary.Def{&binary.SubComponent{Component: c}}}
	for range n {
		outer.Defs = append(outer.Defs, &binary.Instance{Type: &binary.InstanceType{}})
	}
	return outer
}

func TestInstancesAreBoundedHoweverTheyLieInEachOther(t *testing.T) {
	bomb := &binary.Component{}
	for range 30 {
		bomb = times(10, bomb)
	}
	refused(t, bomb, "more than 1000 instances")
}

func TestTheWorkOfLinkingIsBounded(t *testing.T) {
	large := &binary.Component{}
	for range 10_000 {
		large.Defs = append(large.Defs, &binary.Bundle{Type: &binary.InstanceType{}})
	}
	refused(t, times(900, large), "more than 2000000 steps to link")
}

func TestTheMemoryOfModuleInstancesIsBounded(t *testing.T) {
	const globals = 50_000
	section := []byte{0x80 | globals&0x7f, 0x80 | globals>>7&0x7f, globals >> 14}
	for range globals {
		section = append(section, 0x7f, 0, 0x41, 0, 0x0b)
	}
	n := len(section)
	source := append([]byte("\x00asm\x01\x00\x00\x00\x06"), byte(0x80|n&0x7f), byte(0x80|n>>7&0x7f), byte(n>>14))
	source = append(source, section...)
	c := &binary.Component{Defs: []binary.Def{&binary.CoreModule{Source: source, Type: &binary.ModuleType{}}}}
	for range 200 {
		c.Defs = append(c.Defs, &binary.CoreInstance{})
	}
	refused(t, c, "take more than 268435456 bytes besides their memories")
}

func TestTheFunctionsOfAComponentAreBounded(t *testing.T) {
	r := &wit.Resource{Name: "r"}
	c := &binary.Component{Defs: []binary.Def{&binary.ResourceType{Resource: r, Dtor: -1}}}
	for range 20_000 {
		c.Defs = append(c.Defs, &binary.ResourceFunc{Op: binary.ResourceNew, Resource: r})
	}
	refused(t, c, "more than 20000 functions between core modules and components")
}

// TestModulesThatHaveToBeCompiledAgainAreBounded instantiates a module of 1 MiB over
// and over with what it imports under another name each time.
func TestModulesThatHaveToBeCompiledAgainAreBounded(t *testing.T) {
	offers, exports := &binary.CoreModule{Type: &binary.ModuleType{}}, []byte{}
	const variants = 20
	wants := &binary.CoreModule{
		Source: append([]byte("\x00asm\x01\x00\x00\x00\x02\x08\x01\x01m\x01g\x03\x7f\x00\x00\x80\x80\x40"), make([]byte, 1<<20)...),
		Type: &binary.ModuleType{Imports: []binary.CoreImport{{Module: "m", Name: "g", CoreType: binary.CoreType{
			Kind: wasmbin.Global, Value: wasmbin.I32,
		}}}},
	}
	c := &binary.Component{Defs: []binary.Def{offers, wants, &binary.CoreInstance{}}}
	for i := range variants {
		name := string(rune('a' + i))
		exports = append(exports, 1, name[0], 3, 0)
		offers.Type.Exports = append(offers.Type.Exports, binary.CoreExport{Name: name, CoreType: binary.CoreType{Kind: wasmbin.Global}})
		c.Defs = append(c.Defs,
			&binary.CoreAlias{Of: binary.CoreGlobal, Instance: 0, Name: name},
			&binary.CoreBundle{Exports: []binary.NamedRef{{Name: "g", Ref: binary.Ref{Sort: binary.CoreGlobal, Index: uint32(i)}}}},
			&binary.CoreInstance{Module: 1, Args: []binary.CoreArg{{Name: "m", Instance: uint32(1 + 2*i)}}})
	}
	offers.Source = append([]byte("\x00asm\x01\x00\x00\x00\x06\x06\x01\x7f\x00\x41\x07\x0b\x07"), byte(1+len(exports)), variants)
	offers.Source = append(offers.Source, exports...)
	refused(t, c, "core modules of more than 16777216 bytes have to be compiled again")
	c.Defs = c.Defs[:3+3*15]
	p, err := component.Compile(context.Background(), newEngine(t), c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestImportsOfModulesAndComponentsAreRefusedByName(t *testing.T) {
	for what, of := range map[string]binary.ExternType{
		"core module": {Of: binary.CoreModuleSort, Module: &binary.ModuleType{}},
		"component":   {Of: binary.ComponentSort, Component: &binary.ComponentType{}},
	} {
		extern := binary.Extern{Name: "thing", ExternType: of}
		refused(t, &binary.Component{Defs: []binary.Def{&binary.Import{Extern: extern}}},
			"import thing: it is a "+what+", and the host offers functions and interfaces only")
	}
}

func TestACoreModuleThatIsInvalidIsRefusedEvenIfNothingUsesIt(t *testing.T) {
	source := []byte("\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x00\x01\x7f\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b")
	c := &binary.Component{Defs: []binary.Def{&binary.CoreModule{Source: source, Type: &binary.ModuleType{}}}}
	refused(t, &binary.Component{Defs: []binary.Def{&binary.SubComponent{Component: c}}}, "compile component")
}

// FuzzComponent runs whatever is a component: it never panics, and never runs for
// long.
func FuzzComponent(f *testing.F) {
	for _, file := range []string{"kit", "reentry"} {
		source, err := readFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	e, err := wasm.New(context.Background(), wasm.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = e.Close() })
	hosts := kitHost()
	f.Fuzz(func(t *testing.T, source []byte) {
		c, err := binary.Decode(source)
		if err != nil {
			return
		}
		p, err := component.Compile(context.Background(), e, c, hosts, nil)
		if err != nil {
			return
		}
		defer p.Close()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		yields := 0
		in, err := p.Instantiate(ctx, component.Config{State: newThings(), MaxMemory: 64 << 20, OnYield: func() {
			if yields++; yields > 20 {
				cancel()
			}
		}})
		if err != nil {
			return
		}
		defer in.Close()
		for _, x := range p.Exports() {
			args, ok := zeros(x.Type)
			if !ok {
				continue
			}
			if _, err := in.Call(ctx, x.Name, args); err != nil {
				break
			}
		}
	})
}

// zeros are arguments for a function, if they are of types that are simple enough.
func zeros(f *wit.Func) (args []wit.Value, ok bool) {
	for _, p := range f.Params {
		switch p.Type.Kind {
		case wit.U32, wit.Own, wit.Borrow:
			args = append(args, uint32(0))
		case wit.String:
			args = append(args, "some text")
		case wit.List:
			if p.Type.Elem.Kind == wit.U8 {
				args = append(args, []byte("bytes"))
			} else {
				args = append(args, []wit.Value{})
			}
		default:
			return nil, false
		}
	}
	return args, true
}
