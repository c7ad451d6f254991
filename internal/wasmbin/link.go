package wasmbin

import "slices"

// Names of what a linked module imports besides: two mutable globals of type i32
// that all modules which are linked with each other share, so that calls between
// them count as calls within one.
const (
	SharedModule = "waterbear:shared"
	SharedBudget = "budget"
	SharedStack  = "stack"
)

// SharedSource is the module that has the two globals that linked modules share.
func SharedSource() []byte {
	b := append([]byte("\x00asm"), 1, 0, 0, 0)
	globals := appendU32(nil, sharedGlobals)
	for _, value := range []int32{budget, DefaultStack} {
		globals = appendGlobalType(globals, global{value: I32, mutable: true})
		globals = append(appendS32(append(globals, opI32Const), value), opEnd)
	}
	exports := appendU32(nil, sharedGlobals)
	for i, name := range []string{SharedBudget, SharedStack} {
		exports = appendU32(append(appendName(exports, name), byte(Global)), uint32(i))
	}
	b = appendSection(b, sectionGlobal, globals)
	return appendSection(b, sectionExport, exports)
}

const sharedGlobals = 2

// Link is how a module is linked with others.
type Link struct {
	// Imports is the name that each import of the source, in its order, is
	// looked up under.
	Imports []ImportName
}

// ImportName is a module name and a name in it.
type ImportName struct{ Module, Name string }

// sharedImports writes the imports of the globals that are shared.
func sharedImports(b []byte) []byte {
	for _, name := range []string{SharedBudget, SharedStack} {
		b = append(appendName(appendName(b, SharedModule), name), byte(Global))
		b = appendGlobalType(b, global{value: I32, mutable: true})
	}
	return b
}

// renumberGlobal gives the index of a source global in the result, where the
// shared ones come after the other imports.
func (m *module) renumberGlobal(i uint32) uint32 {
	if m.link != nil && int(i) >= m.importedGlobals {
		return i + sharedGlobals
	}
	return i
}

// moveData makes the active data segments passive ones, after those that code can
// refer to, and gives the index of the first. A function writes them, where the
// engine cannot be left to it: they are no part of an instance that is set to a
// state that another has had.
func (m *module) moveData() (first int) {
	var moved []dataSegment
	for _, s := range m.dataSegments {
		if !s.passive {
			moved = append(moved, s)
		}
	}
	kept := 0
	if m.use.memoryInit {
		kept = len(m.dataSegments)
	}
	m.data = appendU32(nil, uint32(kept+len(moved)))
	for _, s := range m.dataSegments[:kept] {
		if !s.passive {
			s.data = nil
		}
		m.data = appendPassive(m.data, s.data)
	}
	for _, s := range moved {
		m.data = appendPassive(m.data, s.data)
	}
	m.dataCount = kept + len(moved)
	m.dataSegments = moved
	return kept
}

// dataBody writes the segments that moveData has moved, the first of them having
// an index.
func (w *rewriter) dataBody(first int) asm {
	b := asm{0}
	for i, s := range w.m.dataSegments {
		b = append(b, s.place...)
		b = b.i32(0).i32(int32(len(s.data))).call(w.charge)
		b = append(appendU32(b.op(opMiscPrefix, miscMemoryInit), uint32(first+i)), 0)
	}
	return b.op(opEnd)
}

// lateElements says whether a function has to write the active element segments:
// the engine takes no notice of one that reaches beyond its table.
func (m *module) lateElements() bool {
	if m.link == nil {
		return false
	}
	return slices.ContainsFunc(m.elements, func(s elementSegment) bool { return s.active() && !s.fits })
}

// elementsBody writes the active element segments, and drops them.
func (w *rewriter) elementsBody() asm {
	b := asm{0}
	for i, s := range w.m.elements {
		if !s.active() {
			continue
		}
		b = append(b, s.place[:len(s.place)-1]...)
		b = b.i32(0).i32(int32(s.count)).call(w.charge)
		b = appendU32(appendU32(b.op(opMiscPrefix, miscTableInit), uint32(i)), s.table)
		b = appendU32(b.op(opMiscPrefix, miscElemDrop), uint32(i))
	}
	return b.op(opEnd)
}

// instanceBytes estimates what an instance takes of the host's memory besides its
// linear memory: a few bytes of a file that makes many instances can ask for much.
func (m *module) instanceBytes() uint64 {
	const (
		perInstance = 16 << 10
		perImport   = 40
		perGlobal   = 48
		perSegment  = 24
		perElement  = 48
	)
	n := uint64(perInstance)
	n += perImport * uint64(len(m.imports))
	n += perGlobal * uint64(len(m.globals)-m.importedGlobals)
	n += perSegment * uint64(m.segments+len(m.elements))
	n += perElement * uint64(m.elementItems)
	return n
}
