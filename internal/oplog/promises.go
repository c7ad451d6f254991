package oplog

import "slices"

// PromiseCreated says that the attempt under way has made a promise. An attempt
// that is repeated makes it again under the same name: it is the same promise.
type PromiseCreated struct {
	At       Time   `json:"at"`
	Promise  string `json:"promise"`  // its name within the worker
	Accepted Index  `json:"accepted"` // the invocation, or 0
	Label    string `json:"label"`    // what it is for, to people
}

func (*PromiseCreated) kind() *kind { return kindPromiseCreated }
func (e *PromiseCreated) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Promise)
	c.uvarint(&e.Accepted)
	c.string(&e.Label)
}

// PromiseSettled says what has become of a promise, once and for all.
type PromiseSettled struct {
	At      Time    `json:"at"`
	Promise string  `json:"promise"`
	Failed  bool    `json:"failed"` // Value says why
	Value   Payload `json:"value"`
	Key     string  `json:"key,omitempty"` // of who settled it, "" if it gave none
	By      string  `json:"by"`            // who did, to people
}

func (*PromiseSettled) kind() *kind { return kindPromiseSettled }
func (e *PromiseSettled) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Promise)
	c.bool(&e.Failed)
	c.bytes((*[]byte)(&e.Value))
	c.string(&e.Key)
	c.string(&e.By)
}

// PromiseTaken says that the attempt under way has seen what has become of a
// promise: unless the attempt is taken back, it need not be kept for ever.
type PromiseTaken struct {
	Promise string `json:"promise"`
}

func (*PromiseTaken) kind() *kind       { return kindPromiseTaken }
func (e *PromiseTaken) fields(c *coder) { c.string(&e.Promise) }

// PromiseWithdrawn says that the attempt under way does not want a promise any
// more: nobody can settle it, unless the attempt is taken back.
type PromiseWithdrawn struct {
	Promise string `json:"promise"`
}

func (*PromiseWithdrawn) kind() *kind       { return kindPromiseWithdrawn }
func (e *PromiseWithdrawn) fields(c *coder) { c.string(&e.Promise) }

// What a worker's promises may take. Those whose value the program has taken make
// room for others, the oldest first.
const (
	MaxPromises     = 1024    // of a worker
	MaxPromiseBytes = 4 << 20 // of what has become of them, together
)

// Promise is what a life knows of a promise.
type Promise struct {
	PromiseCreated                 // by the first attempt
	Created        Index           // the newest entry that made it; 0 if that is taken back
	Settled        *PromiseSettled // nil while it is pending
	// Taken and Withdrawn are the entries that say so, or 0.
	Taken, Withdrawn Index
}

func (p *Promise) fields(c *coder) {
	p.PromiseCreated.fields(c)
	c.uvarint(&p.Created)
	c.uvarint(&p.Taken)
	c.uvarint(&p.Withdrawn)
	settled := p.Settled != nil
	if c.bool(&settled); settled {
		if c.reading {
			p.Settled = &PromiseSettled{}
		}
		p.Settled.fields(c)
	}
}

// Promise finds one by its name, or gives nil.
func (l *Life) Promise(name string) *Promise {
	i := slices.IndexFunc(l.Promises, func(p *Promise) bool { return p.Promise == name })
	if i < 0 {
		return nil
	}
	return l.Promises[i]
}

// RoomForPromise tells whether a promise more may be made.
func (l *Life) RoomForPromise() bool {
	return len(l.Promises) < MaxPromises || slices.ContainsFunc(l.Promises, l.spent)
}

// RoomForValue tells whether so many bytes more can become of promises.
func (l *Life) RoomForValue(n int) bool {
	for _, p := range l.Promises {
		if p.Settled != nil && !l.spent(p) {
			n += len(p.Settled.Value)
		}
	}
	return n <= MaxPromiseBytes
}

// spent reports whether nothing can come of a promise any more: its value was
// taken by an attempt that counts.
func (l *Life) spent(p *Promise) bool { return p.Taken != 0 && (l.Begun == 0 || p.Taken < l.Begun) }

// promised takes an entry that is about a promise.
func (l *Life) promised(e Entry) {
	switch b := e.Body.(type) {
	case *PromiseCreated:
		if p := l.Promise(b.Promise); p != nil {
			p.Created = e.Index
			return
		}
		for len(l.Promises) >= MaxPromises && l.forgetPromise() {
		}
		l.Promises = append(l.Promises, &Promise{PromiseCreated: *b, Created: e.Index})
	case *PromiseSettled:
		b.Value = slices.Clone(b.Value) // what was read is valid until the next entry
		for !l.RoomForValue(len(b.Value)+l.spentBytes()) && l.forgetPromise() {
		}
		if p := l.Promise(b.Promise); p != nil {
			p.Settled = b
		}
	case *PromiseTaken:
		if p := l.Promise(b.Promise); p != nil {
			p.Taken = e.Index
		}
	case *PromiseWithdrawn:
		if p := l.Promise(b.Promise); p != nil {
			p.Withdrawn = e.Index
		}
	}
}

func (l *Life) spentBytes() (n int) {
	for _, p := range l.Promises {
		if p.Settled != nil && l.spent(p) {
			n += len(p.Settled.Value)
		}
	}
	return n
}

// forgetPromise forgets the oldest promise that is spent, if there is one.
func (l *Life) forgetPromise() bool {
	i := slices.IndexFunc(l.Promises, l.spent)
	if i < 0 {
		return false
	}
	l.Promises = slices.Delete(l.Promises, i, i+1)
	return true
}

// keepPromises is called when an attempt has finished: those that it has
// withdrawn are gone, and those that only attempts before it have made.
func (l *Life) keepPromises(b *InvocationFinished) {
	l.Promises = slices.DeleteFunc(l.Promises, func(p *Promise) bool {
		return p.Withdrawn != 0 || p.Accepted == b.Accepted && p.Created < b.Started
	})
}

// takeBackPromises is called when what an attempt did from an entry on is taken
// back: what it took and withdrew there it has not. What it made there is there for
// those who were told of it, who may settle it meanwhile; unless it is made again,
// it goes when the attempt finishes.
func (l *Life) takeBackPromises(from Index) {
	for _, p := range l.Promises {
		for _, at := range []*Index{&p.Created, &p.Taken, &p.Withdrawn} {
			if *at >= from {
				*at = 0
			}
		}
	}
}

// breakPromises forgets those of an invocation that has come to nothing.
func (l *Life) breakPromises(accepted Index) {
	l.Promises = slices.DeleteFunc(l.Promises, func(p *Promise) bool { return p.Accepted == accepted })
}
