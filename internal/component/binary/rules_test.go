package binary_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
)

// broken is a component that breaks a rule.
type broken struct {
	source []byte
	rule   string // a part of what the error says
}

func checkRules(t *testing.T, rules map[string]broken) {
	t.Helper()
	for name, b := range rules {
		_, err := binary.Decode(b.source)
		var e *binary.Error
		switch {
		case err == nil:
			t.Errorf("%s: it is taken, want %q", name, b.rule)
		case !errors.As(err, &e):
			t.Errorf("%s: the error is a %T", name, err)
		case e.Feature != nil || !strings.Contains(err.Error(), b.rule):
			t.Errorf("%s: got %v, want %q", name, err, b.rule)
		case e.Offset < 0 || e.Offset > len(b.source) || e.Section == "":
			t.Errorf("%s: %v does not say where", name, err)
		}
	}
}

func TestPreamblesOfNoComponentAreRefused(t *testing.T) {
	preamble := func(s string) broken { return broken{[]byte(s), "unknown binary version"} }
	checkRules(t, map[string]broken{
		"nothing":        {nil, "unexpected end-of-file"},
		"half":           {[]byte("\x00asm\x0d"), "unexpected end-of-file"},
		"no WebAssembly": {[]byte("\x00ASM\x0d\x00\x01\x00"), "this is not WebAssembly"},
		"a module":       {[]byte("\x00asm\x01\x00\x00\x00"), "this is a core module"},
		"version 0":      preamble("\x00asm\x00\x00\x01\x00"),
		"version 0xe":    preamble("\x00asm\x0e\x00\x01\x00"),
		"layer 2":        preamble("\x00asm\x0d\x00\x02\x00"),
		"layer 0x101":    preamble("\x00asm\x0d\x00\x01\x01"),
	})
	for source, want := range map[string]bool{
		"\x00asm\x0d\x00\x01\x00": true, "\x00asm\x0a\x00\x01\x00": true, "\x00asm\x01\x00\x00\x00": false,
		"\x00asm\x0d\x00\x01": false, "\x00asn\x0d\x00\x01\x00": false, "": false,
	} {
		if got := binary.IsComponent([]byte(source)); got != want {
			t.Errorf("%q: IsComponent is %t", source, got)
		}
	}
}

func TestMalformedBytesAreRefused(t *testing.T) {
	checkRules(t, map[string]broken{
		"section":             {component(section(13, nil)), "malformed section id 13"},
		"section size":        {component([]byte{7, 3, 0}), "unexpected end-of-file: it has 1 bytes, not the 3"},
		"long size":           {component([]byte{7, 0x81, 0x80, 0x80, 0x80, 0x70, 0}), "integer too large"},
		"long count":          {component(section(7, cat(999_999, tString))), "it claims 999999 types in 1 bytes"},
		"left over":           {component(section(7, []byte{1, tString, 0})), "unexpected data at the end of the section: 1 bytes"},
		"custom name":         {component(section(0, []byte{2, 0xff, 0xfe})), "malformed UTF-8"},
		"core instance":       {component(coreInstances(cat(2, 0))), "invalid leading byte (0x2) for core instance"},
		"core argument":       {component(module(), coreInstances(cat(0, 0, 1, "a", 0, 0))), "(0x0) for instantiation arg kind"},
		"instance":            {component(instances(cat(2, 0))), "(0x2) for instance"},
		"alias":               {component(aliases(cat(3, 3, 0, 0))), "(0x3) for alias"},
		"alias of core":       {component(aliases(cat(3, 1, 0, "a"))), "(0x3) for core instance export kind"},
		"alias kind":          {component(aliases(cat(0, 5, 1, 0, "a"))), "(0x5) for external kind"},
		"outer sort":          {component(aliases(outer(5, 0, 0))), "(0x5) for component outer alias kind"},
		"outer core sort":     {component(aliases(cat(0, 0x12, 2, 0, 0))), "(0x12) for component outer alias kind"},
		"type":                {component(types(cat(0x62))), "(0x62) for component defined type"},
		"value type":          {component(types(cat(0x70, 0x43))), "(0x43) for component value type"},
		"optional type":       {component(types(cat(0x6a, 2, 0))), "(0x2) for optional component value type"},
		"case":                {component(types(variant(cat("a", 0, 1)))), "(0x1) for zero byte required"},
		"results":             {component(types(cat(0x40, 0, 1, 1))), "(0x1) for number of results"},
		"result":              {component(types(cat(0x40, 0, 2, 0))), "(0x2) for component function results"},
		"declaration":         {component(types(instanceType(cat(3, 0, "a", sub)))), "(0x3) for component or instance type declaration"},
		"destructor":          {component(types(cat(0x3f, tI32, 2))), "(0x2) for resource destructor"},
		"module declaration":  {component(coreTypes(cat(0x50, 1, 4, 0x60, 0, 0))), "(0x4) for type definition"},
		"nested module type":  {component(coreTypes(cat(0x50, 1, 1, 0x51, 0))), "(0x51) for type"},
		"core alias":          {component(coreTypes(cat(0x50, 1, 2, 0, 1, 1, 0))), "(0x0) for outer alias kind"},
		"core alias target":   {component(coreTypes(cat(0x50, 1, 2, 0x10, 0, 1, 0))), "(0x0) for outer alias target"},
		"sub type":            {component(coreTypes(cat(0, 0x60, 0, 0))), "(0x60) for non-final sub type"},
		"canon":               {component(canons(cat(7))), "(0x7) for canonical function"},
		"lift":                {component(canons(cat(0, 1, 0, 0, 0))), "(0x1) for canonical function lift"},
		"lower":               {component(canons(cat(1, 1, 0, 0))), "(0x1) for canonical function lower"},
		"option":              {component(canons(lift(0, [][]byte{{0x0a}}, 0))), "(0xa) for canonical option"},
		"name form":           {component(imports(cat(3, "a", sub))), "(0x3) for component name"},
		"name option":         {component(imports(cat(2, "a", 1, 3, "b", sub))), "(0x3) for name option"},
		"name option, twice":  {component(imports(cat(2, "a", 2, 2, "b", 2, "c", sub))), "duplicate 'external id' option in name"},
		"bound":               {component(imports(cat(0, "a", 3, 2))), "(0x2) for type bound"},
		"external kind":       {component(imports(cat(0, "a", 6, 0))), "(0x6) for component external kind"},
		"core external kind":  {component(imports(cat(0, "a", 0, 0, 0))), "(0x0) for component external kind"},
		"ascription":          {component(types(cat(tU8)), exports(cat(0, "a", sType, 0, 2))), "(0x2) for optional component export type"},
		"core bundle":         {component(coreInstances(cat(1, 1, "a", 5, 0))), "(0x5) for external kind"},
		"signed type index":   {component(types(cat(0x70, []byte{0xff, 0xff, 0xff, 0xff, 0x7f}))), "for component value type"},
		"type index too long": {component(types(cat(0x70, []byte{0xff, 0xff, 0xff, 0xff, 0x1f}))), "integer too large"},
	})
}

func TestRulesOfValueTypes(t *testing.T) {
	checkRules(t, map[string]broken{
		"no fields":                    {component(types(record())), "record type must have at least one field"},
		"no cases":                     {component(types(variant())), "variant type must have at least one case"},
		"no types":                     {component(types(tuple())), "tuple type must have at least one type"},
		"no flags":                     {component(types(flags())), "flags must have at least one entry"},
		"no tags":                      {component(types(enum())), "enum type must have at least one variant"},
		"field":                        {component(types(record(field("a", tU8), field("A", tU8)))), "record field name `A` conflicts with previous field name `a`"},
		"case":                         {component(types(variant(caseOf("", tU8)))), "variant case name cannot be empty"},
		"flag":                         {component(types(flags(cat("aB")))), "flag name `aB` is not in kebab case"},
		"tag":                          {component(types(enum(cat("a"), cat("a")))), "enum tag name `a` conflicts with previous tag name `a`"},
		"index":                        {component(types(list(0))), "unknown type 0: type index out of bounds"},
		"no value":                     {component(types(fn(noParams), list(0))), "type index 0 is not a defined type"},
		"no resource":                  {component(types(cat(tU8), own(0))), "type index 0 is not a resource type"},
		"own of handle":                {component(types(resource, own(0), borrow(1))), "type index 1 is not a resource type"},
		"parameter":                    {component(types(fn([][]byte{param("a", tU8), param("A", tU8)}))), "function parameter name `A` conflicts with previous parameter name `a`"},
		"borrow returned":              {component(types(resource, borrow(0), tuple(cat(1)), fn(noParams, 2))), "function result cannot contain a `borrow` type"},
		"representation":               {component(types(cat(0x3f, 0x7d, 0))), "resources can only be represented by `i32`"},
		"resource in an instance type": {component(types(instanceType(declType(resource)))), "resources can only be defined within a concrete component"},
		"resource in a component type": {component(types(componentType(declType(resource)))), "resources can only be defined within a concrete component"},
		"destructor":                   {component(coreFuncs(0, coreFn(nil, nil)), types(cat(0x3f, tI32, 1, 0))), "core function 0 has wrong signature for a destructor"},
		"destructor that is not there": {component(types(cat(0x3f, tI32, 1, 0))), "unknown core function 0: function index out of bounds"},
	})
}

func TestRulesOfAliases(t *testing.T) {
	declares := func(alias []byte) broken {
		return broken{component(types(instanceType(declAlias(alias)))), "may only refer to types or instances"}
	}
	noResource := "cannot alias outer type which transitively refers to resources"
	checkRules(t, map[string]broken{
		"no such instance":       {component(aliases(exportOf(sFunc, 0, "a"))), "unknown instance 0: instance index out of bounds"},
		"no such export":         {component(instances(bundle()), aliases(exportOf(sFunc, 0, "a"))), "instance 0 has no export named `a`"},
		"another sort":           {component(types(cat(tU8)), instances(bundle(cat(0, "a", sType, 0))), aliases(exportOf(sFunc, 0, "a"))), "export `a` for instance 0 is not a func"},
		"no such core instance":  {component(aliases(coreExport(0, 0, "a"))), "unknown core instance 0: instance index out of bounds"},
		"no such core export":    {component(coreInstances(bundle()), aliases(coreExport(0, 0, "a"))), "core instance 0 has no export named `a`"},
		"another core sort":      {component(coreFuncs(0), aliases(coreExport(0, 0, "m"))), "export `m` for core instance 0 is not a function"},
		"too far out":            {component(aliases(outer(sType, 1, 0))), "invalid outer alias count of 1"},
		"too far out of a type":  {component(types(instanceType(declAlias(outer(sType, 2, 0))))), "invalid outer alias count of 2"},
		"not there":              {component(aliases(outer(sComponent, 0, 0))), "unknown component 0: component index out of bounds"},
		"module not there":       {component(aliases(cat(0, 0x11, 2, 0, 0))), "unknown module 0: module index out of bounds"},
		"core type not there":    {component(aliases(cat(0, 0x10, 2, 0, 0))), "unknown type 0: type index out of bounds"},
		"resource":               {component(types(resource), nested(aliases(outer(sType, 1, 0)))), noResource},
		"handle":                 {component(types(resource, own(0)), nested(aliases(outer(sType, 1, 1)))), noResource},
		"function of a resource": {component(types(resource, own(0), fn(noParams, 1)), nested(aliases(outer(sType, 1, 2)))), noResource},
		"resource, from a type":  {component(types(resource), nested(types(instanceType(declAlias(outer(sType, 2, 0)))))), noResource},
		"instance type of one": {component(types(resource, instanceType(declAlias(outer(sType, 1, 0)), declType(own(0)), declType(fn(noParams, 1)), declExport("f", ofFunc(2)))),
			nested(aliases(outer(sType, 1, 1)))), noResource},
		"component in a type":   declares(outer(sComponent, 1, 0)),
		"module in a type":      declares(cat(0, 0x11, 2, 1, 0)),
		"function in a type":    declares(exportOf(sFunc, 0, "a")),
		"core export in a type": declares(coreExport(0, 0, "a")),
		"module type in one":    {component(coreTypes(cat(0x50, 0), cat(0x50, 1, 2, 0x10, 1, 1, 0))), "aliasing core module types"},
	})
}

func TestRulesOfCoreModules(t *testing.T) {
	moduleType := func(decls ...[]byte) []byte { return component(coreTypes(cat(0x50, vec(decls...)))) }
	imports2 := func(t ...[]byte) []byte { return component(module(section(2, vec(t...)))) }
	checkRules(t, map[string]broken{
		"version":          {component(section(1, component())), "expected a version header for a module"},
		"section order":    {component(module(section(11, vec()), section(1, vec()))), "section out of order"},
		"section":          {component(module(section(14, nil))), "malformed section id 14 of a core module"},
		"type":             {moduleType(cat(3, "a", 0, 0)), "unknown type 0: type index out of bounds"},
		"export, twice":    {moduleType(cat(3, "a", 3, tI32, 0), cat(3, "a", 3, tI32, 0)), "export name `a` already defined"},
		"import, twice":    {imports2(cat("", "a", 3, tI32, 0), cat("", "a", 3, tI32, 0)), "duplicate import name `:a`"},
		"memory":           {moduleType(cat(0, "", "", 2, 0, 70_000)), "memory size must be at most"},
		"limits":           {moduleType(cat(0, "", "", 2, 1, 2, 1)), "size minimum must not be greater than maximum"},
		"table":            {moduleType(cat(0, "", "", 1, tI32, 0, 0)), "a table of what is no reference"},
		"mutability":       {imports2(cat("", "", 3, tI32, 4)), "malformed mutability 0x4"},
		"kind of item":     {imports2(cat("", "", 9, 0)), "(0x9) for external kind"},
		"tag with results": {imports2(cat("", "", 4, 0, 0)), "unknown type 0"},
		"tag":              {component(module(section(1, vec(coreFn(nil, []int{tI32}))), section(13, vec(cat(0, 0))))), "non-empty tag result type"},
		"bodies":           {component(module(section(1, vec(coreFn(nil, nil))), section(3, vec(cat(0))))), "function and code section have inconsistent lengths"},
		"export":           {component(module(section(7, vec(cat("a", 0, 0))))), "unknown func 0: func index out of bounds"},
		"constant":         {component(module(section(6, vec(cat(tI32, 0, 0x20, 0, 0x0b))))), "instruction 0x20 in a constant expression"},
	})
}
