package binary_test

import "testing"

func TestTypesInSignaturesNeedNames(t *testing.T) {
	rec := record(field("a", tU8))
	liftAs := func(core int, defs ...[]byte) []byte {
		return cat(helpers, types(defs...), canons(lift(core, nil, len(defs)-1)))
	}
	for name, source := range map[string][]byte{
		"no name needed": component(liftAs(2, tuple(cat(tU8)), fn(noParams, 0)), exports(exported("f", sFunc, 0))),
		"exported": component(helpers, types(rec), exports(exported("rec", sType, 0)), types(fn(noParams, 1)),
			canons(lift(2, nil, 2)), exports(exported("f", sFunc, 0))),
		"ascribed": component(liftAs(2, rec, fn(noParams, 0)), exports(exported("rec", sType, 0)), types(fn(noParams, 2)),
			exports(ascribed("f", sFunc, 0, ofFunc(3)))),
		"imported": component(types(rec), imports(imported("rec", eq(0))), types(fn(noParams, 1)), imports(imported("f", ofFunc(2))),
			exports(exported("g", sFunc, 0))),
		"of an instance": component(types(instanceType(declType(rec), declExport("rec", eq(0)), declType(fn(noParams, 1)), declExport("f", ofFunc(2)))),
			imports(imported("i", ofInstance(0))), aliases(exportOf(sFunc, 0, "f")), exports(exported("f", sFunc, 0))),
		"resource": component(types(resource), exports(exported("r", sType, 0)), types(own(1), fn(noParams, 2)), helpers,
			canons(lift(2, nil, 3)), exports(exported("f", sFunc, 0))),
		"within": component(types(rec), exports(exported("rec", sType, 0)), types(record(field("b", 1))), exports(exported("s", sType, 2))),
	} {
		mustDecode(t, name, source)
	}
	fail := "not valid to be used as export"
	unnamed := func(defs ...[]byte) broken {
		return broken{component(liftAs(2, append(defs, fn(noParams, len(defs)-1))...), exports(exported("f", sFunc, 0))), "func " + fail}
	}
	checkRules(t, map[string]broken{
		"record":              unnamed(rec),
		"enum":                unnamed(enum(cat("a"))),
		"flags":               unnamed(flags(cat("a"))),
		"variant":             unnamed(variant(cat("a", 0, 0))),
		"in tuple":            unnamed(rec, tuple(cat(0))),
		"resource":            unnamed(resource, own(0)),
		"named too late":      {component(liftAs(2, rec, fn(noParams, 0)), exports(exported("rec", sType, 0), exported("f", sFunc, 0))), "func " + fail},
		"type":                {component(types(rec, list(0)), exports(exported("l", sType, 1))), "type " + fail},
		"import":              {component(types(rec, fn(noParams, 0)), imports(imported("f", ofFunc(1)))), "func not valid to be used as import"},
		"by export":           {component(types(rec), exports(exported("rec", sType, 0)), types(fn(noParams, 1)), imports(imported("f", ofFunc(2)))), "func not valid to be used as import"},
		"bundle":              {component(liftAs(2, rec, fn(noParams, 0)), instances(bundle(cat(0, "f", sFunc, 0))), exports(exported("i", sInstance, 0))), "instance " + fail},
		"instance":            {component(types(instanceType(declType(rec), declType(fn(noParams, 0)), declExport("f", ofFunc(1)))), imports(imported("i", ofInstance(0)))), "instance not valid to be used as import"},
		"function type":       {component(types(rec, fn(noParams, 0)), exports(exported("t", sType, 1))), "type " + fail},
		"instance type":       {component(types(instanceType(declType(rec), declType(fn(noParams, 0)), declExport("f", ofFunc(1)))), exports(exported("t", sType, 0))), "type " + fail},
		"in a component type": {component(types(componentType(declType(rec), declType(fn(noParams, 0)), declExport("f", ofFunc(1))))), "func " + fail},
	})
}

func TestNamesOfResourceFunctions(t *testing.T) {
	// imports r as a resource type and then a function under a name.
	with := func(name string, defs ...[]byte) []byte {
		return component(imports(imported("r", sub)), types(defs...), imports(imported(name, ofFunc(len(defs)))))
	}
	result := func(t int) []byte { return cat(0x6a, 1, t, 0) }
	for name, source := range map[string][]byte{
		"constructor":   with("[constructor]r", own(0), fn(noParams, 1)),
		"that can fail": with("[constructor]r", own(0), result(1), fn(noParams, 2)),
		"method":        with("[method]r.go-on", borrow(0), fn([][]byte{param("self", 1), param("a", tU8)})),
		"static":        with("[static]r.a", noFn),
	} {
		mustDecode(t, name, source)
	}
	checkRules(t, map[string]broken{
		"no function":      {component(imports(imported("r", sub), imported("[static]r.a", sub))), "item is not a func"},
		"no result":        {with("[constructor]r", noFn), "function should return one value"},
		"other result":     {with("[constructor]r", fn(noParams, tU8)), "function should return `(own $T)` or `(result (own $T))`"},
		"borrow given":     {with("[constructor]r", cat(0x6a, 1, tU8, 0), fn(noParams, 1)), "function should return `(own $T)`"},
		"other resource":   {component(imports(imported("r", sub), imported("s", sub)), types(own(1), fn(noParams, 2)), imports(imported("[constructor]r", ofFunc(3)))), "function does not match expected resource name `s`"},
		"no resource":      {with("[static]s.a", noFn), "static resource name is not known in this context"},
		"no self":          {with("[method]r.a", noFn), "function should have at least one argument"},
		"self's name":      {with("[method]r.a", borrow(0), fn([][]byte{param("it", 1)})), "function should have a first argument called `self`"},
		"self is owned":    {with("[method]r.a", own(0), fn([][]byte{param("self", 1)})), "function should take a first argument of `(borrow $T)`"},
		"method and field": {component(imports(imported("r", sub)), types(noFn), imports(imported("[static]r.a", ofFunc(1)), imported("[static]r.A", ofFunc(1)))), "import name `[static]r.A` conflicts with previous name `[static]r.a`"},
		"method as r":      {with("[static]r.R", noFn), "import name `[static]r.R` conflicts with previous name `r`"},
		"export of import": {
			component(imports(imported("r", sub)), types(own(0), fn(noParams, 1)), imports(imported("f", ofFunc(2))), exports(exported("[constructor]r", sFunc, 0))),
			"resource used in function does not have a name in this context",
		},
		"bundle": {component(types(noFn), imports(imported("f", ofFunc(0))), instances(bundle(cat(0, "[static]r.a", sFunc, 0)))), "static resource name is not known in this context"},
	})
}

func TestResourcesOfComponents(t *testing.T) {
	checkRules(t, map[string]broken{
		"own in an import": {component(types(resource), imports(imported("r", eq(0)))), "local resource type found in imports"},
		"instances differ": {component(
			nested(types(resource), exports(exported("r", sType, 0))),
			nested(imports(imported("r", sub)), types(own(0), fn(noParams, 1)), imports(imported("f", ofFunc(2)))),
			helpers, instances(instantiate(0), instantiate(0)),
			aliases(exportOf(sType, 0, "r"), exportOf(sType, 1, "r")), types(own(1), fn(noParams, 2)), canons(lift(2, nil, 3)),
			instances(instantiate(1, cat("r", sType, 0), cat("f", sFunc, 0))),
		), "type mismatch for import `f`: type mismatch with result type: resource types are not the same"},
	})
}
