package wasmbin

import (
	"strings"
	"unicode/utf8"
)

// Parts of the name section that are kept.
const (
	namesModule    = 0
	namesFunctions = 1
)

// nameAssoc names a function, by its index in the source.
type nameAssoc struct {
	index uint32
	name  []byte
}

// nameSection reads the names of functions. By the specification a name section
// that is damaged does not make a module invalid, so what cannot be read is
// left out.
func (m *module) nameSection(section *reader) {
	r := *section
	if m.names != nil || m.name != "" {
		return
	}
	for !r.done() {
		id := r.byte()
		part := r.sub(int(r.u32()), r.section)
		switch id {
		case namesModule:
			if m.name = part.name(); len(m.name) > maxNameBytes {
				m.name = ""
			}
		case namesFunctions:
			m.functionNames(part)
		}
	}
}

func (m *module) functionNames(r *reader) {
	next := 0
	for range r.count(2, "names", maxFunctions) {
		i := int(r.u32())
		name := r.bytes(int(r.u32()))
		if r.err != nil || i < next || i >= maxFunctions || !utf8.Valid(name) {
			return
		}
		next = i + 1
		if len(name) > maxNameBytes {
			name = []byte(strings.ToValidUTF8(string(name[:maxNameBytes]), ""))
		}
		m.names = append(m.names, nameAssoc{uint32(i), name})
	}
}

// names writes the names of functions, and those of the helpers.
func (w *rewriter) names() []byte {
	m := w.m
	kept := m.names
	for len(kept) > 0 && int(kept[len(kept)-1].index) >= len(m.funcs) {
		kept = kept[:len(kept)-1]
	}
	imported := 0
	for imported < len(kept) && int(kept[imported].index) < m.importedFuncs {
		imported++
	}
	f := appendU32(nil, uint32(len(kept)+1+len(w.helpers)))
	f = appendNames(f, kept[:imported], 0)
	f = appendName(appendU32(f, w.yield), "waterbear.yield")
	f = appendNames(f, kept[imported:], 1)
	for i, h := range w.helpers {
		f = appendName(appendU32(f, w.base+uint32(i)), h.name)
	}
	b := appendName(nil, "name")
	if m.name != "" {
		b = appendPart(b, namesModule, appendName(nil, m.name))
	}
	return appendPart(b, namesFunctions, f)
}

func appendNames(b []byte, names []nameAssoc, shift uint32) []byte {
	for _, n := range names {
		b = appendU32(b, n.index+shift)
		b = append(appendU32(b, uint32(len(n.name))), n.name...)
	}
	return b
}

func appendPart(b []byte, id byte, part []byte) []byte {
	return append(appendU32(append(b, id), uint32(len(part))), part...)
}
