package oplog

import "slices"

// Waypoint is a place that the program can be taken back to, as long as its attempt
// lasts.
type Waypoint struct {
	// Atomic tells that an atomic region begins here.
	Atomic bool `json:"atomic"`
}

func (*Waypoint) kind() *kind       { return kindWaypoint }
func (e *Waypoint) fields(c *coder) { c.bool(&e.Atomic) }

// AtomicEnd is the end of an atomic region.
type AtomicEnd struct {
	Begin Index `json:"begin"` // its Waypoint
}

func (*AtomicEnd) kind() *kind       { return kindAtomicEnd }
func (e *AtomicEnd) fields(c *coder) { c.uvarint(&e.Begin) }

// Jump takes the program back: what lies between From and this entry has not
// happened, and the attempt goes on from what was before.
type Jump struct {
	At      Time     `json:"at"`
	From    Index    `json:"from"`   // the first entry that is undone, behind a Waypoint
	Region  Index    `json:"region"` // where the atomic region begins that the program is in then; 0: none
	Code    string   `json:"code"`   // JumpAsked, JumpCrash, JumpEffect, or that of a failure
	Reason  string   `json:"reason"`
	Stack   []string `json:"stack"`   // the program's functions, innermost first
	Retry   Time     `json:"retry"`   // when it goes on, after a failure; 0 at once
	Outcome Payload  `json:"outcome"` // of an effect
}

// The codes of a Jump that is no failure.
const (
	JumpAsked  = "asked"  // by the program
	JumpCrash  = "crash"  // the process ended in an atomic region
	JumpEffect = "effect" // what is undone is an effect, which has an outcome
)

func (*Jump) kind() *kind { return kindJump }
func (e *Jump) fields(c *coder) {
	c.time(&e.At)
	c.uvarint(&e.From)
	c.uvarint(&e.Region)
	c.string(&e.Code)
	c.string(&e.Reason)
	c.strings(&e.Stack)
	c.time(&e.Retry)
	c.bytes((*[]byte)(&e.Outcome))
}

// Regions is what an oplog says of the attempt under way: where it is in an
// atomic region, and how often it was taken back.
type Regions struct {
	// Region is where the outermost atomic region that the attempt is in begins, or
	// 0. Whoever runs it knows it while it runs.
	Region Index
	// Calm tells that nothing that the attempt did lies behind the last time that it
	// was left in order: it was suspended, held, interrupted or taken back.
	Calm bool
	// Jumps counts how often it was taken back, by the Jump's From; Failures how
	// often of these because it had failed.
	Jumps        map[Index]uint64
	JumpFailures uint64
	// Effect is the newest Jump over an effect, which has its outcome.
	Effect *Jump
}

// JumpsInAll is how often the attempt was taken back.
func (r *Regions) JumpsInAll() (n uint64) {
	for _, times := range r.Jumps {
		n += times
	}
	return n
}

// applyRegions adds what an entry says of regions.
func (l *Life) applyRegions(e Entry) {
	r := &l.Regions
	switch b := e.Body.(type) {
	case *InvocationStarted, *InvocationFinished, *InvocationFailed, *Exited:
		*r = Regions{}
	case *HostCall, *HostCallStarted, *HostCallFinished, *Log, *Response, *ResponseBody, *ResponseEnd:
		r.Calm = false
	case *Waypoint:
		r.Calm = false
		if b.Atomic && r.Region == 0 {
			r.Region = e.Index
		}
	case *AtomicEnd:
		r.Calm = false
		if b.Begin == r.Region {
			r.Region = 0
		}
	case *Suspended, *Interrupted, *CallHeld:
		r.Calm = true
	case *Jump:
		r.Region, r.Calm = b.Region, true
		if r.Jumps == nil {
			r.Jumps = map[Index]uint64{}
		}
		r.Jumps[b.From]++
		if b.Retry != 0 {
			r.JumpFailures++
		}
		switch {
		case b.Code == JumpEffect:
			b.Outcome = slices.Clone(b.Outcome) // what was read is valid until the next entry
			r.Effect = b
		case r.Effect != nil && b.From < r.Effect.From:
			r.Effect = nil
		}
		l.Open = nil
		l.TakeBack(Span{b.From, e.Index})
	}
}

// TakeBack notes that a span is undone, and all that was undone within it.
func (l *Life) TakeBack(s Span) {
	l.Undone = slices.DeleteFunc(l.Undone, func(u Span) bool { return u.From >= s.From })
	l.Undone = append(l.Undone, s)
}
