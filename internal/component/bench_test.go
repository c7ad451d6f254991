package component_test

import (
	"context"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/wit"
)

func BenchmarkInstantiate(b *testing.B) {
	p := compile(b, "kit", kitHost())
	b.ReportAllocs()
	for b.Loop() {
		in, err := p.Instantiate(context.Background(), component.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCall calls functions whose values go from the host to the guest, from
// there to another function of the host, and all the way back: each is lowered
// twice and lifted twice.
func BenchmarkCall(b *testing.B) {
	numbers := make([]wit.Value, 1000)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	for _, c := range []struct {
		name string
		f    string
		args []wit.Value
		size int64
	}{
		{"empty", "empty", nil, 0},
		{"add", "add", []wit.Value{uint32(1), uint32(2)}, 0},
		{"record", "point-of", []wit.Value{[]wit.Value{int32(1), 2.5}}, 0},
		{"variant", "shape-of", []wit.Value{wit.Case{Index: 2, Payload: "a name"}}, 0},
		{"string of 10", "string", []wit.Value{"0123456789"}, 0},
		{"string of 1 MiB", "string", []wit.Value{strings.Repeat("x", 1<<20)}, 1 << 20},
		{"UTF-16 of 1 MiB", "string16", []wit.Value{strings.Repeat("x", 1<<20)}, 1 << 20},
		{"bytes of 1 MiB", "bytes", []wit.Value{make([]byte, 1<<20)}, 1 << 20},
		{"list of 1000", "list", []wit.Value{numbers}, 4000},
	} {
		b.Run(c.name, func(b *testing.B) {
			in, _ := kit(b)
			b.ReportAllocs()
			b.SetBytes(c.size)
			for b.Loop() {
				if _, err := call(in, c.f, c.args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHostCall(b *testing.B) {
	in, _ := kit(b)
	must(b, in, nil, "keep", uint32(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := call(in, "kept"); err != nil {
			b.Fatal(err)
		}
	}
}
