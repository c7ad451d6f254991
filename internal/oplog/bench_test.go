package oplog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
)

// sink is a storage.Logs whose appends cost what sync costs and keep nothing.
type sink struct {
	storage.Logs // nil: nothing else is called
	sync         func(segment []storage.Chunk) error
	appends      int
	entries      int
}

func (*sink) Acquire(context.Context, id.Shard, id.Epoch) (uint64, error) { return 0, nil }
func (*sink) Epoch(context.Context, id.Shard) (id.Epoch, error)           { return 0, nil }

func (s *sink) Append(_ context.Context, _ id.Shard, _ id.Epoch, _ uint64, segment []storage.Chunk) error {
	s.appends++
	for _, c := range segment {
		s.entries += int(c.Count)
	}
	return s.sync(segment)
}

func noSync([]storage.Chunk) error { return nil }

// fileSync appends each segment to a file and waits for the disk.
func fileSync(b *testing.B) func([]storage.Chunk) error {
	f, err := os.Create(filepath.Join(b.TempDir(), "segments"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	// Preallocated, so that a sync writes data only, as a tuned store does.
	if _, err := f.Write(make([]byte, 64<<20)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	var offset int64
	var out []byte
	return func(segment []storage.Chunk) error {
		out = out[:0]
		for _, c := range segment {
			out = append(out, c.Bytes...)
		}
		if offset+int64(len(out)) > 64<<20 {
			offset = 0
		}
		if _, err := f.WriteAt(out, offset); err != nil {
			return err
		}
		offset += int64(len(out))
		return f.Sync()
	}
}

func BenchmarkAppendHostCall(b *testing.B) {
	s := &sink{sync: noSync}
	c := newCommitter(b, sched.NewGoroutines(), s)
	w := c.NewWriter(alice, 0)
	request, response := make([]byte, 4), make([]byte, 9)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.AppendHostCall(b.Context(), 7, request, response); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	mustClose(b, c)
}

func BenchmarkAppendLog(b *testing.B) {
	s := &sink{sync: noSync}
	c := newCommitter(b, sched.NewGoroutines(), s)
	w := c.NewWriter(alice, 0)
	log := &Log{Stream: Stdout, Bytes: make([]byte, 64)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Append(b.Context(), log); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	mustClose(b, c)
}

// BenchmarkCommit appends one entry and commits it, by several writers at once.
func BenchmarkCommit(b *testing.B) {
	stores := []struct {
		name string
		sync func(*testing.B) func([]storage.Chunk) error
	}{
		{"nosync", func(*testing.B) func([]storage.Chunk) error { return noSync }},
		{"file", fileSync},
	}
	for _, store := range stores {
		for _, writers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/writers=%d", store.name, writers), func(b *testing.B) {
				benchmarkCommit(b, &sink{sync: store.sync(b)}, writers)
			})
		}
	}
}

func benchmarkCommit(b *testing.B, s *sink, writers int) {
	c := newCommitter(b, sched.NewGoroutines(), s)
	took := make([][]time.Duration, writers)
	payload := make([]byte, 256)
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range writers {
		n := b.N / writers
		if i < b.N%writers {
			n++
		}
		took[i] = make([]time.Duration, 0, n)
		group.Go(func() {
			w := c.NewWriter(worker(i), 0)
			for range n {
				began := time.Now()
				err := w.AppendHostCall(context.Background(), 7, nil, payload)
				if err == nil {
					err = w.Commit(context.Background())
				}
				if err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	group.Wait()
	b.StopTimer()
	mustClose(b, c)
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(all[len(all)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100])/1e3, "p99-µs")
	b.ReportMetric(float64(s.entries)/float64(s.appends), "entries/flush")
}

// BenchmarkFloor is what one writer's commit cannot be faster than: the write
// and the sync alone.
func BenchmarkFloor(b *testing.B) {
	appendAndSync := fileSync(b)
	segment := []storage.Chunk{{Bytes: make([]byte, 280)}}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := appendAndSync(segment); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
}

// BenchmarkCursor reads host calls as a replay does, one or many in a chunk.
func BenchmarkCursor(b *testing.B) {
	for _, count := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d-per-chunk", count), func(b *testing.B) {
			const total = 10_000
			logs := newHooked()
			c := newCommitter(b, sched.NewGoroutines(), logs)
			w := c.NewWriter(alice, 0)
			request, response := make([]byte, 4), make([]byte, 9)
			for i := range total {
				err := w.AppendHostCall(b.Context(), 7, request, response)
				if err == nil && (i+1)%count == 0 {
					err = w.Commit(b.Context())
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			mustClose(b, c)
			cursor := NewCursor(logs, alice, 1, total)
			b.ReportAllocs()
			for b.Loop() {
				_, err := cursor.Next(b.Context())
				if errors.Is(err, ErrEnd) {
					cursor.next, cursor.chunk = 1, chunkReader{}
				} else if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M-entries/s")
		})
	}
}
