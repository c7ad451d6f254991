package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// captured captures and applies, until nothing differs.
func captured(t testing.TB, in *wasm.Instance, s *wasm.Saved) *wasm.Change {
	t.Helper()
	c, err := in.Capture(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(c); err != nil {
		t.Fatal(err)
	}
	if again, err := in.Capture(s); err != nil || len(again.Runs) > 0 || again.Pages > 0 {
		t.Fatalf("after applying %d runs differ, %v", len(again.Runs), err)
	}
	return c
}

// TestNobodyCanTellWhereAGuestHasBeen makes the same calls on an instance that
// nothing happens to, on one whose state is captured after each, and in instances
// that take turns.
func TestNobodyCanTellWhereAGuestHasBeen(t *testing.T) {
	all := samples(t)
	trackers(t, func(t *testing.T, e *wasm.Engine) {
		for _, large := range []int{1, 1 << 20} {
			e.SetLargePages(large)
			for _, s := range all {
				p := newPlayer(t, e, s)
				var out bytes.Buffer
				still, stays := instantiate(t, p.module, p.config(&out)), instantiate(t, p.module, p.config(&out))
				shells := []*wasm.Instance{instantiate(t, p.module, p.config(&out)), instantiate(t, p.module, p.config(&out))}
				kept, moves, other := p.module.NewSaved(), p.module.NewSaved(), p.module.NewSaved()
				for seed := range int64(8) {
					want := p.play(still, seed, 6)
					if got := p.play(stays, seed, 6); got != want {
						t.Fatalf("%s, seed %d: captured:\n%s\nundisturbed:\n%s", s.name, seed, got, want)
					}
					captured(t, stays, kept)
					in := shells[seed%2]
					if err := in.Restore(moves); err != nil {
						t.Fatal(err)
					}
					if got := p.play(in, seed, 6); got != want {
						t.Fatalf("%s, seed %d: moved:\n%s\nundisturbed:\n%s", s.name, seed, got, want)
					}
					captured(t, in, moves)
					for _, x := range []*wasm.Instance{stays, in} {
						if err := differences(x, still); err != nil {
							t.Fatalf("%s, seed %d: %v", s.name, seed, err)
						}
					}
					if err := in.Restore(other); err != nil {
						t.Fatal(err)
					}
					p.play(in, 100+seed, 3)
					captured(t, in, other)
				}
				for _, s := range []*wasm.Saved{kept, moves, other} {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}

func TestAnEvictedInstanceHasNoPagesOfItsOwn(t *testing.T) {
	for _, large := range []int{0, 1 << 20} {
		e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
		if e.Tracker() == wasm.TrackCompare {
			t.Skip("nothing can tell here")
		}
		e.SetLargePages(large)
		m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
		in := instantiate(t, m, wasm.InstanceConfig{})
		s := m.NewSaved()
		defer s.Close()
		pages := func(when string, want int) {
			t.Helper()
			if got, err := in.OwnPages(); err != nil || got != want {
				t.Errorf("large from %d: %s: %d pages, %v, want %d", large, when, got, err, want)
			}
		}
		for range 3 {
			if err := in.Restore(s); err != nil {
				t.Fatal(err)
			}
			if err := call(in, "fill", 3*wasm.PageSize, 1, 8*wasm.PageSize); err != nil {
				t.Fatal(err)
			}
			pages("after a call", 8)
			captured(t, in, s)
			captured(t, in, s) // which watches it
			if err := in.Recycle(wasm.InstanceConfig{}); err != nil {
				t.Fatal(err)
			}
			pages("evicted", 0)
		}
	}
}

// TestManyStatesInOneInstanceLeaveNoMappings counts what the kernel has of them.
func TestManyStatesInOneInstanceLeaveNoMappings(t *testing.T) {
	mappings := func() int {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return bytes.Count(maps, []byte("\n"))
	}
	e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	in := instantiate(t, m, wasm.InstanceConfig{})
	before := mappings()
	for i := range 200 {
		e.SetLargePages(i % 3 * 4)
		s := m.NewSaved()
		for k := range 3 {
			if err := in.Restore(s); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name  string
				stack []uint64
			}{{"grow", []uint64{1}}, {"fill", []uint64{uint64(wasm.PageSize * (i + k) % 9), 1, 5 * wasm.PageSize}}} {
				if err := in.Call(context.Background(), c.name, c.stack); err != nil {
					t.Fatal(err)
				}
			}
			captured(t, in, s)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// An instance has about five: what it shows before, in and behind its image,
	// what has grown, and what is not accessible.
	if after := mappings(); after > before+10 {
		t.Errorf("there were %d mappings, and there are %d", before, after)
	}
}

func TestACallThatFailedIsRolledBack(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, guests.Wasm(t, "kit"))
	in := instantiate(t, m, wasm.InstanceConfig{Hosts: []*wasm.Host{preview1(t, e, m)}})
	s := m.NewSaved()
	defer s.Close()
	if err := in.Call(context.Background(), "_initialize", nil); err != nil {
		t.Fatal(err)
	}
	if err := in.Call(context.Background(), "inc", []uint64{5}); err != nil {
		t.Fatal(err)
	}
	captured(t, in, s)
	for range 3 {
		want, globals := bytes.Clone(in.Memory()), fmt.Sprint(in.Globals())
		var trap *wasm.Trap
		if err := in.Call(context.Background(), "fail", nil); !errors.As(err, &trap) {
			t.Fatalf("got %v, want a trap", err)
		}
		if bytes.Equal(in.Memory(), want) {
			t.Fatal("the call has not changed anything")
		}
		if err := in.Restore(s); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(in.Globals()); !bytes.Equal(in.Memory(), want) || got != globals {
			t.Errorf("the memory is another, or globals %s, want %s", got, globals)
		}
		stack := []uint64{1}
		if err := in.Call(context.Background(), "inc", stack); err != nil {
			t.Fatal(err)
		}
		captured(t, in, s)
	}
}

func TestStatesOfEverySizeAreRestored(t *testing.T) {
	const most = 65535 // pages, of 64 KiB: one less than there can be
	for _, c := range []struct {
		name        string
		least, most int
		grow        []int // to how many pages, one state after the other
		limit       uint64
	}{
		{"which cannot grow", 3, 3, []int{3, 3}, 0},
		{"which is at its maximum", 1, 4, []int{4, 4}, 0},
		{"which can have everything", 1, -1, []int{most, 1, most, 20, 1}, 65536 << 16},
		{"which begins large", 40000, -1, []int{40001, 40000, 50000}, most << 16},
	} {
		for _, large := range []int{0, 1 << 20} {
			t.Run(fmt.Sprintf("memory %s, large from %d", c.name, large), func(t *testing.T) {
				e := newEngine(t, wasm.Config{CacheDir: t.TempDir(), MaxMemory: 3 * 65536 << 16})
				e.SetLargePages(large)
				m := compile(t, e, scribbler(c.least, c.most).binary())
				in, other := instantiate(t, m, wasm.InstanceConfig{MaxMemory: c.limit}), instantiate(t, m, wasm.InstanceConfig{MaxMemory: c.limit})
				for _, pages := range c.grow {
					s := m.NewSaved()
					if err := in.Restore(s); err != nil {
						if c.grow[0] == c.most && strings.Contains(err.Error(), "maximum") {
							in = instantiate(t, m, wasm.InstanceConfig{MaxMemory: c.limit}) // as it should be
						} else {
							t.Fatal(err)
						}
					}
					if err := call(in, "grow", uint64(pages-c.least)); err != nil {
						t.Fatal(err)
					}
					end := uint64(pages) << 16
					for _, at := range []uint64{0, end/2 - 2, end - 4} {
						if err := call(in, "store", at, 0x01010101); err != nil {
							t.Fatal(err)
						}
					}
					change := captured(t, in, s)
					if change.Size != end || s.Size() != end || len(change.Runs) != 3 {
						t.Errorf("%d bytes, %d runs", change.Size, len(change.Runs))
					}
					if err := other.Restore(s); err != nil {
						t.Fatal(err)
					}
					memory := other.Memory()
					if got := memory[end-4]; uint64(len(memory)) != end || got != 1 {
						t.Errorf("%d bytes, the last ones are %d", len(memory), got)
					}
					// Each byte that is there can be reached, and none beyond.
					if err := call(other, "store", end-4, 7); err != nil {
						t.Error(err)
					}
					if err := call(other, "store", end-3, 7); pages < 65536 && err == nil {
						t.Error("a store beyond the end went well")
					}
					if got := e.Reserved(); got < 2*end {
						t.Errorf("%d bytes are accounted for, and two instances have %d each", got, end)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestAModuleWithoutMemoryHasStatesToo(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g := &guest{}
	count := g.global(typeI32, opI32Const, int64(5))
	g.function("count", nil, []byte{typeI32}, nil,
		opGlobalGet, count, opI32Const, int64(1), opI32Add, opGlobalSet, count, opGlobalGet, count)
	m := compile(t, e, g.binary())
	in, s := instantiate(t, m, wasm.InstanceConfig{}), m.NewSaved()
	defer s.Close()
	for want := uint64(6); want < 9; want++ {
		stack := make([]uint64, 1)
		if err := in.Call(context.Background(), "count", stack); err != nil || stack[0] != want {
			t.Errorf("got %d, %v, want %d", stack[0], err, want)
		}
		captured(t, in, s)
		if err := call(in, "count", 0); err != nil {
			t.Fatal(err)
		}
		if err := in.Restore(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestoringIsRefused(t *testing.T) {
	closedState := func(m *wasm.Module) *wasm.Saved {
		s := m.NewSaved()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	larger := func(m *wasm.Module) *wasm.Saved {
		s := m.NewSaved()
		if err := s.Resize(9 << 16); err != nil {
			t.Fatal(err)
		}
		return s
	}
	fresh := func(m *wasm.Module) *wasm.Saved { return m.NewSaved() }
	for _, c := range []struct {
		name, call, want string
		guest            *guest
		state            func(m *wasm.Module) *wasm.Saved
		budget           uint64
	}{
		{"after a stack overflow", "run", "overflowed the stack", recursion(3), fresh, 0},
		{"at the maximum of the memory", "grow", "maximum of 655360 bytes", grower(10), fresh, 0},
		{"beyond the limit", "", "may have 524288 bytes, not 589824", grower(-1), larger, 0},
		{"beyond what there is", "", wasm.ErrMemoryExhausted.Error(), grower(-1), larger, 2 << 16},
		{"of a closed state", "", wasm.ErrClosed.Error(), grower(-1), closedState, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, wasm.Config{MaxMemory: c.budget})
			m := compile(t, e, c.guest.binary())
			config := wasm.InstanceConfig{MaxMemory: 8 << 16}
			if c.budget > 0 || c.call != "" {
				config.MaxMemory = 16 << 16
			}
			in, s := instantiate(t, m, config), c.state(m)
			defer s.Close()
			if c.call != "" {
				_ = call(in, c.call, 1<<30)
			}
			err := in.Restore(s)
			if size := len(in.Memory()); c.call == "" && size != 1<<16 {
				t.Errorf("it has %d bytes now", size)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %q", err, c.want)
			}
			if c.budget > 0 && !errors.Is(err, wasm.ErrMemoryExhausted) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStatesOfOtherModulesAreRefused(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	kit, other := compile(t, e, guests.Wasm(t, "kit")), compile(t, e, scribbler(2, -1).binary())
	in := instantiate(t, other, wasm.InstanceConfig{})
	s := kit.NewSaved()
	defer s.Close()
	_, captureErr := in.Capture(s)
	for _, err := range []error{in.Restore(s), captureErr} {
		if err == nil || !strings.Contains(err.Error(), "another module") {
			t.Errorf("got %v", err)
		}
	}
}
