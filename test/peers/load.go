//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// call is one call of a load: when it began, counted from the load's beginning, and
// how long it took.
type call struct{ at, took time.Duration }

// A point is measured for longer, up to so many times, until each client has had an
// answer.
const maxLonger = 10

// load has so many clients each make one call after the other, and measures the
// calls that end after the warm-up.
func (b *bench) load(ctx context.Context, clients int, f func(ctx context.Context, client int) error) (point, error) {
	began := time.Now()
	var answered, end atomic.Int64 // end is when no call begins any more
	end.Store(int64(b.warm + maxLonger*b.seconds))
	bounded, cancel := context.WithTimeout(ctx, time.Duration(end.Load())+time.Minute)
	defer cancel()
	calls := make([][]call, clients)
	errs := make([]error, clients)
	failures := make([]int, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for bounded.Err() == nil {
				at := time.Since(began)
				if at >= time.Duration(end.Load()) {
					return
				}
				if err := f(bounded, i); err != nil {
					errs[i] = err
					failures[i]++
					pause(bounded, 5*time.Millisecond)
					continue
				}
				calls[i] = append(calls[i], call{at, time.Since(began) - at})
				answered.Add(1)
			}
		})
	}
	pause(ctx, b.warm)
	before := b.system.usage()
	earlier := answered.Load()
	for range maxLonger {
		pause(ctx, b.seconds)
		if answered.Load()-earlier >= int64(clients) {
			break
		}
	}
	after := b.system.usage()
	measured := time.Since(began)
	end.Store(0)
	wg.Wait()
	if ctx.Err() != nil {
		return point{}, ctx.Err()
	}
	p := point{Clients: clients, Figures: figures(calls, b.warm, measured, before, after)}
	for i, err := range errs {
		p.Figures["errors"] += float64(failures[i])
		if err != nil {
			p.Note = err.Error()
		}
	}
	if p.Figures["calls/s"] == 0 {
		return p, fmt.Errorf("no call came to an end: %s", p.Note)
	}
	return p, nil
}

// figures are rates of what ended between warm and end, and the times of what also
// began there.
func figures(calls [][]call, warm, end time.Duration, before, after usage) map[string]float64 {
	var n float64
	var took []time.Duration
	for _, list := range calls {
		for _, c := range list {
			if ended := c.at + c.took; ended < warm || ended > end {
				continue
			}
			n++
			if c.at >= warm {
				took = append(took, c.took)
			}
		}
	}
	slices.Sort(took)
	each := func(v float64) float64 { return v / max(n, 1) }
	return map[string]float64{
		"calls/s": n / after.at.Sub(before.at).Seconds(),
		"p50-ms":  quantile(took, 0.5), "p99-ms": quantile(took, 0.99), "max-ms": quantile(took, 1),
		"server-us": each(1e6 * (after.server - before.server)), "service-us": each(1e6 * (after.service - before.service)),
		"client-us": each(1e6 * (after.self - before.self)), "written-B": each(after.written - before.written),
		"errors": 0, "other-cores": others(before, after),
	}
}

// quantile of times in order, in milliseconds.
func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	return ms(took[min(int(q*float64(len(took))), len(took)-1)])
}
