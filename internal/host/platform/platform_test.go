package platform

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/wit"
	text "github.com/waterbear-run/waterbear/wit/durable"
)

func document(t *testing.T) *wit.Package {
	t.Helper()
	d, err := wit.Parser{}.Load(text.Files, ".")
	if err != nil {
		t.Fatal(err)
	}
	return d.Packages[0]
}

func TestAllThatTheWITSaysIsThere(t *testing.T) {
	p := document(t)
	if got := p.Name.String(); got != packageName+"@"+version {
		t.Errorf("the package is %s, want %s@%s", got, packageName, version)
	}
	want := map[string]bool{}
	for _, i := range p.Interfaces {
		for _, f := range i.Funcs {
			want[i.ID.Name+"."+f.Name.String()] = true
		}
		for _, d := range i.Types {
			if d.Resource != nil {
				t.Errorf("%s has the resource %s, which core modules could not hold", i.ID, d.Name)
			}
		}
	}
	got := map[string]bool{}
	for _, i := range typed() {
		for _, f := range i.functions {
			got[i.name+"."+f.name] = true
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("there are %q, and the WIT says %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	var imported, all []string
	for _, e := range p.Worlds[0].Imports {
		imported = append(imported, e.Interface.ID.Name)
	}
	for _, i := range p.Interfaces {
		all = append(all, i.ID.Name)
	}
	slices.Sort(all)
	if slices.Sort(imported); !slices.Equal(imported, all) {
		t.Errorf("the world imports %q, and the package has %q", imported, all)
	}
}

func TestEveryRecordedFunctionHasACodeOfItsOwn(t *testing.T) {
	known := map[uint64]string{}
	for _, f := range Funcs() {
		code, name, _ := f.Declaration()
		if known[code] != "" {
			t.Errorf("%s and %s are both recorded as %d", known[code], name, code)
		}
		if known[code] = name; code < 100 || code >= 300 {
			t.Errorf("%s is recorded as %d, which is not a code of this package", name, code)
		}
	}
}

// TestCoreModulesAndComponentsAreOfferedTheSame compares names; the types of both
// follow from the WIT.
func TestCoreModulesAndComponentsAreOfferedTheSame(t *testing.T) {
	interfaces, modules := Interfaces(), Modules()
	interfaces = interfaces[:len(interfaces)-1] // modules name no interfaces of others
	if len(interfaces) == 0 || len(interfaces) != len(modules) {
		t.Fatalf("there are %d interfaces and %d modules", len(interfaces), len(modules))
	}
	for i, m := range modules {
		var names, imports []string
		for _, f := range interfaces[i].Funcs {
			names = append(names, f.Name)
		}
		for _, f := range m.Funcs {
			imports = append(imports, f.Name)
		}
		if m.Name != interfaces[i].Name+"@"+interfaces[i].Version || !slices.Equal(imports, names) {
			t.Errorf("%s has %q, and %s has %q", m.Name, imports, interfaces[i].Name, names)
		}
	}
}

func TestArgumentsThatAreTooLongToRecordAreRefused(t *testing.T) {
	f := function{name: "f", code: 1, typ: &wit.Func{Params: []wit.Param{{Name: "x", Type: &wit.Type{Kind: wit.String}}}}}
	f.call = func(*System, []wit.Value) (wit.Value, error) { t.Error("it was called"); return nil, nil }
	f.record("test")
	if _, err := f.call(&System{}, []wit.Value{string(make([]byte, MaxRecorded))}); err == nil {
		t.Error("it was not refused")
	}
}

func TestTheLedgerIsToldWhichCallsOfWorkersWereMade(t *testing.T) {
	call := appendTicket(nil, ticket{Worker: "shop/alice", Function: "order", Args: "[1]", Key: "k"})
	if got := invokeFunc.RequestFacts(call).Key; got != "k" {
		t.Errorf("the key is %q, want k", got)
	}
	for kind := range workerFailures {
		made := kind == WorkerFailed || kind == WorkerCanceled || kind == WorkerDeleted
		fate := invokeFunc.ResponseFacts(appendAnswer(nil, answer{err: &WorkerError{Kind: kind}})).Fate
		if (fate == durable.Done) != made || fate == durable.Unknown {
			t.Errorf("failure %d has the fate %d", kind, fate)
		}
	}
	if fate := startFunc.ResponseFacts(appendAnswer(nil, answer{text: "k", ended: true})).Fate; fate != durable.Done {
		t.Errorf("a call that was accepted has the fate %d", fate)
	}
}

func TestDamagedRecordsOfCallsAreRefused(t *testing.T) {
	whole := appendTicket(nil, ticket{Worker: "shop/alice", Function: "order", Args: "", Key: "k", Due: 1 << 40})
	for n := range whole {
		if _, err := decodeTicket(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes of a call are taken for one", n, len(whole))
		}
	}
	for _, b := range [][]byte{{}, {answerNone, 1}, {answerError}, {answerError, byte(workerFailures)}, {9}} {
		if _, err := decodeAnswer(b); err == nil {
			t.Errorf("%v is taken for an answer", b)
		}
	}
	for _, a := range []answer{{}, {text: "[1]", ended: true}, {ended: true}, {err: &WorkerError{WorkerCycle, "round"}}} {
		if got, err := decodeAnswer(appendAnswer(nil, a)); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%+v comes back as %+v, %v", a, got, err)
		}
	}
}
