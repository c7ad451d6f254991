//go:build linux

package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// workloads are all of them, in the order in which they are run.
var workloads = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"cold", (*bench).cold},
	{"w1", (*bench).counter},
	{"w2", (*bench).flow},
	{"w5", (*bench).echoes},
	{"w3", (*bench).sleep},
	{"w4", (*bench).crash},
	{"syncs", (*bench).syncs},
}

func workloadNames() (names []string) {
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

func (b *bench) echo(ctx context.Context) error { return b.echoOf(ctx, 0) }

func (b *bench) echoOf(ctx context.Context, client int) error {
	_, err := b.system.say(ctx, verbEcho, "{n}", fmt.Sprint(client))
	return err
}

// echoClients is how many clients w5 has at most.
const echoClients = 64

// name is unique among columns and rounds.
func (b *bench) name(of string, i int64) string {
	return fmt.Sprintf("%s-%s-%d-%d", b.column.name, of, b.round, i)
}

// cold measures how soon a system answers that has been started before, and what it
// uses when nobody asks anything.
func (b *bench) cold(ctx context.Context) error {
	began := time.Now()
	if err := b.fresh(ctx); err != nil {
		return err
	}
	first := time.Since(began)
	b.system.kill("")
	began = time.Now()
	if err := b.system.start(ctx, "", false); err != nil {
		return err
	}
	answered, err := eventually(ctx, time.Minute, b.echo)
	if err != nil {
		return err
	}
	b.system.settle(ctx, 10*time.Second)
	before := b.system.usage()
	pause(ctx, 2*time.Second)
	after := b.system.usage()
	return b.emit(point{Workload: "cold", Figures: map[string]float64{
		"first-boot-ms": ms(first), "restart-ms": ms(answered.Sub(began)),
		"server-MB": b.system.sum(roleServer, memoryOf) / 1e6, "service-MB": b.system.sum(roleService, memoryOf) / 1e6,
		"idle-cores": (after.server - before.server + after.service - before.service) / after.at.Sub(before.at).Seconds(),
	}})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// counter is w1: one client with one key, and 100 with a key each. What is in the
// counters at the end is what was acknowledged.
func (b *bench) counter(ctx context.Context) error {
	if err := b.fresh(ctx); err != nil {
		return err
	}
	for _, clients := range []int{1, 100} {
		key := func(i int) string { return b.name(fmt.Sprint("key", clients), int64(i)) }
		var acknowledged atomic.Int64
		p, err := b.load(ctx, clients, func(ctx context.Context, i int) error {
			_, err := b.add(ctx, key(i))
			if err == nil {
				acknowledged.Add(1)
			}
			return err
		})
		if err != nil {
			return err
		}
		sum := int64(0)
		for i := range clients {
			total, err := b.add(ctx, key(i))
			if err != nil {
				return err
			}
			sum += total - 1
		}
		// What got no answer may have happened, so there may be more by as much.
		if n := acknowledged.Load(); sum < n || float64(sum-n) > p.Figures["errors"] {
			return fmt.Errorf("the counters have %d, and %d additions were acknowledged", sum, n)
		}
		p.Workload = "w1"
		if err := b.emit(p); err != nil {
			return err
		}
	}
	return nil
}

var integer = regexp.MustCompile(`"result":\[(\d+)\]|^"?(\d+)"?\s*$`)

// add adds 1 to a counter, and gives its value.
func (b *bench) add(ctx context.Context, key string) (int64, error) {
	answer, err := b.system.say(ctx, verbAdd, "{key}", key)
	if err != nil {
		return 0, err
	}
	m := integer.FindStringSubmatch(answer)
	if m == nil {
		return 0, fmt.Errorf("the counter answers %q", answer)
	}
	return strconv.ParseInt(m[1]+m[2], 10, 64)
}

// stepsOfFlow is how many steps a workflow of w2 has.
const stepsOfFlow = 10

// flow is w2: workflows of 10 recorded steps, each with an id of its own.
func (b *bench) flow(ctx context.Context) error {
	if err := b.fresh(ctx); err != nil {
		return err
	}
	var n atomic.Int64
	for _, clients := range []int{1, 16, 64} {
		p, err := b.load(ctx, clients, func(ctx context.Context, _ int) error {
			_, err := b.system.say(ctx, verbFlow, "{id}", b.name("flow", n.Add(1)), "{n}", fmt.Sprint(stepsOfFlow))
			return err
		})
		if err != nil {
			return err
		}
		p.Workload = "w2"
		p.Figures["steps/s"] = stepsOfFlow * p.Figures["calls/s"]
		if err := b.emit(p); err != nil {
			return err
		}
	}
	return nil
}

// echoes is w5.
func (b *bench) echoes(ctx context.Context) error {
	if err := b.fresh(ctx); err != nil {
		return err
	}
	for _, clients := range []int{1, echoClients} {
		p, err := b.load(ctx, clients, b.echoOf)
		if err != nil {
			return err
		}
		p.Workload = "w5"
		if err := b.emit(p); err != nil {
			return err
		}
	}
	return nil
}

// crash is w4: after so many steps everything is killed, or the server or the
// service alone; how long it takes until the next step is under way.
func (b *bench) crash(ctx context.Context) error {
	if err := b.fresh(ctx); err != nil {
		return err
	}
	modes := []string{""}
	if b.system.sum(roleService, func(int) float64 { return 1 }) > 0 {
		modes = []string{"", roleServer, roleService}
	}
	for _, n := range b.steps {
		for i, mode := range modes {
			p, err := b.crashOne(ctx, b.name(fmt.Sprint("crash", n), int64(i)), n, mode)
			if err != nil {
				return err
			}
			if err := b.emit(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxSteps is how long the steps before a kill may take.
const maxSteps = 5 * time.Minute

func (b *bench) crashOne(ctx context.Context, id string, n int, mode string) (point, error) {
	p := point{Workload: "w4", Steps: n, Mode: "all"}
	if mode != "" {
		p.Mode = mode
	}
	began := time.Now()
	if _, err := b.system.say(ctx, verbCrash, "{id}", id, "{n}", fmt.Sprint(n)); err != nil {
		return p, err
	}
	done, err := b.marks.await(ctx, "steps", id, maxSteps)
	if err != nil {
		return p, err
	}
	pause(ctx, time.Second) // it has begun to wait by then
	disk := b.system.disk()
	b.system.kill(mode)
	pause(ctx, 300*time.Millisecond)
	before := b.system.usage()
	restart := time.Now()
	if err := b.system.start(ctx, mode, false); err != nil {
		return p, err
	}
	woken := make(chan error, 1)
	go func() {
		_, err := eventually(ctx, 2*time.Minute, func(ctx context.Context) error {
			_, err := b.system.say(ctx, verbWake, "{id}", id)
			return err
		})
		woken <- err
	}()
	next, err := b.marks.await(ctx, "next", id, 2*time.Minute)
	if wakeErr := <-woken; err == nil {
		err = wakeErr
	}
	if err != nil {
		return p, err
	}
	p.Figures = map[string]float64{
		"next-ms": ms(next.Sub(restart)), "steps/s": float64(n) / done.Sub(began).Seconds(), "disk-MB": disk / 1e6,
		"other-cores": others(before, b.system.usage()),
	}
	return p, nil
}
