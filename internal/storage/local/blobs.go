package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/waterbear-run/waterbear/internal/storage"
)

const (
	// maxSmallBlob is the largest blob that is a record in the log. Larger ones
	// are files of their own, which take three waits for the disk.
	maxSmallBlob = 64 << 10
	// Small blobs that are put together go into frames of about this size.
	batchBytes  = 4 << 20
	batchBlobs  = 4096
	copyBufSize = 256 << 10
)

type blobs struct{ *Store }

// copyBuffers are for reading contents.
var copyBuffers = sync.Pool{New: func() any { return new([copyBufSize]byte) }}

func (b blobs) Put(ctx context.Context, r io.Reader) (storage.Hash, int64, error) {
	stored, err := b.PutAll(ctx, func(yield func(io.Reader) bool) { yield(r) })
	if err != nil {
		return storage.Hash{}, 0, err
	}
	return stored[0].Hash, stored[0].Size, nil
}

func (b blobs) PutAll(ctx context.Context, contents iter.Seq[io.Reader]) ([]storage.Blob, error) {
	if err := b.calls.begin(ctx); err != nil {
		return nil, err
	}
	defer b.calls.leave()
	if b.readOnly {
		return nil, b.refuse()
	}
	p := putting{blobs: b, dirs: map[string]bool{}, seen: map[storage.Hash]bool{}}
	for r := range contents {
		if err := p.add(ctx, r); err != nil {
			return nil, fmt.Errorf("store blob %d: %w", len(p.stored)+1, known(err))
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("store %d blobs: %w", len(p.stored), known(err))
	}
	return p.stored, nil
}

// putting is what PutAll has done so far.
type putting struct {
	blobs
	stored []storage.Blob
	batch  []record // small blobs that are not written yet
	seen   map[storage.Hash]bool
	size   int
	dirs   map[string]bool // with files whose names are not durable yet
}

func (p *putting) add(ctx context.Context, r io.Reader) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	buffer := copyBuffers.Get().(*[copyBufSize]byte)
	defer copyBuffers.Put(buffer)
	begin := buffer[:maxSmallBlob+1]
	n, err := io.ReadFull(r, begin)
	if err == nil {
		blob, dir, err := p.Store.blobs.put(ctx, io.MultiReader(bytes.NewReader(slices.Clone(begin)), r), buffer[:])
		p.stored = append(p.stored, blob)
		p.dirs[dir] = true
		return err
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	content := begin[:n]
	h := storage.Hash(sha256.Sum256(content))
	p.stored = append(p.stored, storage.Blob{Hash: h, Size: int64(n)})
	if p.seen[h] || p.has(ctx, h, content) {
		return nil
	}
	p.seen[h] = true
	p.batch = append(p.batch, record{kind: kindBlob, hash: h, bytes: slices.Clone(content)})
	p.size += n
	if p.size < batchBytes && len(p.batch) < batchBlobs {
		return nil
	}
	return p.flush()
}

// has says whether a small blob is there and whole. If it cannot be read, it is
// written again.
func (p *putting) has(ctx context.Context, h storage.Hash, content []byte) bool {
	i, ok, err := p.lookUp(blobKey(h))
	if err != nil || !ok {
		return false
	}
	b, err := p.itemBytes(ctx, blobKey(h), i)
	return err == nil && bytes.Equal(b, content)
}

func (p *putting) flush() error {
	if len(p.batch) == 0 {
		return nil
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	err := p.write(p.batch)
	p.batch, p.size = p.batch[:0], 0
	return err
}

func (p *putting) finish() error {
	err := p.flush()
	for dir := range p.dirs {
		err = errors.Join(err, p.disk.SyncDir(dir))
	}
	return err
}

func (b blobs) Get(ctx context.Context, h storage.Hash) (io.ReadCloser, error) {
	if err := b.calls.begin(ctx); err != nil {
		return nil, err
	}
	defer b.calls.leave()
	i, ok, err := b.lookUp(blobKey(h))
	if err != nil {
		return nil, err
	}
	if !ok {
		return b.Store.blobs.open(h)
	}
	content, err := b.itemBytes(ctx, blobKey(h), i)
	if err == nil && sha256.Sum256(content) != h {
		err = &storage.CorruptError{Where: b.where(i.location), Cause: errHash}
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (b blobs) Delete(ctx context.Context, h storage.Hash) error {
	if err := b.calls.begin(ctx); err != nil {
		return err
	}
	defer b.calls.leave()
	if b.readOnly {
		return b.refuse()
	}
	if err := b.Store.blobs.remove(h); err != nil {
		return fmt.Errorf("delete blob %s: %w", h, err)
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	_, ok, err := b.lookUp(blobKey(h))
	if err != nil || !ok {
		return err
	}
	if err := b.write([]record{{kind: kindBlobDelete, hash: h}}); err != nil {
		return fmt.Errorf("delete blob %s: %w", h, err)
	}
	return nil
}

func (b blobs) List(ctx context.Context) iter.Seq2[storage.Hash, error] {
	return func(yield func(storage.Hash, error) bool) {
		firsts, err := b.firstBytes(ctx)
		if err != nil {
			yield(storage.Hash{}, err)
			return
		}
		// Files and records are each in order, a first byte at a time.
		for _, first := range firsts {
			hashes, err := b.listFrom(ctx, first)
			if err != nil {
				yield(storage.Hash{}, err)
				return
			}
			for _, h := range hashes {
				if !yield(h, nil) {
					return
				}
			}
		}
	}
}

// firstBytes gives the bytes that hashes of blobs may begin with, in order.
func (b blobs) firstBytes(ctx context.Context) ([]byte, error) {
	if err := b.calls.begin(ctx); err != nil {
		return nil, err
	}
	defer b.calls.leave()
	firsts, err := b.Store.blobs.firstBytes()
	if err != nil {
		return nil, err
	}
	for after := ""; ; {
		keys, err := b.index.Load().keys(string(keyBlob), after, 1)
		if err != nil || len(keys) == 0 {
			slices.Sort(firsts)
			return slices.Compact(firsts), b.spoiled(err)
		}
		firsts = append(firsts, keys[0][1])
		after = keys[0][:2] + strings.Repeat("\xff", len(storage.Hash{}))
	}
}

// listFrom gives the blobs whose hashes begin with first, in order.
func (b blobs) listFrom(ctx context.Context, first byte) ([]storage.Hash, error) {
	if err := b.calls.begin(ctx); err != nil {
		return nil, err
	}
	defer b.calls.leave()
	hashes, err := b.Store.blobs.list(hex.EncodeToString([]byte{first}))
	if err != nil {
		return nil, err
	}
	b.list(ctx, string([]byte{keyBlob, first}), "", func(key string, keyErr error) bool {
		if keyErr != nil {
			err = keyErr
			return false
		}
		_, ok, lookErr := b.lookUp(key)
		if ok {
			hashes = append(hashes, storage.Hash([]byte(key[1:])))
		}
		err = lookErr
		return err == nil
	})
	slices.SortFunc(hashes, func(a, b storage.Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(hashes), err
}
