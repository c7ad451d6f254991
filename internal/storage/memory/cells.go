package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/waterbear-run/waterbear/internal/storage"
)

type cell struct {
	value   []byte
	version uint64
}

type cells struct{ store *Store }

func (l cells) Get(ctx context.Context, key string) (value []byte, version uint64, err error) {
	err = l.store.use(ctx, func(c *contents) error {
		found, ok := c.cells[key]
		if !ok {
			return fmt.Errorf("cell %q: %w", key, storage.ErrNotFound)
		}
		value, version = bytes.Clone(found.value), found.version
		return nil
	})
	return value, version, err
}

func (l cells) Size(ctx context.Context, key string) (int, uint64, error) {
	value, version, err := l.Get(ctx, key)
	return len(value), version, err
}

func (l cells) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	if err := storage.CheckCell(key, value); err != nil {
		return 0, err
	}
	err = l.store.use(ctx, func(c *contents) error {
		if found := c.cells[key]; found.version != expected {
			return fmt.Errorf("cell %q: %w: it has version %d, not %d", key, storage.ErrConflict, found.version, expected)
		}
		c.version++
		version = c.version
		c.cells[key] = cell{bytes.Clone(value), version}
		return nil
	})
	return version, err
}

func (l cells) Delete(ctx context.Context, key string, expected uint64) error {
	return l.store.use(ctx, func(c *contents) error {
		if found := c.cells[key]; found.version != expected {
			return fmt.Errorf("cell %q: %w: it has version %d, not %d", key, storage.ErrConflict, found.version, expected)
		}
		delete(c.cells, key)
		return nil
	})
}

func (l cells) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var keys []string
		err := l.store.use(ctx, func(c *contents) error {
			for key := range c.cells {
				if strings.HasPrefix(key, prefix) && (after == "" || key > after) {
					keys = append(keys, key)
				}
			}
			return nil
		})
		if err != nil {
			yield("", err)
			return
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
	}
}
