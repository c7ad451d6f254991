package wasm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/waterbear-run/waterbear/internal/guests"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

var update = flag.Bool("update", false, "write the golden files of formats")

// referred gives a reference of an instance with known content.
func referred(t testing.TB, m *wasm.Module) (*wasm.Reference, []byte) {
	t.Helper()
	in := instantiate(t, m, wasm.InstanceConfig{})
	for _, c := range []struct {
		name  string
		stack []uint64
	}{
		{"grow", []uint64{1}},
		{"store", []uint64{100, 0x04030201}},
		{"fill", []uint64{2 * wasm.PageSize, 0, wasm.PageSize}}, // a page of the base
		{"fill", []uint64{7*wasm.PageSize - 10, 9, 20}},
		{"store", []uint64{3<<16 - 4, 1 << 24}},
	} {
		if err := in.Call(context.Background(), c.name, c.stack); err != nil {
			t.Fatal(err)
		}
	}
	r, err := in.Reference()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, bytes.Clone(in.Memory())
}

func written(t testing.TB, r *wasm.Reference) []byte {
	t.Helper()
	var out bytes.Buffer
	if n, err := r.WriteTo(&out); err != nil || n != int64(out.Len()) {
		t.Fatalf("%d bytes are said to be written, and %d are, %v", n, out.Len(), err)
	}
	return out.Bytes()
}

func TestAReferenceIsWrittenAsTheFormatSays(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	r, _ := referred(t, m)
	golden := filepath.Join("testdata", "reference.v1")
	if *update {
		if err := os.WriteFile(golden, written(t, r), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := written(t, r); !bytes.Equal(got, want) {
		t.Errorf("got %x, and the golden file has %x", got, want)
	}
	read, err := m.ReadReference(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if read.Hash() != r.Hash() {
		t.Error("what the golden file has is another reference")
	}
}

func TestWhatIsNoReferenceIsRefused(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	r, _ := referred(t, m)
	whole := written(t, r)
	read := func(p []byte) error {
		x, err := m.ReadReference(bytes.NewReader(p))
		if err == nil {
			t.Error("it was read")
			_ = x.Close()
		}
		return err
	}
	for n := range whole {
		if err := read(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes are enough", n)
		}
	}
	for n := range whole {
		p := bytes.Clone(whole)
		p[n] ^= 1
		if err := read(p); err == nil {
			t.Fatalf("byte %d does not matter", n)
		}
	}
	if err := read(append(bytes.Clone(whole), 0)); err == nil || !strings.Contains(err.Error(), "end where it should") {
		t.Errorf("got %v", err)
	}
	newer := bytes.Clone(whole)
	newer[4]++
	if err := read(newer); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("got %v", err)
	}
	head := whole[:5+32]
	for want, tail := range map[string][]uint64{
		"may have 2621440, and cannot": {1 << 40},
		"has 3 globals":                {3 << 16, 3},
		"1 bytes, 196609 after":        {3 << 16, 1, 7, 196609, 1},
		"5000 bytes, 0 after":          {3 << 16, 1, 7, 0, 5000},
		"0 bytes, 8 after":             {3 << 16, 1, 7, 8, 0},
	} {
		p := bytes.Clone(head)
		for _, v := range tail {
			p = binary.AppendUvarint(p, v)
		}
		if err := read(append(p, make([]byte, 6000)...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
	kit := compile(t, e, guests.Wasm(t, "kit"))
	if _, err := kit.ReadReference(bytes.NewReader(whole)); err == nil || !strings.Contains(err.Error(), "another module") {
		t.Errorf("got %v", err)
	}
	s := kit.NewSavedOn(r)
	defer s.Close()
	if err := s.Write(0, []byte("x")); err == nil || !strings.Contains(err.Error(), "another module") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("the disk is broken")
	if _, err := m.ReadReference(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestAReferenceStaysAsLongAsStatesNeedIt closes everything else.
func TestAReferenceStaysAsLongAsStatesNeedIt(t *testing.T) {
	e := newEngine(t, wasm.Config{CacheDir: t.TempDir()})
	m := compile(t, e, scribbler(scribblerPages, scribblerMost).binary())
	in := instantiate(t, m, wasm.InstanceConfig{})
	r, want := referred(t, m)
	again, err := m.ReadReference(bytes.NewReader(written(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	s, other := m.NewSavedOn(r), m.NewSavedOn(again)
	for range 2 {
		if err := errors.Join(r.Close(), again.Close(), m.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*wasm.Saved{s, other, s} {
		if s.Pages() != 0 || s.Size() != uint64(len(want)) {
			t.Errorf("it begins with %d pages, %d bytes", s.Pages(), s.Size())
		}
		if err := in.Restore(s); err != nil || !bytes.Equal(in.Memory(), want) {
			t.Errorf("the instance is not what the reference is, or %v", err)
		}
		if c, err := in.Capture(s); err != nil || len(c.Runs) > 0 {
			t.Errorf("%d runs are others at once, %v", len(c.Runs), err)
		}
	}
	if err := call(in, "store", 5000, 1); err != nil {
		t.Fatal(err)
	}
	if c := captured(t, in, s); c.Pages != 1 || s.Pages() != 1 {
		t.Errorf("%d pages are others, %d in the state", c.Pages, s.Pages())
	}
	// A fresh instance is far from the reference, and can become the state.
	if err := in.Recycle(wasm.InstanceConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := call(in, "grow", 1); err != nil {
		t.Fatal(err)
	}
	fresh := bytes.Clone(in.Memory())
	captured(t, in, other)
	if err := in.Restore(other); err != nil || !bytes.Equal(in.Memory(), fresh) {
		t.Errorf("it is not what it was before, or %v", err)
	}
	if err := errors.Join(s.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if late := m.NewSavedOn(r); !errors.Is(late.Resize(3<<16), wasm.ErrClosed) {
		t.Error("a reference is used after its end")
	}
}

func TestTooMuchIsNoReference(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, scribbler(1, -1).binary())
	in := instantiate(t, m, wasm.InstanceConfig{})
	if err := call(in, "grow", wasm.MaxReference>>16); err != nil {
		t.Fatal(err)
	}
	// Three pages of the base are not zero either.
	if err := call(in, "fill", 1<<16, 1, wasm.MaxReference-3*wasm.PageSize); err != nil {
		t.Fatal(err)
	}
	r, err := in.Reference()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := call(in, "store", 0, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Reference(); err == nil || !strings.Contains(err.Error(), "pages") {
		t.Errorf("got %v", err)
	}
}

// FuzzReference reads references that nobody has written.
func FuzzReference(f *testing.F) {
	e := newEngine(f, wasm.Config{})
	m := compile(f, e, scribbler(scribblerPages, scribblerMost).binary())
	r, _ := referred(f, m)
	f.Add(written(f, r))
	f.Fuzz(func(t *testing.T, p []byte) {
		x, err := m.ReadReference(bytes.NewReader(p))
		if err != nil {
			return
		}
		defer x.Close()
		again, err := m.ReadReference(bytes.NewReader(written(t, x)))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if x.Hash() != again.Hash() {
			t.Error("it is another when it is written and read")
		}
	})
}
