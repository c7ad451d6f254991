package wasmbin

import "math/bits"

// The measure of work is the instruction, some of which weigh more.
const (
	callWeight = 10
	growWeight = 1000
	bulkWeight = 100
	// unitWork is how much work may pass, at most, for each unit that is charged.
	unitWork = 1 << 16
	// roundWork is what a function with loops should take from one charge or
	// branch back to the next, so that rounds can be charged sixteen at a time.
	roundWork = unitWork >> 4
	// maxRounds is the logarithm of how many rounds are charged at a time at most.
	maxRounds = 6
	// Budget is how many units pass between two yields.
	budget = 1024
	// smallBulk is the size below which a copy or fill is not charged by size,
	// in bytes or items; above it, each so many cost a unit.
	smallBulk = 1 << bulkShift
	bulkShift = 12
)

// event is a step of control flow in a function body, in the order of the
// source: what deciding about charges needs to know of it. The kind is in the
// low bits, a number above it.
type event uint32

const (
	eventWeight event = iota // straight code, with its weight
	eventSite                // a call of a function of this module, with its edit
	eventBlock
	eventLoop
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
		s.m.events = append(s.m.events, event(s.weight)<<eventBits|eventWeight)
		s.weight = 0
	}
}

func (s *scanner) event(kind event, arg uint32) {
	s.flush()
	s.m.events = append(s.m.events, event(arg)<<eventBits|kind)
}

func (s *scanner) dead() { s.event(eventDead, 0) }

// plan is what is done about preemption in a function.
type plan struct {
	state   planState
	entry   uint32 // units to charge when it is entered
	rounds  uint8  // the logarithm of how many branches back are charged at a time
	perTick uint32 // units to charge for them
	work    uint32 // the most it does, together with what it calls, that is not charged
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
func (p *path) longest(events []event, site func(edit uint32) int) int {
	p.blocks = append(p.blocks[:0], pathBlock{unreachable, unreachable})
	now, most := 0, 0
	for _, e := range events {
		arg := uint32(e >> eventBits)
		switch e & (1<<eventBits - 1) {
		case eventWeight:
			now = extend(now, int(arg))
		case eventSite:
			now = extend(now, site(arg))
		case eventBlock, eventLoop:
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
	most := unitWork
	if f.rounds {
		most = roundWork
	}
	work, limit := 0, most
	for {
		work = p.path.longest(events, func(i uint32) int {
			if w := p.work(edits[i]); w <= limit && !edits[i].charged {
				return callWeight + w
			}
			return callWeight
		})
		if work <= most || limit == 0 {
			break
		}
		limit >>= 3
	}
	for i, e := range edits {
		if e.kind == editCall && p.work(e) > limit {
			edits[i].charged = true
		}
	}
	f.plan = planOf(work, f.rounds)
}

// work gives what a call does without a charge of its own.
func (p *planner) work(call edit) int {
	return int(p.m.functions[int(call.arg)-p.m.importedFuncs].plan.work)
}

func planOf(work int, rounds bool) plan {
	units := uint32((work + unitWork - 1) / unitWork)
	plan := plan{state: planDone, work: uint32(work), perTick: max(units, 1)}
	if units > 1 {
		plan.entry = units
		plan.work = callWeight
	}
	if rounds {
		plan.rounds = uint8(min(maxRounds, max(bits.Len(uint(unitWork/max(work, 1)))-1, 0)))
		plan.work = min(unitWork, plan.work<<plan.rounds)
	}
	return plan
}
