package wasm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

func TestRunsAreWhatItPaysToTellApart(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	in := instantiate(t, m, wasm.InstanceConfig{})
	for _, c := range []struct {
		write []int // offsets of bytes
		want  string
	}{
		{nil, "[]"},
		{[]int{0}, "[0+1]"},
		{[]int{0, 1, 2, 3}, "[0+4]"},
		{[]int{10, 14}, "[10+5]"},
		{[]int{10, 15}, "[10+1 15+1]"},
		{[]int{4093, 4097}, "[4093+5]"},
		{[]int{4093, 4098}, "[4093+1 4098+1]"},
		{[]int{8191, 8192, 100000, 131071}, "[8191+2 100000+1 131071+1]"},
	} {
		s := m.NewSaved()
		if err := in.Restore(s); err != nil {
			t.Fatal(err)
		}
		for _, at := range c.write {
			in.Memory()[at] ^= 0xff
		}
		change := captured(t, in, s)
		got := []string{}
		for _, r := range change.Runs {
			got = append(got, fmt.Sprintf("%d+%d", r.Offset, len(r.Bytes)))
			if !bytes.Equal(r.Bytes, in.Memory()[r.Offset:][:len(r.Bytes)]) {
				t.Errorf("%v: the bytes at %d are others", c.write, r.Offset)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v: got %v, want %s", c.write, got, c.want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestALargeChangeIsSavedAtOnce changes more than is to be on the Go heap.
func TestALargeChangeIsSavedAtOnce(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(1, -1).binary())
	in, s := instantiate(t, m, wasm.InstanceConfig{}), m.NewSaved()
	defer s.Close()
	if err := call(in, "grow", wasm.MaxChange>>16); err != nil {
		t.Fatal(err)
	}
	if err := call(in, "fill", 1<<16, 1, wasm.MaxChange-48); err != nil {
		t.Fatal(err)
	}
	if c, err := in.Capture(s); err != nil || len(c.Runs) != 1 {
		t.Fatalf("the largest change gives %v", err)
	}
	if err := call(in, "store", 0, 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := in.Capture(s); !errors.Is(err, wasm.ErrLargeChange) {
			t.Fatalf("got %v, want %v", err, wasm.ErrLargeChange)
		}
	}
	if err := in.Save(s); err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(in.Memory())
	if c, err := in.Capture(s); err != nil || len(c.Runs) > 0 {
		t.Fatalf("%v after it was saved", err)
	}
	if err := in.Restore(s); err != nil || !bytes.Equal(in.Memory(), want) {
		t.Errorf("restored it is another, or %v", err)
	}
}

// TestAChangeOfManyRunsIsLarge changes few bytes in as many runs as there can be.
func TestAChangeOfManyRunsIsLarge(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(40, -1).binary())
	in, s := instantiate(t, m, wasm.InstanceConfig{}), m.NewSaved()
	defer s.Close()
	memory := in.Memory()
	for at := 0; at < len(memory); at += 5 {
		memory[at] ^= 1
	}
	if _, err := in.Capture(s); !errors.Is(err, wasm.ErrLargeChange) {
		t.Errorf("got %v, want %v", err, wasm.ErrLargeChange)
	}
}

func TestWhatCannotBeOfAStateIsRefused(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	globals := instantiate(t, m, wasm.InstanceConfig{}).Globals()
	s := m.NewSaved()
	defer s.Close()
	const size = scribblerPages << 16
	run := func(at uint64, n int) []wasm.Run {
		return []wasm.Run{{Offset: 9, Bytes: []byte("x")}, {Offset: at, Bytes: make([]byte, n)}}
	}
	for want, c := range map[string]wasm.Change{
		"1 bytes at 131072 are outside":               {Size: size, Globals: globals, Runs: run(size, 1)},
		"2 bytes at 131071 are outside":               {Size: size, Globals: globals, Runs: run(size-1, 2)},
		"8 bytes at 18446744073709551612 are outside": {Size: size, Globals: globals, Runs: run(1<<64-4, 8)},
		"0 bytes at 131073 are outside":               {Size: size, Globals: globals, Runs: run(size+1, 0)},
		"cannot have 65536":                           {Size: size / 2, Globals: globals},
		"cannot have 131073":                          {Size: size + 1, Globals: globals},
		"cannot have 2686976":                         {Size: (scribblerMost + 1) << 16, Globals: globals},
		"not 0":                                       {Size: size},
		fmt.Sprintf("not %d", len(globals)+1):         {Size: size, Globals: append(globals[:len(globals):len(globals)], 1)},
	} {
		if err := s.Apply(&c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
		if s.Pages() != 0 || s.Size() != size {
			t.Fatalf("%s: the state has %d pages, %d bytes then", want, s.Pages(), s.Size())
		}
	}
	if err := s.Write(1<<64-1, []byte("xx")); err == nil {
		t.Error("writing beyond all addresses is possible")
	}
	if err := s.Write(size, nil); err != nil {
		t.Errorf("writing nothing at the end gives %v", err)
	}
}

func TestAClosedStateDoesNothing(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	in, s := instantiate(t, m, wasm.InstanceConfig{}), m.NewSaved()
	gone := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	for range 2 {
		if err := errors.Join(s.Close(), m.Close(), gone.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]*wasm.Saved{"closed": s, "of a closed module": gone.NewSaved()} {
		_, captureErr := in.Capture(s)
		for what, err := range map[string]error{
			"resize": s.Resize(3 << 16), "write": s.Write(0, []byte("x")), "restore": in.Restore(s), "capture": captureErr, "save": in.Save(s),
			"apply":   s.Apply(&wasm.Change{Size: scribblerPages << 16, Globals: in.Globals()}),
			"globals": s.SetGlobals(in.Globals()), "visit": s.Visit(func(uint64, []byte) bool { return true }),
		} {
			if !errors.Is(err, wasm.ErrClosed) {
				t.Errorf("a state that is %s: %s gives %v", name, what, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzChange applies changes that nobody has captured.
func FuzzChange(f *testing.F) {
	e := newEngine(f, wasm.Config{})
	m := compile(f, e, scribbler(scribblerPages, scribblerMost).binary())
	in := instantiate(f, m, wasm.InstanceConfig{})
	globals, base := in.Globals(), bytes.Clone(in.Memory())
	f.Add(uint64(2<<16), uint64(5), uint64(0), "abc", true)
	f.Add(uint64(3<<16), uint64(1<<64-1), uint64(131071), "abc", true)
	f.Add(uint64(1<<63), uint64(1<<63), uint64(1<<63), "", false)
	f.Fuzz(func(t *testing.T, size, first, second uint64, p string, large bool) {
		e.SetLargePages(map[bool]int{true: 0, false: 100}[large])
		s := m.NewSaved()
		defer s.Close()
		want := bytes.Clone(base)
		c := wasm.Change{Size: size, Globals: globals, Runs: []wasm.Run{{Offset: first, Bytes: []byte(p)}, {Offset: second, Bytes: []byte(p + p)}}}
		if s.Apply(&c) == nil {
			want = append(want, make([]byte, size-uint64(len(want)))...)
			copy(want[first:], p)
			copy(want[second:], p+p)
		}
		if err := in.Restore(s); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(in.Memory(), want) {
			t.Errorf("the memory is not what the change makes of it")
		}
	})
}

// TestStatesWithoutRoomInFilesAreMemory gives an engine as much as an instance
// and three pages take.
func TestStatesWithoutRoomInFilesAreMemory(t *testing.T) {
	const pages = 3
	e := newEngine(t, wasm.Config{MaxMemory: scribblerPages<<16 + pages*wasm.PageSize})
	if err := e.LoseFiles(); err != nil {
		t.Fatal(err)
	}
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	in := instantiate(t, m, wasm.InstanceConfig{})
	write := func(s *wasm.Saved, page int) error { return s.Write(uint64(page)*wasm.PageSize, []byte("x")) }
	fill := func() *wasm.Saved {
		s := m.NewSaved()
		for page := range pages {
			if err := write(s, page); err != nil {
				t.Fatal(err)
			}
		}
		if got := e.Reserved(); got != scribblerPages<<16+pages*wasm.PageSize {
			t.Errorf("%d bytes are accounted for", got)
		}
		return s
	}
	s := fill()
	if err := write(s, 0); err != nil {
		t.Error(err)
	}
	if err := s.Write(0, make([]byte, wasm.PageSize)); err != nil { // as in the base
		t.Error(err)
	}
	if err := write(s, 10); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := write(s, 11); !errors.Is(err, wasm.ErrMemoryExhausted) {
			t.Errorf("got %v, want %v", err, wasm.ErrMemoryExhausted)
		}
	}
	if err := in.Restore(s); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a state that is not whole gives %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = fill()
	if err := call(in, "fill", 12*wasm.PageSize, 1, 5*wasm.PageSize); err != nil {
		t.Fatal(err)
	}
	if err := in.Save(s); !errors.Is(err, wasm.ErrMemoryExhausted) {
		t.Errorf("got %v, want %v", err, wasm.ErrMemoryExhausted)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := e.Reserved(); got != scribblerPages<<16 {
		t.Errorf("%d bytes are accounted for", got)
	}
}

func TestABrokenDiskIsAnErrorAndNoMore(t *testing.T) {
	for _, large := range []int{0, 100} {
		e := newEngine(t, wasm.Config{MaxMemory: 8 << 20})
		broken := false
		if err := e.SetDisk(func() bool { return false }, func() bool { return broken }); err != nil {
			t.Fatal(err)
		}
		e.SetLargePages(large)
		m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
		in, other := instantiate(t, m, wasm.InstanceConfig{}), instantiate(t, m, wasm.InstanceConfig{})
		s := m.NewSaved()
		if err := call(in, "fill", 5, 1, 5*wasm.PageSize); err != nil {
			t.Fatal(err)
		}
		captured(t, in, s)
		if err := call(in, "store", 5, 7); err != nil {
			t.Fatal(err)
		}
		broken = true
		_, captureErr := in.Capture(s)
		for what, err := range map[string]error{
			"restore": other.Restore(s), "capture": captureErr,
			"visit": s.Visit(func(uint64, []byte) bool { return true }), "write": s.Write(9, []byte("x")),
		} {
			if err == nil {
				t.Errorf("large from %d: %s works", large, what)
			}
		}
		// What happened to the memory of other is unknown.
		if err := call(other, "store", 0, 0); err == nil || !strings.Contains(err.Error(), "lost its memory") {
			t.Errorf("large from %d: a call gives %v", large, err)
		}
		broken = false
		if err := other.Recycle(wasm.InstanceConfig{}); err == nil {
			t.Errorf("large from %d: an instance without memory was recycled", large)
		}
		fresh := m.NewSaved()
		if _, err := other.Capture(fresh); err == nil {
			t.Errorf("large from %d: an instance without memory was captured", large)
		}
		if err := errors.Join(fresh.Close(), s.Close(), other.Close()); err != nil {
			t.Error(err)
		}
		if got := e.Reserved(); got != scribblerPages<<16 {
			t.Errorf("large from %d: %d bytes are accounted for", large, got)
		}
	}
}

// TestChangesOfLargeMemoriesAreFound is about memories of which the machine may
// map many pages at once.
func TestChangesOfLargeMemoriesAreFound(t *testing.T) {
	trackers(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, scribbler(scribblerPages, -1).binary())
		in, other, s := instantiate(t, m, wasm.InstanceConfig{}), instantiate(t, m, wasm.InstanceConfig{}), m.NewSaved()
		defer s.Close()
		const size = 24 << 20
		if err := call(in, "grow", size>>16); err != nil {
			t.Fatal(err)
		}
		for _, value := range []uint64{1, 2} {
			if err := call(in, "fill", value*size/4, value, size/2); err != nil {
				t.Fatal(err)
			}
		}
		if err := in.Save(s); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewSource(1))
		for round := range 8 {
			if err := other.Restore(s); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(other.Memory(), in.Memory()) {
				t.Fatalf("round %d: the memory is another when it is restored", round)
			}
			if round%3 == 1 {
				in, other = other, in
			}
			memory := in.Memory()
			for range 200 {
				memory[r.Intn(len(memory))]++
			}
			captured(t, in, s)
		}
	})
}

// TestAnInstanceComesToShowItsOwnState begins with a state that others have too,
// and is then captured against its own.
func TestAnInstanceComesToShowItsOwnState(t *testing.T) {
	e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	if e.Tracker() == wasm.TrackCompare {
		t.Skip("nothing can tell here")
	}
	e.SetLargePages(4)
	e.SetRedundantPages(3)
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	first, in := instantiate(t, m, wasm.InstanceConfig{}), instantiate(t, m, wasm.InstanceConfig{})
	begin := m.NewSaved()
	defer begin.Close()
	if err := call(first, "fill", 6*wasm.PageSize, 1, 10*wasm.PageSize); err != nil {
		t.Fatal(err)
	}
	captured(t, first, begin)
	for _, save := range []func(s *wasm.Saved) error{
		in.Save,
		func(s *wasm.Saved) error { // against what it is no more than equal to
			fresh := m.NewSaved()
			defer fresh.Close()
			c, err := in.Capture(fresh)
			if err == nil {
				err = s.Apply(c)
			}
			return err
		},
	} {
		s := m.NewSaved()
		defer s.Close()
		if err := in.Restore(begin); err != nil {
			t.Fatal(err)
		}
		if err := call(in, "store", 7*wasm.PageSize, 5); err != nil {
			t.Fatal(err)
		}
		if err := save(s); err != nil {
			t.Fatal(err)
		}
		if c, err := in.Capture(s); err != nil || len(c.Runs) > 0 || !in.Shows(s) {
			t.Errorf("%d runs, %v; it shows its state: %v", len(c.Runs), err, in.Shows(s))
		}
		// It is not changed by what happens to the state that it began with, and
		// is compared with now.
		for range 3 {
			if _, err := in.Capture(begin); err != nil {
				t.Fatal(err)
			}
		}
		want := bytes.Clone(in.Memory())
		if err := call(first, "fill", 3*wasm.PageSize, 9, 14*wasm.PageSize); err != nil {
			t.Fatal(err)
		}
		captured(t, first, begin)
		if !bytes.Equal(in.Memory(), want) {
			t.Fatal("it has changed by what happened elsewhere")
		}
		captured(t, in, s)
	}
}
