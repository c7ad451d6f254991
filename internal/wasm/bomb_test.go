package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/internal/wasmbin"
)

// grower is a guest that grows its memory page by page and touches each, until
// it may not; it answers with the number of pages.
func grower(most int) *guest {
	g := &guest{}
	g.memory(1, most)
	g.function("grow", nil, []byte{typeI32}, nil,
		opLoop, void,
		opI32Const, int64(1), opMemoryGrow, 0, opI32Const, int64(-1), opI32Eq, opIf, void, opMemorySize, 0, opReturn, opEnd,
		opMemorySize, 0, opI32Const, int64(65536), byte(0x6c), opI32Const, int64(8), opI32Sub, opI32Const, int64(1), opI32Store, 2, 0,
		opBr, 0, opEnd, opUnreachable)
	return g
}

func TestMemoryThatIsRefusedIsTold(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		config := wasm.InstanceConfig{MaxMemory: 8 << 16}
		for declared, want := range map[int]bool{-1: true, 9: true, 8: false, 4: false} {
			in := load(t, e, grower(declared), config)
			if in.MemoryRefused() {
				t.Errorf("at most %d pages: refused before it asked", declared)
			}
			if err := call(in, "grow", 0); err != nil {
				t.Fatal(err)
			}
			if got := in.MemoryRefused(); got != want {
				t.Errorf("at most %d pages of 8: refused: %t, want %t", declared, got, want)
			}
			if declared > 8 {
				if err := in.Recycle(config); err != nil || in.MemoryRefused() {
					t.Errorf("recycled: %v, refused: %t", err, in.MemoryRefused())
				}
			}
		}
	})
}

func TestMemoryGrowsToTheLimitAndNoFurther(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		for _, c := range []struct {
			declared  int
			limit     uint64
			wantPages uint64
		}{
			{-1, 64 << 20, 1024},
			{-1, 64<<20 + 65535, 1024},
			{100, 64 << 20, 100},
			{65536, 1 << 20, 16},
			{-1, 1 << 16, 1},
		} {
			in := load(t, e, grower(c.declared), wasm.InstanceConfig{MaxMemory: c.limit})
			for range 2 {
				stack := make([]uint64, 1)
				if err := in.Call(context.Background(), "grow", stack); err != nil || stack[0] != c.wantPages {
					t.Errorf("%+v: got %d pages, %v", c, stack[0], err)
				}
			}
			if got := uint64(len(in.Memory())); got != c.wantPages<<16 {
				t.Errorf("%+v: got a memory of %d bytes", c, got)
			}
		}
	})
}

func TestMemoryKeepsItsContentAndPlaceAsItGrows(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	in := load(t, e, grower(-1), wasm.InstanceConfig{MaxMemory: 8 << 20})
	before := in.Memory()
	copy(before[100:], "still here")
	if err := in.Call(context.Background(), "grow", make([]uint64, 1)); err != nil {
		t.Fatal(err)
	}
	after := in.Memory()
	if &before[0] != &after[0] || string(after[100:110]) != "still here" {
		t.Error("the memory moved or lost its content")
	}
	if bytes.Count(after[65536:], []byte{0}) != len(after)-65536-127 {
		t.Error("grown memory is not zero")
	}
}

func TestDeclaredMemoryAboveTheLimitIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		g.memory(65536, -1)
		m := compile(t, e, g.binary())
		for _, limit := range []uint64{0, 1 << 20, 4<<30 - 1} {
			_, err := m.Instantiate(context.Background(), wasm.InstanceConfig{MaxMemory: limit})
			if err == nil || !strings.Contains(err.Error(), "at least 4294967296 bytes, and the limit is") {
				t.Errorf("limit %d: got %v, want an error that names both sizes", limit, err)
			}
		}
		instantiate(t, m, wasm.InstanceConfig{MaxMemory: 4 << 30}) // it is never touched
	})
}

// addressSpace is the size of the process, in bytes.
func addressSpace(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("the system does not tell the size of the process")
	}
	pages := 0
	for _, digit := range bytes.Fields(statm)[0] {
		pages = 10*pages + int(digit-'0')
	}
	return pages * os.Getpagesize()
}

func TestClosedInstancesGiveTheirMemoryBack(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, grower(-1).binary())
	before := addressSpace(t)
	var instances []*wasm.Instance
	for range 200 {
		in, err := m.Instantiate(context.Background(), wasm.InstanceConfig{MaxMemory: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		instances = append(instances, in)
	}
	if grown := addressSpace(t) - before; grown < 190<<30 {
		t.Errorf("200 memories of 1 GiB reserve %d bytes", grown)
	}
	for _, in := range instances {
		for range 2 { // the second time must not unmap what is someone else's by then
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if left := addressSpace(t) - before; left > 1<<30 {
		t.Errorf("%d bytes are still reserved", left)
	}
}

func TestFailedInstantiationGivesItsMemoryBack(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g := &guest{}
	g.memory(1, 1000)
	g.data = append(g.data, code(0, opI32Const, int64(65536), opEnd, "out of bounds"))
	m := compile(t, e, g.binary())
	before := addressSpace(t)
	for range 100 {
		if _, err := m.Instantiate(context.Background(), wasm.InstanceConfig{}); err == nil {
			t.Fatal("a data segment out of bounds was accepted")
		}
	}
	if left := addressSpace(t) - before; left > 1<<30 {
		t.Errorf("%d bytes are still reserved", left)
	}
}

func TestInstancesTogetherStayWithinTheEnginesMemory(t *testing.T) {
	for _, interpreter := range []bool{false, true} {
		e := newEngine(t, wasm.Config{Interpreter: interpreter, MaxMemory: 10 << 20})
		m := compile(t, e, grower(-1).binary())
		grow := func(in *wasm.Instance) error { return in.Call(context.Background(), "grow", make([]uint64, 1)) }
		first := instantiate(t, m, wasm.InstanceConfig{MaxMemory: 6 << 20})
		second := instantiate(t, m, wasm.InstanceConfig{MaxMemory: 6 << 20})
		if err := grow(first); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := grow(second); !errors.Is(err, wasm.ErrMemoryExhausted) {
				t.Errorf("got %v, want %v", err, wasm.ErrMemoryExhausted)
			}
		}
		if _, err := m.Instantiate(context.Background(), wasm.InstanceConfig{}); !errors.Is(err, wasm.ErrMemoryExhausted) {
			t.Errorf("got %v, want %v", err, wasm.ErrMemoryExhausted)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := grow(second); err != nil {
			t.Errorf("after the other instance was closed: %v", err)
		}
	}
}

func TestTableGrowsToTheLimitAndNoFurther(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		g := &guest{}
		g.table(10, -1)
		g.table(10, -1)
		const tableGrow, tableSize = 15, 16
		for i, name := range []string{"first", "second"} {
			g.function(name, nil, []byte{typeI32}, nil,
				opLoop, void,
				opRefNull, typeFuncRef, opI32Const, int64(9999), opPrefix, tableGrow, i, opI32Const, int64(-1), opI32Eq, opI32Eqz, opBrIf, 0, opEnd,
				opPrefix, tableSize, i)
		}
		in := load(t, e, g, wasm.InstanceConfig{})
		total := uint64(0)
		for _, name := range []string{"first", "second"} {
			stack := make([]uint64, 1)
			if err := in.Call(context.Background(), name, stack); err != nil {
				t.Fatal(err)
			}
			total += stack[0]
		}
		if total < wasm.MaxTableItems/2 || total > wasm.MaxTableItems {
			t.Errorf("two tables grew to %d items, want at most %d", total, wasm.MaxTableItems)
		}
	})
}

func TestOversizedModulesAreRefused(t *testing.T) {
	claim := func(section byte, items uint32) []byte {
		return code([]byte("\x00asm\x01\x00\x00\x00"), section, string(u32(items)))
	}
	locals := &guest{}
	locals.function("f", nil, nil, nil)
	locals.code[0] = code(string(code(1, u32(1<<32-1), typeI64, opEnd)))
	table := &guest{}
	table.table(wasm.MaxTableItems+1, -1)
	manyGlobals := &guest{globals: slices.Repeat([][]byte{code(typeI32, 1, opI32Const, int64(0), opEnd)}, 100_001)}
	manyData := &guest{data: slices.Repeat([][]byte{code(1, "")}, 1_000_001)}
	many := &guest{}
	many.functype(nil, nil)
	many.funcs = slices.Repeat([][]byte{{0}}, 1_000_001)
	many.code = slices.Repeat([][]byte{code(string([]byte{0, opEnd}))}, 1_000_001)
	for name, source := range map[string][]byte{
		"a claim of 4 G types":     claim(1, 1<<32-1),
		"a claim of 4 G imports":   claim(2, 1<<32-1),
		"a claim of 4 G functions": claim(3, 1<<32-1),
		"a claim of 4 G tables":    claim(4, 1<<32-1),
		"a claim of 4 G globals":   claim(6, 1<<32-1),
		"a claim of 4 G exports":   claim(7, 1<<32-1),
		"a claim of 4 G elements":  claim(9, 1<<32-1),
		"a claim of 4 G segments":  claim(11, 1<<32-1),
		"4 G locals":               locals.binary(),
		"a huge table":             table.binary(),
		"too many globals":         manyGlobals.binary(),
		"too many segments":        manyData.binary(),
		"too many functions":       many.binary(),
	} {
		e := newEngine(t, wasm.Config{})
		before := allocated()
		_, err := e.Compile(context.Background(), source, nil)
		if err == nil {
			t.Errorf("%s: compiled", name)
		}
		if took := allocated() - before; took > 400<<20 {
			t.Errorf("%s: refusing it took %d bytes", name, took)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestModulesThatAreSlowToCompileAreRefused(t *testing.T) {
	repeat := func(n int, parts ...any) []byte { return bytes.Repeat(code(parts...), n) }
	for name, body := range map[string][]byte{
		"loops":        repeat(400_000, opLoop, void, opLocalGet, 0, opBrIf, 0, opEnd),
		"nested loops": code(repeat(100_000, opLoop, void), repeat(100_000, opEnd)),
		"blocks":       repeat(400_000, opBlock, void, opLocalGet, 0, opBrIf, 0, opEnd),
		"branch table": code(opBlock, void, opLocalGet, 0, byte(0x0e), u32(2_000_000), repeat(2_000_000, 0), 0, opEnd),
	} {
		g := &guest{}
		g.function("f", []byte{typeI32}, nil, nil, body)
		e := newEngine(t, wasm.Config{})
		// The refusal is the rewriter's, which comes before any compiling.
		var refused *wasmbin.LimitError
		if _, err := e.Compile(context.Background(), g.binary(), nil); !errors.As(err, &refused) {
			t.Errorf("%s: got %v, want a refusal before it is compiled", name, err)
		}
	}
}

func TestGuestCannotImportWhatNoHostOffers(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{Name: "known", Params: []wasm.ValueType{wasm.I64}, Call: nil}}})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{}
	g.importFunc("env", "known", nil, []byte{typeI32})
	g.importFunc("env", "unknown", nil, nil)
	g.importFunc("", "nameless", nil, nil)
	_, err = compile(t, e, g.binary()).Instantiate(context.Background(), wasm.InstanceConfig{Hosts: []*wasm.Host{host}})
	want := "it needs functions that are not offered: env.known as () -> (i32), which is (i64) -> () here, env.unknown, .nameless"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}

	g = &guest{}
	g.imports = append(g.imports, code("env", "memory", 2, 0, 1))
	if _, err := e.Compile(context.Background(), g.binary(), nil); err == nil || !strings.Contains(err.Error(), "imports a memory, env.memory") {
		t.Errorf("got %v, want a refusal of the imported memory", err)
	}
}

func TestEngineWithOpenInstancesIsNotClosed(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	m := compile(t, e, answer(1))
	in := instantiate(t, m, wasm.InstanceConfig{})
	if err := e.Close(); err == nil {
		t.Fatal("closed an engine under an instance")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	stack := make([]uint64, 1)
	if err := in.Call(context.Background(), "answer", stack); err != nil || stack[0] != 1 {
		t.Errorf("after its module was closed: got %d, %v, want 1", stack[0], err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Instantiate(context.Background(), wasm.InstanceConfig{}); !errors.Is(err, wasm.ErrClosed) {
		t.Errorf("got %v, want %v", err, wasm.ErrClosed)
	}
}
