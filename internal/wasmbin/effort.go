package wasmbin

// The engine compiles most functions in time in proportion to their size, but a
// few kilobytes of nested loops and many locals can take it minutes. This file
// bounds that: it estimates, from measurements, what compiling takes where it
// grows faster than the code.
const (
	// maxEffort bounds, in nanoseconds, what all functions take beyond
	// freeEffort each.
	maxEffort  = 60e9
	freeEffort = 100e6
	// maxReloads bounds the product of the calls in a function and the mutable
	// globals: the engine keeps a value for each of them after each call.
	maxReloads = 4_000_000
	// maxInline is how many branches a function may have, with those of its
	// charges, before the charges for calls are put into functions.
	maxInline = 2000
	// labelsPerBranch is how many labels of a jump table weigh as a branch.
	labelsPerBranch = 10
)

// effort counts what decides how hard a function is to compile.
type effort struct {
	branches uint32 // in labels of jump tables
	nesting  uint32 // of loops
	calls    uint32
	sites    uint32 // places where charges are written inline that branch
}

func (e *effort) open(op byte, loops int) {
	switch op {
	case opIf, opLoop:
		e.branches += labelsPerBranch
		e.nesting = max(e.nesting, uint32(loops))
	}
}

// inline says whether charges for calls are written where the calls are.
func (e *effort) inline() bool { return e.branches/labelsPerBranch+e.sites <= maxInline }

// nanoseconds estimates what compiling takes.
func (e *effort) nanoseconds(locals uint32) float64 {
	branches, held := float64(e.branches)/labelsPerBranch, float64(locals)
	if e.inline() {
		branches += float64(e.sites)
	}
	looped := float64(e.nesting) * held
	return 25*branches*branches + 2*branches*held*held + 3*looped*looped
}

// checkEffort refuses what the engine would take too long to compile.
func (m *module) checkEffort() error {
	mutable := 0
	for _, g := range m.globals {
		if g.mutable {
			mutable++
		}
	}
	total := 0.0
	for i := range m.functions {
		f := &m.functions[i]
		if n := f.effort.nanoseconds(f.locals); n > freeEffort {
			total += n - freeEffort
		}
		what, limit := "", 0
		switch {
		case total > maxEffort:
			what, limit = "nanoseconds to compile, judging by branches, loops and locals", maxEffort
		case int(f.effort.calls)*mutable > maxReloads:
			what, limit = "calls in a function times mutable globals", maxReloads
		default:
			continue
		}
		return &LimitError{What: what, Limit: limit, Section: sectionNames[sectionCode], Offset: f.start}
	}
	return nil
}
