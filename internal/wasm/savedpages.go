package wasm

import (
	"bytes"
	"errors"
	"slices"
)

// pageSlot is where a page is: in a slot of the slab, or on the heap.
type pageSlot struct{ page, slot uint32 }

// onHeap is no slot.
const onHeap = ^uint32(0)

func (s *Saved) states() *states { return s.module.engine.states }

// find tells where a page is among the slots, or would be.
func (s *Saved) find(page uint32) (int, bool) {
	return slices.BinarySearchFunc(s.slots, page, func(have pageSlot, want uint32) int { return int(have.page) - int(want) })
}

// page gives what the state has at a page: buf, or what is valid until the state
// changes.
func (s *Saved) page(page uint32, buf []byte) ([]byte, error) {
	if p, ok := s.heap[page]; ok {
		return p, nil
	}
	if s.file != nil {
		if s.other.has(page) {
			return buf, s.file.read(uint64(page)*PageSize, buf)
		}
	} else if i, ok := s.find(page); ok {
		return buf, s.states().slab.read(s.slots[i].slot, buf)
	}
	return s.base.page(uint64(page) * PageSize), nil
}

// differing visits the pages that are not those of the base, in ascending order.
func (s *Saved) differing(visit func(page uint32) bool) {
	if s.file != nil {
		s.other.each(visit)
		return
	}
	for _, p := range s.slots {
		if !visit(p.page) {
			return
		}
	}
}

// read visits pages with what the state has there. That is valid until the next.
func (s *Saved) read(pages func(func(page uint32) bool), visit func(page uint32, p []byte) error) error {
	buf := make([]byte, PageSize)
	for page := range pages {
		p, err := s.page(page, buf)
		if err == nil {
			err = visit(page, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write puts bytes into pages. Runs of one page that follow each other cost no
// more than one.
func (s *Saved) write(runs []Run) error {
	const none = ^uint64(0)
	lent := s.states().pages.Get().(*[PageSize]byte)
	defer s.states().pages.Put(lent)
	buf, at := lent[:], none
	for _, r := range runs {
		for offset, p := r.Offset, r.Bytes; len(p) > 0; {
			if page := offset / PageSize; page != at {
				if at != none {
					if err := s.store(uint32(at), buf); err != nil {
						return err
					}
				}
				was, err := s.page(uint32(page), buf)
				if err != nil {
					return err
				}
				copy(buf, was)
				at = page
			}
			n := copy(buf[offset%PageSize:], p)
			offset, p = offset+uint64(n), p[n:]
		}
	}
	if at == none {
		return nil
	}
	return s.store(uint32(at), buf)
}

// store makes a page what p has.
func (s *Saved) store(page uint32, p []byte) error {
	s.note(page)
	same := bytes.Equal(p, s.base.page(uint64(page)*PageSize))
	if s.file != nil {
		s.other.set(page, !same)
		if s.writeFile(page, p) != nil {
			return s.hold(page, p)
		}
		s.drop(page)
		return nil
	}
	i, have := s.find(page)
	if same {
		if have {
			s.release(s.slots[i])
			s.slots = slices.Delete(s.slots, i, i+1)
		}
		return nil
	}
	if !have {
		s.slots = slices.Insert(s.slots, i, pageSlot{page, onHeap})
	}
	if err := s.fill(&s.slots[i], p); err != nil {
		return err
	}
	if len(s.slots) > max(s.states().large, s.tries) && s.enlarge() != nil {
		s.tries = 2 * len(s.slots)
	}
	return nil
}

// fill puts a page into its slot, or onto the heap.
func (s *Saved) fill(p *pageSlot, page []byte) error {
	b := s.states().slab
	if p.slot == onHeap {
		slot, ok := b.take()
		if !ok {
			return s.hold(p.page, page)
		}
		p.slot = slot
	}
	if b.write(p.slot, page) != nil {
		b.give(p.slot)
		p.slot = onHeap
		return s.hold(p.page, page)
	}
	s.drop(p.page)
	return nil
}

// release gives back what a page takes.
func (s *Saved) release(p pageSlot) {
	if p.slot != onHeap {
		s.states().slab.give(p.slot)
	}
	s.drop(p.page)
}

// hold keeps a page in memory.
func (s *Saved) hold(page uint32, p []byte) error {
	if have, ok := s.heap[page]; ok {
		copy(have, p)
		return nil
	}
	if !s.states().budget.take(PageSize) {
		return errors.Join(errNoRoom, ErrMemoryExhausted)
	}
	if s.heap == nil {
		s.heap = make(map[uint32][]byte)
	}
	s.heap[page] = slices.Clone(p)
	return nil
}

// drop forgets a page in memory.
func (s *Saved) drop(page uint32) {
	if _, ok := s.heap[page]; ok {
		delete(s.heap, page)
		s.states().budget.give(PageSize)
	}
}

// writeFile puts a page into the file of a large state.
func (s *Saved) writeFile(page uint32, p []byte) error {
	if err := s.file.extend(s.size); err != nil {
		return err
	}
	return s.file.write(uint64(page)*PageSize, p)
}

// enlarge makes a large state of a small one, if there is room for its file.
func (s *Saved) enlarge() error {
	f, err := s.states().create(s.size)
	if err != nil {
		return err
	}
	if err := s.export(f); err != nil {
		return errors.Join(err, f.close())
	}
	var slots []uint32
	for _, p := range s.slots {
		s.other.set(p.page, true)
		s.drop(p.page)
		if p.slot != onHeap {
			slots = append(slots, p.slot)
		}
	}
	s.states().slab.give(slots...)
	s.file, s.slots = f, nil
	return nil
}

// export writes the memory to a file of zeros.
func (s *Saved) export(f *stateFile) error {
	for _, r := range s.base.occupied {
		if err := f.write(r.from, s.base.content[r.from-s.base.from:r.to-s.base.from]); err != nil {
			return err
		}
	}
	return s.read(s.differing, func(page uint32, p []byte) error { return f.write(uint64(page)*PageSize, p) })
}

// forget gives everything back.
func (s *Saved) forget() error {
	var slots []uint32
	for _, p := range s.slots {
		if p.slot != onHeap {
			slots = append(slots, p.slot)
		}
	}
	slices.Reverse(slots) // the next state gets them in their order
	s.states().slab.give(slots...)
	s.states().budget.give(uint64(len(s.heap)) * PageSize)
	s.slots, s.heap, s.other, s.follower, s.changed = nil, nil, bitmap{}, nil, nil
	if s.file == nil {
		return nil
	}
	err := s.file.close()
	s.file = nil
	return err
}

// load copies the pages into a memory that shows the base, or the file if there
// is one.
func (s *Saved) load(memory []byte) error {
	for page, p := range s.heap {
		copy(memory[uint64(page)*PageSize:], p)
	}
	var vector [][]byte
	for i := 0; i < len(s.slots); {
		first := s.slots[i].slot
		if first == onHeap {
			i++
			continue
		}
		vector = vector[:0]
		for i < len(s.slots) && s.slots[i].slot == first+uint32(len(vector)) && len(vector) < vectorPages {
			vector = append(vector, memory[uint64(s.slots[i].page)*PageSize:][:PageSize])
			i++
		}
		if err := s.states().slab.read(first, vector...); err != nil {
			return err
		}
	}
	return nil
}
