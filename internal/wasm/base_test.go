package wasm

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// baseSample has pages far apart, and one that is not full.
var baseSample = []wasmbin.Run{
	{Offset: 3 << 12, Bytes: bytes.Repeat([]byte("first"), 4096)[:4096]},
	{Offset: 40 << 12, Bytes: bytes.Repeat([]byte("second "), 8192)[:8192]},
}

func sampleMemory(size int) []byte {
	memory := make([]byte, size)
	for _, r := range baseSample {
		copy(memory[r.Offset:], r.Bytes)
	}
	return memory
}

// TestMemoryBeginsWithItsBaseImage covers every way in which an image gets
// into a memory.
func TestMemoryBeginsWithItsBaseImage(t *testing.T) {
	dir := t.TempDir()
	images := map[string]*baseImage{
		"a file": newBase(baseSample, dir), "no directory": newBase(baseSample, ""), "a directory that is gone": newBase(baseSample, dir+"/gone"),
	}
	copied := newBase(baseSample, "")
	if copied.file != nil {
		if err := copied.file.Close(); err != nil {
			t.Fatal(err)
		}
		copied.file = nil
	}
	images["a copy"] = copied
	for name, b := range images {
		t.Run(name, func(t *testing.T) {
			const size = 64 << 12
			var budget memoryBudget
			m, other := reserve(4*size, b, &budget, nil), reserve(4*size, b, &budget, nil)
			defer m.Free()
			defer other.Free()
			for range 2 {
				if got := m.Reallocate(size); !bytes.Equal(got, sampleMemory(size)) {
					t.Fatal("the memory is not what the image has")
				}
				m.touch()
				copy(m.Reallocate(3 * size)[2*size:], "grown")
				for at := range m.bytes() {
					m.bytes()[at]++
				}
				if !bytes.Equal(other.Reallocate(size), sampleMemory(size)) {
					t.Fatal("writing to one memory has changed another")
				}
				if err := m.become(size, b, nil); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(m.bytes(), sampleMemory(size)) {
					t.Fatal("after reset the memory is not what the image has")
				}
				if grown := m.Reallocate(3 * size)[size:]; !bytes.Equal(grown, make([]byte, 2*size)) {
					t.Fatal("after reset the memory grows by bytes that are not zero")
				}
				if err := m.become(size, b, nil); err != nil || budget.used.Load() != 2*size {
					t.Fatalf("after reset %d bytes are accounted for, %v", budget.used.Load(), err)
				}
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestNobodyCanWriteToABaseImage(t *testing.T) {
	for name, dir := range map[string]string{"a file": t.TempDir(), "no directory": ""} {
		b := newBase(baseSample, dir)
		if b.file == nil {
			t.Fatalf("%s: there is no file", name)
		}
		if _, err := b.file.WriteAt([]byte("x"), 0); err == nil {
			t.Errorf("%s: the file was written to", name)
		}
		if b.file.Truncate(0) == nil {
			t.Errorf("%s: the file was made shorter", name)
		}
		if err := b.release(); err != nil {
			t.Error(err)
		}
		if b.use() {
			t.Errorf("%s: it is used after its end", name)
		}
	}
}

func TestBaseImagesAreEqualByContent(t *testing.T) {
	other := []wasmbin.Run{baseSample[0], {Offset: 41 << 12, Bytes: baseSample[1].Bytes}}
	one, two, three := newBase(baseSample, ""), newBase(baseSample, t.TempDir()), newBase(other, "")
	if one.hash != two.hash || one.hash == three.hash {
		t.Errorf("hashes %x, %x of equal images, %x of another", one.hash, two.hash, three.hash)
	}
}

// TestCachedModuleHasItsBaseImage compiles twice with a cache between.
func TestCachedModuleHasItsBaseImage(t *testing.T) {
	source := []byte("\x00asm\x01\x00\x00\x00" + "\x05\x03\x01\x00\x01" + "\x0b\x0b\x01\x00\x41\x80\x20\x0b\x04data")
	dir := t.TempDir()
	for range 2 {
		e, err := New(context.Background(), Config{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		m, err := e.Compile(context.Background(), source, nil)
		if err != nil {
			t.Fatal(err)
		}
		in, err := m.Instantiate(context.Background(), InstanceConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(in.Memory()[4095:4102]); got != "\x00data\x00\x00" {
			t.Errorf("memory holds %q", got)
		}
		for _, c := range []func() error{in.Close, m.Close, e.Close} {
			if err := c(); err != nil {
				t.Error(err)
			}
		}
	}
}
