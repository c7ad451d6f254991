package wasmbin

import "slices"

// planCalls decides which calls are charged. A charge on every way round in the
// graph of calls means that no guest runs for long by calling alone; which
// calls close the ways round is found by a search from function to callee. It
// begins with the functions that are called from most places, because a call
// back to one of those from inside is rarer than the calls that go forward: in
// a Go program they are those that grow a stack or report a panic.
//
// Calls through tables are all charged and so are no part of the graph.
func (m *module) planCalls() {
	p := &planner{m: m}
	type step struct{ function, edit int }
	var stack []step
	open := func(i int) {
		m.functions[i].plan.state = planOpen
		stack = append(stack, step{i, m.functions[i].edits[0]})
	}
	for _, root := range m.byCallers() {
		if m.functions[root].plan.state == planNone {
			open(root)
		}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			f := &m.functions[top.function]
			if top.edit == f.edits[1] {
				p.function(f)
				stack = stack[:len(stack)-1]
				continue
			}
			e := &m.edits[top.edit]
			top.edit++
			if e.kind != editCall {
				continue
			}
			callee := int(e.arg) - m.importedFuncs
			switch m.functions[callee].plan.state {
			case planNone:
				open(callee)
			case planOpen:
				e.charged = true
				e.deep = m.source[e.at] == opCall
			}
		}
	}
}

// byCallers gives the numbers of the functions, those with most calls first.
func (m *module) byCallers() []int {
	calls := make([]int, len(m.functions))
	for _, e := range m.edits {
		if e.kind == editCall {
			calls[int(e.arg)-m.importedFuncs]++
		}
	}
	order := make([]int, len(m.functions))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return calls[b] - calls[a] })
	return order
}
