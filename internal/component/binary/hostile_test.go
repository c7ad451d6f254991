package binary_test

import (
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
)

// samples are components that are valid or nearly so, of all kinds.
func samples() [][]byte {
	return [][]byte{
		component(), whole(),
		lifted(2, [][]byte{{2}, memory(0), realloc(1), postReturn(3)}, fn(noParams, tString)),
		ofComponentType(componentType(declImport("r", sub), declType(own(0)), declType(fn(noParams, 1)), declExport("f", ofFunc(2))), componentType()),
		passes(record(field("a", tU8), field("b", tString)), variant(cat("a", 0, 0), caseOf("b", tU8))),
		named("locked-dep=<a:b@1.2.3>,integrity=<sha256-abc>"),
		component(coreTypes(cat(0x50, 3, 1, coreFn([]int{tI32}, nil), 0, "m", "x", 0, 0, 3, "e", 4, 0, 0))),
	}
}

// decode fails the test if the decoder does what it must not.
func decode(t *testing.T, source []byte) *binary.Component {
	c, err := binary.Decode(source)
	var e *binary.Error
	switch {
	case (c == nil) == (err == nil):
		t.Fatalf("%x: got %v and %v", source, c, err)
	case err != nil && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > len(source)):
		t.Fatalf("%x: the error %v is at no place in it", source, err)
	}
	return c
}

func TestNothingButWholeComponentsIsTaken(t *testing.T) {
	for _, s := range samples() {
		decode(t, s)
		for n := range len(s) {
			// A prefix can be one only where a section ends.
			if c := decode(t, s[:n]); c != nil && n < 8 {
				t.Errorf("%x is taken", s[:n])
			}
			decode(t, append(s[:n:n], s[min(n+1, len(s)):]...))
		}
	}
}

func TestChangedBytesDoNoHarm(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewSource(seed))
	for _, s := range samples() {
		for at := range s {
			changed := append([]byte(nil), s...)
			for _, b := range []byte{0, 1, 2, 0x7f, 0x80, 0xff, s[at] + 1, s[at] ^ 0x40, byte(random.Intn(256))} {
				changed[at] = b
				if c := decode(t, changed); c != nil {
					_, _ = c.WIT() // it may have no words for it
				}
			}
		}
	}
}

// TestMemoryIsInProportion decodes what is made to take much memory for its size.
func TestMemoryIsInProportion(t *testing.T) {
	const perByte = 500
	for name, source := range map[string][]byte{
		"types":     component(section(7, repeat(200_000, func(int) []byte { return option(tU8) }))),
		"functions": component(section(7, repeat(100_000, func(int) []byte { return noFn }))),
		"resources": component(types(resource), section(8, repeat(200_000, func(int) []byte { return cat(3, 0) }))),
		"instances": component(section(7, repeat(100_000, func(int) []byte { return instanceType() }))),
		"fields":    component(section(7, repeat(50, func(int) []byte { return cat(0x6f, repeat(10_000, func(int) []byte { return leb(tU8) })) }))),
		"aliases":   component(coreFuncs(0), section(6, repeat(100_000, func(int) []byte { return coreExport(2, 0, "m") }))),
		"core":      component(module(section(1, vec(coreFn(nil, nil))), section(3, repeat(500_000, func(int) []byte { return leb(0) })), section(10, cat(500_000)))),
		"modules":   component(section(1, nil)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := binary.Decode(source)
		runtime.ReadMemStats(&after)
		used := int(after.TotalAlloc - before.TotalAlloc)
		t.Logf("%s: %d bytes for each of %d (%v)", name, used/len(source), len(source), err)
		if used > perByte*len(source)+64<<10 {
			t.Errorf("%s: %d bytes for %d", name, used, len(source))
		}
	}
}

// FuzzDecode decodes anything: what is taken can be described and decoded again.
func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
	}
	for _, path := range suiteFiles("*.wasm") {
		s, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		c := decode(t, source)
		if c == nil {
			return
		}
		if d, err := c.WIT(); err == nil {
			_ = d.String()
		}
		for _, e := range append(c.Imports, c.Exports...) {
			if e.Name == "" {
				t.Errorf("%x: an item without a name", source)
			}
		}
	})
}
