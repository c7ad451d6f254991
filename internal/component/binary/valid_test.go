package binary_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/wit"
)

func mustDecode(t *testing.T, name string, source []byte) *binary.Component {
	t.Helper()
	c, err := binary.Decode(source)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// whole has every kind of definition.
func whole() []byte {
	return component(
		section(0, cat("component-name", 0, 6, "whole")),
		types(instanceType(declExport("r", sub), declType(borrow(0)), declType(fn([][]byte{param("self", 1)}, tU32)), declExport("[method]r.get", ofFunc(2)))),
		imports(imported("a:b/c@1.0.0", ofInstance(0))),
		coreFuncs(0, coreFn([]int{tI32}, []int{tI32}), coreFn([]int{tI32}, nil)),
		types(cat(0x3f, tI32, 1, 1)),
		exports(exported("mine", sType, 1)),
		canons(cat(2, 1), cat(3, 1), cat(4, 1)),
		aliases(exportOf(sFunc, 0, "[method]r.get"), exportOf(sType, 0, "r")),
		canons(lower(0)),
		coreInstances(bundle(cat("new", 0, 2), cat("m", 2, 0))),
		types(own(2), fn([][]byte{param("a", 4)}, tU32)),
		canons(lift(0, [][]byte{postReturn(1)}, 5)),
		nested(
			aliases(cat(0, 0x11, 2, 1, 0)),
			types(noFn), imports(imported("f", ofFunc(0))), exports(exported("g", sFunc, 0)),
		),
		types(noFn), imports(imported("host", ofFunc(6))),
		instances(instantiate(0, with("f", sFunc, 2)), bundle(cat(0, "h", sFunc, 1), cat(0, "t", sType, 1))),
		exports(exported("i", sInstance, 1), exported("c", sComponent, 0), exported("run", sFunc, 1)),
	)
}

func TestAComponentIsItsDefinitionsInOrder(t *testing.T) {
	c := mustDecode(t, "whole", whole())
	var got []string
	count := map[binary.Sort]int{}
	for _, d := range c.Defs {
		got = append(got, reflect.TypeOf(d).Elem().Name())
		count[d.Sort()]++
	}
	want := []string{
		"Import", "CoreModule", "CoreInstance", "CoreAlias", "CoreAlias", "CoreAlias", "ResourceType", "Export",
		"ResourceFunc", "ResourceFunc", "ResourceFunc", "Alias", "Lower", "CoreBundle", "Lift", "SubComponent", "Import",
		"Instance", "Bundle", "Export", "Export", "Export",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for sort, want := range map[binary.Sort]int{
		binary.CoreFunc: 6, binary.CoreMemory: 1, binary.CoreModuleSort: 1, binary.CoreInstanceSort: 2, binary.Func: 4,
		binary.Type: 2, binary.ComponentSort: 2, binary.InstanceSort: 4,
	} {
		if count[sort] != want {
			t.Errorf("there are %d items of sort %d, want %d", count[sort], sort, want)
		}
	}
	if c.Name != "whole" {
		t.Errorf("its name is %q", c.Name)
	}
}

func TestDefinitionsReferToEarlierOnes(t *testing.T) {
	c := mustDecode(t, "whole", whole())
	mine := c.Defs[6].(*binary.ResourceType)
	if mine.Dtor != 1 || mine.Resource.Name != "mine" {
		t.Errorf("got %+v of %+v", mine, mine.Resource)
	}
	if e := c.Defs[7].(*binary.Export); e.Item.Resource != mine.Resource || e.Resource != mine.Resource || e.Binds != nil {
		t.Errorf("the export of a resource type is %+v", e)
	}
	for i, op := range []binary.ResourceOp{binary.ResourceNew, binary.ResourceDrop, binary.ResourceRep} {
		if f := c.Defs[8+i].(*binary.ResourceFunc); f.Op != op || f.Resource != mine.Resource {
			t.Errorf("got %+v", f)
		}
	}
	if a := c.Defs[11].(*binary.Alias); a.Instance != 0 || a.Name != "[method]r.get" || a.Of != binary.Func {
		t.Errorf("got %+v", a)
	}
	if l := c.Defs[14].(*binary.Lift); l.CoreFunc != 0 || l.Options.PostReturn != 1 || l.Type.Params[0].Type.Resource != mine.Resource {
		t.Errorf("got %+v", l)
	}
	inner := c.Defs[15].(*binary.SubComponent).Component
	if o := inner.Defs[0].(*binary.OuterAlias); o.Of != binary.CoreModuleSort || o.Outward != 1 || o.Index != 0 {
		t.Errorf("got %+v", o)
	}
	if i := c.Defs[17].(*binary.Instance); i.Component != 0 || len(i.Args) != 1 || i.Args[0].Index != 2 || i.Args[0].Name != "f" || len(i.Type.Exports) != 1 {
		t.Errorf("got %+v", i)
	}
	if b := c.Defs[18].(*binary.Bundle); b.Exports[0].Index != 1 || b.Exports[1].Resource != mine.Resource || b.Exports[1].Sort != binary.Type {
		t.Errorf("got %+v", b.Exports)
	}
	names := []string{"mine", "i", "c", "run"}
	for i, e := range c.Exports {
		if e.Name != names[i] {
			t.Errorf("export %d is %s", i, e.Name)
		}
	}
}

// binds collects the resource types that come with definitions, and where from.
func binds(c *binary.Component) (all []binary.Binding) {
	for _, d := range c.Defs {
		switch d := d.(type) {
		case *binary.Import:
			all = append(all, d.Binds...)
		case *binary.Export:
			all = append(all, d.Binds...)
		case *binary.Instance:
			all = append(all, d.Binds...)
		}
	}
	return all
}

func TestResourceTypesComeWithDefinitions(t *testing.T) {
	// Two instances of a component that makes a resource type, within an instance.
	twice := component(
		nested(
			types(resource), instances(bundle(cat(0, "r", sType, 0))), exports(exported("i", sInstance, 0), exported("s", sType, 0)),
		),
		instances(instantiate(0), instantiate(0)),
	)
	c := mustDecode(t, "twice", twice)
	all := binds(c)
	if len(all) != 2 || all[0].Resource == all[1].Resource || !slices.Equal(all[0].Path, []string{"i", "r"}) {
		t.Errorf("got %+v", all)
	}
	first := c.Defs[1].(*binary.Instance).Type.Exports
	if got := first[0].Instance.Exports[0].Resource; got != all[0].Resource || first[1].Resource != got {
		t.Errorf("the instance exports %+v", first)
	}
	// What is passed to it is none of its own.
	passed := component(
		imports(imported("r", sub)),
		nested(imports(imported("r", sub)), exports(exported("s", sType, 0))),
		instances(instantiate(0, with("r", sType, 0))),
	)
	c = mustDecode(t, "passed", passed)
	if all := binds(c); len(all) != 1 || len(all[0].Path) != 0 || c.Defs[2].(*binary.Instance).Type.Exports[0].Resource != all[0].Resource {
		t.Errorf("got %+v", all)
	}
	// Each import of an instance has resource types of its own.
	type0 := instanceType(declExport("r", sub))
	c = mustDecode(t, "imports", component(types(type0), imports(imported("a", ofInstance(0)), imported("b", ofInstance(0)))))
	if all := binds(c); len(all) != 2 || all[0].Resource == all[1].Resource || !slices.Equal(all[1].Path, []string{"r"}) {
		t.Errorf("got %+v", all)
	}
}

func TestAnExportCanHideWhichResourceItIs(t *testing.T) {
	inner := cat(types(resource), exports(exported("r", sType, 0), ascribed("s", sType, 0, sub)))
	c := mustDecode(t, "type", component(inner))
	e := c.Defs[2].(*binary.Export)
	if len(e.Binds) != 1 || e.Binds[0].Resource != e.Resource || e.Resource == e.Item.Resource || len(e.Binds[0].Path) != 0 {
		t.Errorf("got %+v", e)
	}
	// To the outside r and s are two.
	wants := cat(imports(imported("a", sub)), imports(imported("b", eq(0))))
	link := func(made []byte) []byte {
		return component(nested(made), nested(wants), instances(instantiate(0)), aliases(exportOf(sType, 0, "r"), exportOf(sType, 0, "s")),
			instances(instantiate(1, with("a", sType, 0), with("b", sType, 1))))
	}
	checkRules(t, map[string]broken{"hidden": {link(inner), "type mismatch for import `b`: resource types are not the same"}})
	mustDecode(t, "known", link(cat(types(resource), exports(exported("r", sType, 0), exported("s", sType, 0)))))
	// An instance can be ascribed a type as well.
	hidden := instanceType(declExport("r", sub))
	c = mustDecode(t, "instance", component(types(resource, hidden), instances(bundle(cat(0, "r", sType, 0))), exports(ascribed("i", sInstance, 0, ofInstance(1)))))
	if e := c.Defs[2].(*binary.Export); len(e.Binds) != 1 || !slices.Equal(e.Binds[0].Path, []string{"r"}) {
		t.Errorf("got %+v", e)
	}
	checkRules(t, map[string]broken{
		"ascribed": {component(types(hidden), instances(bundle()), exports(ascribed("i", sInstance, 0, ofInstance(0)))), "ascribed type of export is not compatible with item's type: missing expected export named `r`"},
	})
}

func TestValueTypesAreResolved(t *testing.T) {
	c := mustDecode(t, "types", component(
		types(record(field("a", tU8)), variant(caseOf("x", tString), cat("y", 0, 0))),
		imports(imported("rec", eq(0)), imported("var", eq(1))),
		types(list(2), option(3), cat(0x6a, 1, 4, 1, tBool), fn([][]byte{param("p", 5), param("q", 6)}, tU64)),
		imports(imported("f", ofFunc(7))),
	))
	f := c.Imports[2].Func
	if got := fmt.Sprint(f.Params[0].Type, f.Params[1].Type, f.Result); got != "option<var> result<list<rec>, bool> u64" {
		t.Errorf("got %s", got)
	}
	rec := f.Params[1].Type.Elem.Elem
	if rec.Kind != wit.Record || rec.Name != "rec" || rec.Fields[0] != (wit.Field{Name: "a", Type: rec.Fields[0].Type}) || rec.Fields[0].Type.Kind != wit.U8 {
		t.Errorf("got %+v", rec)
	}
	if rec != c.Imports[0].Value {
		t.Error("the use of a type is not the type that is declared")
	}
}

func TestAMalformedNameSectionIsIgnored(t *testing.T) {
	for _, content := range [][]byte{{}, {1}, {0, 9, 1, 'a'}, {0xff, 0xfe}, {0, 2, 1, 0xff}} {
		if c := mustDecode(t, "names", component(section(0, cat("component-name", content)))); c.Name != "" {
			t.Errorf("%v is the name %q", content, c.Name)
		}
	}
}
