package binary_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
)

// benchEnv names a component to decode, such as one with an interpreter in it.
const benchEnv = "WATERBEAR_COMPONENT"

// large has the structure of a component with many interfaces: each is imported
// with a resource type of its own and 50 functions, of which each is lowered.
func large(interfaces, codeBytes int) []byte {
	const methods = 50
	decls := [][]byte{
		declExport("r", sub), declType(record(field("name", tString), field("size", tU64))), declExport("meta", eq(1)), declType(list(2)),
		declType(borrow(0)), declType(cat(0x6a, 1, 3, 1, tString)), declType(fn([][]byte{param("self", 4), param("all", 3)}, 5)),
	}
	for i := range methods {
		decls = append(decls, declExport(fmt.Sprint("[method]r.m", i), ofFunc(6)))
	}
	b := [][]byte{
		coreFuncs(0, coreFn([]int{tI32, tI32, tI32, tI32}, []int{tI32})),
		module(section(0, cat("code", make([]byte, codeBytes)))),
	}
	for i := range interfaces {
		b = append(b, types(instanceType(decls...)), imports(imported(fmt.Sprint("a:b/i", i, "@1.0.0"), ofInstance(i))))
		b = append(b, section(6, repeat(methods, func(m int) []byte { return exportOf(sFunc, i, fmt.Sprint("[method]r.m", m)) })))
		b = append(b, section(8, repeat(methods, func(m int) []byte { return lower(i*methods+m, memory(0), realloc(0)) })))
	}
	return component(b...)
}

func BenchmarkDecode(b *testing.B) {
	sources := map[string][]byte{
		"interfaces=30":  large(30, 10<<20),
		"interfaces=300": large(300, 0),
	}
	if path := os.Getenv(benchEnv); path != "" {
		source, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		sources["file"] = source
	}
	for name, source := range sources {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := binary.Decode(source); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(source)), "bytes")
		})
	}
}

// TestDecodingLeavesTheSourceAlone checks that the modules of a component are
// parts of what was decoded.
func TestDecodingLeavesTheSourceAlone(t *testing.T) {
	source := large(3, 100)
	before := bytes.Clone(source)
	c := mustDecode(t, "large", source)
	if !bytes.Equal(source, before) {
		t.Error("the source has changed")
	}
	m := c.Defs[0].(*binary.CoreModule)
	if at := bytes.Index(source, m.Source); at < 0 || &source[at] != &m.Source[0] {
		t.Error("a module is a copy")
	}
}
