package once

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// What the cells of buckets and of containers begin with. The name of a component
// and a slash follow.
const (
	Buckets    = "keyvalue/"
	Containers = "blobstore/"
)

var kinds = []string{Buckets, Containers}

// Cells are the cells of what workers share. They know how many bytes each component
// has in them, keys and values, and let none have more than its limit. They are for
// any number of tasks.
//
// A component is counted when it is first written to; from then on each write
// says what it changes. One of which nobody knows whether it was made lets the
// component be counted again.
type Cells struct {
	storage.Cells
	limit func(component string) uint64

	mu      sync.Mutex
	held    map[string]*held
	changed sched.Condition
}

// held is what a component has in its cells.
type held struct {
	bytes    int64 // if it is known
	known    bool
	counting bool
	promised int64 // that writes under way may add
	writes   int   // under way
}

// NewCells bounds the cells: limit gives that of a component, and is asked at each
// write; 0 is none.
func NewCells(cells storage.Cells, s sched.Scheduler, limit func(component string) uint64) *Cells {
	return &Cells{Cells: cells, limit: limit, held: map[string]*held{}, changed: s.NewCondition()}
}

// FullError refuses a write for which a component has no room.
type FullError struct {
	Component  string
	Held, More int64 // what it has, and what the write would add
	Limit      uint64
}

// Error says how full it is, and what to do.
func (e *FullError) Error() string {
	return fmt.Sprintf("limit exceeded: limits.shared, at most %d bytes in all buckets and containers of %s together: there are %d, and this needs %d more; "+
		"delete something, or raise it: waterbear component settings --shared SIZE %s", e.Limit, e.Component, e.Held, e.More, e.Component)
}

// AsFull gives the refusal that err is, as what the program is told, or nothing.
func AsFull(err error) (reason string, full bool) {
	var e *FullError
	if full = errors.As(err, &e); full {
		reason = e.Error()
	}
	return reason, full
}

// Put is that of storage.Cells, or a *FullError. What makes a cell no larger is
// always taken.
func (c *Cells) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	return c.put(ctx, key, expected, value, false)
}

// Keep is Put of what is needed to let go of something: it is never refused.
func (c *Cells) Keep(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	return c.put(ctx, key, expected, value, true)
}

func (c *Cells) put(ctx context.Context, key string, expected uint64, value []byte, always bool) (version uint64, err error) {
	err = c.change(ctx, key, expected, int64(len(key)+len(value)), always, func() error {
		version, err = c.Cells.Put(ctx, key, expected, value)
		return err
	})
	return version, err
}

// Delete is that of storage.Cells.
func (c *Cells) Delete(ctx context.Context, key string, expected uint64) error {
	return c.change(ctx, key, expected, 0, true, func() error { return c.Cells.Delete(ctx, key, expected) })
}

// change lets do change a cell, which has size bytes then.
func (c *Cells) change(ctx context.Context, key string, expected uint64, size int64, always bool, do func() error) (err error) {
	component := componentOf(key)
	h, err := c.enter(ctx, component)
	if err != nil {
		return err
	}
	var promised, added int64
	unsure := false
	defer func() { c.leave(component, h, promised, added, unsure) }()
	bytes, version, err := c.Size(ctx, key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if version != expected {
		return fmt.Errorf("cell %q: %w: it has version %d, not %d", key, storage.ErrConflict, version, expected)
	}
	// If others change it before do does, that is a conflict: so this is what it adds
	// if it is made.
	if version != 0 {
		size -= int64(len(key) + bytes)
	}
	if promised, err = c.promise(component, h, size, always); err != nil {
		return err
	}
	if err = do(); err == nil {
		added = size
	}
	unsure = err != nil && !errors.Is(err, storage.ErrConflict) && !c.untouched(ctx, key, expected)
	return err
}

// untouched reports whether a cell still has a version, so that a change that has
// failed was not made: as on a full disk, where to count each time would be much.
func (c *Cells) untouched(ctx context.Context, key string, expected uint64) bool {
	_, version, err := c.Size(context.WithoutCancel(ctx), key)
	return version == expected && (err == nil || errors.Is(err, storage.ErrNotFound))
}

func componentOf(key string) string {
	for _, kind := range kinds {
		if rest, is := strings.CutPrefix(key, kind); is {
			component, _, _ := strings.Cut(rest, "/")
			return component
		}
	}
	panic("a cell of what workers share begins with " + key)
}

// enter begins a write of a component, which is counted then.
func (c *Cells) enter(ctx context.Context, component string) (*held, error) {
	for {
		var h *held
		count := false
		err := c.changed.Wait(ctx, func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			if h = c.held[component]; h == nil {
				h = &held{}
				c.held[component] = h
			}
			if h.known {
				h.writes++
				return true
			}
			// While writes are under way a list may have them or not.
			count = !h.counting && h.writes == 0
			h.counting = h.counting || count
			return count
		})
		if err != nil || !count {
			return h, err
		}
		bytes, err := c.count(ctx, component)
		c.mu.Lock()
		h.bytes, h.known, h.counting = bytes, err == nil, false
		c.mu.Unlock()
		c.changed.Wake()
		if err != nil {
			return nil, fmt.Errorf("count what the workers of %s share: %w", component, err)
		}
	}
}

// leave ends a write, which has added bytes, unless nobody is sure of it.
func (c *Cells) leave(component string, h *held, promised, added int64, unsure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.writes--
	h.promised -= promised
	h.bytes += added
	if unsure {
		// Until it is counted again, by those who begin later, it may have been made.
		h.bytes += promised
		h.known = false
	}
	if h.writes == 0 {
		if h.known && h.bytes == 0 {
			delete(c.held, component) // to count nothing costs nothing
		}
		c.changed.Wake()
	}
}

// promise sets aside what a write is to add, if there is room or it is to be made
// always.
func (c *Cells) promise(component string, h *held, more int64, always bool) (promised int64, err error) {
	limit := c.limit(component)
	c.mu.Lock()
	defer c.mu.Unlock()
	if more <= 0 {
		return 0, nil
	}
	if most := h.bytes + h.promised + more; !always && limit != 0 && uint64(most) > limit {
		return 0, &FullError{component, h.bytes + h.promised, more, limit}
	}
	h.promised += more
	return more, nil
}

// count adds up what a component has in its cells.
func (c *Cells) count(ctx context.Context, component string) (total int64, err error) {
	for _, kind := range kinds {
		for key, err := range c.List(ctx, kind+component+"/", "") {
			if err != nil {
				return 0, err
			}
			bytes, _, err := c.Size(ctx, key)
			switch {
			case err == nil:
				total += int64(len(key) + bytes)
			case !errors.Is(err, storage.ErrNotFound):
				return 0, err
			}
		}
	}
	return total, nil
}

// Held is how many bytes a component has in its cells, and how many it may have.
func (c *Cells) Held(ctx context.Context, component string) (bytes, limit uint64, err error) {
	h, err := c.enter(ctx, component)
	if err != nil {
		return 0, 0, err
	}
	c.mu.Lock()
	bytes = uint64(h.bytes)
	c.mu.Unlock()
	c.leave(component, h, 0, 0, false)
	return bytes, c.limit(component), nil
}

// Crowded gives the components that were written to and have more than half of what
// they may have.
func (c *Cells) Crowded() (components []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for component, h := range c.held {
		if limit := c.limit(component); limit != 0 && uint64(h.bytes) > limit/2 {
			components = append(components, component)
		}
	}
	return components
}
