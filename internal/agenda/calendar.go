package agenda

import (
	"strings"
	"unique"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// calendar is the agenda in memory, laid out so that a million workers are
// cheap: a table of items, an index that finds a worker's item, and a heap of
// the items that are still to be handed out, the earliest first.
type calendar struct {
	items []item
	free  []int32 // places in items that nobody has
	index index
	heap  []int32 // places in items
	never int     // items that are due Never
}

// key is a worker, its component's name being one string for all workers.
type key struct {
	component unique.Handle[string]
	name      string // "" in an item that nobody has
}

type item struct {
	key
	at   oplog.Time
	rank int32 // its place in the heap, or handedOut
}

const handedOut = -1

func newCalendar() calendar { return calendar{index: newIndex()} }

func (k key) worker() id.Worker { return id.Worker{Component: k.component.Value(), Name: k.name} }

// size is how many workers it has, those included that were handed out.
func (c *calendar) size() int { return c.index.size }

// find gives the place of w's item.
func (c *calendar) find(w id.Worker) (place int32, ok bool) {
	at, ok := c.index.find(c.items, key{unique.Make(w.Component), w.Name})
	if !ok {
		return 0, false
	}
	return c.index.slots[at].place - 1, true
}

func (c *calendar) due(w id.Worker) (at oplog.Time, ok bool) {
	place, ok := c.find(w)
	if !ok {
		return 0, false
	}
	return c.items[place].at, true
}

// set makes w due at at, or forgets it if that is 0. It reports whether that
// is another time than before. A worker that was handed out is to be handed out
// again, also if it is not.
func (c *calendar) set(w id.Worker, at oplog.Time) (changed bool) {
	place, ok := c.find(w)
	switch {
	case !ok && at == 0:
		return false
	case !ok:
		place = c.add(w)
	case at == 0:
		c.remove(place)
		return true
	}
	it := &c.items[place]
	changed = it.at != at
	c.count(it.at, -1)
	c.count(at, 1)
	it.at = at
	if it.rank == handedOut {
		c.heap = append(c.heap, place)
		it.rank = int32(len(c.heap) - 1)
	}
	c.settle(it.rank)
	return changed
}

// add gives w an item, which is not in the heap yet.
func (c *calendar) add(w id.Worker) (place int32) {
	if n := len(c.free); n > 0 {
		place, c.free = c.free[n-1], c.free[:n-1]
	} else {
		place = int32(len(c.items))
		c.items = append(c.items, item{})
	}
	// The name may be a part of something large.
	k := key{unique.Make(w.Component), strings.Clone(w.Name)}
	c.items[place] = item{key: k, rank: handedOut}
	c.index.insert(k, place)
	return place
}

// count keeps never.
func (c *calendar) count(at oplog.Time, by int) {
	if at == Never {
		c.never += by
	}
}

func (c *calendar) remove(place int32) {
	it := &c.items[place]
	c.count(it.at, -1)
	if it.rank != handedOut {
		c.leave(it.rank)
	}
	if at, ok := c.index.find(c.items, it.key); ok {
		c.index.remove(at)
	}
	*it = item{}
	c.free = append(c.free, place)
}

// first is when the next worker is due.
func (c *calendar) first() (at oplog.Time, ok bool) {
	if len(c.heap) == 0 {
		return 0, false
	}
	return c.items[c.heap[0]].at, true
}

// take hands out the worker that is due first. It stays in the calendar.
func (c *calendar) take() id.Worker {
	it := &c.items[c.heap[0]]
	c.leave(0)
	it.rank = handedOut
	return it.worker()
}

// leave takes the item of this rank out of the heap.
func (c *calendar) leave(rank int32) {
	last := int32(len(c.heap) - 1)
	c.put(rank, c.heap[last])
	c.heap = c.heap[:last]
	if rank < last {
		c.settle(rank)
	}
}

func (c *calendar) put(rank, place int32) {
	c.heap[rank] = place
	c.items[place].rank = rank
}

// settle moves the item of this rank to where it belongs.
func (c *calendar) settle(rank int32) {
	place := c.heap[rank]
	for rank > 0 && c.before(place, c.heap[(rank-1)/2]) {
		c.put(rank, c.heap[(rank-1)/2])
		rank = (rank - 1) / 2
	}
	for {
		child := 2*int(rank) + 1
		if child >= len(c.heap) {
			break
		}
		if child+1 < len(c.heap) && c.before(c.heap[child+1], c.heap[child]) {
			child++
		}
		if !c.before(c.heap[child], place) {
			break
		}
		c.put(rank, c.heap[child])
		rank = int32(child)
	}
	c.put(rank, place)
}

// before orders two items by their time, and those of one time somehow, but
// always alike.
func (c *calendar) before(a, b int32) bool {
	if c.items[a].at != c.items[b].at {
		return c.items[a].at < c.items[b].at
	}
	return a < b
}
