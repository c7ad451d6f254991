package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"iter"
	"slices"

	"github.com/waterbear-run/waterbear/internal/storage"
)

type blobs struct{ store *Store }

func (b blobs) Put(ctx context.Context, r io.Reader) (storage.Hash, int64, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return storage.Hash{}, 0, err
	}
	h := storage.Hash(sha256.Sum256(content))
	err = b.store.use(ctx, func(c *contents) error {
		c.blobs[h] = content
		return nil
	})
	return h, int64(len(content)), err
}

func (b blobs) PutAll(ctx context.Context, contents iter.Seq[io.Reader]) ([]storage.Blob, error) {
	var stored []storage.Blob
	for r := range contents {
		h, size, err := b.Put(ctx, r)
		if err != nil {
			return stored, err
		}
		stored = append(stored, storage.Blob{Hash: h, Size: size})
	}
	return stored, nil
}

func (b blobs) Get(ctx context.Context, h storage.Hash) (r io.ReadCloser, err error) {
	err = b.store.use(ctx, func(c *contents) error {
		content, ok := c.blobs[h]
		if !ok {
			return storage.ErrNotFound
		}
		r = io.NopCloser(bytes.NewReader(content))
		return nil
	})
	return r, err
}

func (b blobs) Delete(ctx context.Context, h storage.Hash) error {
	return b.store.use(ctx, func(c *contents) error {
		delete(c.blobs, h)
		return nil
	})
}

func (b blobs) List(ctx context.Context) iter.Seq2[storage.Hash, error] {
	return func(yield func(storage.Hash, error) bool) {
		var hashes []storage.Hash
		err := b.store.use(ctx, func(c *contents) error {
			for h := range c.blobs {
				hashes = append(hashes, h)
			}
			return nil
		})
		if err != nil {
			yield(storage.Hash{}, err)
			return
		}
		slices.SortFunc(hashes, func(a, b storage.Hash) int { return bytes.Compare(a[:], b[:]) })
		for _, h := range hashes {
			if !yield(h, nil) {
				return
			}
		}
	}
}
