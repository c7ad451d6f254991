package wasmbin

import "slices"

// importSection reads the imports. Their items are written again as they come,
// with empty module names replaced.
func (m *module) importSection(r *reader) {
	for number := range r.count(4, "imports", maxImports) {
		at := r.pos
		i := Import{Module: r.name(), Name: r.name()}
		if m.link == nil && slices.Contains(javaScriptModules, i.Module) {
			r.unsupported(at, featureJavaScript)
		}
		written, ok := m.importName(number, i)
		if !ok {
			r.fail(at, "the module name %q of an import is reserved", i.Module)
		}
		m.importItems = appendName(m.importItems, written.Module)
		m.importItems = appendName(m.importItems, written.Name)
		from := r.pos
		m.importDescription(r, &i)
		if r.err != nil {
			return
		}
		m.importItems = append(m.importItems, m.source[from:r.pos]...)
		m.imports = append(m.imports, i)
	}
	m.importedFuncs = len(m.funcs)
	m.importedTables = len(m.tables)
	m.importedMemories = len(m.memories)
	m.importedGlobals = len(m.globals)
	m.importedTags = len(m.tags)
	m.declared = make([]bool, len(m.funcs))
	m.checkTables(r)
}

// importName is how an import is written. It is not ok where the result would say
// something else than the source.
func (m *module) importName(number int, i Import) (_ ImportName, ok bool) {
	switch {
	case m.link != nil && number < len(m.link.Imports):
		return m.link.Imports[number], true
	case m.link != nil, i.Module == YieldModule, i.Module == EmptyModule:
		return ImportName{}, false
	case i.Module == "":
		return ImportName{EmptyModule, i.Name}, true
	}
	return ImportName{i.Module, i.Name}, true
}

func (m *module) importDescription(r *reader, i *Import) {
	at := r.pos
	i.Kind = Kind(r.byte())
	switch i.Kind {
	case Func:
		t := m.typeIndex(r)
		m.funcs = append(m.funcs, t)
		if r.err == nil {
			i.Type = m.types[t]
		}
	case Table:
		m.tables = append(m.tables, r.table())
	case Memory:
		m.addMemory(r)
	case Global:
		m.globals = append(m.globals, r.global())
	case Tag:
		m.addTag(r)
	default:
		r.unsupported(at, featureTypeImports)
	}
}

// exportSection reads the exports.
func (m *module) exportSection(r *reader) {
	n := r.count(3, "exports", maxExports)
	seen := make(map[string]bool, n)
	for range n {
		at := r.pos
		e := export{name: r.name(), kind: Kind(r.byte()), index: r.u32()}
		switch {
		case r.err != nil:
			return
		case seen[e.name]:
			r.fail(at, "the export name %q occurs twice", e.name)
		case e.kind > Tag:
			r.fail(at, "unknown kind of export %#x", byte(e.kind))
		case int(e.index) >= m.countOf(e.kind):
			r.fail(at, "the export %q names number %d of %d", e.name, e.index, m.countOf(e.kind))
		case e.kind == Func:
			m.declared[e.index] = true
		}
		seen[e.name] = true
		m.exports = append(m.exports, e)
	}
}

func (m *module) countOf(k Kind) int {
	switch k {
	case Func:
		return len(m.funcs)
	case Table:
		return len(m.tables)
	case Memory:
		return len(m.memories)
	case Global:
		return len(m.globals)
	default:
		return len(m.tags)
	}
}
