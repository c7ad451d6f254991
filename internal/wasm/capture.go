package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Capture finds how the instance differs from s, which it was restored to or
// fresh like, whatever was captured and applied since then. Neither changes. It
// must not be called during a call.
func (in *Instance) Capture(s *Saved) (*Change, error) {
	if err := in.enter("capture"); err != nil {
		return nil, err
	}
	defer in.leave()
	c := in.module.engine.comparison()
	defer in.module.engine.keep(c)
	err := in.compare(s, c, func(page uint32, was, is []byte) error {
		if c.changed.add(uint64(page)*PageSize, was, is); c.changed.size() > MaxChange {
			return ErrLargeChange
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("capture what has changed: %w", err)
	}
	memory := in.memory.bytes()
	change := &Change{
		Size: uint64(len(memory)), Globals: in.Globals(), Pages: len(c.different),
		Runs: c.changed.runs(memory),
	}
	if in.memory != nil {
		change.from = in.memory.watch
	}
	return change, nil
}

// Save makes s the state of the instance, as Capture and Apply do together, but
// however much has changed. It must not be called during a call.
func (in *Instance) Save(s *Saved) error {
	if in.memory != nil {
		in.memory.watch.state = s
	}
	if err := in.save(s); err != nil {
		return fmt.Errorf("save an instance: %w", err)
	}
	return nil
}

func (in *Instance) save(s *Saved) error {
	if err := in.enter("save"); err != nil {
		return err
	}
	defer in.leave()
	c := in.module.engine.comparison()
	defer in.module.engine.keep(c)
	if err := s.Resize(uint64(len(in.memory.bytes()))); err != nil {
		return err
	}
	err := in.compare(s, c, func(page uint32, _, is []byte) error {
		err := s.store(page, is)
		if err != nil {
			s.err = fmt.Errorf("the state is lost: %w", err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.SetGlobals(in.Globals())
}

// pageRange is pages that follow each other.
type pageRange struct{ from, to uint32 }

// Bounds of settling.
const (
	// redundantPages is how many pages of its own a memory may have that are those
	// of the state. With more of them finding changes costs more than mapping the
	// state again.
	redundantPages = 512
	// movedPages is how many pages that differ are moved from one mapping to the
	// next.
	movedPages = 1024
)

// keptItems bounds what a comparison keeps for the next one.
const keptItems = 32 << 10

// comparison is what finding the difference between an instance and a state
// needs. It is used again and again.
type comparison struct {
	candidates []pageRange
	seen       int // pages among them
	different  []uint32
	changed    spans
	was        [PageSize]byte
}

func (e *Engine) comparison() *comparison {
	c, _ := e.comparisons.Get().(*comparison)
	if c == nil {
		c = new(comparison)
	}
	c.candidates, c.different, c.seen = c.candidates[:0], c.different[:0], 0
	c.changed.all, c.changed.total = c.changed.all[:0], 0
	return c
}

// keep has a comparison used again, unless it has become large.
func (e *Engine) keep(c *comparison) {
	if max(cap(c.candidates), cap(c.different), cap(c.changed.all)) <= keptItems {
		e.comparisons.Put(c)
	}
}

// compare visits the pages in which the instance differs from s, in ascending
// order, with what they were and are.
func (in *Instance) compare(s *Saved, c *comparison, visit func(page uint32, was, is []byte) error) error {
	if err := errors.Join(in.whole(), in.canHave(s)); err != nil {
		return err
	}
	m := in.memory
	if err := m.usable(); err != nil {
		return err
	}
	memory := m.bytes()
	if uint64(len(memory)) < s.size {
		return fmt.Errorf("the instance has a memory of %d bytes, and the state one of %d", len(memory), s.size)
	}
	if len(memory) == 0 {
		return nil
	}
	c.candidates = in.candidates(s, c.candidates)
	slices.SortFunc(c.candidates, func(a, b pageRange) int { return int(a.from) - int(b.from) })
	next := uint32(0)
	for _, r := range c.candidates {
		for page := max(r.from, next); page < r.to; page++ {
			next = page + 1
			c.seen++
			was, err := s.page(page, c.was[:])
			if err != nil {
				return fmt.Errorf("read a saved page: %w", err)
			}
			is := memory[uint64(page)*PageSize:][:PageSize:PageSize]
			if bytes.Equal(was, is) {
				continue
			}
			c.different = append(c.different, page)
			if err := visit(page, was, is); err != nil {
				return err
			}
		}
	}
	m.watch.follow(s, c.different)
	return in.settle(s, c)
}

// settle has the memory of an instance that stays in use show its state, so that
// next time there are few pages to compare. That is so if it shows something else
// by now, or has written much over time.
func (in *Instance) settle(s *Saved, c *comparison) error {
	m, e := in.memory, in.module.engine
	shown, redundant := m.base == s.base && m.file == s.file, c.seen-len(c.different)-len(s.slots)
	if shown && redundant <= e.redundant || m.watch.state != s || len(c.different) > movedPages || e.tracking.name == TrackCompare {
		return nil
	}
	moved := make([]byte, 0, len(c.different)*PageSize)
	for _, page := range c.different {
		moved = append(moved, m.bytes()[uint64(page)*PageSize:][:PageSize]...)
	}
	if err := m.become(m.size, s.base, s.file); err != nil {
		return err
	}
	m.watch.state = s
	if err := m.load(s); err != nil {
		return err
	}
	for i, page := range c.different {
		copy(m.bytes()[uint64(page)*PageSize:], moved[i*PageSize:][:PageSize])
	}
	return nil
}

// candidates are ranges that together have all pages which may differ from those
// of s. One page may be in many.
func (in *Instance) candidates(s *Saved, ranges []pageRange) []pageRange {
	m, all := in.memory, pageRange{0, uint32(in.memory.size / PageSize)}
	known := m.watch.forget(s)
	if m.base != s.base || m.file != nil && m.file != s.file {
		return append(ranges, all)
	}
	ranges, ok := in.rewritten(s, known, ranges)
	if ok {
		return ranges
	}
	// A page that the memory has none of its own of is that of the base or the
	// file. The state has others, which may have been put there since.
	if m.file == nil {
		for page := range s.differing {
			ranges = append(ranges, pageRange{page, page + 1})
		}
	}
	from, to := m.content(s)
	err := in.module.engine.tracking.tracker.written(m.bytes(), from, to, func(from, to uint64) bool {
		ranges = append(ranges, pageRange{uint32(from / PageSize), uint32(to / PageSize)})
		return true
	})
	if err != nil {
		return append(ranges, all) // comparing is always possible
	}
	return ranges
}

// canHave tells whether s can be the state of the instance.
func (in *Instance) canHave(s *Saved) error {
	switch {
	case s.err != nil:
		return s.err
	case s.module != in.module && (s.module.base.hash != in.module.base.hash || len(s.module.globals) != len(in.module.globals)):
		return errors.New("the state is one of another module")
	}
	return nil
}
