package wasm

import "math/bits"

// bitmap is a set of pages.
type bitmap struct {
	words []uint64
	count int
}

func (b *bitmap) has(page uint32) bool {
	i := int(page / 64)
	return i < len(b.words) && b.words[i]&(1<<(page%64)) != 0
}

// set puts a page into the set, or takes it out.
func (b *bitmap) set(page uint32, in bool) {
	if b.has(page) == in {
		return
	}
	i := int(page / 64)
	if i >= len(b.words) {
		b.words = append(b.words, make([]uint64, i+1-len(b.words))...)
	}
	b.words[i] ^= 1 << (page % 64)
	if in {
		b.count++
	} else {
		b.count--
	}
}

// each visits the pages in ascending order.
func (b *bitmap) each(visit func(page uint32) bool) {
	for i, word := range b.words {
		for ; word != 0; word &= word - 1 {
			if !visit(uint32(i*64 + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}
