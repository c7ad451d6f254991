package binary_test

import (
	"testing"
)

// noFn is a function type without parameters and results.
var noFn = fn(noParams)

// takes is a component that imports x as what imports say, around which there is
// a component that passes it the item 0 of a sort, made by before.
func takes(before, imports_ []byte, sort int) []byte {
	return component(before, nested(imports_), instances(instantiate(0, with("x", sort, 0))))
}

// passes has a component import a value type under x, and is given another.
func passes(want, got []byte) []byte {
	return takes(types(got), cat(types(want), imports(imported("x", eq(0)))), sType)
}

func TestTypesOfArgumentsAreCompared(t *testing.T) {
	for name, source := range map[string][]byte{
		"records":  passes(record(field("a", tU8), field("b", tString)), record(field("a", tU8), field("b", tString))),
		"variants": passes(variant(cat("a", 0, 0), caseOf("b", tU8)), variant(cat("a", 0, 0), caseOf("b", tU8))),
		"results":  passes(cat(0x6a, 1, tU8, 0), cat(0x6a, 1, tU8, 0)),
		"names":    passes(cat(tU8), cat(tU8)),
		"function": takes(cat(types(noFn), imports(imported("f", ofFunc(0)))), cat(types(noFn), imports(imported("x", ofFunc(0)))), sFunc),
	} {
		mustDecode(t, name, source)
	}
	mismatch := func(want, got []byte, rule string) broken { return broken{passes(want, got), rule} }
	checkRules(t, map[string]broken{
		"primitives":    mismatch(cat(tU8), cat(tString), "expected primitive `u8` found primitive `string`"),
		"kinds":         mismatch(record(field("a", tU8)), cat(tU8), "expected record, found u8"),
		"field count":   mismatch(record(field("a", tU8)), record(field("a", tU8), field("b", tU8)), "expected 1 fields, found 2"),
		"field name":    mismatch(record(field("a", tU8)), record(field("b", tU8)), "expected field name `a`, found `b`"),
		"field type":    mismatch(record(field("a", tU8)), record(field("a", tU64)), "type mismatch in record field `a`: expected primitive `u8`"),
		"case name":     mismatch(variant(cat("a", 0, 0)), variant(cat("b", 0, 0)), "expected case named `a`, found `b`"),
		"case without":  mismatch(variant(caseOf("a", tU8)), variant(cat("a", 0, 0)), "expected case `a` to have a type, found none"),
		"case with":     mismatch(variant(cat("a", 0, 0)), variant(caseOf("a", tU8)), "expected case `a` to have no type"),
		"case":          mismatch(variant(caseOf("a", tU8)), variant(caseOf("a", tU32)), "type mismatch in variant case `a`"),
		"tuple":         mismatch(tuple(cat(tU8)), tuple(cat(tU32)), "type mismatch in tuple field 0"),
		"tuple count":   mismatch(tuple(cat(tU8)), tuple(cat(tU8), cat(tU8)), "expected 1 types, found 2"),
		"enum":          mismatch(enum(cat("a")), enum(cat("b")), "mismatch in enum elements"),
		"flags":         mismatch(flags(cat("a")), flags(cat("a"), cat("b")), "mismatch in flags elements"),
		"list":          mismatch(list(tU8), list(tBool), "expected primitive `u8` found primitive `bool`"),
		"option":        mismatch(option(tU8), list(tU8), "expected option, found list"),
		"ok":            mismatch(cat(0x6a, 1, tU8, 0), cat(0x6a, 0, 0), "expected ok type, but found none"),
		"no ok":         mismatch(cat(0x6a, 0, 0), cat(0x6a, 1, tU8, 0), "expected ok type to not be present"),
		"err":           mismatch(cat(0x6a, 0, 1, tU8), cat(0x6a, 0, 1, tU32), "type mismatch in err variant"),
		"a resource":    {takes(types(resource), cat(types(cat(tU8)), imports(imported("x", eq(0)))), sType), "expected defined type, found resource"},
		"no resource":   {takes(types(cat(tU8)), imports(imported("x", sub)), sType), "expected resource, found defined type"},
		"function type": {takes(types(noFn), cat(types(cat(tU8)), imports(imported("x", eq(0)))), sType), "expected defined type, found func type"},
	})
}

func TestRulesOfFunctionsThatArePassed(t *testing.T) {
	mismatch := func(want, got []byte, rule string) broken {
		return broken{takes(cat(types(got), imports(imported("f", ofFunc(0)))), cat(types(want), imports(imported("x", ofFunc(0)))), sFunc), rule}
	}
	one := fn([][]byte{param("a", tU8)}, tU8)
	checkRules(t, map[string]broken{
		"sort":            {takes(types(cat(tU8)), cat(types(noFn), imports(imported("x", ofFunc(0)))), sType), "type mismatch for import `x`: expected func, found type"},
		"parameters":      mismatch(one, fn(noParams, tU8), "expected 1 parameters, found 0"),
		"parameter name":  mismatch(one, fn([][]byte{param("b", tU8)}, tU8), "expected parameter named `a`, found `b`"),
		"parameter type":  mismatch(one, fn([][]byte{param("a", tU64)}, tU8), "type mismatch in function parameter `a`"),
		"result type":     mismatch(one, fn([][]byte{param("a", tU8)}, tU64), "type mismatch with result type"),
		"no result":       mismatch(one, fn([][]byte{param("a", tU8)}), "expected a result, found none"),
		"a result":        mismatch(noFn, fn(noParams, tU8), "expected no result, found one"),
		"missing":         {component(types(noFn), nested(types(noFn), imports(imported("x", ofFunc(0)))), instances(instantiate(0))), "missing import named `x`"},
		"twice":           {component(types(cat(tU8)), nested(), instances(instantiate(0, with("x", sType, 0), with("x", sType, 0)))), "instantiation argument `x` conflicts with previous argument `x`"},
		"no such item":    {component(nested(), instances(instantiate(0, with("x", sFunc, 3)))), "unknown function 3: function index out of bounds"},
		"no component":    {component(instances(instantiate(0))), "unknown component 0: component index out of bounds"},
		"no such module":  {component(coreInstances(instantiate(0))), "unknown module 0: module index out of bounds"},
		"export of type":  {component(exports(exported("a", sType, 0))), "unknown type 0: type index out of bounds"},
		"function type":   {component(types(cat(tU8)), imports(imported("a", ofFunc(0)))), "type index 0 is not a function type"},
		"instance type":   {component(types(cat(tU8)), imports(imported("a", ofInstance(0)))), "type index 0 is not an instance type"},
		"component type":  {component(types(cat(tU8)), imports(imported("a", ofComponent(0)))), "type index 0 is not a component type"},
		"module type":     {component(coreTypes(coreFn(nil, nil)), imports(imported("a", ofModule(0)))), "core type index 0 is not a module type"},
		"ascribed type":   {component(types(noFn, fn(noParams, tU8)), imports(imported("f", ofFunc(0))), exports(ascribed("g", sFunc, 0, ofFunc(1)))), "ascribed type of export is not compatible with item's type: expected a result"},
		"ascribed sort":   {component(types(cat(tU8)), exports(ascribed("a", sType, 0, sub))), "expected resource, found defined type"},
		"duplicate items": {component(types(cat(tU8)), instances(bundle(cat(0, "a", sType, 0), cat(0, "A", sType, 0)))), "export name `A` conflicts with previous name `a`"},
	})
}

// ofInstanceType imports x as an instance of a type, and passes one of another.
func ofInstanceType(want, got []byte) []byte {
	return takes(cat(types(got), imports(imported("i", ofInstance(0)))), cat(types(want), imports(imported("x", ofInstance(0)))), sInstance)
}

func TestInstancesMayExportMore(t *testing.T) {
	f := declExport("f", ofFunc(0))
	mustDecode(t, "more", ofInstanceType(instanceType(declType(noFn), f), instanceType(declType(noFn), declExport("g", ofFunc(0)), f)))
	checkRules(t, map[string]broken{
		"fewer":     {ofInstanceType(instanceType(declType(noFn), f), instanceType()), "type mismatch for import `x`: missing expected export `f`"},
		"otherwise": {ofInstanceType(instanceType(declType(noFn), f), instanceType(declType(fn(noParams, tU8)), f)), "type mismatch in instance export `f`: expected no result"},
	})
}

// ofComponentType imports x as a component of a type, and passes one of another.
func ofComponentType(want, got []byte) []byte {
	return component(types(got), imports(imported("c", ofComponent(0))),
		nested(types(want), imports(imported("x", ofComponent(0)))),
		instances(instantiate(1, with("x", sComponent, 0))))
}

func TestComponentsMayImportLessAndExportMore(t *testing.T) {
	a, e := declImport("a", ofFunc(0)), declExport("e", ofFunc(0))
	none := componentType(declType(noFn))
	// r is a resource type that is taken, or made, and a function of it.
	r := func(in, out []byte) []byte {
		return componentType(in, declType(own(0)), declType(fn(noParams, 1)), out)
	}
	result := declExport("f", ofFunc(2))
	for name, source := range map[string][]byte{
		"less":               ofComponentType(componentType(declType(noFn), a), none),
		"more":               ofComponentType(none, componentType(declType(noFn), e)),
		"resource taken":     ofComponentType(r(declImport("r", sub), result), r(declImport("r", sub), result)),
		"resource made":      ofComponentType(r(declExport("r", sub), result), r(declExport("r", sub), result)),
		"resource not taken": ofComponentType(componentType(declImport("r", sub)), componentType()),
	} {
		mustDecode(t, name, source)
	}
	// What it gives back are its own resources, where those passed are wanted.
	other := componentType(declImport("r", sub), declExport("s", sub), declType(own(1)), declType(fn(noParams, 2)), declExport("f", ofFunc(3)))
	checkRules(t, map[string]broken{
		"more imports":   {ofComponentType(none, componentType(declType(noFn), a)), "type mismatch for import `x`: missing import named `a`"},
		"fewer exports":  {ofComponentType(componentType(declType(noFn), e), none), "type mismatch for import `x`: missing export named `e`"},
		"other imports":  {ofComponentType(componentType(declType(noFn), a), componentType(declType(fn(noParams, tU8)), a)), "type mismatch for import `a`: expected a result"},
		"other resource": {ofComponentType(r(declImport("r", sub), result), other), "type mismatch for export `f`: type mismatch with result type: resource types are not the same"},
	})
}

func TestRulesOfCoreInstances(t *testing.T) {
	wants := func(item []byte) []byte {
		return module(section(1, vec(coreFn(nil, nil), coreFn([]int{tI32}, nil))), section(2, vec(cat("m", "x", item))))
	}
	gives := func(kind int, sections ...[]byte) []byte {
		return module(append(append([][]byte{section(1, vec(coreFn(nil, nil)))}, sections...), section(7, vec(cat("x", kind, 0))))...)
	}
	pass := func(want, got []byte) []byte {
		return component(want, got, coreInstances(instantiate(1), instantiate(0, cat("m", 0x12, 0))))
	}
	memory := func(limits ...byte) []byte { return gives(2, section(5, vec(limits))) }
	global := func(t, mutable int) []byte {
		zero := cat(0x41, 0, 0x0b)
		if t == tI64 {
			zero = cat(0x42, 0, 0x0b)
		}
		return gives(3, section(6, vec(cat(t, mutable, zero))))
	}
	table := func(item int, limits ...byte) []byte { return gives(1, section(4, vec(cat(item, limits)))) }
	tag := gives(4, section(13, vec(cat(0, 0))))
	for name, source := range map[string][]byte{
		"memory": pass(wants(cat(2, 1, 1, 4)), memory(1, 2, 3)),
		"table":  pass(wants(cat(1, 0x70, 0, 1)), table(0x70, 0, 2)),
		"global": pass(wants(cat(3, tI64, 1)), global(tI64, 1)),
		"tag":    pass(wants(cat(4, 0, 0)), tag),
		// A nullable reference has two forms.
		"long form": pass(wants(cat(1, 0x63, 0x70, 0, 1)), table(0x70, 0, 2)),
	} {
		mustDecode(t, name, source)
	}
	checkRules(t, map[string]broken{
		"argument":       {component(wants(cat(0, 0)), coreInstances(instantiate(0))), "missing module instantiation argument named `m`"},
		"argument twice": {component(module(), coreInstances(instantiate(0), instantiate(0, cat("m", 0x12, 0), cat("m", 0x12, 0)))), "duplicate module instantiation argument named `m`"},
		"export":         {pass(wants(cat(0, 0)), module()), "module instantiation argument `m` does not export an item named `x`"},
		"kind":           {pass(wants(cat(0, 0)), memory(0, 1)), "type mismatch for export `x` of module instantiation argument `m`: expected func, found memory"},
		"memory":         {pass(wants(cat(2, 0, 2)), memory(0, 1)), "mismatch in memory limits"},
		"memory maximum": {pass(wants(cat(2, 1, 1, 2)), memory(0, 1)), "mismatch in memory limits"},
		"table":          {pass(wants(cat(1, 0x70, 0, 1)), table(0x6f, 0, 1)), "expected table element type funcref, found externref"},
		"table size":     {pass(wants(cat(1, 0x70, 0, 2)), table(0x70, 0, 1)), "mismatch in table limits"},
		"global":         {pass(wants(cat(3, tI32, 1)), global(tI64, 1)), "expected global type i32, found i64"},
		"mutability":     {pass(wants(cat(3, tI32, 1)), global(tI32, 0)), "global types differ in mutability"},
		"tag":            {pass(wants(cat(4, 0, 1)), tag), "expected: (func (param i32)), found: (func)"},
		"bundle twice":   {component(coreFuncs(0, coreFn(nil, nil)), coreInstances(bundle(cat("a", 0, 0), cat("a", 0, 0)))), "duplicate instantiation export name `a` already defined"},
		"bundle index":   {component(coreInstances(bundle(cat("a", 3, 0)))), "unknown global 0: global index out of bounds"},
	})
}

func TestModulesMayImportLessAndExportMore(t *testing.T) {
	f := coreFn(nil, nil)
	imports1, exportF, exportG := cat(0, "m", "x", 0, 0), cat(3, "f", 0, 0), cat(3, "g", 0, 0)
	pass := func(want [][]byte, sections ...[]byte) []byte {
		return component(module(sections...),
			nested(coreTypes(cat(0x50, vec(want...))), imports(imported("x", ofModule(0)))),
			instances(instantiate(0, cat("x", 0, 0x11, 0))))
	}
	gives := [][]byte{section(1, vec(f)), section(3, vec(cat(0))), section(7, vec(cat("f", 0, 0), cat("g", 0, 0))), section(10, vec(cat(2, 0, 0x0b)))}
	takes := [][]byte{section(1, vec(coreFn([]int{tI32}, nil))), section(2, vec(cat("m", "x", 0, 0)))}
	mustDecode(t, "more", pass([][]byte{cat(1, f), exportF}, gives...))
	mustDecode(t, "less", pass([][]byte{cat(1, f), imports1}))
	open := component(module(gives...),
		nested(coreTypes(cat(0, 0x50, 0, f), cat(0x50, vec(cat(2, 0x10, 1, 1, 0), exportF))), imports(imported("x", ofModule(1)))),
		instances(instantiate(0, cat("x", 0, 0x11, 0))))
	checkRules(t, map[string]broken{
		"fewer exports": {pass([][]byte{cat(1, f), exportF}), "type mismatch for import `x`: missing expected export `f`"},
		"more imports":  {pass(nil, takes...), "missing expected import `m::x`"},
		"other import":  {pass([][]byte{cat(1, f), imports1}, takes...), "type mismatch in import `m::x`: expected: (func (param i32)), found: (func)"},
		"other export":  {pass([][]byte{cat(1, coreFn(nil, []int{tI64})), exportG}, gives...), "type mismatch in export `g`: expected: (func (result i64)), found: (func)"},
		"open type":     {open, "expected: (sub (func)), found: (func)"},
	})
}
