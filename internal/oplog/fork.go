package oplog

import (
	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Forked says that this worker is a copy of another, which it was until here: the
// entries before are that one's. From here on the two have nothing in common.
type Forked struct {
	At     Time      `json:"at"`
	Origin id.Worker `json:"origin"` // of whom it is a copy
	// Seed is the key of the origin's random stream, which the entries before go by;
	// that of the copy is in its Create. JSON omits it, as there.
	Seed [32]byte `json:"-"`
	Key  string   `json:"key"` // of the call by which the origin forked itself; "" if a person did
}

func (*Forked) kind() *kind { return kindForked }
func (e *Forked) fields(c *coder) {
	c.time(&e.At)
	c.string(&e.Origin.Component)
	c.string(&e.Origin.Name)
	c.fixed(e.Seed[:])
	c.string(&e.Key)
}

// Omitted stands in a copy for an entry of the origin that concerns that one alone.
type Omitted struct {
	Kind string `json:"kind"` // of that entry
}

func (*Omitted) kind() *kind       { return kindOmitted }
func (e *Omitted) fields(c *coder) { c.string(&e.Kind) }

// ForkedAt is a Forked with its index.
type ForkedAt struct {
	Index Index
	Forked
}

func (f *ForkedAt) fields(c *coder) {
	c.uvarint(&f.Index)
	f.Forked.fields(c)
}

// Lineage is what a life knows of the copying that its worker was made by.
type Lineage struct {
	// Fork is how the worker was made, if it is a copy.
	Fork *ForkedAt
	// Forks are all that the entries read tell of, in order: a copy of a copy has
	// several. Replay that begins before one goes by its origin up to there.
	Forks []ForkedAt
}

// fork makes of the origin's life that of the copy, which has nothing to do but what
// it was copied in the middle of, and nobody's keys but the one of that.
func (l *Life) fork(index Index, b *Forked) {
	at := ForkedAt{index, *b}
	l.Fork, l.Forks = &at, append(l.Forks, at)
	l.Open, l.Promises, l.Resolved = nil, nil, nil
	keys := map[string]Key{}
	var queue []*Pending
	if l.Begun != 0 {
		if p := l.Find(l.Attempt.Accepted); p != nil {
			queue = []*Pending{p}
			if p.Key != "" {
				keys[p.Key] = Key{Accepted: p.Index}
			}
		}
	}
	l.Keys, l.Queue, l.Waiting = keys, queue, uint64(len(queue))
}

// ForkedIn reports whether the worker was made in the middle of the attempt that is
// under way.
func (l *Life) ForkedIn() bool { return l.Fork != nil && l.Begun != 0 && l.Fork.Index > l.Begun }

// Waits are the invocations that have not begun, by the entries that accepted them.
func (l *Life) Waits() map[Index]bool {
	waits := map[Index]bool{}
	for _, p := range l.Queue {
		if l.Begun == 0 || l.Attempt.Accepted != p.Index {
			waits[p.Index] = true
		}
	}
	return waits
}

// Copied gives the entry that a copy has in the place of e: e itself, if it is a part
// of what the copy goes on with. first is the copy's Create, and waits are the
// origin's Waits.
func Copied(e Entry, first *Create, waits map[Index]bool) Body {
	switch b := e.Body.(type) {
	case *Create:
		return first
	case *Image, *Delta, *Archiving, *Archived, *PromiseCreated, *PromiseSettled, *PromiseTaken, *PromiseWithdrawn:
		// What they name is the origin's alone: blobs, and promises.
	default:
		if !waits[e.Index] {
			return b
		}
	}
	return &Omitted{Kind: Name(e.Body)}
}

// Resting gives the life of a copy of l's worker as it is when entry covers was the last,
// at rest, if nothing before that is in its oplog. If an invocation is under way in l, it
// begins behind that, waits for its turn, and blob open tells of it.
func (l *Life) Resting(copied id.Worker, first *Create, covers Index, open storage.Hash) *Life {
	c := NewLife(copied)
	c.Create, c.Epoch, c.Last, c.Changed = *first, first.Epoch, covers, l.Changed
	c.Initialized, c.Retained.Below, c.Retained.Open = l.Initialized, covers+1, open
	if l.Begun == 0 {
		return c
	}
	c.Changed = l.Attempt.At
	if p := l.Find(l.Attempt.Accepted); p != nil {
		c.Queue, c.Waiting = []*Pending{p}, 1
		if p.Key != "" {
			c.Keys[p.Key] = Key{Accepted: p.Index}
		}
	}
	return c
}
