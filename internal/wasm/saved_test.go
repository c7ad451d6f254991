package wasm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// being is a worker in a test: the state that is kept, and what it should be.
type being struct {
	saved   *wasm.Saved
	base    []byte // what saved is relative to
	memory  []byte // of saved
	globals []uint64
	// While it is in an instance:
	in   *wasm.Instance
	now  []byte
	tick []uint64
}

// history makes a sequence of operations on beings and instances that a seed
// decides, and checks after each that everything is what it should be.
type history struct {
	t       *testing.T
	r       *rand.Rand
	seed    int64
	e       *wasm.Engine
	module  *wasm.Module
	small   bool // instances do not see what is written to their states
	base    []byte
	config  wasm.InstanceConfig
	beings  []*being
	free    []*wasm.Instance
	globals []uint64          // of a fresh instance
	sum     [sha256.Size]byte // of all changes that were captured
	all     []*wasm.Instance
}

func newHistory(t *testing.T, e *wasm.Engine, seed int64, small bool) *history {
	h := &history{t: t, small: small, r: rand.New(rand.NewSource(seed)), seed: seed, e: e, config: wasm.InstanceConfig{MaxMemory: 32 << 16}}
	h.module = compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	for range 3 {
		h.free = append(h.free, instantiate(t, h.module, h.config))
	}
	h.all = slices.Clone(h.free)
	h.base, h.globals = bytes.Clone(h.free[0].Memory()), h.free[0].Globals()
	return h
}

// create makes a being.
func (h *history) create() *being {
	return &being{saved: h.module.NewSaved(), base: h.base, memory: bytes.Clone(h.base), globals: []uint64{7}}
}

func (h *history) fatal(format string, arguments ...any) {
	h.t.Helper()
	h.t.Fatalf("seed %d: %s", h.seed, fmt.Sprintf(format, arguments...))
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.fatal("%v", err)
	}
}

// same fails unless two memories are.
func (h *history) same(what string, got, want []byte) {
	h.t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	if len(got) != len(want) {
		h.fatal("%s: %d bytes, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			h.fatal("%s: byte %d (of page %d) is %d, want %d", what, i, i/wasm.PageSize, got[i], want[i])
		}
	}
}

// run makes n random steps.
func (h *history) run(n int) {
	for range n {
		switch k := h.r.Intn(20); {
		case len(h.beings) == 0 || k == 0 && len(h.beings) < 12:
			h.beings = append(h.beings, h.create())
		case k == 1:
			h.fork(h.any())
		case k == 2:
			h.close(h.any())
		default:
			b := h.any()
			if b.in == nil && !h.enter(b) {
				continue
			}
			h.step(b)
		}
	}
	for len(h.beings) > 0 {
		h.check(h.beings[0])
		h.close(h.beings[0])
	}
}

func (h *history) any() *being { return h.beings[h.r.Intn(len(h.beings))] }

// enter gives a being an instance.
func (h *history) enter(b *being) bool {
	if len(h.free) == 0 {
		victim := h.beings[h.r.Intn(len(h.beings))]
		if victim.in == nil {
			return false
		}
		h.leave(victim)
	}
	last := len(h.free) - 1
	b.in, h.free = h.free[last], h.free[:last]
	if h.r.Intn(2) == 0 {
		h.must(b.in.Recycle(h.config))
	}
	h.restore(b)
	return true
}

func (h *history) restore(b *being) {
	h.t.Helper()
	h.must(b.in.Restore(b.saved))
	b.now, b.tick = bytes.Clone(b.memory), slices.Clone(b.globals)
	h.whole(b)
}

// whole checks the instance of a being.
func (h *history) whole(b *being) {
	h.t.Helper()
	h.same("memory of the instance", b.in.Memory(), b.now)
	if got := b.in.Globals()[:1]; !slices.Equal(got, b.tick) {
		h.fatal("globals %v, want %v", got, b.tick)
	}
}

func (h *history) leave(b *being) {
	if h.r.Intn(2) == 0 {
		h.must(b.in.Recycle(h.config))
		h.same("memory of a recycled instance", b.in.Memory(), h.base)
	}
	h.free = append(h.free, b.in)
	b.in = nil
}

func (h *history) close(b *being) {
	if b.in != nil {
		h.leave(b)
	}
	h.must(b.saved.Close())
	h.must(b.saved.Close())
	h.beings = slices.DeleteFunc(h.beings, func(x *being) bool { return x == b })
}

// fork makes another being of the state that is saved of one, page by page.
func (h *history) fork(b *being) {
	h.check(b)
	c := h.create()
	if len(c.memory) > len(b.memory) {
		h.must(c.saved.Close())
		return
	}
	h.must(c.saved.Resize(b.saved.Size()))
	for at := 0; at < len(b.memory); at += wasm.PageSize {
		h.must(c.saved.Write(uint64(at), b.memory[at:at+wasm.PageSize]))
	}
	h.must(c.saved.SetGlobals(append(slices.Clone(b.globals), h.globals[1:]...)))
	c.memory, c.globals = bytes.Clone(b.memory), slices.Clone(b.globals)
	h.check(c)
	h.beings = append(h.beings, c)
}

// check compares what is saved with what it should be.
func (h *history) check(b *being) {
	h.t.Helper()
	got, pages := make([]byte, b.saved.Size()), 0
	copy(got, b.base)
	next := uint64(0)
	h.must(b.saved.Visit(func(at uint64, page []byte) bool {
		if at < next || at%wasm.PageSize != 0 || len(page) != wasm.PageSize {
			h.fatal("%d bytes at %d after those before %d", len(page), at, next)
		}
		next = at + wasm.PageSize
		pages++
		copy(got[at:], page)
		return true
	}))
	h.same("saved memory", got, b.memory)
	if want := len(changedFrom(b.base, b.memory)); pages != want || b.saved.Pages() != want {
		h.fatal("%d pages are saved, %d are said to be, want %d", pages, b.saved.Pages(), want)
	}
}

// step does one thing to a being in its instance.
func (h *history) step(b *being) {
	h.t.Helper()
	size := len(b.now)
	at := h.r.Intn(size - 4)
	length := min(h.r.Intn(6*wasm.PageSize), size-at)
	value := byte(h.r.Intn(3))
	call := func(name string, stack ...uint64) {
		h.must(b.in.Call(context.Background(), name, stack))
		b.tick[0]++
	}
	switch h.r.Intn(20) {
	case 0, 1, 2:
		call("store", uint64(at), uint64(value))
		copy(b.now[at:], []byte{value, 0, 0, 0})
	case 3:
		call("fill", uint64(at), uint64(value), uint64(length))
		copy(b.now[at:], bytes.Repeat([]byte{value}, length))
	case 4: // brings pages of the base image back, among others
		page := at / wasm.PageSize * wasm.PageSize
		copy(b.in.Memory()[page:], h.base[:min(len(h.base), size-page)])
		copy(b.now[page:], h.base[:min(len(h.base), size-page)])
	case 5:
		from := h.r.Intn(size - length + 1)
		call("copy", uint64(at), uint64(from), uint64(length))
		copy(b.now[at:at+length], bytes.Clone(b.now[from:from+length]))
	case 6:
		page := at / wasm.PageSize * wasm.PageSize
		if page < len(h.base) {
			copy(b.in.Memory()[page:], h.base[page:page+wasm.PageSize])
			copy(b.now[page:], h.base[page:page+wasm.PageSize])
		}
	case 7:
		stack := []uint64{uint64(h.r.Intn(3))}
		want, pages := uint32(size>>16), int(stack[0])
		h.must(b.in.Call(context.Background(), "grow", stack))
		b.tick[0]++
		if size+pages<<16 > int(h.config.MaxMemory) {
			want = ^uint32(0)
		} else {
			b.now = append(b.now, make([]byte, pages<<16)...)
		}
		if uint32(stack[0]) != want {
			h.fatal("growing by %d pages gives %d, want %d", pages, stack[0], want)
		}
	case 8, 9, 10:
		h.apply(b, h.capture(b))
	case 11:
		h.capture(b)
	case 12:
		h.must(b.in.Save(b.saved))
		b.memory, b.globals = bytes.Clone(b.now), slices.Clone(b.tick)
		h.check(b)
	case 13:
		var trap *wasm.Trap
		if err := b.in.Call(context.Background(), "trap", []uint64{uint64(at), uint64(value)}); !errors.As(err, &trap) {
			h.fatal("got %v, want a trap", err)
		}
		h.restore(b)
	case 14:
		h.leave(b)
		return
	case 15:
		checkChanged(h.t, h.module, b.in, h.base, fmt.Sprintf("seed %d", h.seed)) // reads all of it
	case 16:
		h.capture(b)
		h.compare(b, h.any())
	case 17:
		h.visit(b)
	case 18:
		h.capture(b)
		h.meddle(b)
	case 19:
		if runtime.GOOS == "linux" {
			const pageOut = 21                       // MADV_PAGEOUT
			_ = unix.Madvise(b.in.Memory(), pageOut) // what cannot be paged out stays
		}
	}
	h.whole(b)
}

// capture checks that a change is exactly what has happened.
func (h *history) capture(b *being) *wasm.Change {
	h.t.Helper()
	c, err := b.in.Capture(b.saved)
	h.must(err)
	h.sum = sha256.Sum256(fmt.Append(h.sum[:], c.Size, c.Globals, c.Pages, c.Runs))
	h.checkChange(b, c, b.memory)
	return c
}

// compare captures what makes the state of another being this one.
func (h *history) compare(b, other *being) {
	h.t.Helper()
	if len(b.now) < len(other.memory) {
		return
	}
	c, err := b.in.Capture(other.saved)
	h.must(err)
	h.checkChange(b, c, other.memory)
}

// visit has another instance be the being for a while.
func (h *history) visit(b *being) {
	h.t.Helper()
	guest := &being{saved: b.saved, base: b.base, memory: b.memory, globals: b.globals}
	if len(h.free) > 0 && h.enter(guest) {
		h.capture(guest)
		h.capture(guest)
		h.leave(guest)
	}
}

// meddle changes the state behind the back of the instance.
func (h *history) meddle(b *being) {
	h.t.Helper()
	if !h.small {
		return
	}
	at := h.r.Intn(len(b.memory) - 8)
	h.must(b.saved.Write(uint64(at), []byte("meddling")))
	copy(b.memory[at:], "meddling")
	h.check(b)
}

// checkChange wants a change that makes a memory the one in the instance.
func (h *history) checkChange(b *being, c *wasm.Change, memory []byte) {
	h.t.Helper()
	was := append(bytes.Clone(memory), make([]byte, len(b.now)-len(memory))...)
	pages := len(changedFrom(was, b.now))
	if c.Pages != pages || c.Size != uint64(len(b.now)) || c.Globals[0] != b.tick[0] {
		h.fatal("the change has %d pages, %d bytes, globals %v, want %d, %d, %v", c.Pages, c.Size, c.Globals, pages, len(b.now), b.tick)
	}
	next := uint64(0)
	for _, r := range c.Runs {
		if r.Offset < next || was[r.Offset] == r.Bytes[0] || was[r.Offset+uint64(len(r.Bytes))-1] == r.Bytes[len(r.Bytes)-1] {
			h.fatal("a run of %d bytes at %d, after those before %d, begins or ends with what has not changed", len(r.Bytes), r.Offset, next)
		}
		next = r.Offset + uint64(len(r.Bytes)) + 1
		copy(was[r.Offset:], r.Bytes)
	}
	h.same("what the change makes of the memory", was, b.now)
	h.whole(b)
}

func (h *history) apply(b *being, c *wasm.Change) {
	h.t.Helper()
	h.must(b.saved.Apply(c))
	b.memory, b.globals = bytes.Clone(b.now), slices.Clone(b.tick)
	h.check(b)
}

// forms runs a test with states in slots, in files of their own, in both, and in
// memory alone.
func forms(t *testing.T, e *wasm.Engine, test func(t *testing.T, small bool)) {
	for name, large := range map[string]int{"small": 1 << 20, "large": 0, "small and large": 12} {
		t.Run(name, func(t *testing.T) {
			e.SetLargePages(large)
			test(t, name == "small")
		})
	}
	t.Run("large, more than there are files for", func(t *testing.T) {
		e.SetStateFiles(3)
		e.SetLargePages(4)
		test(t, false)
	})
	t.Run("on a disk that is often full", func(t *testing.T) {
		r, space := rand.New(rand.NewSource(1)), 1
		err := e.SetDisk(func() bool {
			if space == 0 {
				space = r.Intn(60) - 30
			}
			space -= max(-1, min(space, 1))
			return space < 0
		}, func() bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		e.SetLargePages(12)
		test(t, false)
	})
	t.Run("without files", func(t *testing.T) {
		if err := e.LoseFiles(); err != nil {
			t.Fatal(err)
		}
		e.SetLargePages(12)
		test(t, true)
	})
}

func TestASavedStateIsWhatTheInstanceWas(t *testing.T) {
	type story struct {
		seed  int64
		small bool
	}
	sums := map[story][sha256.Size]byte{}
	trackers(t, func(t *testing.T, e *wasm.Engine) {
		forms(t, e, func(t *testing.T, small bool) {
			before := e.Reserved()
			for seed := range int64(4) {
				e.SetRedundantPages(int(seed%3) * 3)
				h := newHistory(t, e, seed, small)
				h.run(200)
				if want, ok := sums[story{seed, small}]; ok && want != h.sum {
					t.Errorf("seed %d: the changes are not those of other ways", seed)
				}
				sums[story{seed, small}] = h.sum
				for _, in := range h.all {
					if err := in.Close(); err != nil {
						t.Error(err)
					}
				}
				if err := h.module.Close(); err != nil {
					t.Error(err)
				}
			}
			if files, slots := e.StateFiles(); files+slots > 0 || e.Reserved() != before {
				t.Errorf("%d files, %d slots and %d bytes of memory are left", files, slots, e.Reserved()-before)
			}
		})
	})
}

// TestStatesOfOneEngineDoNotMeet makes histories at the same time.
func TestStatesOfOneEngineDoNotMeet(t *testing.T) {
	e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	e.SetLargePages(12)
	e.SetRedundantPages(3)
	t.Run("all", func(t *testing.T) {
		for seed := range int64(6) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				newHistory(t, e, 50+seed, false).run(200)
			})
		}
	})
	if files, slots := e.StateFiles(); files+slots > 0 {
		t.Errorf("%d files and %d slots are left", files, slots)
	}
}
