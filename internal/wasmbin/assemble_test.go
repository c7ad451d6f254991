package wasmbin

// source is a module under construction in a test. Sections are written in the
// order of the specification; what is empty is left out.
type source struct {
	types              []FuncType
	imports            []byte // items
	nImports           int
	tables, memories   []byte
	nTables, nMemories int
	tags               []uint32
	globals            []byte
	nGlobals           int
	exports            []export
	start              int // -1: none
	elements           []byte
	nElements          int
	dataCount          bool
	data               []byte
	nData              int
	functions          []testFunction
	names              map[uint32]string
	custom             []byte
	functionImports    uint32
}

type testFunction struct {
	typ    uint32
	locals []ValueType
	code   []byte // without the final end
}

func newSource() *source { return &source{start: -1, names: map[uint32]string{}} }

// fn adds a function type and gives its index.
func (s *source) fn(params, results []ValueType) uint32 {
	s.types = append(s.types, FuncType{params, results})
	return uint32(len(s.types) - 1)
}

func (s *source) importFunc(module, name string, typ uint32) uint32 {
	s.imports = appendName(appendName(s.imports, module), name)
	s.imports = appendU32(append(s.imports, byte(Func)), typ)
	s.nImports++
	s.functionImports++
	return s.functionImports - 1
}

// add adds a function and gives its index; imports must come before.
func (s *source) add(typ uint32, locals []ValueType, code ...byte) uint32 {
	s.functions = append(s.functions, testFunction{typ, locals, code})
	return s.functionImports + uint32(len(s.functions)) - 1
}

func (s *source) export(name string, k Kind, index uint32) {
	s.exports = append(s.exports, export{name, k, index})
}

func (s *source) memory(limits ...byte) {
	s.memories = append(s.memories, limits...)
	s.nMemories++
}

func (s *source) table(item ValueType, l limits) {
	s.tables = appendLimits(append(s.tables, byte(item)), l)
	s.nTables++
}

func (s *source) global(g global, init ...byte) uint32 {
	s.globals = append(appendGlobalType(s.globals, g), append(init, opEnd)...)
	s.nGlobals++
	return uint32(s.nGlobals - 1)
}

// fill puts functions into table 0 from its beginning.
func (s *source) fill(functions ...uint32) {
	s.elements = appendU32(append(s.elements, 0, opI32Const, 0, opEnd), uint32(len(functions)))
	for _, f := range functions {
		s.elements = appendU32(s.elements, f)
	}
	s.nElements++
}

func (s *source) passive(data string) uint32 {
	s.dataCount = true
	s.data = appendName(append(s.data, 1), data)
	s.nData++
	return uint32(s.nData - 1)
}

// active adds a segment at a constant offset, or what else an expression gives.
func (s *source) active(data string, offset ...byte) uint32 {
	s.data = appendName(append(append(append(s.data, 0), offset...), opEnd), data)
	s.nData++
	return uint32(s.nData - 1)
}

func vector(n int, items []byte) []byte {
	if n == 0 {
		return nil
	}
	return append(appendU32(nil, uint32(n)), items...)
}

func (s *source) binary() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	var b []byte
	for _, t := range s.types {
		b = appendTypes(appendTypes(append(b, 0x60), t.Params), t.Results)
	}
	out = appendSection(out, sectionType, vector(len(s.types), b))
	out = appendSection(out, sectionImport, vector(s.nImports, s.imports))
	b = nil
	for _, f := range s.functions {
		b = appendU32(b, f.typ)
	}
	out = appendSection(out, sectionFunction, vector(len(s.functions), b))
	out = appendSection(out, sectionTable, vector(s.nTables, s.tables))
	out = appendSection(out, sectionMemory, vector(s.nMemories, s.memories))
	b = nil
	for _, t := range s.tags {
		b = appendU32(append(b, 0), t)
	}
	out = appendSection(out, sectionTag, vector(len(s.tags), b))
	out = appendSection(out, sectionGlobal, vector(s.nGlobals, s.globals))
	b = nil
	for _, e := range s.exports {
		b = appendU32(append(appendName(b, e.name), byte(e.kind)), e.index)
	}
	out = appendSection(out, sectionExport, vector(len(s.exports), b))
	if s.start >= 0 {
		out = appendSection(out, sectionStart, appendU32(nil, uint32(s.start)))
	}
	out = appendSection(out, sectionElement, vector(s.nElements, s.elements))
	if s.dataCount {
		out = appendSection(out, sectionDataCount, appendU32(nil, uint32(s.nData)))
	}
	out = appendSection(out, sectionCode, s.code())
	out = appendSection(out, sectionData, vector(s.nData, s.data))
	return append(out, s.customSections()...)
}

func (s *source) code() []byte {
	var b []byte
	for _, f := range s.functions {
		body := appendU32(nil, uint32(len(f.locals)))
		for _, t := range f.locals {
			body = append(body, 1, byte(t))
		}
		body = append(append(body, f.code...), opEnd)
		b = append(appendU32(b, uint32(len(body))), body...)
	}
	return vector(len(s.functions), b)
}

func (s *source) customSections() []byte {
	out := s.custom
	if len(s.names) > 0 {
		var b []byte
		for i := range s.functionImports + uint32(len(s.functions)) {
			if name, ok := s.names[i]; ok {
				b = appendName(appendU32(b, i), name)
			}
		}
		part := appendPart(appendName(nil, "name"), namesFunctions, vector(len(s.names), b))
		out = appendSection(out, sectionCustom, part)
	}
	return out
}

// code joins instructions.
func code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		case asm:
			b = append(b, p...)
		default:
			panic("not code")
		}
	}
	return b
}

func i32(v int32) []byte { return asm(nil).i32(v) }

func get(i uint32) []byte { return asm(nil).get(i) }

func set(i uint32) []byte { return asm(nil).local(opLocalSet, i) }

func call(f uint32) []byte { return asm(nil).call(f) }
