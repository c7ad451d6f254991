package binary_test

import "fmt"

// What tests write components with: cat joins parts, and a string among them is
// written as a name. The rest names the opcodes of Binary.md.

func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, leb(p)...)
		case string:
			b = append(append(b, leb(len(p))...), p...)
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("cat of a %T", p))
		}
	}
	return b
}

// leb is an unsigned LEB128 number. All opcodes are below 128, and so are bytes.
func leb(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func vec(items ...[]byte) []byte {
	b := leb(len(items))
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}

func repeat(n int, item func(i int) []byte) []byte {
	b := leb(n)
	for i := range n {
		b = append(b, item(i)...)
	}
	return b
}

// section is a section of any content; the others are vectors of items.
func section(id int, content []byte) []byte { return cat(id, len(content), content) }

func coreInstances(items ...[]byte) []byte { return section(2, vec(items...)) }
func coreTypes(items ...[]byte) []byte     { return section(3, vec(items...)) }
func instances(items ...[]byte) []byte     { return section(5, vec(items...)) }
func aliases(items ...[]byte) []byte       { return section(6, vec(items...)) }
func types(items ...[]byte) []byte         { return section(7, vec(items...)) }
func canons(items ...[]byte) []byte        { return section(8, vec(items...)) }
func imports(items ...[]byte) []byte       { return section(10, vec(items...)) }
func exports(items ...[]byte) []byte       { return section(11, vec(items...)) }

func component(sections ...[]byte) []byte {
	b := []byte("\x00asm\x0d\x00\x01\x00")
	for _, s := range sections {
		b = append(b, s...)
	}
	return b
}

// nested is a component in a component.
func nested(sections ...[]byte) []byte { return section(4, component(sections...)) }

// module is a core module in a component.
func module(sections ...[]byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b = append(b, s...)
	}
	return section(1, b)
}

// Value types.
const (
	tBool   = 0x7f
	tU8     = 0x7d
	tU32    = 0x79
	tU64    = 0x77
	tF32    = 0x76
	tF64    = 0x75
	tString = 0x73
	tI32    = 0x7f // of core modules
	tI64    = 0x7e
)

func record(fields ...[]byte) []byte   { return cat(0x72, vec(fields...)) }
func variant(cases ...[]byte) []byte   { return cat(0x71, vec(cases...)) }
func list(of int) []byte               { return cat(0x70, of) }
func tuple(of ...[]byte) []byte        { return cat(0x6f, vec(of...)) }
func flags(labels ...[]byte) []byte    { return cat(0x6e, vec(labels...)) }
func enum(labels ...[]byte) []byte     { return cat(0x6d, vec(labels...)) }
func option(of int) []byte             { return cat(0x6b, of) }
func own(resource int) []byte          { return cat(0x69, resource) }
func borrow(resource int) []byte       { return cat(0x68, resource) }
func field(name string, t int) []byte  { return cat(name, t) }
func caseOf(name string, t int) []byte { return cat(name, 1, t, 0) }

// fn is a function type: the result is that of what follows params.
func fn(params [][]byte, result ...int) []byte {
	if len(result) == 0 {
		return cat(0x40, vec(params...), 1, 0)
	}
	return cat(0x40, vec(params...), 0, result[0])
}

func param(name string, t int) []byte { return cat(name, t) }

// noParams is for fn.
var noParams [][]byte

// resource is a resource type without a destructor.
var resource = cat(0x3f, tI32, 0)

func instanceType(decls ...[]byte) []byte  { return cat(0x42, vec(decls...)) }
func componentType(decls ...[]byte) []byte { return cat(0x41, vec(decls...)) }

func declType(t []byte) []byte                   { return cat(1, t) }
func declAlias(a []byte) []byte                  { return cat(2, a) }
func declImport(name string, t []byte) []byte    { return cat(3, imported(name, t)) }
func declExport(name string, t []byte) []byte    { return cat(4, imported(name, t)) }
func imported(name string, t []byte) []byte      { return cat(0, name, t) }
func exported(name string, sort, i int) []byte   { return cat(0, name, sort, i, 0) }
func outer(sort, count, i int) []byte            { return cat(sort, 2, count, i) }
func exportOf(sort, i int, name string) []byte   { return cat(sort, 0, i, name) }
func coreExport(sort, i int, name string) []byte { return cat(0, sort, 1, i, name) }
func instantiate(c int, args ...[]byte) []byte   { return cat(0, c, vec(args...)) }
func bundle(exports ...[]byte) []byte            { return cat(1, vec(exports...)) }
func with(name string, sort, i int) []byte       { return cat(name, sort, i) }
func ascribed(name string, sort, i int, t []byte) []byte {
	return cat(0, name, sort, i, 1, t)
}

// Types of imports and exports.
func ofFunc(i int) []byte      { return cat(1, i) }
func eq(i int) []byte          { return cat(3, 0, i) }
func ofComponent(i int) []byte { return cat(4, i) }
func ofInstance(i int) []byte  { return cat(5, i) }
func ofModule(i int) []byte    { return cat(0, 0x11, i) }

// sub is a resource type of which nothing else is known.
var sub = cat(3, 1)

// Sorts.
const (
	sFunc      = 1
	sType      = 3
	sComponent = 4
	sInstance  = 5
)

func lift(core int, options [][]byte, t int) []byte { return cat(0, 0, core, vec(options...), t) }
func lower(fn int, options ...[]byte) []byte        { return cat(1, 0, fn, vec(options...)) }
func memory(i int) []byte                           { return cat(3, i) }
func realloc(i int) []byte                          { return cat(4, i) }
func postReturn(i int) []byte                       { return cat(5, i) }
func coreFn(params, results []int) []byte {
	b := cat(0x60, len(params))
	for _, p := range params {
		b = append(b, byte(p))
	}
	b = append(b, byte(len(results)))
	for _, r := range results {
		b = append(b, byte(r))
	}
	return b
}

// coreFuncs makes core instance number n from a module, which is number n too,
// that exports a function of each type, as f0, f1 and so on, and a memory as m;
// and aliases of them, which are core functions and core memory number n.
func coreFuncs(n int, fnTypes ...[]byte) []byte {
	funcs := repeat(len(fnTypes), func(i int) []byte { return leb(i) })
	bodies := repeat(len(fnTypes), func(int) []byte { return cat(3, 0, 0, 0x0b) })
	exports := cat(len(fnTypes) + 1)
	alias := cat(len(fnTypes) + 1)
	for i := range fnTypes {
		exports = cat(exports, fmt.Sprint("f", i), 0, i)
		alias = cat(alias, coreExport(0, n, fmt.Sprint("f", i)))
	}
	exports = cat(exports, "m", 2, 0)
	alias = cat(alias, coreExport(2, n, "m"))
	return cat(
		module(section(1, vec(fnTypes...)), section(3, funcs), section(5, vec(cat(0, 1))), section(7, exports), section(10, bodies)),
		coreInstances(instantiate(n)),
		section(6, alias),
	)
}
