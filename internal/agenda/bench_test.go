package agenda

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/waterbear-run/waterbear/internal/id"
	"github.com/waterbear-run/waterbear/internal/oplog"
	"github.com/waterbear-run/waterbear/internal/sched"
	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/storage/memory"
)

const million = 1_000_000

func sleeping(n int) id.Worker {
	return id.Worker{Component: "shop", Name: fmt.Sprintf("order-%010d", n)}
}

// maxWorkerBytes is what a worker on a large agenda may take in memory.
const maxWorkerBytes = 200

// fill gives a calendar of n workers and the bytes that it takes for each.
func fill(n int) (calendar, float64) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := newCalendar()
	for i := range n {
		c.set(sleeping(i), oplog.Time(1+rand.Int64N(1<<60)))
	}
	return c, float64(heap()-before) / float64(n)
}

func TestAWorkerOnALargeAgendaTakesLittleMemory(t *testing.T) {
	// Doubling tables are at their worst somewhere between.
	for _, n := range []int{100_000, 120_000, 150_000} {
		c, each := fill(n)
		if each > maxWorkerBytes {
			t.Errorf("each of %d workers takes %.0f bytes, more than %d", n, each, maxWorkerBytes)
		}
		runtime.KeepAlive(c)
	}
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		c, each := fill(million)
		b.ReportMetric(each, "B/worker")
		runtime.KeepAlive(c)
	}
}

// BenchmarkSet moves workers of a million to other times.
func BenchmarkSet(b *testing.B) {
	c, _ := fill(million)
	workers := make([]id.Worker, 1<<16)
	for i := range workers {
		workers[i] = sleeping(rand.IntN(million))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.set(workers[i%len(workers)], oplog.Time(1+rand.Int64N(1<<60)))
	}
}

// stored is a log with an entry for each of n workers.
func stored(b *testing.B, n int) storage.Logs {
	logs := memory.New().Logs()
	p := start(b, sched.NewGoroutines(), logs, defaultLimits)
	for i := range n {
		p.Set(sleeping(i), oplog.Time(1+rand.Int64N(1<<60)))
		if i%1000 == 0 {
			p.commit(p.c.NewWriter(worker(i), 0))
		}
	}
	p.stop()
	return logs
}

func BenchmarkOpen(b *testing.B) {
	logs := stored(b, million)
	for b.Loop() {
		a := &Agenda{Config: Config{Logs: logs}, calendar: newCalendar()}
		if err := a.read(context.Background()); err != nil || a.Len() != million {
			b.Fatal(err, a.Len())
		}
	}
	b.ReportMetric(million*float64(b.N)/b.Elapsed().Seconds()/1e6, "M-entries/s")
}

// BenchmarkDecode is the part of Open that reads entries.
func BenchmarkDecode(b *testing.B) {
	logs := stored(b, million)
	for b.Loop() {
		n := 0
		for _, err := range oplog.Read(context.Background(), logs, Worker, 1, 0) {
			if n++; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(million*float64(b.N)/b.Elapsed().Seconds()/1e6, "M-entries/s")
}
