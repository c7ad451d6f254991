//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// syncs counts how often the servers ask the disk to keep what they have written,
// for each call. It slows all down, so nothing else is measured meanwhile.
func (b *bench) syncs(ctx context.Context) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("%w: install it, or leave syncs out of -workloads", err)
	}
	if err := b.fresh(ctx); err != nil {
		return err
	}
	var flows atomic.Int64
	for _, l := range []struct {
		workload      string
		clients, each int
		call          func(client int) error
	}{
		{"w1", 1, 100, func(int) error { _, err := b.add(ctx, b.name("syncs", 0)); return err }},
		{"w1", 100, 10, func(i int) error { _, err := b.add(ctx, b.name("syncs", int64(i))); return err }},
		{"w2", 64, 5, func(int) error {
			_, err := b.system.say(ctx, verbFlow, "{id}", b.name("syncs", flows.Add(1)), "{n}", fmt.Sprint(stepsOfFlow))
			return err
		}},
	} {
		n, err := b.countSyncs(ctx, func() error { return repeat(l.clients, l.each, l.call) })
		if err != nil {
			return err
		}
		p := point{Workload: "syncs-" + l.workload, Clients: l.clients, Figures: map[string]float64{"syncs/call": n / float64(l.clients*l.each)}}
		if err := b.emit(p); err != nil {
			return err
		}
	}
	return nil
}

// repeat has so many clients make so many calls each.
func repeat(clients, each int, call func(client int) error) error {
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for range each {
				if err := call(i); err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// countSyncs counts those of the servers while f runs.
func (b *bench) countSyncs(ctx context.Context, f func() error) (float64, error) {
	table := filepath.Join(b.dir, "syncs.txt")
	args := []string{"-f", "-c", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o", table}
	for _, r := range b.system.running {
		if r.role == roleServer {
			for _, pid := range familyOf(r.pid()) {
				args = append(args, "-p", strconv.Itoa(pid))
			}
		}
	}
	trace := exec.CommandContext(ctx, "strace", args...)
	if err := trace.Start(); err != nil {
		return 0, err
	}
	pause(ctx, 1500*time.Millisecond) // it has attached by then
	err := f()
	_ = trace.Process.Signal(syscall.SIGINT)
	_ = trace.Wait() // it says that it was interrupted
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(table)
	if err != nil {
		return 0, err
	}
	return sumOfCalls(string(text)), nil
}

// sumOfCalls adds up the table that strace -c prints.
func sumOfCalls(table string) (n float64) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		switch f[len(f)-1] {
		case "fsync", "fdatasync", "sync_file_range", "msync":
			n += number(f[3])
		}
	}
	return n
}
