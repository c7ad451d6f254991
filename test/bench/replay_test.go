package bench

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear"
)

// BenchmarkReplay has a budget: at least 1,000,000 host calls a second. It
// interrupts a program that has made many calls, and resumes it.
func BenchmarkReplay(b *testing.B) {
	const calls = 2_000_000
	program := guest(b, "calls")
	node := open(b, b.TempDir())
	command := waterbear.Command{Name: "guest", Program: program, Args: []string{"guest", "100000000"}}
	interrupted := func(entries uint64) waterbear.Worker {
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		ended := make(chan error, 1)
		go func() {
			_, err := node.Run(ctx, command)
			ended <- err
		}()
		var w waterbear.Worker
		for w.Entries < entries {
			all, err := node.Workers(ctx)
			if err != nil {
				b.Fatal(err)
			}
			for _, w = range all {
			}
		}
		cancel(waterbear.ErrInterrupted)
		if err := <-ended; !errors.Is(err, waterbear.ErrInterrupted) {
			b.Fatal(err)
		}
		return w
	}
	interrupted(calls)
	var replayed uint64
	b.ResetTimer()
	for range b.N {
		before, err := node.Worker(context.Background(), "guest")
		if err != nil {
			b.Fatal(err)
		}
		interrupted(before.Entries + 1)
		replayed += before.Entries
	}
	b.ReportMetric(float64(replayed)/b.Elapsed().Seconds(), "calls/s")
}
