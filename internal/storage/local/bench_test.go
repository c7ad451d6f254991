package local_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/local"
	"github.com/waterbear-run/waterbear/internal/vfs"
)

var entry = bytes.Repeat([]byte("0123456789abcdef"), 16) // 256 bytes

func benchWorker(i int) id.Worker {
	return id.Worker{Component: "bench", Name: fmt.Sprintf("worker-%06d", i)}
}

// BenchmarkAppend appends segments as a committer makes them: one entry of each
// worker that waits. bare is the floor: the same bytes to one file, with one
// fdatasync for each segment.
func BenchmarkAppend(b *testing.B) {
	for _, workers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("workers=%d/bare", workers), func(b *testing.B) { benchBare(b, workers) })
		b.Run(fmt.Sprintf("workers=%d/local", workers), func(b *testing.B) { benchLocal(b, workers) })
	}
}

func benchBare(b *testing.B, workers int) {
	f, err := vfs.OS().Create(path.Join(b.TempDir(), "file"))
	must(b, err)
	defer f.Close()
	segment := bytes.Repeat(entry, workers)
	offset, allocated := int64(0), int64(0)
	for b.Loop() {
		if end := offset + int64(len(segment)); end > allocated {
			must(b, f.Allocate(allocated, end+(1<<20)))
			allocated = end + 1<<20
		}
		_, err := f.WriteAt(segment, offset)
		must(b, err)
		must(b, f.SyncData())
		offset += int64(len(segment))
	}
	b.ReportMetric(float64(b.N*workers)/b.Elapsed().Seconds(), "entries/s")
}

func benchLocal(b *testing.B, workers int) {
	dir := b.TempDir()
	s := open(b, vfs.OS(), dir, local.Options{})
	defer s.Close()
	_, err := s.Logs().Acquire(ctx, 0, 1)
	must(b, err)
	segment := make([]storage.Chunk, workers)
	for i := range segment {
		segment[i] = storage.Chunk{Worker: benchWorker(i), First: 1, Count: 1, Bytes: entry}
	}
	head := uint64(0)
	for b.Loop() {
		must(b, s.Logs().Append(ctx, 0, 1, head, segment))
		head++
		for i := range segment {
			segment[i].First++
		}
	}
	b.ReportMetric(float64(b.N*workers)/b.Elapsed().Seconds(), "entries/s")
	must(b, s.Close())
	log, index := sizes(b, dir)
	b.ReportMetric(float64(log)/float64(b.N*workers)-256, "log-overhead-B/entry")
	b.ReportMetric(float64(index)/float64(b.N*workers), "index-B/entry")
}

// sizes gives the bytes of a store's log and index.
func sizes(b *testing.B, dir string) (log, index int64) {
	for _, sub := range []string{"log", "index"} {
		names, err := vfs.OS().List(path.Join(dir, sub))
		must(b, err)
		for _, name := range names {
			size, err := vfs.OS().Stat(path.Join(dir, sub, name))
			must(b, err)
			if sub == "log" {
				log += size
			} else {
				index += size
			}
		}
	}
	return log, index
}

// fill gives a store with as many workers, which have entries in all.
func fill(b *testing.B, dir string, workers, entries int) *local.Store {
	s := open(b, vfs.OS(), dir, local.Options{})
	_, err := s.Logs().Acquire(ctx, 0, 1)
	must(b, err)
	next := make([]uint64, workers)
	head := uint64(0)
	for done := 0; done < entries; {
		var segment []storage.Chunk
		for len(segment) < 1000 && done < entries {
			w := done % workers
			next[w]++
			segment = append(segment, storage.Chunk{Worker: benchWorker(w), First: next[w], Count: 1, Bytes: entry})
			done++
		}
		must(b, s.Logs().Append(ctx, 0, 1, head, segment))
		head++
		for more := head%64 == 0; more; {
			more, err = s.Housekeep(ctx)
			must(b, err)
		}
	}
	return s
}

// BenchmarkOpen opens a store after it was closed, after its process was
// killed, and without its index.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []struct{ workers, entries int }{{1, 1}, {10_000, 10_000}, {10_000, 1_000_000}} {
		b.Run(fmt.Sprintf("workers=%d/entries=%d", size.workers, size.entries), func(b *testing.B) {
			dir := b.TempDir()
			s := fill(b, dir, size.workers, size.entries)
			killed := b.TempDir()
			copyStore(b, dir, killed)
			must(b, s.Close())
			b.Run("closed", func(b *testing.B) { benchOpen(b, dir, false) })
			b.Run("readonly", func(b *testing.B) {
				for b.Loop() {
					s, err := local.OpenReadOnly(ctx, vfs.OS(), dir)
					must(b, err)
					must(b, s.Close())
				}
			})
			b.Run("killed", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					again := b.TempDir()
					copyStore(b, killed, again)
					b.StartTimer()
					s := open(b, vfs.OS(), again, local.Options{})
					b.StopTimer()
					must(b, s.Close())
					b.StartTimer()
				}
			})
			b.Run("noindex", func(b *testing.B) { benchOpen(b, dir, true) })
		})
	}
}

func benchOpen(b *testing.B, dir string, lost bool) {
	for b.Loop() {
		b.StopTimer()
		if lost {
			removeIndex(b, vfs.OS(), dir)
		}
		b.StartTimer()
		s := open(b, vfs.OS(), dir, local.Options{})
		b.StopTimer()
		must(b, s.Close())
		b.StartTimer()
	}
}

func copyStore(b *testing.B, from, to string) {
	for _, sub := range []string{"", "log", "index"} {
		must(b, vfs.OS().MkdirAll(path.Join(to, sub)))
		names, err := vfs.OS().List(path.Join(from, sub))
		must(b, err)
		for _, name := range names {
			f, err := vfs.OS().Open(path.Join(from, sub, name))
			must(b, err)
			size, err := f.Size()
			must(b, err)
			content := make([]byte, size)
			if n, err := f.ReadAt(content, 0); n < len(content) {
				_ = f.Close() // a directory
				if sub == "" {
					continue
				}
				b.Fatal(err)
			}
			must(b, f.Close())
			out, err := vfs.OS().Create(path.Join(to, sub, name))
			must(b, err)
			_, err = out.WriteAt(content, 0)
			must(b, err)
			must(b, out.Sync())
			must(b, out.Close())
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s := fill(b, b.TempDir(), 1000, 200_000)
	defer s.Close()
	b.Run("all", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for _, err := range s.Logs().Read(ctx, benchWorker(n%1000), 1, 0) {
				must(b, err)
				n++
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "chunks/s")
	})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			i := 1 + rand.Uint64N(200)
			for _, err := range s.Logs().Read(ctx, benchWorker(rand.IntN(1000)), i, i) {
				must(b, err)
			}
		}
	})
	b.Run("bounds", func(b *testing.B) {
		for b.Loop() {
			_, _, err := s.Logs().Bounds(ctx, benchWorker(rand.IntN(1000)))
			must(b, err)
		}
	})
}
