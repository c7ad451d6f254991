package agenda

import "hash/maphash"

// index finds an item's place by its key. It is a hash table without pointers,
// of a third of the size of a map of keys, which grows without looking at them.
type index struct {
	seed  maphash.Seed
	slots []slot // as many as a power of two
	size  int
}

// slot has an item's place; one with place 0 is free.
type slot struct {
	hash  uint32
	place int32 // 1 more than it is
}

// minSlots is the size of a table that has never grown.
const minSlots = 8

func newIndex() index { return index{seed: maphash.MakeSeed(), slots: make([]slot, minSlots)} }

func (x *index) hash(k key) uint32 { return uint32(maphash.Comparable(x.seed, k)) }

// find gives the slot of the item with key k.
func (x *index) find(items []item, k key) (at int, ok bool) {
	hash := x.hash(k)
	mask := len(x.slots) - 1
	for at = int(hash) & mask; x.slots[at].place != 0; at = (at + 1) & mask {
		if s := x.slots[at]; s.hash == hash && items[s.place-1].key == k {
			return at, true
		}
	}
	return 0, false
}

// insert makes an item findable by its key, which is not there yet.
func (x *index) insert(k key, place int32) {
	if x.size++; x.size > len(x.slots)/4*3 {
		old := x.slots
		x.slots = make([]slot, 2*len(old))
		for _, s := range old {
			if s.place != 0 {
				x.put(s)
			}
		}
	}
	x.put(slot{x.hash(k), place + 1})
}

// put fills the first free slot from where s belongs.
func (x *index) put(s slot) {
	mask := len(x.slots) - 1
	at := int(s.hash) & mask
	for x.slots[at].place != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = s
}

// remove frees a slot, and moves up those behind it that it kept from where
// they belong.
func (x *index) remove(at int) {
	x.size--
	mask := len(x.slots) - 1
	for next := (at + 1) & mask; x.slots[next].place != 0; next = (next + 1) & mask {
		home := int(x.slots[next].hash) & mask
		if (next-home)&mask >= (next-at)&mask {
			x.slots[at] = x.slots[next]
			at = next
		}
	}
	x.slots[at] = slot{}
}
