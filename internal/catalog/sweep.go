package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/waterbear-run/waterbear/internal/storage"
)

// beginStoring waits for a sweep to end, and keeps the next one waiting.
func (c *Catalog) beginStoring(ctx context.Context) error {
	return c.changed.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sweeping {
			return false
		}
		c.storing++
		return true
	})
}

func (c *Catalog) endStoring() {
	c.mu.Lock()
	c.storing--
	c.mu.Unlock()
	c.changed.Wake()
}

// Sweep lets sweep delete blobs. It is told which are modules of components;
// until it returns no deployment adds any. If that cannot be told for sure,
// because a record is damaged, the error wraps a *storage.CorruptError, and
// sweep is not called.
func (c *Catalog) Sweep(ctx context.Context, sweep func(used map[storage.Hash]bool) error) error {
	err := c.changed.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sweeping || c.storing > 0 {
			return false
		}
		c.sweeping = true
		return true
	})
	if err != nil {
		return err
	}
	defer func() {
		c.mu.Lock()
		c.sweeping = false
		c.mu.Unlock()
		c.changed.Wake()
	}()
	used, err := c.Hashes(ctx)
	if err != nil {
		return fmt.Errorf("find the modules of all components: %w", err)
	}
	return sweep(used)
}

// Hashes gives the modules of all revisions of all components. Those that a
// deployment under way stores are not among them: see Sweep.
func (c *Catalog) Hashes(ctx context.Context) (map[storage.Hash]bool, error) {
	c.mu.Lock()
	names := slices.Sorted(maps.Keys(c.components))
	for name := range c.unclear {
		if c.components[name] == nil {
			names = append(names, name)
		}
	}
	c.mu.Unlock()
	used := map[storage.Hash]bool{}
	for _, name := range names {
		hashes, err := c.hashesOf(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, h := range hashes {
			used[h] = true
		}
	}
	return used, nil
}

// hashesOf gives the modules of a component's revisions, by number. Revisions
// do not change, so each is read once.
func (c *Catalog) hashesOf(ctx context.Context, name string) ([]storage.Hash, error) {
	yield, err := c.take(ctx, name)
	if err != nil {
		return nil, err
	}
	defer yield()
	k, err := c.settle(ctx, name)
	if k == nil || k.Deleted || err != nil {
		return nil, err
	}
	if !k.known() {
		return nil, k.damage
	}
	c.mu.Lock()
	hashes := c.hashes[name]
	c.mu.Unlock()
	for number := uint64(len(hashes)) + 1; number <= k.Latest; number++ {
		r, err := c.revision(ctx, k, number)
		if err != nil {
			return nil, err
		}
		h, err := parseHash(r.Hash)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hashes[name] = hashes
	return hashes, nil
}
