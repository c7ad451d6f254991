package wasmbin

import "bytes"

// Section numbers of the binary format.
const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sectionTag
)

var sectionNames = [...]string{
	"custom section", "type section", "import section", "function section", "table section",
	"memory section", "global section", "export section", "start section", "element section",
	"code section", "data section", "data count section", "tag section",
}

// sectionOrder gives the place of each section in a module, by its number.
var sectionOrder = [...]int{
	sectionType: 1, sectionImport: 2, sectionFunction: 3, sectionTable: 4, sectionMemory: 5,
	sectionTag: 6, sectionGlobal: 7, sectionExport: 8, sectionStart: 9, sectionElement: 10,
	sectionDataCount: 11, sectionCode: 12, sectionData: 13,
}

// limits of a table or memory, in items or pages.
type limits struct {
	min, max uint32
	bounded  bool
}

type table struct {
	item ValueType
	limits
}

type global struct {
	value   ValueType
	mutable bool
}

type export struct {
	name  string
	kind  Kind
	index uint32
}

// module is a decoded source module. What an index space holds begins with the
// imports. Sections whose content is renumbered are kept as they will be written.
type module struct {
	source  []byte
	types   []FuncType
	imports []Import

	importItems  []byte   // the items of the import section, without their count
	funcs        []uint32 // type indexes
	tables       []table
	tableItems   int // the bound of the sum of their sizes
	tableRoom    int // the bound of what they grow by
	link         *Link
	memories     []limits
	tags         []uint32
	globals      []global
	globalItems  []byte // the items of the global section
	exports      []export
	start        int // function index, -1 without a start section
	elements     []elementSegment
	elementItems int
	data         []byte
	dataCount    int // as the data count section says, -1 without one
	segments     int // of data, as the data section has them

	dataSegments []dataSegment

	importedFuncs, importedTables, importedMemories, importedGlobals, importedTags int

	declared  []bool // functions that occur outside code, which ref.func may name
	functions []function
	edits     []edit
	events    []event
	loops     []loop
	use       use
	name      string
	names     []nameAssoc
}

// use records which instructions occur that decide about passes.
type use struct {
	memoryInit, memoryCopy, memoryFill bool

	tableInit     bool
	changes       bool            // some instruction changes what cannot be read
	exceptionRefs bool            // a catch clause takes a reference
	dropped       map[uint32]bool // data segments
}

// decode reads a whole module and checks its structure.
func decode(source []byte, o Options) (*module, error) {
	m := &module{
		source: source, start: -1, dataCount: -1, link: o.Link,
		tableItems: int(o.TableItems), tableRoom: int(o.TableRoom),
	}
	r := &reader{data: source, end: len(source), section: "header"}
	m.header(r)
	last, order := 0, 0
	for !r.done() {
		at := r.pos
		r.section = "list of sections"
		id := int(r.byte())
		if id >= len(sectionNames) {
			r.fail(at, "unknown section %d", id)
			break
		}
		size := int(r.u32())
		r.section = sectionNames[id]
		s := r.sub(size, r.section)
		if id != sectionCustom {
			if sectionOrder[id] <= order {
				s.fail(at, "it comes after the %s", sectionNames[last])
			}
			last, order = id, sectionOrder[id]
		}
		m.section(id, s)
		if s.err == nil && s.left() > 0 {
			s.fail(s.pos, "%d bytes are left over", s.left())
		}
		r.failWith(s.err)
	}
	if r.err == nil {
		m.complete(r)
	}
	return m, r.err
}

func (m *module) header(r *reader) {
	if len(m.source) > maxModuleBytes {
		r.tooMany(maxModuleBytes, "bytes", maxModuleBytes)
		return
	}
	head := r.bytes(8)
	switch {
	case head == nil:
	case !bytes.Equal(head[:4], []byte("\x00asm")):
		r.fail(0, "this is not WebAssembly: it does not begin with \\0asm")
	case head[6] != 0 || head[7] != 0:
		r.unsupported(4, featureComponent)
	case head[4] != 1 || head[5] != 0:
		r.fail(4, "version %d of the binary format, not 1", uint32(head[4])|uint32(head[5])<<8)
	}
}

func (m *module) section(id int, r *reader) {
	switch id {
	case sectionCustom:
		m.custom(r)
	case sectionType:
		m.typeSection(r)
	case sectionImport:
		m.importSection(r)
	case sectionFunction:
		m.functionSection(r)
	case sectionTable:
		m.tableSection(r)
	case sectionMemory:
		m.memorySection(r)
	case sectionTag:
		m.tagSection(r)
	case sectionGlobal:
		m.globalSection(r)
	case sectionExport:
		m.exportSection(r)
	case sectionStart:
		m.startSection(r)
	case sectionElement:
		m.elementSection(r)
	case sectionDataCount:
		m.dataCount = int(r.u32())
	case sectionCode:
		m.codeSection(r)
	case sectionData:
		m.dataSection(r)
	}
}

// complete checks what only the whole module shows.
func (m *module) complete(r *reader) {
	defined := len(m.funcs) - m.importedFuncs
	switch {
	case defined != len(m.functions):
		r.section = sectionNames[sectionCode]
		r.fail(len(m.source), "%d functions have bodies, %d are declared", len(m.functions), defined)
	case m.use.memoryInit && len(m.use.dropped) > maxDroppedSegments:
		r.section = sectionNames[sectionCode]
		r.tooMany(len(m.source), "data segments that are dropped", maxDroppedSegments)
	case m.dataCount >= 0 && m.dataCount != m.segments:
		r.section = sectionNames[sectionData]
		r.fail(len(m.source), "%d data segments, where the data count section says %d", m.segments, m.dataCount)
	}
}

// custom keeps what the name section says. All other custom sections are left
// out of the result: they do not matter to a run, and debug information would
// name offsets that are no longer right.
func (m *module) custom(r *reader) {
	if r.name() == "name" && r.err == nil {
		m.nameSection(r)
	}
	r.skip(r.left())
}

func (m *module) typeSection(r *reader) {
	n := r.count(2, "types", maxTypes)
	m.types = make([]FuncType, 0, n)
	for range n {
		at := r.pos
		switch b := r.byte(); b {
		case 0x60:
		case 0x4d, 0x4e, 0x4f, 0x50, 0x5e, 0x5f, 0x65:
			r.unsupported(at, featureGC)
		case 0x5d:
			r.unsupported(at, featureStackSwitching)
		default:
			r.fail(at, "unknown form of type %#x", b)
		}
		m.types = append(m.types, FuncType{
			Params:  r.valueTypes("parameters"),
			Results: r.valueTypes("results"),
		})
		if r.err != nil {
			return
		}
	}
}

func (r *reader) valueTypes(what string) []ValueType {
	n := r.count(1, what, maxParams)
	if n == 0 {
		return nil
	}
	t := make([]ValueType, n)
	for i := range t {
		t[i] = r.valueType()
	}
	return t
}

// typeIndex reads the index of a type that is there.
func (m *module) typeIndex(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if int(i) >= len(m.types) {
		r.fail(at, "unknown type %d", i)
		return 0
	}
	return i
}

func (m *module) functionSection(r *reader) {
	n := r.count(1, "functions", maxFunctions)
	for range n {
		m.funcs = append(m.funcs, m.typeIndex(r))
		if r.err != nil {
			return
		}
	}
	m.declared = make([]bool, len(m.funcs))
}

// funcIndex reads the index of a function that is there.
func (m *module) funcIndex(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if int(i) >= len(m.funcs) {
		r.fail(at, "unknown function %d", i)
		return 0
	}
	return i
}

func (m *module) tableSection(r *reader) {
	for range r.count(3, "tables", maxTables) {
		m.tables = append(m.tables, r.table())
	}
	m.checkTables(r)
}

func (m *module) checkTables(r *reader) {
	total := 0
	for _, t := range m.tables {
		total += int(t.min)
	}
	if total > m.tableItems {
		r.tooMany(r.pos, "items in tables", m.tableItems)
	}
	if len(m.tables) > maxTables {
		r.tooMany(r.pos, "tables", maxTables)
	}
}

func (r *reader) table() table {
	at := r.pos
	if r.pos < r.end && r.data[r.pos] == 0x40 {
		r.unsupported(at, featureFunctionReferences)
	}
	t := table{item: r.refType()}
	if t.item == ExnRef {
		r.unsupported(at, featureExceptionState)
	}
	flags := r.flags()
	switch {
	case flags&2 != 0:
		r.unsupported(at, featureThreads)
	case flags&4 != 0:
		r.unsupported(at, featureMemory64)
	case flags&8 != 0:
		r.fail(at, "limits of an unknown form %#x", flags)
	}
	t.limits = r.limits(flags)
	return t
}

func (r *reader) flags() byte {
	at := r.pos
	flags := r.byte()
	if flags > 0x0f {
		r.fail(at, "limits of an unknown form %#x", flags)
	}
	return flags
}

func (r *reader) limits(flags byte) limits {
	at := r.pos
	l := limits{min: r.u32(), bounded: flags&1 != 0}
	if l.bounded {
		l.max = r.u32()
		if l.max < l.min {
			r.fail(at, "a maximum below the minimum")
		}
	}
	return l
}

func (m *module) memorySection(r *reader) {
	n := r.count(2, "memories", 1<<16)
	for range n {
		m.addMemory(r)
	}
}

const maxPages = 1 << 16

func (m *module) addMemory(r *reader) {
	at := r.pos
	if len(m.memories) > 0 {
		r.unsupported(at, featureMultiMemory)
	}
	flags := r.flags()
	switch {
	case flags&2 != 0:
		r.unsupported(at, featureThreads)
	case flags&4 != 0:
		r.unsupported(at, featureMemory64)
	case flags&8 != 0:
		r.unsupported(at, featurePageSizes)
	}
	l := r.limits(flags)
	if l.min > maxPages || l.max > maxPages {
		r.fail(at, "a memory of more than %d pages", maxPages)
	}
	m.memories = append(m.memories, l)
}

func (m *module) tagSection(r *reader) {
	n := r.count(2, "tags", maxTags)
	for range n {
		m.addTag(r)
	}
}

func (m *module) addTag(r *reader) {
	at := r.pos
	if b := r.byte(); b != 0 {
		r.fail(at, "unknown form of tag %#x", b)
	}
	t := m.typeIndex(r)
	if r.err == nil && len(m.types[t].Results) > 0 {
		r.fail(at, "a tag whose type has results")
	}
	m.tags = append(m.tags, t)
}

func (r *reader) global() global {
	at := r.pos
	g := global{value: r.valueType()}
	if g.value == ExnRef {
		r.unsupported(at, featureExceptionState)
	}
	at = r.pos
	switch b := r.byte(); {
	case b == 1:
		g.mutable = true
	case b&2 != 0:
		r.unsupported(at, featureThreads)
	case b != 0:
		r.fail(at, "mutability %#x", b)
	}
	return g
}

func (m *module) globalSection(r *reader) {
	n := r.count(4, "globals", maxGlobals)
	for range n {
		g := r.global()
		m.globalItems = appendGlobalType(m.globalItems, g)
		m.globalItems = m.constant(r, m.globalItems)
		m.globals = append(m.globals, g)
		if r.err != nil {
			return
		}
	}
}

func (m *module) startSection(r *reader) {
	at := r.pos
	i := m.funcIndex(r)
	if r.err != nil {
		return
	}
	if t := m.types[m.funcs[i]]; len(t.Params)+len(t.Results) > 0 {
		r.fail(at, "a start function with parameters or results")
	}
	m.start = int(i)
}

func (m *module) dataSection(r *reader) {
	start := r.pos
	n := r.count(2, "data segments", maxDataSegments)
	m.segments = n
	m.dataSegments = make([]dataSegment, 0, n)
	for range n {
		m.dataSegments = append(m.dataSegments, m.dataSegment(r))
		if r.err != nil {
			return
		}
	}
	m.data = m.source[start:r.pos]
}

func (m *module) dataSegment(r *reader) (s dataSegment) {
	at := r.pos
	switch flags := r.u32(); flags {
	case 2:
		if r.u32() != 0 {
			r.unsupported(at, featureMultiMemory)
		}
		fallthrough
	case 0:
		if len(m.memories) == 0 {
			r.fail(at, "a data segment for a memory that is not there")
		}
		from := r.pos
		m.constant(r, nil)
		if r.err == nil {
			s.offset, s.known = constantI32(m.source[from:r.pos])
			s.place = m.source[from : r.pos-1]
		}
	case 1:
		s.passive = true
	default:
		r.fail(at, "unknown form of data segment %#x", flags)
	}
	s.data = r.bytes(int(r.u32()))
	return s
}
