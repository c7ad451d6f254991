package wasmbin

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// baseOf gives the memory that a base image makes.
func baseOf(r *Rewritten, size int) string {
	memory := make([]byte, size)
	for _, run := range r.Base {
		copy(memory[run.Offset:], run.Bytes)
	}
	return string(memory)
}

func TestActiveSegmentsBecomeTheBaseImage(t *testing.T) {
	s := newSource()
	s.memory(0, 2)
	s.active("first", i32(100)...)
	s.active("", i32(131072)...)
	s.active("over", i32(103)...)
	s.active("end", i32(131069)...)
	s.active("sum", code(i32(70000), i32(-2), opI32Mul, i32(-1), opI32Mul, i32(70000), opI32Sub)...)
	s.active(strings.Repeat("\x00", 5000), i32(20000)...)
	_, m, r := run(t, s)

	want := make([]byte, 131072)
	copy(want[100:], "firover")
	copy(want[131069:], "end")
	copy(want[70000:], "sum")
	if got := baseOf(r, len(want)); got != string(want) {
		t.Error("the base image is not what the segments write")
	}
	if got, _ := m.Memory().Read(0, uint32(len(want))); !bytes.Equal(got, want) {
		t.Error("the memory is not what the segments write")
	}
	if len(r.Base) != 3 {
		t.Errorf("the base image has %d runs for 3 pages that are not zero", len(r.Base))
	}
	for _, run := range r.Base {
		if run.Offset%basePage != 0 || len(run.Bytes) != basePage {
			t.Errorf("a run of %d bytes at %d", len(run.Bytes), run.Offset)
		}
	}
	if bytes.Contains(r.Module, []byte("over")) {
		t.Error("the module still has its data")
	}
}

func TestSegmentsThatMayFailStayInTheModule(t *testing.T) {
	for name, change := range map[string]func(*source){
		"beyond the memory":        func(s *source) { s.active("xy", i32(65535)...) },
		"empty, beyond the memory": func(s *source) { s.active("", i32(65537)...) },
		"at a negative offset":     func(s *source) { s.active("x", i32(-1)...) },
		"of a wrong type":          func(s *source) { s.active("x", opI64Const, 1) },
		"of two values":            func(s *source) { s.active("x", opI32Const, 1, opI32Const, 2) },
		"of no value":              func(s *source) { s.active("x") },
		"of one operand":           func(s *source) { s.active("x", opI32Const, 1, opI32Add) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource()
			s.memory(0, 1)
			s.active("kept", i32(0)...)
			change(s)
			r, err := Rewrite(s.binary(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			e := newEngine(t)
			_, asIs := e.load(s.binary(), "")
			_, rewritten := e.load(r.Module, "")
			if len(r.Base) > 0 || asIs == nil || rewritten == nil || outcome(nil, nil, asIs) != outcome(nil, nil, rewritten) {
				t.Errorf("a base image of %d runs; loading gives %v, as it is %v", len(r.Base), rewritten, asIs)
			}
		})
	}
}

// A segment that is empty because it was written is told from one that is not
// by reading from it.
func TestWrittenSegmentsAreEmpty(t *testing.T) {
	s := newSource()
	s.memory(0, 1)
	active := s.active("active", i32(8)...)
	passive := s.passive("passive")
	s.dataCount = true
	three := []ValueType{I32, I32, I32}
	f := s.fn(three, nil)
	for name, segment := range map[string]uint32{"active": active, "passive": passive} {
		s.export(name, Func, s.add(f, nil, code(get(0), get(1), get(2), opMiscPrefix, miscMemoryInit, int(segment), 0)...))
	}
	s.export("drop", Func, s.add(s.fn(nil, nil), nil, opMiscPrefix, miscDataDrop, byte(active)))
	e, m, _ := run(t, s)

	const beyond = "error: wasm error: out of bounds memory access"
	for _, step := range []struct {
		f    string
		args []uint64
		want string
	}{
		{"active", []uint64{0, 0, 0}, "returned"},
		{"active", []uint64{0, 0, 1}, beyond},
		{"active", []uint64{0, 1, 0}, beyond},
		{"drop", nil, "returned"},
		{"active", []uint64{0, 0, 0}, "returned"},
		{"active", []uint64{0, 1, 0}, beyond},
		{"passive", []uint64{0, 0, 7}, "returned"},
	} {
		if got := e.call(m, step.f, step.args...); got != step.want {
			t.Errorf("%s%v %s, want %s", step.f, step.args, got, step.want)
		}
	}
	if got, _ := m.Memory().Read(0, 14); string(got) != "passive\x00active" {
		t.Errorf("memory holds %q", got)
	}
}

func TestSpanOfABaseImageIsBounded(t *testing.T) {
	for _, c := range []struct {
		span  int32
		taken bool
	}{{freeBaseBytes, true}, {freeBaseBytes + 1<<10, false}} {
		s := newSource()
		s.memory(asm{0}.bounded(1 << 10)...)
		s.active("low", i32(0)...)
		s.active("high", i32(c.span-4)...)
		r, err := Rewrite(s.binary(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if taken := len(r.Base) > 0; taken != c.taken {
			t.Errorf("segments that span %d bytes are taken out: %v, want %v", c.span, taken, c.taken)
		}
		m, err := newEngine(t).loadResult(r, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.Memory().Read(uint32(c.span-4), 4); string(got) != "high" {
			t.Errorf("memory holds %q", got)
		}
	}
}

// bounded appends a number of pages.
func (b asm) bounded(pages uint32) asm { return appendU32(b, pages) }

// TestFreshMemoryIsThatOfThePlainModule compares the memory of programs before
// anything of them has run.
func TestFreshMemoryIsThatOfThePlainModule(t *testing.T) {
	e := newEngine(t)
	sources := map[string][]byte{}
	for _, g := range programs(t) {
		sources[g.name] = g.source
	}
	for _, name := range []string{"kit", "effects", "hostile"} {
		sources[name] = guests.Wasm(t, name)
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			r, err := Rewrite(source, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Base) == 0 {
				t.Error("there is no base image")
			}
			asIs := freshMemory(t, e, source, Rewritten{})
			if got := freshMemory(t, e, r.Module, *r); !bytes.Equal(got, asIs) {
				t.Errorf("memory of %d bytes differs, as it is %d bytes", len(got), len(asIs))
			}
		})
	}
}

// freshMemory instantiates a module whose imports are never called.
func freshMemory(t *testing.T, e *engine, binary []byte, r Rewritten) []byte {
	t.Helper()
	compiled, err := e.CompileModule(e.ctx, binary)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.InstantiateModule(offering(t, e, compiled), compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(e.ctx)
	putBase(m, &r)
	memory, ok := m.Memory().Read(0, m.Memory().Size())
	if !ok {
		t.Fatal(errors.New("the memory cannot be read"))
	}
	return bytes.Clone(memory)
}

// offering gives a context in which all imports of a module are there, as
// functions that are not called.
func offering(t *testing.T, e *engine, c wazero.CompiledModule) context.Context {
	t.Helper()
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range c.ImportedFunctions() {
		module, name, _ := f.Import()
		if builders[module] == nil {
			builders[module] = e.NewHostModuleBuilder(module)
		}
		nothing := api.GoFunc(func(context.Context, []uint64) {})
		builders[module].NewFunctionBuilder().WithGoFunction(nothing, f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	hosts := map[string]api.Module{}
	for module, b := range builders {
		compiled, err := b.Compile(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if hosts[module], err = e.InstantiateModule(e.ctx, compiled, moduleConfig("")); err != nil {
			t.Fatal(err)
		}
	}
	return experimental.WithImportResolver(e.ctx, func(name string) api.Module { return hosts[name] })
}
