package wasmbin

// function is what the passes know of one function body.
type function struct {
	start, end int    // in the source, of what its size covers
	decls      int    // where the groups of locals begin, after their count
	code       int    // where the instructions begin
	groups     uint32 // of locals
	locals     uint32 // their number, parameters included
	edits      [2]int // its range in module.edits
	events     [2]int // its range in module.events
	catches    bool   // it holds a try_table
	returns    bool   // one of those may catch by returning
	effort     effort
	plan       plan
}

// frame estimates how much of the stack a call of the function takes, in bytes.
func (f *function) frame() int32 { return frameBytes + int32(f.locals)*frameLocal }

// edit is a place in the source where the result differs from it.
type edit struct {
	at   uint32 // offset in the source
	kind editKind
	size uint8 // how many bytes of the source it replaces
	// charged says that a call is preceded by a charge.
	charged bool
	// deep says that a call may come round to the function it is in, and so is
	// counted against the stack.
	deep bool
	arg  uint32 // the function, segment, depth or byte it is about
	loop uint32 // the loop it is about, in module.loops
}

type editKind uint8

const (
	editFunction   editKind = iota // a function index, renumbered
	editCall                       // a call of a function of this module
	editImport                     // a call of an imported function
	editGlobal                     // a global index, renumbered
	editIndirect                   // a call through a table
	editLoop                       // the place before a loop
	editLoopTop                    // the place to which branches go back
	editBack                       // a branch back to a loop without parameters
	editRound                      // what may branch back to a loop, in another way
	editTry                        // the beginning of a try_table
	editThrow                      // an exception that is thrown
	editCaught                     // the end of a block that catch clauses branch to
	editByte                       // one byte that replaces an operand
	editOpcode                     // an opcode in its short form
	editDataDrop                   // forget a data segment
	editElemDrop                   // forget an element segment
	editMemoryInit                 // copy from a data segment
	editMemoryCopy                 // copy within the memory
	editMemoryFill                 // fill the memory
	editTableBulk                  // an instruction over many items of a table
	editChange                     // an instruction that changes what cannot be read, as a bit says
)

// frame is a block that is open while a body is read.
type frame struct {
	op    byte // opBlock for the body itself
	arity int  // how many values a branch to it carries
	loop  int  // of a loop, its number in module.loops
	// table is the number of a jump table, counted from 1, in the loop that
	// begins with it and in the blocks between.
	table  int
	caught bool // catch clauses branch to it
}

// loop is what the passes know of a loop.
type loop struct {
	body   uint32 // its weight, first that of the function before it
	rounds bool   // something branches back to it, in the way of editBack
	inner  bool   // it holds a loop or a call
	caught bool   // catch clauses branch to it
}

// scanner reads function bodies.
type scanner struct {
	*reader
	m      *module
	fn     function
	frames []frame
	moved  int    // operands moved so far, against arityPerByte
	total  uint32 // the weight of the function so far, up to the last event
	weight uint32 // the weight since then
	loops  []int  // the loops that are open, in module.loops
	locals int    // of all functions so far
	jumps
}

func (m *module) codeSection(r *reader) {
	at := r.pos
	n := int(r.u32())
	if defined := len(m.funcs) - m.importedFuncs; n != defined {
		r.fail(at, "%d functions have bodies, %d are declared", n, defined)
		return
	}
	m.functions = make([]function, 0, n)
	s := &scanner{m: m}
	for i := range n {
		size := int(r.u32())
		if size > maxFunctionBytes {
			r.tooMany(r.pos, "bytes in a function", maxFunctionBytes)
		}
		s.reader = r.sub(size, "code section")
		s.body(m.types[m.funcs[m.importedFuncs+i]])
		if r.failWith(s.err); r.err != nil {
			return
		}
		m.functions = append(m.functions, s.fn)
	}
}

// body reads one function body.
func (s *scanner) body(t FuncType) {
	m := s.m
	s.fn = function{start: s.pos, end: s.end}
	s.fn.edits[0], s.fn.events[0] = len(m.edits), len(m.events)
	s.moved, s.total, s.weight = 0, 0, 0
	s.loops = s.loops[:0]
	s.jumps.reset()
	s.localDeclarations(len(t.Params))
	s.fn.code = s.pos
	s.frames = append(s.frames[:0], frame{op: opBlock, arity: len(t.Results)})
	for len(s.frames) > 0 && s.err == nil {
		s.instruction()
		if s.moved > arityPerByte*(s.pos-s.fn.start)+freeArity {
			s.tooMany(s.pos, "operands moved per byte of a function", arityPerByte)
		}
	}
	if s.err == nil && s.left() > 0 {
		s.fail(s.pos, "%d bytes after the end of a function", s.left())
	}
	s.flush()
	s.fn.edits[1], s.fn.events[1] = len(m.edits), len(m.events)
}

func (s *scanner) localDeclarations(params int) {
	n := s.count(2, "groups of locals", maxLocals)
	s.fn.groups, s.fn.decls = uint32(n), s.pos
	total := params
	for range n {
		at := s.pos
		total += int(s.u32())
		s.valueType()
		if total > maxLocals {
			s.tooMany(at, "locals in a function", maxLocals)
			return
		}
	}
	s.fn.locals = uint32(total)
	if s.locals += total; s.locals > maxLocalsInAll {
		s.tooMany(s.pos, "locals in all functions", maxLocalsInAll)
	}
}

func (s *scanner) edit(at int, kind editKind, arg uint32) {
	s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: kind, size: uint8(s.pos - at), arg: arg})
}

// instruction reads one instruction.
func (s *scanner) instruction() {
	at := s.pos
	op := s.byte()
	s.weight++
	s.was, s.state = s.state, jumpOther
	switch operandsOf[op] {
	case none:
		s.plain(at, op)
	case local:
		i := s.u32()
		if i >= s.fn.locals {
			s.fail(at, "unknown local %d", i)
		}
		s.useLocal(op, i)
	case number32:
		s.state, s.value = jumpConstant, uint32(s.signed(32))
	case memoryAccess:
		s.memoryAccess()
	case number64:
		s.signed(64)
	case blockType:
		s.block(at, op)
	case label:
		s.branch(at, op)
	case labels:
		s.branchTable(at)
	case globalIndex:
		s.global(at, op)
	case bytes4:
		s.skip(4)
	case bytes8:
		s.skip(8)
	case tableIndex:
		s.table()
		if op == opTableSet {
			s.change(at, ChangedTable)
		}
	case memoryIndex:
		s.zeroMemory()
		if op == opMemoryGrow {
			s.weight += growWeight
			s.inner()
		}
	case tag:
		s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: editThrow})
		s.tag()
		s.dead()
	default:
		s.rareInstruction(at, op)
	}
}

func (s *scanner) rareInstruction(at int, op byte) {
	switch operandsOf[op] {
	case special:
		s.specialInstruction(at, op)
	case gc:
		s.unsupported(at, featureGC)
	case functionReference:
		s.unsupported(at, featureFunctionReferences)
	case legacyException:
		s.unsupported(at, featureLegacyExceptions)
	case atomic:
		s.unsupported(at, featureThreads)
	case stackSwitch:
		s.unsupported(at, featureStackSwitching)
	default:
		s.fail(at, "unknown instruction %#x", op)
	}
}

// plain handles the instructions without operands that shape control flow.
func (s *scanner) plain(at int, op byte) {
	switch op {
	case opEnd:
		s.close()
	case opElse:
		top := &s.frames[len(s.frames)-1]
		if top.op != opIf {
			s.fail(at, "an else without an if")
		}
		top.op = opElse
		s.event(eventElse, 0)
	case opThrowRef:
		s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: editThrow})
		s.dead()
	case opReturn, opUnreachable:
		s.dead()
	}
}

func (s *scanner) block(at int, op byte) {
	if op == opLoop {
		s.loopEdit(at, editLoop)
	}
	params, results := s.blockType()
	if op == opLoop {
		s.loopEdit(s.pos, editLoopTop)
	}
	s.open(at, op, params, results)
}

// loopEdit notes a place of the loop that is about to be opened.
func (s *scanner) loopEdit(at int, kind editKind) {
	s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: kind, loop: uint32(len(s.m.loops))})
}

func (s *scanner) open(at int, op byte, params, results int) {
	s.moved += params + results
	f := frame{op: op, arity: results}
	switch op {
	case opLoop:
		f.arity, f.loop = params, len(s.m.loops)
		s.event(eventLoop, uint32(f.loop))
		s.m.loops = append(s.m.loops, loop{body: s.total})
		s.loops = append(s.loops, f.loop)
	case opIf:
		s.event(eventIf, 0)
	default:
		s.event(eventBlock, 0)
	}
	if len(s.frames) >= maxNesting {
		s.tooMany(at, "nested blocks", maxNesting)
	}
	s.frames = append(s.frames, f)
	s.fn.effort.open(op, len(s.loops))
	s.openBlock(op)
}

// close ends the innermost block.
func (s *scanner) close() {
	f := s.frames[len(s.frames)-1]
	s.frames = s.frames[:len(s.frames)-1]
	s.event(eventEnd, 0)
	switch {
	case f.op == opLoop:
		s.closeLoop()
	case f.caught && len(s.frames) > 0:
		s.m.edits = append(s.m.edits, edit{at: uint32(s.pos), kind: editCaught})
	}
}

// closeLoop ends the innermost loop.
func (s *scanner) closeLoop() {
	l := &s.m.loops[s.loops[len(s.loops)-1]]
	l.body = s.total + s.weight - l.body
	s.loops = s.loops[:len(s.loops)-1]
	s.inner()
}

// inner notes that the innermost loop holds a loop or a call.
func (s *scanner) inner() {
	if n := len(s.loops); n > 0 {
		s.m.loops[s.loops[n-1]].inner = true
	}
}

// counts says whether a loop counts its rounds in a local, and charges for many
// at a time. Around a call the local would be kept in memory anyway.
func (l *loop) counts() bool { return l.rounds && !l.inner && l.body <= pointWork }

// blockType reads the type of a block and gives its numbers of values.
func (s *scanner) blockType() (params, results int) {
	at := s.pos
	if s.pos < s.end {
		switch s.data[s.pos] {
		case blockEmpty:
			s.pos++
			return 0, 0
		case 0x63, 0x64:
			t := s.valueType()
			s.edit(at, editByte, uint32(t))
			return 0, 1
		}
	}
	index := s.signed(33)
	switch {
	case s.err != nil:
		return 0, 0
	case index < 0:
		s.pos = at
		s.valueType()
		return 0, 1
	case index >= int64(len(s.m.types)):
		s.fail(at, "unknown type %d", index)
		return 0, 0
	}
	t := s.m.types[index]
	return len(t.Params), len(t.Results)
}

// target reads a label and gives the block it means and its depth.
func (s *scanner) target() (frame, uint32) {
	at := s.pos
	depth := s.u32()
	if int64(depth) >= int64(len(s.frames)) {
		s.fail(at, "unknown label %d", depth)
		return frame{}, 0
	}
	f := s.frames[len(s.frames)-1-int(depth)]
	s.moved += f.arity
	return f, depth
}

func (s *scanner) branch(at int, op byte) {
	f, depth := s.target()
	s.fn.effort.branches += labelsPerBranch
	switch {
	case f.op != opLoop:
		s.event(eventBranch, depth)
	case op == opBr && s.forward(f):
	case f.arity > 0:
		s.round(at)
	default:
		s.m.loops[f.loop].rounds = true
		s.edit(at, editBack, depth)
		s.m.edits[len(s.m.edits)-1].loop = uint32(f.loop)
	}
	if op == opBr {
		s.dead()
	}
}

// round notes that the instruction at the offset may branch back to a loop.
func (s *scanner) round(at int) {
	s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: editRound})
}

func (s *scanner) branchTable(at int) {
	back, from := false, len(s.labels)
	for range s.count(1, "labels", maxFunctionBytes) + 1 {
		f, depth := s.target()
		if f.op == opLoop {
			back = true
		} else {
			s.event(eventBranch, depth)
		}
		if s.err != nil {
			return
		}
		s.fn.effort.branches++
		if s.was == jumpSwitch {
			s.labels = append(s.labels, depth)
		}
	}
	if s.was == jumpSwitch {
		s.addTable(from)
	}
	if back {
		s.round(at)
	}
	s.dead()
}

func (s *scanner) global(at int, op byte) {
	operand := s.pos
	i := s.u32()
	if to := s.m.renumberGlobal(i); to != i {
		s.edit(operand, editGlobal, to)
	}
	if int(i) >= len(s.m.globals) {
		s.fail(at, "unknown global %d", i)
		return
	}
	switch g := s.m.globals[i]; {
	case op != opGlobalSet:
	case !g.mutable:
		s.fail(at, "a write to the immutable global %d", i)
	case g.value.isRef():
		s.change(at, ChangedReference)
	case g.value == V128:
		s.change(at, ChangedVector)
	}
}

// change notes that the instruction at the offset changes state that nobody can
// read or set.
func (s *scanner) change(at int, bit uint32) {
	s.m.use.changes = true
	s.m.edits = append(s.m.edits, edit{at: uint32(at), kind: editChange, arg: bit})
}

func (s *scanner) table() {
	at := s.pos
	if i := s.u32(); int(i) >= len(s.m.tables) {
		s.fail(at, "unknown table %d", i)
	}
}

func (s *scanner) tag() {
	at := s.pos
	i := s.u32()
	if int(i) >= len(s.m.tags) {
		s.fail(at, "unknown tag %d", i)
	}
}

func (s *scanner) memoryAccess() {
	at := s.pos
	align := s.u32()
	if align >= 0x40 && align < 0x80 {
		s.unsupported(at, featureMultiMemory)
	} else if align >= 0x40 {
		s.fail(at, "an alignment of 2 to the power of %d", align)
	}
	s.u32()
	if len(s.m.memories) == 0 {
		s.fail(at, "an access to a memory that is not there")
	}
}

// zeroMemory reads the index of the only memory.
func (s *scanner) zeroMemory() {
	at := s.pos
	if b := s.byte(); b != 0 {
		s.unsupported(at, featureMultiMemory)
	}
	if len(s.m.memories) == 0 {
		s.fail(at, "an access to a memory that is not there")
	}
}
