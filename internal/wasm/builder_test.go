package wasm_test

import "slices"

// guest builds small modules in the binary format: the tests' assembler.
// Functions are numbered imports first, in the order they are added.
type guest struct {
	types, imports, funcs, tables, memories, tags, globals [][]byte
	exports, elements, code, data, custom                  [][]byte
	start                                                  []byte
	imported                                               int
}

// Opcodes that the tests use.
const (
	opUnreachable       = 0x00
	opNop               = 0x01
	opBlock             = 0x02
	opLoop              = 0x03
	opIf                = 0x04
	opElse              = 0x05
	opThrow             = 0x08
	opEnd               = 0x0b
	opBr                = 0x0c
	opBrIf              = 0x0d
	opReturn            = 0x0f
	opCall              = 0x10
	opCallIndirect      = 0x11
	opReturnCall        = 0x12
	opDrop              = 0x1a
	opLocalGet          = 0x20
	opLocalSet          = 0x21
	opLocalTee          = 0x22
	opGlobalGet         = 0x23
	opGlobalSet         = 0x24
	opI32Load           = 0x28
	opI32Store          = 0x36
	opMemorySize        = 0x3f
	opMemoryGrow        = 0x40
	opI32Const          = 0x41
	opI64Const          = 0x42
	opI32Eqz            = 0x45
	opI32Eq             = 0x46
	opI32LtU            = 0x49
	opI32Add            = 0x6a
	opI32Sub            = 0x6b
	opI32DivS           = 0x6d
	opI64Eqz            = 0x50
	opI64Eq             = 0x51
	opI64Add            = 0x7c
	opI64Sub            = 0x7d
	opI64Mul            = 0x7e
	opI64And       byte = 0x83
	opI64ShrU      byte = 0x88
	opF32Convert   byte = 0xb2
	opI32TruncF64  byte = 0xaa
	opF64Const          = 0x44
	opRefNull      byte = 0xd0
	opRefFunc      byte = 0xd2
	opPrefix       byte = 0xfc

	typeI32     = 0x7f
	typeI64     = 0x7e
	typeF64     = 0x7c
	typeV128    = 0x7b
	typeFuncRef = 0x70
	void        = 0x40
)

func u32(v uint32) []byte {
	var out []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func s64(v int64) []byte {
	var out []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && b&0x40 == 0) || (v == -1 && b&0x40 != 0) {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// code joins opcodes and their immediates. An int becomes an unsigned number,
// an int64 a signed one.
func code(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case byte:
			out = append(out, p)
		case int:
			if p < 0x100 && p >= 0x80 || p < 0 {
				panic("write opcodes above 0x7f as byte and numbers with u32")
			}
			out = append(out, u32(uint32(p))...)
		case int64:
			out = append(out, s64(p)...)
		case []byte:
			out = append(out, p...)
		case string:
			out = append(append(out, u32(uint32(len(p)))...), p...)
		}
	}
	return out
}

func vector(items [][]byte) []byte {
	return append(u32(uint32(len(items))), slices.Concat(items...)...)
}

// functype adds a function type and returns its index.
func (g *guest) functype(params, results []byte) int {
	t := code(byte(0x60), string(params), string(results))
	for i, have := range g.types {
		if slices.Equal(have, t) {
			return i
		}
	}
	g.types = append(g.types, t)
	return len(g.types) - 1
}

// imports adds an imported function and returns its index.
func (g *guest) importFunc(module, name string, params, results []byte) int {
	t := g.functype(params, results)
	g.imports = append(g.imports, code(module, name, byte(0), t))
	g.imported++
	return g.imported - 1
}

// function adds a function, exported if it has a name, and returns its index.
// Locals are one of each type listed. The body's end is added.
func (g *guest) function(export string, params, results, locals []byte, parts ...any) int {
	t := g.functype(params, results)
	g.funcs = append(g.funcs, u32(uint32(t)))
	var decls [][]byte
	for _, l := range locals {
		decls = append(decls, []byte{1, l})
	}
	body := slices.Concat(vector(decls), code(parts...), []byte{opEnd})
	g.code = append(g.code, code(string(body)))
	index := g.imported + len(g.funcs) - 1
	if export != "" {
		g.export(export, 0, index)
	}
	return index
}

func (g *guest) export(name string, kind byte, index int) {
	g.exports = append(g.exports, code(name, kind, u32(uint32(index))))
}

// memory adds the linear memory; most < 0 declares no maximum.
func (g *guest) memory(least, most int) {
	g.memories = append(g.memories, limits(least, most))
	g.export("memory", 2, 0)
}

func (g *guest) table(least, most int) {
	g.tables = append(g.tables, append([]byte{typeFuncRef}, limits(least, most)...))
}

func limits(least, most int) []byte {
	if most < 0 {
		return append([]byte{0}, u32(uint32(least))...)
	}
	return slices.Concat([]byte{1}, u32(uint32(least)), u32(uint32(most)))
}

// global adds a mutable global with a constant initializer.
func (g *guest) global(kind byte, init ...any) int {
	g.globals = append(g.globals, slices.Concat([]byte{kind, 1}, code(init...), []byte{opEnd}))
	return len(g.globals) - 1
}

// names adds a name section with function names.
func (g *guest) names(of map[int]string) {
	var indexes []int
	for i := range of {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	var entries [][]byte
	for _, i := range indexes {
		entries = append(entries, code(u32(uint32(i)), of[i]))
	}
	g.custom = append(g.custom, code("name", byte(1), string(vector(entries))))
}

// binary is the module.
func (g *guest) binary() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) {
		out = append(out, code(id, string(content))...)
	}
	vectorSection := func(id byte, items [][]byte) {
		if len(items) > 0 {
			section(id, vector(items))
		}
	}
	vectorSection(1, g.types)
	vectorSection(2, g.imports)
	vectorSection(3, g.funcs)
	vectorSection(4, g.tables)
	vectorSection(5, g.memories)
	vectorSection(13, g.tags)
	vectorSection(6, g.globals)
	vectorSection(7, g.exports)
	if g.start != nil {
		section(8, g.start)
	}
	vectorSection(9, g.elements)
	vectorSection(10, g.code)
	vectorSection(11, g.data)
	for _, c := range g.custom {
		section(0, c)
	}
	return out
}
