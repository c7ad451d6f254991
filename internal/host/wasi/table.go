package wasi

import (
	"iter"
	"math/bits"
)

// Table numbers what a program holds. The lowest free number is given first, so
// the numbers depend on nothing but what there is. The zero value is empty.
type Table[T any] struct {
	slots []T
	used  []uint64 // a bit for each slot
	full  int      // words of used, from the first on, that have no free bit
	count int
}

// Len is how many there are.
func (t *Table[T]) Len() int { return t.count }

// Has tells whether a number is taken.
func (t *Table[T]) Has(n uint32) bool {
	return uint64(n) < uint64(len(t.slots)) && t.used[n/64]&(1<<(n%64)) != 0
}

// Get finds what has a number, or nil. The pointer is valid until the next Add
// or Put.
func (t *Table[T]) Get(n uint32) *T {
	if !t.Has(n) {
		return nil
	}
	return &t.slots[n]
}

// Lowest is the number the next one gets.
func (t *Table[T]) Lowest() uint32 {
	for t.full < len(t.used) && t.used[t.full] == ^uint64(0) {
		t.full++
	}
	if t.full == len(t.used) {
		t.used = append(t.used, 0)
	}
	return uint32(t.full*64 + bits.TrailingZeros64(^t.used[t.full]))
}

// Add gives v the lowest free number.
func (t *Table[T]) Add(v T) uint32 {
	n := t.Lowest()
	t.Put(n, v)
	return n
}

// Put gives v a number that is free. Those below it are kept room for: the
// caller bounds n.
func (t *Table[T]) Put(n uint32, v T) {
	for int(n) >= len(t.slots) {
		var none T
		t.slots = append(t.slots, none)
	}
	for int(n/64) >= len(t.used) {
		t.used = append(t.used, 0)
	}
	t.slots[n] = v
	t.used[n/64] |= 1 << (n % 64)
	t.count++
}

// Remove frees a number that is taken.
func (t *Table[T]) Remove(n uint32) {
	var none T
	t.slots[n] = none
	t.used[n/64] &^= 1 << (n % 64)
	t.full = min(t.full, int(n/64))
	t.count--
}

// All yields what there is in the order of the numbers. What is yielded may be
// removed meanwhile.
func (t *Table[T]) All() iter.Seq2[uint32, *T] {
	return func(yield func(uint32, *T) bool) {
		for n := range t.slots {
			if v := t.Get(uint32(n)); v != nil && !yield(uint32(n), v) {
				return
			}
		}
	}
}
