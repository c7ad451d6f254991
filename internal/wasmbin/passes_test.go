package wasmbin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// run rewrites a module, loads it and gives what is needed to call it.
func run(t *testing.T, s *source) (*engine, api.Module, *Rewritten) {
	t.Helper()
	e := newEngine(t)
	m, r, err := e.loadRewritten(s.binary(), "")
	if err != nil {
		t.Fatal(err)
	}
	return e, m, r
}

func TestHiddenGlobalsAndMemoryAreExported(t *testing.T) {
	s := newSource()
	s.memory(1, 1, 3)
	hidden := s.global(global{I32, true}, i32(7)...)
	s.global(global{I64, false}, opI64Const, 1)
	shown := s.global(global{I64, true}, opI64Const, 8)
	s.global(global{F64, true}, opF64Const, 0, 0, 0, 0, 0, 0, 0, 0)
	s.export("shown", Global, shown)
	read := s.fn(nil, []ValueType{I32})
	s.export("read", Func, s.add(read, nil, asm(nil).global(opGlobalGet, hidden)...))
	e, m, r := run(t, s)

	if want := []string{"waterbear:global0", "shown", "waterbear:global3"}; !slices.Equal(r.Globals, want) {
		t.Errorf("globals are exported as %q, want %q", r.Globals, want)
	}
	if r.Memory != "waterbear:memory" || m.ExportedMemory(r.Memory) == nil {
		t.Errorf("the memory is exported as %q", r.Memory)
	}
	if r.MemoryMin != 1 || r.MemoryMax != 3 {
		t.Errorf("the memory has %d to %d pages, want 1 to 3", r.MemoryMin, r.MemoryMax)
	}
	if len(r.Reasons) > 0 {
		t.Errorf("it cannot be imaged: %q", r.Reasons)
	}
	m.ExportedGlobal(r.Globals[0]).(api.MutableGlobal).Set(42)
	if got := e.call(m, "read"); got != "returned 2a" {
		t.Errorf("after the hidden global was set to 42 the guest sees it as %s", got)
	}
	if want := []Export{{Name: "shown", Kind: Global}, {Name: "read", Kind: Func, Type: FuncType{Results: []ValueType{I32}}}}; fmt.Sprint(r.Exports) != fmt.Sprint(want) {
		t.Errorf("the source's exports are %v, want %v", r.Exports, want)
	}
}

func TestAddedExportsTakeNamesThatAreFree(t *testing.T) {
	s := newSource()
	s.memory(0, 1)
	global := s.global(global{I32, true}, i32(7)...)
	void := s.fn(nil, nil)
	f := s.add(void, nil)
	s.start = int(f)
	for _, name := range []string{"waterbear:memory", "waterbear:start", "waterbear'':global0", "waterbear'", ""} {
		s.export(name, Func, f)
	}
	s.export("waterbear''", Global, global)
	_, _, r := run(t, s)
	if r.Memory != "waterbear''':memory" || r.Start != "waterbear''':start" || r.Globals[0] != "waterbear''" {
		t.Errorf("exported as %q, %q, %q", r.Memory, r.Start, r.Globals)
	}
}

func TestStartFunctionRunsOnlyWhenItIsCalled(t *testing.T) {
	s := newSource()
	g := s.global(global{I32, true}, i32(1)...)
	void := s.fn(nil, nil)
	s.start = int(s.add(void, nil, asm(nil).i32(5).global(opGlobalSet, g)...))
	s.export("g", Global, g)
	r, err := Rewrite(s.binary(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	m, err := e.loadResult(r, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.ExportedGlobal("g").Get(); got != 1 {
		t.Errorf("after instantiation the global is %d, want 1", got)
	}
	if got := e.call(m, r.Start); got != "returned" {
		t.Errorf("the start function %s", got)
	}
	if got := m.ExportedGlobal("g").Get(); got != 5 {
		t.Errorf("after the start function the global is %d, want 5", got)
	}
}

func TestEmptyImportModulesAreRenamed(t *testing.T) {
	s := newSource()
	typ := s.fn(nil, []ValueType{I32})
	s.importFunc("", "answer", typ)
	s.importFunc("host", "", typ)
	s.export("ask", Func, s.add(typ, nil, code(call(0), call(1), opI32Add)...))
	r, err := Rewrite(s.binary(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Imports) != 2 || r.Imports[0].Module != "" || r.Imports[1].Module != "host" {
		t.Errorf("the source's imports are %v", r.Imports)
	}
	e := newEngine(t)
	for module, name := range map[string]string{EmptyModule: "answer", "host": ""} {
		_, err := e.NewHostModuleBuilder(module).NewFunctionBuilder().
			WithFunc(func() uint32 { return 21 }).Export(name).Instantiate(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := e.loadResult(r, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.call(m, "ask"); got != "returned 2a" {
		t.Errorf("the guest %s", got)
	}
}

func TestReservedImportModulesAreRefused(t *testing.T) {
	for _, name := range []string{YieldModule, EmptyModule} {
		s := newSource()
		s.importFunc(name, "yield", s.fn([]ValueType{I32}, nil))
		var malformed *MalformedError
		if _, err := Rewrite(s.binary(), Options{}); !errors.As(err, &malformed) {
			t.Errorf("an import from %q: %v", name, err)
		}
	}
}

func TestNamesOfFunctionsAreKept(t *testing.T) {
	s := newSource()
	typ := s.fn(nil, nil)
	s.importFunc("host", "log", typ)
	s.names[0] = "log_to_host"
	s.names[s.add(typ, nil, opUnreachable)] = "inner"
	outer := s.add(typ, nil, call(1)...)
	s.names[outer] = "outer"
	s.export("run", Func, outer)
	r, err := Rewrite(s.binary(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	if _, err := e.NewHostModuleBuilder("host").NewFunctionBuilder().WithFunc(func() {}).Export("log").Instantiate(e.ctx); err != nil {
		t.Fatal(err)
	}
	m, err := e.loadResult(r, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.ExportedFunction("run").Call(e.ctx)
	if err == nil || !strings.Contains(err.Error(), ".inner()\n\t.outer()") {
		t.Errorf("the trace is %v", err)
	}
	c, err := e.CompileModule(e.ctx, r.Module)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ImportedFunctions()[0].DebugName(); got != ".log_to_host" {
		t.Errorf("the imported function is named %q", got)
	}
}

func TestDamagedNamesAreLeftOut(t *testing.T) {
	for name, section := range map[string][]byte{
		"cut off":        {1, 200, 1, 0},
		"not UTF-8":      {1, 4, 1, 0, 1, 0xff},
		"too many":       {1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"of no function": {1, 5, 1, 99, 2, 'h', 'i'},
		"out of order":   {1, 7, 2, 1, 1, 'a', 0, 1, 'b'},
		"of the module":  {0, 3, 2, 0xff, 0xfe},
		"unknown part":   {9, 2, 1, 1},
		"local names":    {2, 6, 1, 0, 0xff, 0xff, 0xff, 0x0f},
	} {
		s := newSource()
		typ := s.fn(nil, nil)
		s.export("run", Func, s.add(typ, nil))
		s.add(typ, nil)
		s.custom = appendSection(nil, sectionCustom, append(appendName(nil, "name"), section...))
		t.Run(name, func(t *testing.T) {
			e, m, _ := run(t, s)
			if got := e.call(m, "run"); got != "returned" {
				t.Error(got)
			}
		})
	}
}

func TestLongNamesAreCut(t *testing.T) {
	s := newSource()
	f := s.add(s.fn(nil, nil), nil)
	s.names[f] = strings.Repeat("é", maxNameBytes)
	r, err := Rewrite(s.binary(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newEngine(t).CompileModule(t.Context(), r.Module); err != nil {
		t.Fatal(err)
	}
	if len(r.Module) > maxNameBytes+1000 {
		t.Errorf("with a name of %d bytes the result has %d", 2*maxNameBytes, len(r.Module))
	}
}

func TestDebugSectionsAreLeftOut(t *testing.T) {
	s := newSource()
	s.custom = appendSection(nil, sectionCustom, append(appendName(nil, ".debug_info"), make([]byte, 1000)...))
	r, err := Rewrite(s.binary(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Module) > 1000 {
		t.Errorf("the result has %d bytes", len(r.Module))
	}
}

func TestDroppedDataSegmentsStayDropped(t *testing.T) {
	s := newSource()
	s.memory(0, 1)
	segment := s.passive("hello")
	kept := s.passive("world")
	three := []ValueType{I32, I32, I32}
	init := func(segment uint32) []byte {
		return code(get(0), get(1), get(2), opMiscPrefix, miscMemoryInit, int(segment), 0)
	}
	s.export("init", Func, s.add(s.fn(three, nil), nil, init(segment)...))
	s.export("kept", Func, s.add(0, nil, init(kept)...))
	s.export("drop", Func, s.add(s.fn(nil, nil), nil, opMiscPrefix, miscDataDrop, byte(segment)))
	s.export("memory", Memory, 0)
	e, m, r := run(t, s)

	const beyond = "error: wasm error: out of bounds memory access"
	steps := []struct {
		f    string
		args []uint64
		want string
	}{
		{"init", []uint64{0, 1, 4}, "returned"},
		{"init", []uint64{0, 2, 4}, beyond},
		{"drop", nil, "returned"},
		{"drop", nil, "returned"},
		{"init", []uint64{0, 0, 1}, beyond},
		{"init", []uint64{0, 1, 0}, beyond},
		{"init", []uint64{0, 1 << 31, 1 << 31}, beyond},
		{"init", []uint64{0, 0, 0}, "returned"},
		{"init", []uint64{65536, 0, 0}, "returned"},
		{"init", []uint64{65537, 0, 0}, beyond},
		{"kept", []uint64{8, 0, 5}, "returned"},
	}
	for _, step := range steps {
		if got := e.call(m, step.f, step.args...); got != step.want {
			t.Errorf("%s%v %s, want %s", step.f, step.args, got, step.want)
		}
	}
	if got, _ := m.Memory().Read(0, 13); string(got) != "ello\x00\x00\x00\x00world" {
		t.Errorf("memory holds %q", got)
	}
	if want := []string{"waterbear:dropped0"}; !slices.Equal(r.Globals, want) {
		t.Fatalf("the state is %q, want %q", r.Globals, want)
	}

	// The flag is state: setting it drops the segment in another instance.
	other, _, err := e.loadRewritten(s.binary(), "other")
	if err != nil {
		t.Fatal(err)
	}
	other.ExportedGlobal(r.Globals[0]).(api.MutableGlobal).Set(1)
	if got := e.call(other, "init", 0, 0, 1); got != beyond {
		t.Errorf("with the flag set, memory.init %s", got)
	}
}

func TestDropsWithoutInitAreNothing(t *testing.T) {
	s := newSource()
	s.memory(0, 1)
	s.passive("hello")
	s.table(FuncRef, limits{min: 1})
	f := s.add(s.fn(nil, nil), nil, opMiscPrefix, miscDataDrop, 0, opMiscPrefix, miscElemDrop, 0)
	s.fill(f)
	s.export("drop", Func, f)
	e, m, r := run(t, s)
	if got := e.call(m, "drop"); got != "returned" || len(r.Globals)+len(r.Reasons) > 0 {
		t.Errorf("drop %s, state %q, reasons %q", got, r.Globals, r.Reasons)
	}
}

func TestTablesTogetherStayWithinTheirLimit(t *testing.T) {
	s := newSource()
	s.table(FuncRef, limits{min: 10})
	s.table(ExternRef, limits{min: 10, max: 25, bounded: true})
	s.table(ExternRef, limits{min: 0, max: 5, bounded: true})
	one, size := s.fn([]ValueType{I32}, []ValueType{I32}), s.fn(nil, []ValueType{I32})
	for i, null := range []ValueType{FuncRef, ExternRef, ExternRef} {
		grow := code(opRefNull, int(null), get(0), opMiscPrefix, miscTableGrow, i)
		s.export(fmt.Sprint("grow", i), Func, s.add(one, nil, grow...))
		s.export(fmt.Sprint("size", i), Func, s.add(size, nil, opMiscPrefix, miscTableSize, byte(i)))
	}
	r, err := Rewrite(s.binary(), Options{TableItems: 50})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	m, err := e.loadResult(r, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		f    string
		by   uint64
		want string
	}{
		{"grow0", 11, "returned ffffffff"},
		{"grow0", 10, "returned a"},
		{"grow1", 11, "returned ffffffff"},
		{"grow1", 10, "returned a"},
		{"grow2", 6, "returned ffffffff"},
		{"grow2", 5, "returned 0"},
		{"grow0", 1, "returned ffffffff"},
	} {
		if got := e.call(m, step.f, step.by); got != step.want {
			t.Errorf("%s by %d %s, want %s", step.f, step.by, got, step.want)
		}
	}
	if got := e.call(m, "size0") + e.call(m, "size1") + e.call(m, "size2"); got != "returned 14returned 14returned 5" {
		t.Errorf("the sizes are %s", got)
	}
	var limit *LimitError
	if _, err := Rewrite(s.binary(), Options{TableItems: 19}); !errors.As(err, &limit) {
		t.Errorf("tables of 20 items where 19 are allowed: %v", err)
	}
}

func TestReasonsSayWhatCannotBeImaged(t *testing.T) {
	importing := func(parts ...byte) *source {
		s := newSource()
		s.imports = append(appendName(appendName(s.imports, "env"), "it"), parts...)
		s.nImports++
		return s
	}
	for want, s := range map[string]*source{
		"it imports a mutable global": importing(byte(Global), byte(I32), 1),
		"its memory is imported":      importing(byte(Memory), 0, 1),
		"it imports a table":          importing(byte(Table), byte(FuncRef), 0, 1),
		"":                            importing(byte(Global), byte(I32), 0),
	} {
		r, err := Rewrite(s.binary(), Options{})
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if _, err := newEngine(t).CompileModule(t.Context(), r.Module); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if got := strings.Join(r.Reasons, ", "); got != want || r.Changed != "" {
			t.Errorf("reasons are %q, want %q; changes are told by %q", got, want, r.Changed)
		}
	}
}

func TestEqualSourcesGiveEqualResults(t *testing.T) {
	// The engine keeps compiled code by the bytes of a module.
	s := newSource()
	s.memory(0, 1)
	for range 20 {
		segment := s.passive("x")
		s.add(s.fn(nil, nil), nil, code(i32(0), i32(0), i32(0), opMiscPrefix, miscMemoryInit, int(segment), 0, opMiscPrefix, miscDataDrop, int(segment))...)
	}
	first, err := Rewrite(s.binary(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := Rewrite(s.binary(), Options{})
		if err != nil || string(again.Module) != string(first.Module) {
			t.Fatal("rewriting the same source twice gave two results", err)
		}
	}
}
