package durable

// Facts are what people want to know of one side of a remote call, besides what it
// is on one line. They have no secrets.
type Facts struct {
	Key   string   // the idempotency key of a request
	Lines []string // the details
	Fate  Fate     // of a response
}

// Fate is what a response tells of whether the call had its effect.
type Fate int

const (
	// Done is that there was an answer.
	Done Fate = iota
	// NotSent is that the call failed before anything of it had left.
	NotSent
	// Unknown is that it may have had its effect.
	Unknown
)
