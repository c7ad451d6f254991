package worker

import (
	"cmp"
	"container/list"
)

// resting are the workers with an instance at rest, in the order in which they are
// to leave when there has to be room.
type resting struct {
	// untried are those that have had one invocation and may never have another, the
	// oldest first. To come back is cheap for them, and many of them at once would be
	// no more than garbage that lives: there are at most maxUntried.
	untried, idle *list.List // of *resident; idle are the others, the longest first
	places        map[*resident]place
	maxUntried    int
}

type place struct {
	in *list.List
	at *list.Element
}

// newResting is for a node that has so many instances.
func newResting(instances int) resting {
	return resting{untried: list.New(), idle: list.New(), places: map[*resident]place{}, maxUntried: max(instances/16, 1)}
}

func (l *resting) add(r *resident, untried bool) {
	if _, found := l.places[r]; found {
		return
	}
	in := l.idle
	if untried {
		in = l.untried
	}
	l.places[r] = place{in, in.PushBack(r)}
}

// remove reports whether r was there.
func (l *resting) remove(r *resident) bool {
	p, found := l.places[r]
	if found {
		p.in.Remove(p.at)
		delete(l.places, r)
	}
	return found
}

// next gives who is to leave first if somebody has to, else who is one too many;
// nil if there is none.
func (l *resting) next(somebody bool) *resident {
	if !somebody && l.untried.Len() <= l.maxUntried {
		return nil
	}
	if e := cmp.Or(l.untried.Front(), l.idle.Front()); e != nil {
		return e.Value.(*resident)
	}
	return nil
}

// oldest gives a part of all, those that are to leave first, at most so many.
func (l *resting) oldest(part, most int) (out []*resident) {
	n := min((len(l.places)+part-1)/part, most)
	for _, in := range []*list.List{l.untried, l.idle} {
		for e := in.Front(); e != nil && len(out) < n; e = e.Next() {
			out = append(out, e.Value.(*resident))
		}
	}
	return out
}
