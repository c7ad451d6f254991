package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// keeperSource is a library that keeps what it is given, in Go's heap.
const keeperSource = `package main

import "strings"

var (
	words = map[int32]string{}
	lists [][]byte
)

//go:wasmexport keep
func keep(n int32) int32 {
	words[n] = strings.Repeat("word", int(uint32(n)%100))
	return int32(len(words))
}

//go:wasmexport allocate
func allocate(kilobytes int32) int32 {
	list := make([]byte, uint32(kilobytes)%2000<<10)
	for i := range list {
		list[i] = byte(i)
	}
	lists = append(lists, list)
	return int32(len(lists))
}

//go:wasmexport sum
func sum() (total int32) {
	for n, word := range words {
		total += n ^ int32(len(word))
	}
	for _, list := range lists {
		total += int32(len(list))
	}
	return total
}

//go:wasmexport fail
func fail(n int32) int32 { return int32(len(lists[n])) }

func main() {}
`

// sample is a guest whose calls end, and what it needs.
type sample struct {
	name   string
	source []byte
	begin  string // to be called once
}

func samples(t testing.TB) []sample {
	return []sample{
		{name: "kit", source: guests.Wasm(t, "kit"), begin: "_initialize"},
		{name: "effects", source: guests.Wasm(t, "effects")},
		{name: "Go", source: buildGo(t, keeperSource, "-buildmode=c-shared"), begin: "_initialize"},
	}
}

const sampleMemory = 24 << 20

// player makes the same calls on instances, and tells what came of them.
type player struct {
	sample
	module *wasm.Module
	hosts  []*wasm.Host
	calls  []string // to be made in any order
}

func newPlayer(t testing.TB, e *wasm.Engine, s sample) *player {
	t.Helper()
	m := compile(t, e, s.source)
	p := &player{sample: s, module: m, hosts: []*wasm.Host{preview1(t, e, m)}}
	endless := []string{"spin", "chatter", "clockwork"}
	for _, x := range m.Exports() {
		if x.Name != s.begin && !slices.Contains(endless, x.Name) {
			p.calls = append(p.calls, x.Name)
		}
	}
	return p
}

func (p *player) config(out *bytes.Buffer) wasm.InstanceConfig {
	return wasm.InstanceConfig{Hosts: p.hosts, State: out, MaxMemory: sampleMemory, MaxStack: 1 << 20}
}

// play makes n calls that a seed decides.
func (p *player) play(in *wasm.Instance, seed int64, n int) string {
	var story strings.Builder
	step := func(name string, stack []uint64) {
		err := in.Call(context.Background(), name, stack)
		fmt.Fprintln(&story, name, stack, err)
	}
	if p.begin != "" {
		step(p.begin, nil)
	}
	r := rand.New(rand.NewSource(seed))
	for range n {
		stack := make([]uint64, 8)
		for i := range stack {
			stack[i] = uint64(r.Intn(300))
		}
		step(p.calls[r.Intn(len(p.calls))], stack)
	}
	return story.String()
}

// differences tells where two instances are not the same.
func differences(a, b *wasm.Instance) error {
	if !slices.Equal(a.Globals(), b.Globals()) {
		return fmt.Errorf("globals %x and %x", a.Globals(), b.Globals())
	}
	x, y := a.Memory(), b.Memory()
	if len(x) != len(y) {
		return fmt.Errorf("memories of %d and %d bytes", len(x), len(y))
	}
	for at := 0; at < len(x); at += 4096 {
		if !bytes.Equal(x[at:at+4096], y[at:at+4096]) {
			return fmt.Errorf("memories differ in the page at %d", at)
		}
	}
	return nil
}

func TestRecycledInstanceIsLikeAFreshOne(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			engines(t, func(t *testing.T, e *wasm.Engine) {
				if s.name == "Go" && strings.HasSuffix(t.Name(), "interpreter") {
					t.Skip("the interpreter takes seconds for it")
				}
				p := newPlayer(t, e, s)
				var out, freshOut bytes.Buffer
				recycled := instantiate(t, p.module, p.config(&out))
				for seed := range int64(6) {
					story := p.play(recycled, 100+seed, 12)
					recycled.Stop(errors.New("it was stopped"))
					out.Reset()
					freshOut.Reset()
					if err := recycled.Recycle(p.config(&out)); err != nil {
						t.Fatalf("%v, after:\n%s", err, story)
					}
					fresh, err := p.module.Instantiate(context.Background(), p.config(&freshOut))
					if err != nil {
						t.Fatal(err)
					}
					if err := differences(recycled, fresh); err != nil {
						t.Errorf("seed %d: recycled and fresh: %v", seed, err)
					}
					if got, want := p.play(recycled, seed, 12), p.play(fresh, seed, 12); got != want {
						t.Errorf("seed %d: recycled:\n%s\nfresh:\n%s", seed, got, want)
					}
					if err := differences(recycled, fresh); err != nil {
						t.Errorf("seed %d: after the same calls: %v", seed, err)
					}
					if out.String() != freshOut.String() {
						t.Errorf("seed %d: recycled wrote %q, fresh %q", seed, out.String(), freshOut.String())
					}
					if err := fresh.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestRecycledInstanceHasItsNewConfiguration(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		// Growing ends at the limit, and gives the number of pages.
		in := load(t, e, grower(100), wasm.InstanceConfig{MaxMemory: 8 << 16, State: "old"})
		for _, pages := range []uint64{8, 4, 8, 1} {
			if err := in.Recycle(wasm.InstanceConfig{MaxMemory: pages << 16, State: pages}); err != nil {
				t.Fatal(err)
			}
			stack := make([]uint64, 1)
			if err := in.Call(context.Background(), "grow", stack); err != nil || stack[0] != pages {
				t.Errorf("with a limit of %d pages it grows to %d, %v", pages, stack[0], err)
			}
			if in.State() != pages {
				t.Errorf("the state is %v, want %v", in.State(), pages)
			}
		}
	})
}

func TestRecyclingGivesMemoryBackToTheBudget(t *testing.T) {
	e := newEngine(t, wasm.Config{MaxMemory: 9 << 16})
	m := compile(t, e, grower(-1).binary())
	one, two := instantiate(t, m, wasm.InstanceConfig{MaxMemory: 8 << 16}), instantiate(t, m, wasm.InstanceConfig{MaxMemory: 8 << 16})
	for range 3 {
		if err := call(one, "grow", 0); err != nil {
			t.Fatal(err)
		}
		if err := call(two, "grow", 0); !errors.Is(err, wasm.ErrMemoryExhausted) {
			t.Fatalf("got %v, want %v", err, wasm.ErrMemoryExhausted)
		}
		for _, in := range []*wasm.Instance{one, two} {
			if err := in.Recycle(wasm.InstanceConfig{MaxMemory: 8 << 16}); err != nil {
				t.Fatal(err)
			}
		}
		one, two = two, one
	}
}

func TestRecyclingIsRefused(t *testing.T) {
	host := func(e *wasm.Engine) *wasm.Host {
		h, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
			Name: "f", Params: []wasm.ValueType{wasm.I32}, Results: []wasm.ValueType{wasm.I32},
			Call: func(*wasm.Instance, []uint64) { panic("a defect") },
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	tables := func() *guest {
		g := &guest{}
		g.table(1, 10)
		g.function("grow", nil, nil, nil, byte(0xd0), byte(0x70), opI32Const, int64(1), byte(0xfc), 15, 0, opDrop)
		return g
	}
	for _, c := range []struct {
		name, call string
		guest      *guest
		hosts      bool
		change     func(e *wasm.Engine, c *wasm.InstanceConfig)
		want       string
	}{
		{name: "after a stack overflow", guest: recursion(3), call: "run", want: "overflowed the stack"},
		{name: "after a defect of the host", guest: hostCallerGuest(), hosts: true, call: "run", want: "failed in the host"},
		{name: "at the maximum of the memory", guest: grower(10), call: "grow", want: "maximum of 655360 bytes"},
		{name: "with changed tables", guest: tables(), call: "grow", want: "table.grow"},
		{
			name: "with a larger limit", guest: grower(-1), want: "made for 524288 bytes",
			change: func(_ *wasm.Engine, c *wasm.InstanceConfig) { c.MaxMemory *= 2 },
		},
		{
			name: "with a limit below the least", guest: grower(-1), want: "at least 65536 bytes",
			change: func(_ *wasm.Engine, c *wasm.InstanceConfig) { c.MaxMemory = 1 },
		},
		{
			name: "with other hosts", guest: hostCallerGuest(), hosts: true, want: "other hosts",
			change: func(e *wasm.Engine, c *wasm.InstanceConfig) { c.Hosts = []*wasm.Host{host(e)} },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, wasm.Config{})
			config := wasm.InstanceConfig{MaxMemory: 1 << 20}
			if c.change != nil {
				config.MaxMemory = 8 << 16
			}
			if c.hosts {
				config.Hosts = []*wasm.Host{host(e)}
			}
			in := load(t, e, c.guest, config)
			if c.call != "" {
				_ = call(in, c.call, 1<<30)
			}
			if c.change != nil {
				c.change(e, &config)
			}
			if err := in.Recycle(config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %q", err, c.want)
			}
			if in.Recycle(config) == nil {
				t.Error("an instance that could not be recycled was recycled later")
			}
		})
	}
}

func TestModuleThatIsClosedServesItsInstances(t *testing.T) {
	e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	m := compile(t, e, guests.Wasm(t, "kit"))
	config := wasm.InstanceConfig{Hosts: []*wasm.Host{preview1(t, e, m)}}
	in := instantiate(t, m, config)
	want := bytes.Clone(in.Memory())
	for range 2 {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Instantiate(context.Background(), config); err == nil {
		t.Fatal("a module that is closed was instantiated")
	}
	clear(in.Memory())
	if err := in.Recycle(config); err != nil || !bytes.Equal(in.Memory(), want) {
		t.Errorf("recycling gives other memory, or %v", err)
	}
}
