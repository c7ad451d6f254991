package wasmbin

import "math/bits"

// The measure of work is the instruction, some of which weigh more.
const (
	callWeight = 10
	growWeight = 1000
	bulkWeight = 100
	// pointWork is the most work that a point, when it is charged, stands for.
	pointWork = 1 << 12
	// budget is how many points pass between two yields: some 60 million
	// instructions at the very most, and a small part of that as a rule.
	budget = 1 << 14
	// freeWork is the most that a function does, with what it calls, between
	// charges; what takes more is charged for in its place.
	freeWork = 1 << 16
	// indirectPoints are charged for a call through a table, which may be of
	// any function. They are few for what it may do and many for what it does.
	indirectPoints = 4
	// maxBatch is how many rounds of a loop are charged at a time at most.
	maxBatch = 64
	// frameBytes and frameLocal estimate what a call takes of the engine's stack,
	// in bytes: for itself, and for each parameter and local.
	frameBytes = 96
	frameLocal = 16
	// indirectFrame is counted for a function that is called through a table.
	indirectFrame = 256
	// smallBulk is the size below which a copy or fill is not charged by size,
	// in bytes or items; above it, each so many cost a point.
	smallBulk = 1 << bulkShift
	bulkShift = 12
)

// points gives what is charged for work.
func points(work uint32) uint32 { return max((work+pointWork-1)/pointWork, 1) }

// batch gives how many rounds a loop that counts them charges at a time: as
// many as make a point, and a power of two.
func (l *loop) batch() uint32 {
	fit := pointWork / max(l.body, 1)
	return min(maxBatch, uint32(1)<<(bits.Len32(max(fit, 1))-1))
}

// event is a step of control flow in a function body, in the order of the
// source: what deciding about charges needs to know of it. The kind is in the
// low bits, a number above it.
type event uint32

const (
	eventWeight event = iota // straight code, with its weight
	eventSite                // a call of a function of this module, with its edit
	eventBlock
	eventLoop // with its number
	eventIf
	eventElse
	eventEnd
	eventBranch // a branch that leaves blocks, with its depth
	eventDead   // what follows is not reached from here
	eventBits   = 4
)

// flush records the weight of the straight code so far.
func (s *scanner) flush() {
	if s.weight > 0 {
		s.weight = min(s.weight, 1<<(32-eventBits)-1)
		s.record(eventWeight, s.weight)
		s.total += s.weight
		s.weight = 0
	}
}

func (s *scanner) record(kind event, arg uint32) {
	s.m.events = append(s.m.events, event(arg)<<eventBits|kind)
}

func (s *scanner) event(kind event, arg uint32) {
	s.flush()
	s.record(kind, arg)
}

func (s *scanner) dead() { s.event(eventDead, 0) }

// plan is what is done about preemption in a function.
type plan struct {
	state planState
	entry uint32 // points to charge when it is entered
	round uint32 // the most work from one round of a loop to the next
	work  uint32 // the most it does, with what it calls, without a charge
}

type planState uint8

const (
	planNone planState = iota
	planOpen           // on the path of the search
	planDone
)

// path follows control flow through a function body and finds how much work the
// longest way through it takes, where no branch goes back: that bounds the work
// between one branch back and the next, because an instruction cannot come
// twice without one.
type path struct {
	blocks []pathBlock
}

type pathBlock struct {
	most  int // the work of the longest way that branches to the end, or -1
	start int // of an if without an else so far, the work before it, or -1
}

const unreachable = -1

// longest gives the work of the longest way through a function, with a call of
// each site counted as site says.
func (p *path) longest(events []event, loops []loop, site func(edit uint32) int) int {
	p.blocks = append(p.blocks[:0], pathBlock{unreachable, unreachable})
	now, most := 0, 0
	for _, e := range events {
		arg := uint32(e >> eventBits)
		switch e & (1<<eventBits - 1) {
		case eventWeight:
			now = extend(now, int(arg))
		case eventSite:
			now = extend(now, site(arg))
		case eventLoop:
			if l := &loops[arg]; l.counts() {
				now = extend(now, int(l.body*(l.batch()-1)))
			}
			fallthrough
		case eventBlock:
			p.blocks = append(p.blocks, pathBlock{unreachable, unreachable})
		case eventIf:
			p.blocks = append(p.blocks, pathBlock{unreachable, now})
		case eventElse:
			b := &p.blocks[len(p.blocks)-1]
			b.most = max(b.most, now)
			now, b.start = b.start, unreachable
		case eventEnd:
			b := p.blocks[len(p.blocks)-1]
			p.blocks = p.blocks[:len(p.blocks)-1]
			now = max(now, b.most, b.start)
		case eventBranch:
			b := &p.blocks[len(p.blocks)-1-int(arg)]
			b.most = max(b.most, now)
		case eventDead:
			most = max(most, now)
			now = unreachable
		}
	}
	return max(most, now)
}

func extend(now, by int) int {
	if now == unreachable {
		return unreachable
	}
	return now + by
}

// planner decides where charges go.
type planner struct {
	m    *module
	path path
}

// function plans one function, all of whose callees are planned except where
// the call is charged already. Calls are charged where what is called would do
// too much without a charge, the heaviest first.
func (p *planner) function(f *function) {
	edits := p.m.edits[f.edits[0]:f.edits[1]]
	events := p.m.events[f.events[0]:f.events[1]]
	work, limit := 0, freeWork
	for {
		work = p.path.longest(events, p.m.loops, func(i uint32) int {
			if w := int(p.m.callee(edits[i]).plan.work); w <= limit && !edits[i].charged {
				return callWeight + w
			}
			return callWeight
		})
		if work <= freeWork || limit == 0 {
			break
		}
		limit >>= 3
	}
	for i, e := range edits {
		if e.kind == editCall && int(p.m.callee(e).plan.work) > limit {
			edits[i].charged = true
		}
		if e.kind == editIndirect || edits[i].charged {
			f.effort.sites++
		}
	}
	f.plan = plan{state: planDone, round: uint32(work), work: uint32(work)}
	if work > freeWork {
		f.plan.entry = points(uint32(work))
		f.plan.work = callWeight
	}
}

// callee gives the function that a call is of.
func (m *module) callee(call edit) *function {
	return &m.functions[int(call.arg)-m.importedFuncs]
}
