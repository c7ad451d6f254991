package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// trackers runs a test by every tracker that there is here.
func trackers(t *testing.T, test func(t *testing.T, e *wasm.Engine)) {
	dir := t.TempDir()
	for _, tracker := range wasm.Trackers() {
		t.Run(string(tracker), func(t *testing.T) {
			e, err := wasm.New(context.Background(), wasm.Config{CacheDir: dir, Tracker: tracker})
			if err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
			if e.Tracker() != tracker {
				t.Fatalf("the tracker is %q", e.Tracker())
			}
			test(t, e)
		})
	}
}

// changed gives the pages that are not those of a fresh instance.
func changed(t testing.TB, m *wasm.Module, in *wasm.Instance) map[uint64]string {
	t.Helper()
	s, pages := m.NewSaved(), map[uint64]string{}
	defer s.Close()
	err := in.Save(s)
	if err == nil {
		err = s.Visit(func(at uint64, page []byte) bool {
			pages[at] = string(page)
			return true
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// changedFrom finds the same by comparison.
func changedFrom(base, memory []byte) map[uint64]string {
	pages := map[uint64]string{}
	for at := 0; at < len(memory); at += wasm.PageSize {
		was := make([]byte, wasm.PageSize)
		if at < len(base) {
			copy(was, base[at:])
		}
		if page := memory[at : at+wasm.PageSize]; !bytes.Equal(page, was) {
			pages[uint64(at)] = string(page)
		}
	}
	return pages
}

func checkChanged(t *testing.T, m *wasm.Module, in *wasm.Instance, base []byte, when string) {
	t.Helper()
	got, want := changed(t, m, in), changedFrom(base, in.Memory())
	if !maps.Equal(got, want) {
		t.Fatalf("%s: %d pages are said to have changed, %d have: %v, %v", when, len(got), len(want),
			slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func TestChangedPagesAreThoseThatDiffer(t *testing.T) {
	all := samples(t)
	trackers(t, func(t *testing.T, e *wasm.Engine) {
		for _, s := range all {
			p := newPlayer(t, e, s)
			var out bytes.Buffer
			in := instantiate(t, p.module, p.config(&out))
			base := bytes.Clone(in.Memory())
			checkChanged(t, p.module, in, base, s.name+" when it is fresh")
			for seed := range int64(4) {
				p.play(in, seed, 12)
				checkChanged(t, p.module, in, base, s.name+" after calls")
				p.play(in, seed+10, 12)
				checkChanged(t, p.module, in, base, s.name+" after more calls")
				if err := in.Recycle(p.config(&out)); err != nil {
					t.Fatal(err)
				}
				if pages := changed(t, p.module, in); len(pages) > 0 {
					t.Fatalf("%s: %d pages have changed when it was recycled", s.name, len(pages))
				}
				checkChanged(t, p.module, in, base, s.name+" when it was recycled")
			}
		}
	})
}

// TestChangedPagesAreFoundWhateverIsWritten writes to pages at random, zeros
// among it, and lets the machine swap them out.
func TestChangedPagesAreFoundWhateverIsWritten(t *testing.T) {
	trackers(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, guests.Wasm(t, "kit"))
		config := wasm.InstanceConfig{Hosts: []*wasm.Host{preview1(t, e, m)}}
		in := instantiate(t, m, config)
		base := bytes.Clone(in.Memory())
		if err := in.Call(context.Background(), "_initialize", nil); err != nil {
			t.Fatal(err)
		}
		if err := in.Call(context.Background(), "grow", []uint64{160}); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewSource(1))
		for round := range 6 {
			memory := in.Memory()
			for at := 0; at < len(memory); at += wasm.PageSize {
				page := memory[at : at+wasm.PageSize]
				switch r.Intn(8) {
				case 0:
					clear(page)
				case 1:
					page[r.Intn(len(page))] ^= byte(r.Intn(2))
				case 2:
					_ = bytes.Count(page, []byte{1}) // reads it
				}
			}
			checkChanged(t, m, in, base, "after writing")
			if round%2 > 0 && runtime.GOOS == "linux" {
				const pageOut = 21 // MADV_PAGEOUT
				if err := unix.Madvise(memory, pageOut); err != nil && !errors.Is(err, unix.EINVAL) {
					t.Fatal(err)
				}
				checkChanged(t, m, in, base, "after swapping")
			}
		}
	})
}

// TestChangesInManyPlacesAreAllFound has more ranges than a tracker gathers at
// once.
func TestChangesInManyPlacesAreAllFound(t *testing.T) {
	trackers(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, grower(-1).binary())
		in := instantiate(t, m, wasm.InstanceConfig{MaxMemory: 32 << 20})
		if err := call(in, "grow", 0); err != nil {
			t.Fatal(err)
		}
		base := make([]byte, 1<<16)
		memory := in.Memory()
		for at := 0; at < len(memory); at += 2 * wasm.PageSize {
			memory[at] = 1
		}
		checkChanged(t, m, in, base, "in every second page")
		for at := range memory[1<<20 : 9<<20] {
			memory[1<<20+at] = 2
		}
		checkChanged(t, m, in, base, "in 2,000 pages beside each other")
		s, seen := m.NewSaved(), 0
		defer s.Close()
		if err := in.Save(s); err != nil {
			t.Fatal(err)
		}
		err := s.Visit(func(uint64, []byte) bool { seen++; return seen < 300 })
		if err != nil || seen != 300 {
			t.Errorf("after 300 pages were enough there were %d, %v", seen, err)
		}
	})
}

func TestTrackerThatDoesNotExistIsRefused(t *testing.T) {
	_, err := wasm.New(context.Background(), wasm.Config{Tracker: "guessing"})
	if err == nil || !strings.Contains(err.Error(), "guessing") {
		t.Errorf("got %v", err)
	}
}

func TestEqualMemoriesHaveEqualBases(t *testing.T) {
	one, two := newEngine(t, wasm.Config{}), newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	kit, again := compile(t, one, guests.Wasm(t, "kit")), compile(t, two, guests.Wasm(t, "kit"))
	other := compile(t, one, guests.Wasm(t, "effects"))
	if kit.Base() != again.Base() || kit.Base() == other.Base() {
		t.Errorf("bases %x, %x of the same program, %x of another", kit.Base(), again.Base(), other.Base())
	}
}
