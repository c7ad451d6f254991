package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/waterbear-run/waterbear/internal/storage"
)

func (f *fixture) blob(h storage.Hash) []byte {
	f.Helper()
	r, err := f.store.Blobs().Get(ctx, h)
	f.must(err)
	content, err := io.ReadAll(r)
	f.must(err)
	f.must(r.Close())
	return content
}

// contents are blobs below, at and above the sizes that matter.
func contents() [][]byte {
	var all [][]byte
	for _, size := range []int{0, 1, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 3 << 20} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i * size >> 3)
		}
		all = append(all, b)
	}
	return all
}

func blobsAreKeptByContent(_ *testing.T, f *fixture) {
	var hashes []storage.Hash
	for _, content := range contents() {
		for range 2 {
			h, size, err := f.store.Blobs().Put(ctx, iotest.OneByteReader(bytes.NewReader(content)))
			if len(content) > 100_000 {
				h, size, err = f.store.Blobs().Put(ctx, bytes.NewReader(content))
			}
			f.must(err)
			equal(f, "size", size, int64(len(content)))
			equal(f, "hash", h, storage.Hash(sha256.Sum256(content)))
		}
		hashes = append(hashes, sha256.Sum256(content))
	}
	f.andReopened(func() {
		for i, content := range contents() {
			if !bytes.Equal(f.blob(hashes[i]), content) {
				f.Fatalf("the blob of %d bytes is another", len(content))
			}
		}
		f.blobsAre(hashes)
	})
	for _, h := range hashes[1:] {
		r, err := f.store.Blobs().Get(ctx, h)
		f.must(err)
		f.must(f.store.Blobs().Delete(ctx, h))
		if _, err := io.Copy(io.Discard, r); err != nil {
			f.Fatalf("reading on after the blob was deleted: %v", err)
		}
		f.must(r.Close())
		_, err = f.store.Blobs().Get(ctx, h)
		f.want(err, storage.ErrNotFound)
	}
	f.andReopened(func() { f.blobsAre(hashes[:1]) })
	_, _, err := f.store.Blobs().Put(ctx, bytes.NewReader(contents()[2]))
	f.must(err)
	f.andReopened(func() { f.blob(hashes[2]) })
}

func (f *fixture) blobsAre(want []storage.Hash) {
	f.Helper()
	var got []storage.Hash
	for h, err := range f.store.Blobs().List(ctx) {
		f.must(err)
		got = append(got, h)
	}
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b storage.Hash) int { return bytes.Compare(a[:], b[:]) })
	if !slices.Equal(got, want) {
		f.Fatalf("got blobs %v, want %v", got, want)
	}
}

func manyBlobsAtOnceAreKept(_ *testing.T, f *fixture) {
	all := contents()
	for i := range 300 {
		all = append(all, fmt.Appendf(nil, "small blob %d", i%250))
	}
	stored, err := f.store.Blobs().PutAll(ctx, func(yield func(io.Reader) bool) {
		for _, content := range all {
			if !yield(bytes.NewReader(content)) {
				return
			}
		}
	})
	f.must(err)
	equal(f, "blobs stored", len(stored), len(all))
	f.andReopened(func() {
		for i, content := range all {
			equal(f, "size", stored[i].Size, int64(len(content)))
			if !bytes.Equal(f.blob(stored[i].Hash), content) {
				f.Fatalf("blob %d is another", i)
			}
		}
	})
}

func anUnreadableBlobIsNotKept(_ *testing.T, f *fixture) {
	broken := errors.New("broken")
	for _, size := range []int{10, 1 << 20} {
		r := io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(broken))
		_, _, err := f.store.Blobs().Put(ctx, r)
		f.want(err, broken)
		_, err = f.store.Blobs().PutAll(ctx, func(yield func(io.Reader) bool) {
			yield(io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(broken)))
		})
		f.want(err, broken)
	}
	f.andReopened(func() { f.blobsAre(nil) })
}

func cellsChangeOnlyFromTheExpectedVersion(_ *testing.T, f *fixture) {
	cells := func() storage.Cells { return f.store.Cells() }
	_, err := cells().Put(ctx, "k", 1, []byte("x"))
	f.want(err, storage.ErrConflict)
	one, err := cells().Put(ctx, "k", 0, []byte("one"))
	f.must(err)
	_, err = cells().Put(ctx, "k", 0, []byte("x"))
	f.want(err, storage.ErrConflict)
	two, err := cells().Put(ctx, "k", one, []byte("two"))
	f.must(err)
	if one == 0 || two <= one {
		f.Fatalf("versions %d and %d", one, two)
	}
	f.andReopened(func() {
		value, version, err := cells().Get(ctx, "k")
		f.must(err)
		equal(f, "value", string(value), "two")
		equal(f, "version", version, two)
		_, err = cells().Put(ctx, "k", one, []byte("x"))
		f.want(err, storage.ErrConflict)
		f.want(cells().Delete(ctx, "k", one), storage.ErrConflict)
		f.want(cells().Delete(ctx, "none", 1), storage.ErrConflict)
	})
	f.must(cells().Delete(ctx, "k", two))
	f.andReopened(func() {
		_, _, err = cells().Get(ctx, "k")
		f.want(err, storage.ErrNotFound)
	})
}

func cellVersionsNeverComeTwice(_ *testing.T, f *fixture) {
	seen := uint64(0)
	for range 3 {
		version, err := f.store.Cells().Put(ctx, "k", 0, nil)
		f.must(err)
		if version <= seen {
			f.Fatalf("version %d after %d", version, seen)
		}
		seen = version
		f.must(f.store.Cells().Delete(ctx, "k", version))
		f.store = f.subject.Reopen(f.T, f.store)
	}
}

func aDamagedCellCanBeReplacedAndDeleted(t *testing.T, f *fixture) {
	if f.subject.Damage == nil {
		t.Skip("this store cannot be damaged")
	}
	cells := func() storage.Cells { return f.store.Cells() }
	for i, key := range []string{"replaced", "deleted"} {
		value := fmt.Appendf(nil, "the value that will be damaged, number %d", i)
		version, err := cells().Put(ctx, key, 0, value)
		f.must(err)
		// So that the damage is not at the end, where it looks like a torn write.
		_, err = cells().Put(ctx, "behind "+key, 0, []byte("x"))
		f.must(err)
		f.subject.Damage(t, f.store, value)
		f.andReopened(func() {
			var corrupt *storage.CorruptError
			value, got, err := cells().Get(ctx, key)
			if !errors.As(err, &corrupt) || value != nil || got != version {
				f.Fatalf("%q: got %q, version %d, %v, want version %d and a *storage.CorruptError", key, value, got, err, version)
			}
			size, got, err := cells().Size(ctx, key)
			f.must(err)
			equal(f, "size", size, len("the value that will be damaged, number 0"))
			equal(f, "version", got, version)
			_, err = cells().Put(ctx, key, version-1, nil)
			f.want(err, storage.ErrConflict)
		})
		if key == "deleted" {
			f.must(cells().Delete(ctx, key, version))
			f.andReopened(func() {
				_, _, err := cells().Get(ctx, key)
				f.want(err, storage.ErrNotFound)
			})
			continue
		}
		version, err = cells().Put(ctx, key, version, []byte("whole"))
		f.must(err)
		f.andReopened(func() {
			value, got, err := cells().Get(ctx, key)
			f.must(err)
			equal(f, "value", string(value), "whole")
			equal(f, "version", got, version)
		})
	}
}

func cellsAreListedByPrefix(_ *testing.T, f *fixture) {
	for _, key := range []string{"b", "a/2", "a/1", "a", "a0", "\xff\xff", "\x00"} {
		_, err := f.store.Cells().Put(ctx, key, 0, []byte(key))
		f.must(err)
	}
	for i := range 300 {
		_, err := f.store.Cells().Put(ctx, fmt.Sprintf("many/%03d", i), 0, nil)
		f.must(err)
	}
	f.andReopened(func() {
		for prefix, want := range map[string]int{"many/": 300, "": 307, "none": 0} {
			n := 0
			for _, err := range f.store.Cells().List(ctx, prefix, "") {
				f.must(err)
				n++
			}
			equal(f, "cells below "+prefix, n, want)
		}
		for prefix, want := range map[string]string{"a": "a a/1 a/2 a0", "a/": "a/1 a/2", "\xff": "\xff\xff"} {
			var got []string
			for key, err := range f.store.Cells().List(ctx, prefix, "") {
				f.must(err)
				got = append(got, key)
			}
			equal(f, "cells below "+prefix, strings.Join(got, " "), want)
		}
		for _, c := range []struct{ prefix, after, want string }{
			{"a", "a", "a/1 a/2 a0"},
			{"a", "a/10", "a/2 a0"},
			{"a/", "a", "a/1 a/2"},
			{"a/", "a/2", ""},
			{"a/", "b", ""},
			{"many/", "many/297", "many/298 many/299"},
			{"", "many/299", "\xff\xff"},
		} {
			var got []string
			for key, err := range f.store.Cells().List(ctx, c.prefix, c.after) {
				f.must(err)
				got = append(got, key)
			}
			equal(f, "cells below "+c.prefix+" behind "+c.after, strings.Join(got, " "), c.want)
		}
	})
}

func aCallThatIsCancelledDoesNothing(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	f.want(f.store.Logs().Append(cancelled, 0, 1, 0, []storage.Chunk{chunk(a, 1, 1)}), context.Canceled)
	_, err := f.store.Cells().Put(cancelled, "k", 0, nil)
	f.want(err, context.Canceled)
	_, _, err = f.store.Blobs().Put(cancelled, strings.NewReader("x"))
	f.want(err, context.Canceled)
	for _, err := range f.store.Logs().Read(cancelled, a, 1, 0) {
		f.want(err, context.Canceled)
	}
	f.bounds(a, 1, 0)
	f.blobsAre(nil)
	f.append(0, 1, chunk(a, 1, 1))
}

func aClosedStoreRefuses(_ *testing.T, f *fixture) {
	f.acquire(0, 1)
	f.must(f.store.Close())
	f.must(f.store.Close())
	logs, a := f.store.Logs(), worker("a")
	f.want(logs.Append(ctx, 0, 1, 0, []storage.Chunk{chunk(a, 1, 1)}), storage.ErrClosed)
	f.want(logs.Delete(ctx, 0, 1, a), storage.ErrClosed)
	_, err := logs.Acquire(ctx, 0, 2)
	f.want(err, storage.ErrClosed)
	_, _, err = logs.Bounds(ctx, a)
	f.want(err, storage.ErrClosed)
	for _, err := range logs.Read(ctx, a, 1, 0) {
		f.want(err, storage.ErrClosed)
	}
	_, _, err = f.store.Cells().Get(ctx, "k")
	f.want(err, storage.ErrClosed)
	_, err = f.store.Blobs().Get(ctx, storage.Hash{})
	f.want(err, storage.ErrClosed)
	_, _, err = f.store.Blobs().Put(ctx, strings.NewReader("x"))
	f.want(err, storage.ErrClosed)
}
