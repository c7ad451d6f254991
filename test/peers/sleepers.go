//go:build linux

package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Sleepers are started by so many clients, for at most so long.
const (
	sleeperClients = 64
	maxStarting    = 90 * time.Second
)

// sleep is w3: so many workflows that wait for an hour or to be woken. What each
// costs, and how long it takes until one of them is woken after everything was
// killed.
func (b *bench) sleep(ctx context.Context) error {
	if err := b.fresh(ctx); err != nil {
		return err
	}
	b.system.settle(ctx, 10*time.Second)
	memory := func(role string) float64 { return b.system.sum(role, memoryOf) }
	server, service, disk := memory(roleServer), memory(roleService), b.system.disk()
	before := b.system.usage()
	started, errors := b.startSleepers(ctx)
	after := b.system.usage()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	settled := b.system.settle(ctx, 45*time.Second)
	n := float64(max(started, 1))
	p := point{Workload: "w3", Figures: map[string]float64{
		"sleepers": float64(started), "errors": float64(errors), "started/s": n / after.at.Sub(before.at).Seconds(), "settled-s": settled.Seconds(),
		"server-B": (memory(roleServer) - server) / n, "service-B": (memory(roleService) - service) / n, "disk-B": (b.system.disk() - disk) / n,
		"start-us":    1e6 * (after.server - before.server + after.service - before.service) / n,
		"other-cores": others(before, after),
	}}
	live := time.Now()
	if err := b.wake(ctx, b.name("sleeper", int64(started/3))); err != nil {
		return err
	}
	p.Figures["wake-ms"] = ms(time.Since(live))
	b.system.kill("")
	pause(ctx, 500*time.Millisecond)
	restart := time.Now()
	if err := b.system.start(ctx, "", false); err != nil {
		return err
	}
	if err := b.wake(ctx, b.name("sleeper", int64(started/2))); err != nil {
		return err
	}
	p.Figures["wake-after-kill-ms"] = ms(time.Since(restart))
	b.system.settle(ctx, 10*time.Second)
	p.Figures["server-after-kill-MB"], p.Figures["service-after-kill-MB"] = memory(roleServer)/1e6, memory(roleService)/1e6
	return b.emit(p)
}

// startSleepers gives how many of them are accepted, the first ones, and how many
// tries failed.
func (b *bench) startSleepers(ctx context.Context) (started, errors int64) {
	ctx, cancel := context.WithTimeout(ctx, maxStarting)
	defer cancel()
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range sleeperClients {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(b.sleepers) {
					return
				}
				if _, err := b.system.say(ctx, verbSleep, "{id}", b.name("sleeper", i)); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return min(next.Load(), int64(b.sleepers)), failed.Load()
}

// wake wakes a sleeper, and waits for its end.
func (b *bench) wake(ctx context.Context, id string) error {
	for _, name := range []string{verbWake, verbWoken} {
		_, err := eventually(ctx, 2*time.Minute, func(ctx context.Context) error {
			_, err := b.system.say(ctx, name, "{id}", id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
