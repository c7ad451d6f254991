package storagetest

import (
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
)

func truncationKeepsTheRest(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	for i := range uint64(4) {
		f.append(0, 1, chunk(a, 1+3*i, 3))
	}
	f.must(f.store.Logs().Truncate(ctx, 0, 1, a, 5))
	f.must(f.store.Logs().Truncate(ctx, 0, 1, a, 2))
	f.must(f.store.Logs().Truncate(ctx, 0, 1, worker("b"), 2))
	f.andReopened(func() {
		equal(f, "entries", f.read(a, 5, 0), "4-6 7-9 10-12")
		first, last, err := f.store.Logs().Bounds(ctx, a)
		f.must(err)
		if first > 5 || last != 12 {
			f.Fatalf("bounds %d and %d", first, last)
		}
		// Whatever is within them can be read, from anywhere to anywhere.
		for from := first; from <= last; from++ {
			for to := from; to <= last; to++ {
				next := from
				for c, err := range f.store.Logs().Read(ctx, a, from, to) {
					f.must(err)
					if c.First > next {
						break
					}
					next = c.Last() + 1
				}
				if next <= to {
					f.Fatalf("the entries %d to %d end before %d", from, to, next)
				}
			}
		}
	})
	f.append(0, 1, chunk(a, 13, 1))
}

func truncationOfAllKeepsThePlace(_ *testing.T, f *fixture) {
	a := worker("a")
	f.acquire(0, 1)
	f.append(0, 1, chunk(a, 1, 3))
	f.must(f.store.Logs().Truncate(ctx, 0, 1, a, 99))
	f.andReopened(func() {
		f.bounds(a, 4, 3)
		equal(f, "entries", f.read(a, 0, 0), "")
		equal(f, "workers", f.workers(id.Worker{}), "")
		f.want(f.store.Logs().Append(ctx, 0, 1, 1, []storage.Chunk{chunk(a, 1, 1)}), storage.ErrGap)
	})
	f.append(0, 1, chunk(a, 4, 2))
	f.andReopened(func() { f.bounds(a, 4, 5) })
}
