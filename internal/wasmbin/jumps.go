package wasmbin

// A compiler that knows jumps and not blocks writes a function as one loop that
// begins with a jump table over a local, and a jump as an assignment of a number
// to that local and a branch back to the loop: the Go compiler does. Most of
// these branches only go forward, to the end of a block that is still open, and
// jumps forward alone never come round. So they need no charge, and are forward
// branches in the reckoning of work. This keeps preemption cheap in Go programs.

// jumps recognizes such branches while a function is read.
type jumps struct {
	tables []jumpTable
	labels []uint32 // of all tables

	was, state jumpState // what came before the current instruction, and with it
	value      uint32    // the constant that was last
	local      uint32    // the local that was last
	loop       int       // the frame of the loop that was last
}

// jumpTable is a table at the beginning of a loop.
type jumpTable struct {
	labels [2]int // its range in jumps.labels, the default label last
	local  uint32 // what it switches on
	loop   int    // the frame of the loop
	top    int    // the innermost frame where it stands
}

// jumpState says what the last instructions were.
type jumpState byte

const (
	jumpOther    jumpState = iota
	jumpConstant           // i32.const
	jumpAssigned           // i32.const, local.set
	jumpPrologue           // loop, and any number of block
	jumpSwitch             // the same, local.get
)

func (j *jumps) reset() {
	j.tables, j.labels, j.state = j.tables[:0], j.labels[:0], jumpOther
}

func (j *jumps) useLocal(op byte, i uint32) {
	j.local = i
	switch {
	case op == opLocalSet && j.was == jumpConstant:
		j.state = jumpAssigned
	case op == opLocalGet && j.was == jumpPrologue:
		j.state = jumpSwitch
	}
}

// openBlock follows the frame that was just opened.
func (s *scanner) openBlock(op byte) {
	switch {
	case op == opLoop:
		s.state, s.jumps.loop = jumpPrologue, len(s.frames)-1
	case op == opBlock && s.was == jumpPrologue:
		s.state = jumpPrologue
	}
}

// addTable keeps the jump table at the beginning of a loop, whose labels are
// those from the given one on.
func (s *scanner) addTable(from int) {
	t := jumpTable{
		labels: [2]int{from, len(s.labels)},
		local:  s.local, loop: s.jumps.loop, top: len(s.frames) - 1,
	}
	s.tables = append(s.tables, t)
	for i := t.loop; i <= t.top; i++ {
		s.frames[i].table = len(s.tables)
	}
}

// forward says whether a branch back to a loop is a jump forward, and if so
// records it as that.
func (s *scanner) forward(loop frame) bool {
	if s.was != jumpAssigned || loop.table == 0 {
		return false
	}
	t := s.tables[loop.table-1]
	labels := s.labels[t.labels[0]:t.labels[1]]
	to := t.top - int(labels[min(int(s.value), len(labels)-1)])
	if s.local != t.local || to <= t.loop || to >= len(s.frames) || s.frames[to].table != loop.table {
		return false
	}
	s.event(eventBranch, uint32(len(s.frames)-1-to))
	return true
}
