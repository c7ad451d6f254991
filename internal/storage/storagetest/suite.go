// Package storagetest is the contract of package storage as a suite, a model
// to compare implementations with, and a store that fails on demand.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// Subject is an implementation to test.
type Subject struct {
	// Open makes an empty store.
	Open func(t testing.TB) storage.Store
	// Reopen closes a store that Open or Reopen gave and opens it again.
	Reopen func(t testing.TB, s storage.Store) storage.Store
	// Crash, if set, opens what is left of a store after a power failure.
	Crash func(t testing.TB, s storage.Store) storage.Store
	// Damage, if set, damages the one cell that has this value, in the store.
	Damage func(t testing.TB, s storage.Store, value []byte)
	// Slow leaves out the model, which makes tens of thousands of calls.
	Slow bool
}

// Faulty gives the same subject with faults, retried.
func (s Subject) Faulty(faults ...Fault) Subject {
	wrap := func(store storage.Store) storage.Store {
		return Retrying(Faulty(store, Alternate(faults...)))
	}
	unwrap := func(store storage.Store) storage.Store {
		return store.(*retrying).Store.(*faulty).store
	}
	f := Subject{
		Slow:   s.Slow,
		Open:   func(t testing.TB) storage.Store { return wrap(s.Open(t)) },
		Reopen: func(t testing.TB, store storage.Store) storage.Store { return wrap(s.Reopen(t, unwrap(store))) },
	}
	if s.Crash != nil {
		f.Crash = func(t testing.TB, store storage.Store) storage.Store { return wrap(s.Crash(t, unwrap(store))) }
	}
	if s.Damage != nil {
		f.Damage = func(t testing.TB, store storage.Store, value []byte) { s.Damage(t, unwrap(store), value) }
	}
	return f
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	for _, test := range []struct {
		property string
		check    func(*testing.T, *fixture)
	}{
		{"AnEmptyStoreHasNothing", emptyStoreHasNothing},
		{"WhatWasAppendedIsRead", whatWasAppendedIsRead},
		{"ReadsGiveTheChunksOfTheirRange", readsGiveTheChunksOfTheirRange},
		{"TheCallerMayReuseTheBytes", theCallerMayReuseTheBytes},
		{"AnOldEpochIsFenced", anOldEpochIsFenced},
		{"AWrongHeadIsFenced", aWrongHeadIsFenced},
		{"TheSameSegmentAgainIsRecognized", theSameSegmentAgainIsRecognized},
		{"AGapIsRefusedWhole", aGapIsRefusedWhole},
		{"WhatIsTooLargeIsRefusedWhole", whatIsTooLargeIsRefusedWhole},
		{"TheLargestChunkIsTaken", theLargestChunkIsTaken},
		{"ShardsAreIndependent", shardsAreIndependent},
		{"TruncationKeepsTheRest", truncationKeepsTheRest},
		{"TruncationOfAllKeepsThePlace", truncationOfAllKeepsThePlace},
		{"ADeletedLogBeginsAgain", aDeletedLogBeginsAgain},
		{"WorkersAreListedInOrder", workersAreListedInOrder},
		{"BlobsAreKeptByContent", blobsAreKeptByContent},
		{"ManyBlobsAtOnceAreKept", manyBlobsAtOnceAreKept},
		{"AnUnreadableBlobIsNotKept", anUnreadableBlobIsNotKept},
		{"CellsChangeOnlyFromTheExpectedVersion", cellsChangeOnlyFromTheExpectedVersion},
		{"CellVersionsNeverComeTwice", cellVersionsNeverComeTwice},
		{"ADamagedCellCanBeReplacedAndDeleted", aDamagedCellCanBeReplacedAndDeleted},
		{"CellsAreListedByPrefix", cellsAreListedByPrefix},
		{"ACallThatIsCancelledDoesNothing", aCallThatIsCancelledDoesNothing},
		{"AClosedStoreRefuses", aClosedStoreRefuses},
	} {
		t.Run(test.property, func(t *testing.T) {
			f := &fixture{T: t, subject: s, store: s.Open(t), heads: map[id.Shard]uint64{}}
			t.Cleanup(func() { _ = f.store.Close() })
			test.check(t, f)
		})
	}
	if !s.Slow {
		t.Run("ItBehavesAsTheModel", func(t *testing.T) { checkModel(t, s) })
	}
}

var ctx = context.Background()

// fixture is a store under test and what a well-behaved owner knows.
type fixture struct {
	*testing.T
	subject Subject
	store   storage.Store
	heads   map[id.Shard]uint64
}

// reopen runs check on the store as it is and as it is after opening again.
func (f *fixture) andReopened(check func()) {
	f.Helper()
	check()
	f.store = f.subject.Reopen(f.T, f.store)
	check()
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) want(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

func (f *fixture) acquire(shard id.Shard, epoch id.Epoch) {
	f.Helper()
	head, err := f.store.Logs().Acquire(ctx, shard, epoch)
	f.must(err)
	if head != f.heads[shard] {
		f.Fatalf("shard %d has head %d, want %d", shard, head, f.heads[shard])
	}
}

func (f *fixture) append(shard id.Shard, epoch id.Epoch, segment ...storage.Chunk) {
	f.Helper()
	f.must(f.store.Logs().Append(ctx, shard, epoch, f.heads[shard], segment))
	f.heads[shard]++
}

func worker(name string) id.Worker { return id.Worker{Component: "test", Name: name} }

func chunk(w id.Worker, first uint64, count uint32) storage.Chunk {
	return storage.Chunk{Worker: w, First: first, Count: count, Bytes: fmt.Appendf(nil, "%s %d-%d", w.Name, first, first+uint64(count)-1)}
}

// read gives the ranges read and checks the bytes that chunk made.
func (f *fixture) read(w id.Worker, from, to uint64) string {
	f.Helper()
	var ranges []string
	for c, err := range f.store.Logs().Read(ctx, w, from, to) {
		f.must(err)
		if want := chunk(c.Worker, c.First, c.Count); c.Worker != w || !bytes.Equal(c.Bytes, want.Bytes) {
			f.Fatalf("the chunk of %s, %d entries from %d, holds %q", c.Worker, c.Count, c.First, c.Bytes)
		}
		ranges = append(ranges, fmt.Sprintf("%d-%d", c.First, c.Last()))
	}
	return strings.Join(ranges, " ")
}

func (f *fixture) bounds(w id.Worker, wantFirst, wantLast uint64) {
	f.Helper()
	first, last, err := f.store.Logs().Bounds(ctx, w)
	f.must(err)
	if first != wantFirst || last != wantLast {
		f.Fatalf("the log of %s goes from %d to %d, want %d to %d", w, first, last, wantFirst, wantLast)
	}
}

func (f *fixture) workers(after id.Worker) string {
	f.Helper()
	var names []string
	for w, err := range f.store.Logs().Workers(ctx, after) {
		f.must(err)
		names = append(names, w.String())
	}
	return strings.Join(names, " ")
}

func equal[T comparable](f *fixture, what string, got, want T) {
	f.Helper()
	if got != want {
		f.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func emptyStoreHasNothing(_ *testing.T, f *fixture) {
	f.andReopened(func() {
		epoch, err := f.store.Logs().Epoch(ctx, 3)
		f.must(err)
		equal(f, "epoch", epoch, 0)
		f.bounds(worker("a"), 1, 0)
		equal(f, "entries", f.read(worker("a"), 1, 0), "")
		equal(f, "workers", f.workers(id.Worker{}), "")
		_, err = f.store.Blobs().Get(ctx, storage.Hash{1})
		f.want(err, storage.ErrNotFound)
		f.must(f.store.Blobs().Delete(ctx, storage.Hash{1}))
		_, _, err = f.store.Cells().Get(ctx, "a")
		f.want(err, storage.ErrNotFound)
		_, _, err = f.store.Cells().Size(ctx, "a")
		f.want(err, storage.ErrNotFound)
		for range f.store.Blobs().List(ctx) {
			f.Fatal("there is a blob")
		}
		for range f.store.Cells().List(ctx, "", "") {
			f.Fatal("there is a cell")
		}
		f.want(f.store.Logs().Append(ctx, 0, 0, 0, []storage.Chunk{chunk(worker("a"), 1, 1)}), storage.ErrFenced)
	})
}

func whatWasAppendedIsRead(_ *testing.T, f *fixture) {
	a, b := worker("a"), worker("b")
	f.acquire(1, 1)
	f.append(1, 1, chunk(a, 1, 3), chunk(b, 1, 1))
	f.append(1, 1, chunk(b, 2, 2), chunk(a, 4, 1), chunk(a, 5, 2))
	f.andReopened(func() {
		equal(f, "entries of a", f.read(a, 1, 0), "1-3 4-4 5-6")
		equal(f, "entries of b", f.read(b, 1, 0), "1-1 2-3")
		f.bounds(a, 1, 6)
		f.bounds(b, 1, 3)
		epoch, err := f.store.Logs().Epoch(ctx, 1)
		f.must(err)
		equal(f, "epoch", epoch, 1)
	})
	f.acquire(1, 2)
	f.append(1, 2, chunk(a, 7, 1))
	f.andReopened(func() { equal(f, "entries of a", f.read(a, 1, 0), "1-3 4-4 5-6 7-7") })
}

func readsGiveTheChunksOfTheirRange(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	for i := range uint64(5) {
		f.append(0, 1, chunk(a, 1+3*i, 3))
	}
	f.andReopened(func() {
		for _, test := range []struct {
			from, to uint64
			want     string
		}{
			{1, 15, "1-3 4-6 7-9 10-12 13-15"},
			{0, 0, "1-3 4-6 7-9 10-12 13-15"},
			{3, 3, "1-3"},
			{3, 4, "1-3 4-6"},
			{5, 5, "4-6"},
			{8, 0, "7-9 10-12 13-15"},
			{15, 99, "13-15"},
			{16, 0, ""},
			{16, 99, ""},
		} {
			equal(f, fmt.Sprintf("from %d to %d", test.from, test.to), f.read(a, test.from, test.to), test.want)
		}
		for range f.store.Logs().Read(ctx, a, 1, 0) {
			break
		}
	})
}

func theCallerMayReuseTheBytes(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	for i := range uint64(3) {
		c := chunk(a, 1+i, 1)
		f.append(0, 1, c)
		clear(c.Bytes)
	}
	f.andReopened(func() { equal(f, "entries", f.read(a, 1, 0), "1-1 2-2 3-3") })
}

func anOldEpochIsFenced(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 5)
	f.append(0, 5, chunk(a, 1, 1))
	f.acquire(0, 5)
	f.acquire(0, 6)
	f.andReopened(func() {
		logs := f.store.Logs()
		f.want(logs.Append(ctx, 0, 5, 1, []storage.Chunk{chunk(a, 2, 1)}), storage.ErrFenced)
		f.want(logs.Append(ctx, 0, 7, 1, []storage.Chunk{chunk(a, 2, 1)}), storage.ErrFenced)
		_, err := logs.Acquire(ctx, 0, 5)
		f.want(err, storage.ErrFenced)
		f.want(logs.Truncate(ctx, 0, 5, a, 2), storage.ErrFenced)
		f.want(logs.Delete(ctx, 0, 5, a), storage.ErrFenced)
		equal(f, "entries", f.read(a, 1, 0), "1-1")
		epoch, err := logs.Epoch(ctx, 0)
		f.must(err)
		equal(f, "epoch", epoch, 6)
	})
	f.append(0, 6, chunk(a, 2, 1))
}

func aWrongHeadIsFenced(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	f.append(0, 1, chunk(a, 1, 1))
	f.append(0, 1, chunk(a, 2, 1))
	f.andReopened(func() {
		for _, head := range []uint64{0, 1, 3} {
			f.want(f.store.Logs().Append(ctx, 0, 1, head, []storage.Chunk{chunk(a, 3, 1)}), storage.ErrFenced)
		}
		equal(f, "entries", f.read(a, 1, 0), "1-1 2-2")
	})
}

func theSameSegmentAgainIsRecognized(_ *testing.T, f *fixture) {
	a, b := worker("a"), worker("b")
	f.acquire(0, 1)
	f.append(0, 1, chunk(a, 1, 1))
	f.append(0, 1, chunk(a, 2, 1), chunk(b, 1, 4))
	f.andReopened(func() {
		logs := f.store.Logs()
		f.must(logs.Append(ctx, 0, 1, 1, []storage.Chunk{chunk(a, 2, 1), chunk(b, 1, 4)}))
		other := chunk(b, 1, 4)
		other.Bytes[0]++
		f.want(logs.Append(ctx, 0, 1, 1, []storage.Chunk{chunk(a, 2, 1), other}), storage.ErrFenced)
		f.want(logs.Append(ctx, 0, 1, 1, []storage.Chunk{chunk(a, 2, 1)}), storage.ErrFenced)
		f.want(logs.Append(ctx, 0, 1, 0, []storage.Chunk{chunk(a, 1, 1)}), storage.ErrFenced)
		equal(f, "entries of a", f.read(a, 1, 0), "1-1 2-2")
		equal(f, "entries of b", f.read(b, 1, 0), "1-4")
	})
	f.acquire(0, 2)
	f.want(f.store.Logs().Append(ctx, 0, 2, 1, []storage.Chunk{chunk(a, 2, 1), chunk(b, 1, 4)}), storage.ErrFenced)
	f.append(0, 2, chunk(a, 3, 1))
}

func aGapIsRefusedWhole(_ *testing.T, f *fixture) {
	a, b := worker("a"), worker("b")
	f.acquire(0, 1)
	f.append(0, 1, chunk(a, 1, 3))
	logs := f.store.Logs()
	for _, first := range []uint64{1, 3, 5} {
		f.want(logs.Append(ctx, 0, 1, 1, []storage.Chunk{chunk(b, 1, 1), chunk(a, first, 1)}), storage.ErrGap)
	}
	f.want(logs.Append(ctx, 0, 1, 1, []storage.Chunk{chunk(b, 2, 1)}), storage.ErrGap)
	f.want(logs.Append(ctx, 0, 1, 1, []storage.Chunk{chunk(b, 1, 2), chunk(b, 4, 1)}), storage.ErrGap)
	f.bounds(b, 1, 0)
	f.append(0, 1, chunk(b, 1, 1), chunk(a, 4, 1))
}

func whatIsTooLargeIsRefusedWhole(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	logs := f.store.Logs()
	large := chunk(a, 2, 1)
	large.Bytes = make([]byte, storage.MaxChunk+1)
	f.want(logs.Append(ctx, 0, 1, 0, []storage.Chunk{chunk(a, 1, 1), large}), storage.ErrTooLarge)
	var many []storage.Chunk
	for i := range uint64(storage.MaxSegment/storage.MaxChunk + 1) {
		c := chunk(a, 1+i, 1)
		c.Bytes = large.Bytes[:storage.MaxChunk]
		many = append(many, c)
	}
	f.want(logs.Append(ctx, 0, 1, 0, many), storage.ErrTooLarge)
	many = slices.Repeat([]storage.Chunk{chunk(a, 1, 1)}, storage.MaxChunks+1)
	f.want(logs.Append(ctx, 0, 1, 0, many), storage.ErrTooLarge)
	for _, bad := range [][]storage.Chunk{nil, {chunk(a, 0, 1)}, {{Worker: a, First: 1}}, {chunk(a, ^uint64(0), 2)}} {
		if logs.Append(ctx, 0, 1, 0, bad) == nil {
			f.Fatalf("%v was taken", bad)
		}
	}
	f.want(logs.Append(ctx, 0, 1, 0, []storage.Chunk{{Worker: id.Worker{Component: "a", Name: "../b"}, First: 1, Count: 1}}), id.ErrName)
	_, err := f.store.Cells().Put(ctx, strings.Repeat("k", storage.MaxCellKey+1), 0, nil)
	f.want(err, storage.ErrTooLarge)
	_, err = f.store.Cells().Put(ctx, "k", 0, make([]byte, storage.MaxCellValue+1))
	f.want(err, storage.ErrTooLarge)
	_, err = f.store.Cells().Put(ctx, strings.Repeat("k", storage.MaxCellKey), 0, make([]byte, storage.MaxCellValue))
	f.must(err)
	f.append(0, 1, chunk(a, 1, 1))
}

func theLargestChunkIsTaken(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	c := storage.Chunk{Worker: a, First: 1, Count: 1, Bytes: bytes.Repeat([]byte("0123456789abcdef"), storage.MaxChunk/16)}
	empty := storage.Chunk{Worker: a, First: 2, Count: 1}
	f.append(0, 1, c, empty)
	f.andReopened(func() {
		n := 0
		for got, err := range f.store.Logs().Read(ctx, a, 1, 0) {
			f.must(err)
			n++
			if n == 1 && !bytes.Equal(got.Bytes, c.Bytes) || n == 2 && len(got.Bytes) != 0 {
				f.Fatalf("chunk %d holds other bytes", n)
			}
		}
		equal(f, "chunks", n, 2)
	})
}

func shardsAreIndependent(_ *testing.T, f *fixture) {
	f.acquire(0, 1)
	f.acquire(7, 4)
	f.append(7, 4, chunk(worker("a"), 1, 1))
	f.append(0, 1, chunk(worker("b"), 1, 1))
	f.append(7, 4, chunk(worker("a"), 2, 1))
	f.andReopened(func() {
		f.acquire(0, 1)
		f.acquire(7, 4)
		f.want(f.store.Logs().Append(ctx, 7, 1, 2, []storage.Chunk{chunk(worker("a"), 3, 1)}), storage.ErrFenced)
	})
}

func aDeletedLogBeginsAgain(_ *testing.T, f *fixture) {
	a, b := worker("a"), worker("b")
	f.acquire(0, 1)
	f.append(0, 1, chunk(a, 1, 3), chunk(b, 1, 1))
	f.append(0, 1, chunk(a, 4, 3))
	f.must(f.store.Logs().Truncate(ctx, 0, 1, a, 4))
	f.must(f.store.Logs().Delete(ctx, 0, 1, a))
	f.must(f.store.Logs().Delete(ctx, 0, 1, worker("none")))
	f.andReopened(func() {
		f.bounds(a, 1, 0)
		equal(f, "entries", f.read(a, 1, 0), "")
		equal(f, "workers", f.workers(id.Worker{}), "test/b")
	})
	f.append(0, 1, chunk(a, 1, 2))
	f.andReopened(func() { equal(f, "entries", f.read(a, 1, 0), "1-2") })
}

func workersAreListedInOrder(_ *testing.T, f *fixture) {
	f.acquire(0, 1)
	all := []id.Worker{
		{Component: "a", Name: "z"},
		{Component: "a-b", Name: "a"},
		{Component: "a.b", Name: "a"},
		{Component: "ab", Name: "a"},
		{Component: "ab", Name: "a-1"},
		{Component: "ab", Name: "a1"},
		{Component: "b", Name: "1"},
	}
	for i := range 600 {
		all = append(all, id.Worker{Component: "c", Name: fmt.Sprintf("%04d", i)})
	}
	var segment []storage.Chunk
	for i := range all {
		segment = append(segment, chunk(all[len(all)-1-i], 1, 1), chunk(all[len(all)-1-i], 2, 1))
	}
	f.append(0, 1, segment...)
	f.andReopened(func() {
		for _, skip := range []int{0, 1, 3, 300, len(all)} {
			var after id.Worker
			if skip > 0 {
				after = all[skip-1]
			}
			var got []id.Worker
			for w, err := range f.store.Logs().Workers(ctx, after) {
				f.must(err)
				got = append(got, w)
			}
			if !slices.Equal(got, all[skip:]) {
				f.Fatalf("after %v: got %v", after, got)
			}
		}
	})
}
