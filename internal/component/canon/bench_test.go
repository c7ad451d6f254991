package canon_test

import (
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/wit"
)

// BenchmarkValues lowers arguments into a memory and lifts them again.
func BenchmarkValues(b *testing.B) {
	numbers := make([]wit.Value, 1<<14)
	for i := range numbers {
		numbers[i] = uint64(i)
	}
	person := &wit.Type{Kind: wit.Record, Fields: []wit.Field{
		{Type: kind(wit.String)}, {Type: kind(wit.U32)}, {Type: &wit.Type{Kind: wit.Option, Elem: kind(wit.F64)}},
	}}
	people := make([]wit.Value, 1000)
	for i := range people {
		people[i] = []wit.Value{"a name", uint32(i), wit.Case{Index: 1, Payload: 1.5}}
	}
	for _, c := range []struct {
		name string
		y    *wit.Type
		v    wit.Value
		size int
	}{
		{"bytes", list(kind(wit.U8)), make([]byte, 1<<17), 1 << 17},
		{"ASCII", kind(wit.String), strings.Repeat("x", 1<<17), 1 << 17},
		{"text", kind(wit.String), strings.Repeat("aé€", 1<<14), 6 << 14},
		{"numbers", list(kind(wit.U64)), numbers, 8 << 14},
		{"records", list(person), people, 1000 * (32 + 6)},
	} {
		f := one(b, c.y)
		for _, e := range []canon.Encoding{canon.UTF8, canon.UTF16} {
			name, s := c.name, newSide(e)
			if e == canon.UTF16 {
				name += " in UTF-16"
			}
			if e == canon.UTF16 && c.y.Kind != wit.String {
				continue
			}
			s.memory = newMemory(1 << 22)
			stack := make([]uint64, f.LiftStack)
			for _, transit := range []bool{false, true} {
				what := "/lift"
				if transit {
					what = "/lift in transit"
				}
				s.memory.next, s.memory.calls = 16, nil
				if err := f.LowerParams(s.lower(), []wit.Value{c.v}, stack); err != nil {
					b.Fatal(err)
				}
				b.Run(name+what, func(b *testing.B) {
					b.SetBytes(int64(c.size))
					for b.Loop() {
						l := s.lift()
						l.Transit = transit
						if _, err := f.LiftParams(l, stack); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			b.Run(name+"/lower", func(b *testing.B) {
				b.SetBytes(int64(c.size))
				for b.Loop() {
					s.memory.next, s.memory.calls = 16, s.memory.calls[:0]
					if err := f.LowerParams(s.lower(), []wit.Value{c.v}, stack); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
