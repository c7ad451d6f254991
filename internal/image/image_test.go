package image

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/waterbear-run/waterbear/internal/storage"
)

func sample() (*Head, []byte) {
	memory := make([]byte, 5*pageSize)
	memory[0], memory[2*pageSize+17], memory[3*pageSize-1], memory[5*pageSize-1] = 1, 2, 3, 4
	return &Head{
		Life: []byte("life"), Cores: []Core{{Memory: uint64(len(memory)), Globals: []uint64{0, 1 << 63, 7}}}, Base: [32]byte{1, 31: 2}, Files: []byte("files"),
		Packs: []storage.Hash{{1}, {2}}, Open: []byte{9}, Random: 1 << 40, Clocks: [3]uint64{1, 2, 3}, Input: true,
	}, memory
}

// notZero gives the pages that differ from those of a base of zeros.
func notZero(memory []byte) (changed []uint64) {
	for at := 0; at < len(memory); at += pageSize {
		if !bytes.Equal(memory[at:at+pageSize], make([]byte, pageSize)) {
			changed = append(changed, uint64(at))
		}
	}
	return changed
}

func bytesOf(t testing.TB, h *Head, memory []byte) []byte {
	t.Helper()
	b, err := io.ReadAll(New(h, []Memory{{memory, notZero(memory)}}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load reads an image whole.
func load(b []byte) (*Head, []byte, error) {
	r, err := Open(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	if len(r.Cores) != 1 || r.Cores[0].Memory > 1<<20 {
		return nil, nil, errors.New("not one of this test")
	}
	memory := make([]byte, r.Cores[0].Memory)
	return &r.Head, memory, r.Load(into(memory))
}

// into writes to memory.
func into(memory []byte) func(core int, offset uint64, p []byte) error {
	return func(_ int, offset uint64, p []byte) error {
		copy(memory[offset:], p)
		return nil
	}
}

func TestImageGivesBackWhatItWasMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := make([]byte, rapid.IntRange(0, 6).Draw(t, "pages")*pageSize)
		for _, at := range rapid.SliceOfN(rapid.IntRange(0, 6*pageSize), 0, 8).Draw(t, "places") {
			if at < len(memory) {
				memory[at] = byte(at | 1)
			}
		}
		h := rapid.Make[Head]().Draw(t, "head")
		h.Cores = []Core{{Globals: rapid.SliceOf(rapid.Uint64()).Draw(t, "globals")}}
		h.Cores[0].Memory = uint64(len(memory))
		b, err := io.ReadAll(New(&h, []Memory{{memory, notZero(memory)}}))
		if err != nil {
			t.Fatal(err)
		}
		got, gotMemory, err := load(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotMemory, memory) || !bytes.Equal(got.encode(), h.encode()) {
			t.Fatalf("got %+v, want %+v", got, h)
		}
	})
	h, memory := sample()
	if got, _, err := load(bytesOf(t, h, memory)); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, want %+v, %v", got, h, err)
	}
}

func TestPagesThatHaveNotChangedAreThoseOfTheBase(t *testing.T) {
	base := bytes.Repeat([]byte("base"), 2*pageSize)
	memory := bytes.Clone(base)
	clear(memory[pageSize : 3*pageSize])
	memory[7*pageSize] = 'x'
	h := &Head{Cores: []Core{{Memory: uint64(len(memory))}}}
	b, err := io.ReadAll(New(h, []Memory{{memory, []uint64{pageSize, 2 * pageSize, 7 * pageSize}}}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Load(into(base)); err != nil || !bytes.Equal(base, memory) {
		t.Errorf("the base became something else than the memory, or %v", err)
	}
	if len(b) > 3*pageSize+200 {
		t.Errorf("an image of three pages has %d bytes", len(b))
	}
}

func TestZeroPagesTakeNoRoom(t *testing.T) {
	h, _ := sample()
	memory := make([]byte, 64<<20)
	memory[40<<20] = 1
	h.Cores[0].Memory = uint64(len(memory))
	if n := len(bytesOf(t, h, memory)); n > 2*pageSize {
		t.Errorf("an image of one page has %d bytes", n)
	}
}

func TestDamagedImagesAreRefused(t *testing.T) {
	h, memory := sample()
	whole := bytesOf(t, h, memory)
	head := len(whole) - 3*pageSize - 9 // the pages and their places follow
	for n := range head {
		if _, _, err := load(whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d of %d bytes: got %v", n, len(whole), err)
		}
	}
	for i := range head {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		if _, _, err := load(flipped); err == nil {
			t.Errorf("a flipped bit in byte %d of the head was not noticed", i)
		}
	}
	newer := bytes.Clone(whole)
	newer[len(magic)] = Version + 1
	if _, err := Open(bytes.NewReader(newer)); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("got %v, want %v", err, ErrNewerFormat)
	}
}

func FuzzOpen(f *testing.F) {
	h, memory := sample()
	f.Add(bytesOf(f, h, memory))
	f.Add([]byte(magic))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = load(b) })
}
