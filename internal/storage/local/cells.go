package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/waterbear-run/waterbear/internal/storage"
)

type cells struct{ *Store }

// lookUp gives where a cell or a blob is, if it is there.
func (s *Store) lookUp(key string) (item, bool, error) {
	i, ok, err := s.index.Load().item(key)
	return i, ok && !i.deleted, s.spoiled(err)
}

// itemBytes reads a cell or a blob, which may have been moved meanwhile.
func (s *Store) itemBytes(ctx context.Context, key string, i item) ([]byte, error) {
	for {
		b, err := s.bytes(i.location, nil)
		if err == nil {
			return b, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			if s.readOnly {
				if err := s.Refresh(ctx); err != nil {
					return nil, err
				}
			}
			moved, ok, lookErr := s.lookUp(key)
			if lookErr != nil || !ok {
				return nil, errors.Join(lookErr, storage.ErrNotFound)
			}
			if moved.location != i.location {
				i = moved
				continue
			}
		}
		return nil, &storage.CorruptError{Where: s.where(i.location), Cause: err}
	}
}

// cell gives where a cell is.
func (s *Store) cell(key string) (item, error) {
	i, ok, err := s.lookUp(cellKey(key))
	if err == nil && !ok {
		err = fmt.Errorf("cell %q: %w", key, storage.ErrNotFound)
	}
	return i, err
}

func (l cells) Get(ctx context.Context, key string) (value []byte, version uint64, err error) {
	if err := l.calls.begin(ctx); err != nil {
		return nil, 0, err
	}
	defer l.calls.leave()
	i, err := l.cell(key)
	if err != nil {
		return nil, 0, err
	}
	value, err = l.itemBytes(ctx, cellKey(key), i)
	if err != nil {
		var corrupt *storage.CorruptError
		if errors.As(err, &corrupt) {
			version = i.stamp // which the index has
		}
		return nil, version, fmt.Errorf("cell %q: %w", key, err)
	}
	return value, i.stamp, nil
}

func (l cells) Size(ctx context.Context, key string) (bytes int, version uint64, err error) {
	if err := l.calls.begin(ctx); err != nil {
		return 0, 0, err
	}
	defer l.calls.leave()
	i, err := l.cell(key)
	if err != nil {
		return 0, 0, err
	}
	return int(i.length), i.stamp, nil
}

func (l cells) Put(ctx context.Context, key string, expected uint64, value []byte) (version uint64, err error) {
	if err := storage.CheckCell(key, value); err != nil {
		return 0, err
	}
	r := record{kind: kindCell, key: key, bytes: value}
	return l.change(ctx, key, expected, r)
}

func (l cells) Delete(ctx context.Context, key string, expected uint64) error {
	_, err := l.change(ctx, key, expected, record{kind: kindCellDelete, key: key})
	return err
}

// change writes r if the cell's version is expected. The version of a cell is
// the sequence number of the frame that has it: so none comes twice.
func (l cells) change(ctx context.Context, key string, expected uint64, r record) (version uint64, err error) {
	if err := l.calls.begin(ctx); err != nil {
		return 0, err
	}
	defer l.calls.leave()
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.readOnly {
		return 0, l.refuse()
	}
	i, ok, err := l.lookUp(cellKey(key))
	if err != nil {
		return 0, err
	}
	current := uint64(0)
	if ok {
		current = i.stamp
	}
	if current != expected {
		return 0, fmt.Errorf("cell %q: %w: it has version %d, not %d", key, storage.ErrConflict, current, expected)
	}
	if !ok && r.kind == kindCellDelete {
		return 0, nil
	}
	if err := l.write([]record{r}); err != nil {
		return 0, fmt.Errorf("change cell %q: %w", key, err)
	}
	return l.tail.seq, nil
}

func (l cells) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	if after != "" {
		after = cellKey(after)
	}
	return func(yield func(string, error) bool) {
		l.list(ctx, cellKey(prefix), after, func(key string, err error) bool {
			if err != nil {
				return yield("", err)
			}
			if _, ok, err := l.lookUp(key); err != nil || !ok {
				return err == nil || yield("", err)
			}
			return yield(key[1:], nil)
		})
	}
}
