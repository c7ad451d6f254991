package wasmbin

import (
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// changer is a module with one function for each way to change what is neither
// memory nor a numeric global. All take the same parameters and no function
// uses more than it needs.
func changer() *source {
	s := newSource()
	s.table(FuncRef, limits{min: 4})
	s.table(ExternRef, limits{min: 4, max: 8, bounded: true})
	reference := s.global(global{FuncRef, true}, opRefNull, byte(FuncRef))
	vector := s.global(global{V128, true}, append([]byte{opVectorPrefix, vecConst}, make([]byte, 16)...)...)
	number := s.global(global{I64, true}, opI64Const, 0)
	s.export("number", Global, number)
	typ := s.fn([]ValueType{I32, I32, I32}, nil)
	value := s.fn(nil, []ValueType{I32})
	add := func(name string, parts ...any) { s.export(name, Func, s.add(typ, nil, code(parts...)...)) }
	null, three := code(opRefNull, int(FuncRef)), code(get(0), get(1), get(2))
	add("table.set", get(0), null, opTableSet, 0)
	add("table.set extern", get(0), opRefNull, int(ExternRef), opTableSet, 1)
	add("table.grow", null, get(0), opMiscPrefix, miscTableGrow, 0, opDrop)
	add("table.fill", get(0), null, get(2), opMiscPrefix, miscTableFill, 0)
	add("table.fill of a few", get(0), null, i32(1), opMiscPrefix, miscTableFill, 0)
	add("table.copy", three, opMiscPrefix, miscTableCopy, 0, 0)
	add("table.init", three, opMiscPrefix, miscTableInit, 0, 0)
	add("elem.drop", opMiscPrefix, miscElemDrop, 0)
	add("reference", null, opGlobalSet, int(reference))
	add("vector", append([]byte{opVectorPrefix, vecConst}, make([]byte, 16)...), opGlobalSet, int(vector))
	add("nothing", opMiscPrefix, miscTableSize, 0, opDrop, get(0), opTableGet, 0, opDrop,
		opGlobalGet, int(reference), opDrop, opGlobalGet, int(vector), opDrop, opI64Const, 1, opGlobalSet, int(number))
	add("nothing while it is not reached", get(2), opIf, int(blockEmpty), get(0), null, opTableSet, 0, opEnd)
	s.export("call", Func, s.add(value, nil, code(i32(1), opCallIndirect, int(value), 0)...))
	f := s.add(value, nil, i32(42)...)
	s.elements, s.nElements = []byte{1, 0, 1, byte(f)}, 1 // passive
	return s
}

func TestChangesOfWhatCannotBeReadAreTold(t *testing.T) {
	for name, want := range map[string]uint64{
		"table.set":                       ChangedTable,
		"table.set extern":                ChangedTable,
		"table.grow":                      ChangedTable,
		"table.fill":                      ChangedTable,
		"table.fill of a few":             ChangedTable,
		"table.copy":                      ChangedTable,
		"table.init":                      ChangedTable,
		"elem.drop":                       ChangedSegment,
		"reference":                       ChangedReference,
		"vector":                          ChangedVector,
		"nothing":                         0,
		"nothing while it is not reached": 0,
	} {
		t.Run(name, func(t *testing.T) {
			e, m, r := run(t, changer())
			told := func() uint64 { return m.ExportedGlobal(r.Changed).Get() }
			if got := told(); got != 0 {
				t.Fatalf("at first it tells %#b", got)
			}
			if got := e.call(m, name, 0, 0, 0); got != "returned" {
				t.Fatalf("%s %s", name, got)
			}
			if got := told(); got != want {
				t.Errorf("it tells %#b, want %#b", got, want)
			}
		})
	}
}

func TestChangesAreTogetherAndStay(t *testing.T) {
	e, m, r := run(t, changer())
	for _, name := range []string{"table.init", "reference", "nothing"} {
		e.call(m, name, 0, 0, 0)
	}
	if got := m.ExportedGlobal(r.Changed).Get(); got != ChangedTable|ChangedReference {
		t.Errorf("it tells %#b", got)
	}
}

// TestChangeThatFailsIsTold: the engine decides what a failed one leaves.
func TestChangeThatFailsIsTold(t *testing.T) {
	e, m, r := run(t, changer())
	if got := e.call(m, "table.set", 1000, 0, 0); got == "returned" {
		t.Fatal("a write beyond the table did not fail")
	}
	if got := m.ExportedGlobal(r.Changed).Get(); got != ChangedTable {
		t.Errorf("it tells %#b", got)
	}
}

// TestChangesAreNoPartOfTheState: the host resets what Globals names.
func TestChangesAreNoPartOfTheState(t *testing.T) {
	e, m, r := run(t, changer())
	e.call(m, "table.init", 1, 0, 1)
	if got := e.call(m, "call"); got != "returned 2a" {
		t.Fatalf("after table.init the table's function %s", got)
	}
	if len(r.Reasons) > 0 || len(r.Globals) != 1 {
		t.Errorf("the state is %q, reasons %q", r.Globals, r.Reasons)
	}
	for _, name := range r.Globals {
		m.ExportedGlobal(name).(api.MutableGlobal).Set(0)
	}
	if got := m.ExportedGlobal(r.Changed).Get(); got != ChangedTable {
		t.Errorf("it tells %#b", got)
	}
	for _, x := range r.Exports {
		if x.Name == r.Changed {
			t.Error("it is among the program's own exports")
		}
	}
}

func TestModulesThatCanChangeNothingElseHaveNoFlag(t *testing.T) {
	s := newSource()
	s.memory(0, 1)
	s.table(FuncRef, limits{min: 1})
	g := s.global(global{I32, true}, i32(0)...)
	s.global(global{FuncRef, true}, opRefNull, byte(FuncRef)) // nothing writes to it
	f := s.add(s.fn(nil, nil), nil, code(i32(1), opGlobalSet, int(g), opMiscPrefix, miscElemDrop, 0)...)
	s.fill(f)
	_, _, r := run(t, s)
	if r.Changed != "" || len(r.Reasons) > 0 {
		t.Errorf("changes are told by %q, reasons %q", r.Changed, r.Reasons)
	}
}
