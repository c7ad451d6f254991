package wasmbin

import (
	"fmt"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// endless are modules whose export "run" never returns, each in another way.
func endless() map[string]*source {
	modules := map[string]*source{}
	add := func(name string, build func(s *source)) {
		s := newSource()
		s.memory(0, 16)
		s.fn(nil, nil)
		build(s)
		s.export("run", Func, uint32(len(s.functions)-1))
		modules[name] = s
	}
	loop := func(body ...any) []byte { return code(opLoop, blockEmpty, code(body...), opEnd) }
	simple := func(name string, locals int, body []byte) {
		add(name, func(s *source) {
			types := make([]ValueType, locals)
			for i := range types {
				types[i] = I32
			}
			s.add(0, types, body...)
		})
	}
	back := code(opBr, 0)
	simple("br", 0, loop(back))
	simple("br_if", 0, loop(i32(1), opBrIf, 0))
	simple("br_if from inside a block", 0, loop(opBlock, blockEmpty, i32(1), opBrIf, 1, opEnd, back))
	simple("br_table", 0, loop(i32(0), opBrTable, 0, 0))
	simple("br_table to the default", 0, loop(opBlock, blockEmpty, i32(9), opBrTable, 1, 0, 1, opEnd))
	simple("a loop around a loop of 63 rounds", 1, loop(i32(0), set(0),
		loop(get(0), i32(1), opI32Add, opLocalTee, 0, i32(63), opI32Ne, opBrIf, 0), back))
	simple("loops nested twelve deep of 3 rounds each", 12, deepLoops(12))
	simple("copies of the whole memory", 0, loop(i32(0), i32(0), i32(16<<16), opMiscPrefix, miscMemoryCopy, 0, 0, back))
	simple("fills of the whole memory", 0, loop(i32(0), i32(0), i32(16<<16), opMiscPrefix, miscMemoryFill, 0, back))
	simple("memory.grow", 0, loop(i32(0), opMemoryGrow, 0, opDrop, back))
	// A jump table at the beginning of a loop, as the Go compiler writes it: the
	// jump from the last block goes back to the first.
	jump := func(to int32, depth int) []byte { return code(i32(to), set(0), opBr, depth) }
	simple("jumps back through a table", 1, loop(opBlock, blockEmpty, opBlock, blockEmpty, opBlock, blockEmpty,
		get(0), opBrTable, 2, 0, 1, 2, opEnd, jump(1, 2), opEnd, jump(2, 1), opEnd, jump(0, 0)))
	simple("a jump to itself through a table", 1, loop(opBlock, blockEmpty, get(0), opBrTable, 0, 0, opEnd, jump(0, 0)))
	simple("a jump through a table over another local", 2, loop(opBlock, blockEmpty, opBlock, blockEmpty,
		get(0), opBrTable, 2, 0, 1, 0, opEnd, i32(1), set(1), opBr, 1, opEnd))
	simple("a jump to a block that opened since", 1, loop(opBlock, blockEmpty, opBlock, blockEmpty,
		get(0), opBrTable, 1, 0, 1, opEnd, opBlock, blockEmpty, jump(0, 2), opEnd, opEnd))

	add("recursion that ends, twice at each of 60 levels", func(s *source) {
		one := s.fn([]ValueType{I32}, nil)
		down := code(get(0), i32(1), opI32Sub, call(0))
		s.add(one, nil, code(get(0), opIf, blockEmpty, down, down, opEnd)...)
		s.add(0, nil, code(i32(60), call(0))...)
	})
	add("sixty functions that call the next one twice", func(s *source) {
		s.add(0, nil)
		for i := range uint32(60) {
			s.add(0, nil, code(call(i), call(i))...)
		}
	})
	add("return_call of itself", func(s *source) { s.add(0, nil, opReturnCall, 0) })
	add("return_call in turns", func(s *source) {
		s.add(0, nil, opReturnCall, 1)
		s.add(0, nil, opReturnCall, 0)
	})
	add("return_call_indirect", func(s *source) {
		s.table(FuncRef, limits{min: 1})
		s.add(0, nil, code(i32(0), opReturnCallIndirect, 0, 0)...)
		s.fill(0)
	})
	add("call_indirect that doubles at each of 60 levels", func(s *source) {
		s.table(FuncRef, limits{min: 1})
		one := s.fn([]ValueType{I32}, nil)
		down := code(get(0), i32(1), opI32Sub, i32(0), opCallIndirect, int(one), 0)
		s.add(one, nil, code(get(0), opIf, blockEmpty, down, down, opEnd)...)
		s.fill(0)
		s.add(0, nil, code(i32(60), call(0))...)
	})
	add("exceptions thrown and caught", func(s *source) {
		s.tags = append(s.tags, 0)
		s.add(0, nil, loop(opTryTable, blockEmpty, 1, 0, 0, 0, opThrow, 0, opEnd, back)...)
	})
	add("a catch that goes back to a loop", func(s *source) {
		s.tags = append(s.tags, 0)
		s.add(0, nil, loop(opTryTable, blockEmpty, 1, 2, 0, opThrow, 0, opEnd)...)
	})
	add("a loop with parameters", func(s *source) {
		one := s.fn([]ValueType{I32}, []ValueType{I32})
		s.add(0, nil, code(i32(1), opLoop, int(one), i32(1), opI32Add, opBr, 0, opEnd, opDrop)...)
	})
	add("a long body without branches", func(s *source) {
		s.add(0, nil, code(opLoop, blockEmpty, repeat(200_000, i32(1), opDrop), opBr, 0, opEnd)...)
	})
	add("a function of a long body", func(s *source) {
		s.add(0, nil, code(repeat(200_000, i32(1), opDrop))...)
		s.add(0, nil, loop(call(0), back)...)
	})
	add("table.fill of the whole table", func(s *source) {
		s.table(FuncRef, limits{min: 1 << 20})
		s.add(0, nil, loop(i32(0), opRefNull, int(FuncRef), i32(1<<20), opMiscPrefix, miscTableFill, 0, back)...)
	})
	add("memory.init of a large segment", func(s *source) {
		s.passive(string(make([]byte, 1<<19)))
		s.add(0, nil, loop(i32(0), i32(0), i32(1<<19), opMiscPrefix, miscMemoryInit, 0, 0, back)...)
	})
	add("more loops and calls than get charges inline", func(s *source) {
		s.add(0, nil, code(call(1))...)
		s.add(0, nil, loop(repeat(3*maxInline, call(0)), back)...)
	})
	return modules
}

// deepLoops nests loops of 3 rounds each in an endless one. Each counts in a
// local of its own.
func deepLoops(n int) []byte {
	var inner []byte
	for i := range uint32(n) {
		inner = code(i32(0), set(i), opLoop, blockEmpty, inner,
			get(i), i32(1), opI32Add, opLocalTee, int(i), i32(3), opI32Ne, opBrIf, 0, opEnd)
	}
	return code(opLoop, blockEmpty, inner, opBr, 0, opEnd)
}

func repeat(n int, parts ...any) []byte {
	part := code(parts...)
	b := make([]byte, 0, n*len(part))
	for range n {
		b = append(b, part...)
	}
	return b
}

// TestEndlessGuestsYieldSoon is about time, so its bound is far above what is
// measured on an idle machine, which is below 60 ms for each.
func TestEndlessGuestsYieldSoon(t *testing.T) {
	const yields, bound = 3, 5 * time.Second
	for name, s := range endless() {
		t.Run(name, func(t *testing.T) {
			e, m, _ := run(t, s)
			e.stop = func() bool { return e.yields >= yields }
			start := time.Now()
			got := e.call(m, "run")
			if took := time.Since(start); took > bound {
				t.Errorf("it took %v for %d yields", took, yields)
			}
			if got != "error: "+errStopped.Error() && got != "error: "+errOverflow.Error() {
				t.Errorf("it %s", got)
			}
		})
	}
}

func TestShortGuestsDoNotYield(t *testing.T) {
	s := newSource()
	one := s.fn([]ValueType{I32}, nil)
	s.export("run", Func, s.add(one, nil, code(opLoop, blockEmpty,
		get(0), i32(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd)...))
	e, m, _ := run(t, s)
	if got := e.call(m, "run", 10_000); got != "returned" || e.yields > 0 {
		t.Errorf("a loop of 10,000 rounds %s after %d yields", got, e.yields)
	}
	if got := e.call(m, "run", 10_000_000); got != "returned" || e.yields < 5 || e.yields > 20 {
		t.Errorf("a loop of 10,000,000 rounds %s after %d yields", got, e.yields)
	}
}

// deep is a module with recursion to the depth that its argument says, in
// several ways; each counts in a global how deep it came.
func deep() *source {
	s := newSource()
	s.table(FuncRef, limits{min: 1})
	one, void := s.fn([]ValueType{I32}, nil), s.fn(nil, nil)
	s.tags = append(s.tags, void)
	depth := s.global(global{I32, true}, i32(0)...)
	s.export("depth", Global, depth)
	count := asm(nil).global(opGlobalGet, depth).i32(1).op(opI32Add).global(opGlobalSet, depth)
	less := code(get(0), i32(1), opI32Sub)
	down := func(way ...any) []byte { return code(count, get(0), opIf, blockEmpty, less, code(way...), opEnd) }
	s.export("direct", Func, s.add(one, nil, down(call(0))...))
	s.add(one, nil, down(call(2))...)
	s.export("inTurns", Func, s.add(one, nil, down(call(1))...))
	s.export("throughTable", Func, s.add(one, nil, down(i32(0), opCallIndirect, int(one), 0)...))
	s.fill(3)
	s.export("manyLocals", Func, s.add(one, make64(I64, 200), down(call(4))...))
	s.export("throwing", Func, s.add(one, nil, code(
		get(0), opI32Eqz, opIf, blockEmpty, opThrow, 0, opEnd, less, call(5))...))
	// Each round catches what is thrown from 1,000 levels below.
	catch := func(body ...any) []byte {
		return code(opLoop, blockEmpty, opBlock, blockEmpty, code(body...), opEnd,
			get(0), i32(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd)
	}
	s.export("caughtByBlock", Func, s.add(one, nil, catch(
		opTryTable, blockEmpty, 1, 0, 0, 0, i32(1000), call(5), opEnd)...))
	s.add(one, nil, opTryTable, blockEmpty, 1, 2, 0, opI32Const, 0xe8, 0x07, opCall, 5, opEnd)
	s.export("caughtByReturn", Func, s.add(one, nil, catch(get(0), call(7))...))
	two := s.fn([]ValueType{I32}, []ValueType{I32, I64})
	value := s.fn([]ValueType{I32, I64}, nil)
	s.tags = append(s.tags, value)
	throw := s.add(one, nil, code(get(0), opI32Eqz, opIf, blockEmpty, i32(1), opI64Const, 2, opThrow, 1, opEnd, less, call(9))...)
	s.add(two, nil, code(opTryTable, blockEmpty, 1, 0, 1, 0, i32(1000), call(throw), opEnd, opUnreachable)...)
	s.export("caughtWithValues", Func, s.add(one, nil, catch(get(0), call(10), opDrop, opDrop)...))
	return s
}

func make64(t ValueType, n int) []ValueType {
	types := make([]ValueType, n)
	for i := range types {
		types[i] = t
	}
	return types
}

func TestDeepRecursionEndsAtAFixedDepth(t *testing.T) {
	e, m, r := run(t, deep())
	depth := func() uint64 { return m.ExportedGlobal("depth").Get() }
	reset := func() { m.ExportedGlobal("depth").(api.MutableGlobal).Set(0) }
	for _, c := range []struct {
		f     string
		frame uint64 // bytes for a round of the recursion
	}{
		{"direct", frameBytes + frameLocal},
		{"inTurns", frameBytes + frameLocal},
		{"throughTable", frameBytes + frameLocal + indirectFrame},
		{"manyLocals", frameBytes + 201*frameLocal},
	} {
		reset()
		if got := e.call(m, c.f, 10_000); got != "returned" || depth() != 10_001 {
			t.Errorf("%s to the depth of 10,000 %s after %d", c.f, got, depth())
		}
		for range 2 {
			reset()
			got, want := e.call(m, c.f, 1<<31), uint64(DefaultStack)/c.frame
			if off := depth() - want; got != "error: stack overflow" || off > 2 {
				t.Errorf("%s without end %s at a depth of %d, want %d", c.f, got, depth(), want)
			}
		}
	}
	if left := m.ExportedGlobal(r.Stack).Get(); int32(left) >= 0 {
		t.Errorf("after an overflow %d bytes are left", int32(left))
	}
}

func TestCaughtExceptionsGiveTheStackBack(t *testing.T) {
	e, m, r := run(t, deep())
	for _, f := range []string{"caughtByBlock", "caughtByReturn", "caughtWithValues"} {
		// 2,000 rounds would use up the stack four times over.
		if got := e.call(m, f, 2_000); got != "returned" {
			t.Errorf("%s %s", f, got)
		}
		if left := m.ExportedGlobal(r.Stack).Get(); left != DefaultStack {
			t.Errorf("%s leaves %d bytes of the stack, want %d", f, left, DefaultStack)
		}
	}
}

func TestCallsGiveTheStackBack(t *testing.T) {
	e, m, r := run(t, deep())
	for _, f := range []string{"direct", "inTurns", "throughTable"} {
		if got := e.call(m, f, 1_000); got != "returned" {
			t.Errorf("%s %s", f, got)
		}
		if left := m.ExportedGlobal(r.Stack).Get(); left != DefaultStack {
			t.Errorf("%s leaves %d bytes of the stack, want %d", f, left, DefaultStack)
		}
	}
}

func TestLargeCopiesAndFillsAreExact(t *testing.T) {
	const pages = 96
	s := newSource()
	s.memory(0, pages)
	s.export("memory", Memory, 0)
	three := s.fn([]ValueType{I32, I32, I32}, nil)
	s.export("copy", Func, s.add(three, nil, memoryCopy(asm(get(0)).get(1, 2))...))
	s.export("fill", Func, s.add(three, nil, memoryFill(asm(get(0)).get(1, 2))...))
	e, m, _ := run(t, s)
	memory, _ := m.Memory().Read(0, pages<<16)
	for i := range memory {
		memory[i] = byte(i * 7 >> 8)
	}
	want := make([]byte, len(memory))
	const size = pages << 16
	for _, c := range []struct {
		f              string
		to, from, size uint64
		traps          bool
	}{
		{"copy", 100, 0, size - 100, false},
		{"copy", 0, 100, size - 100, false},
		{"copy", 1 << 20, 1<<20 + 1, 3 << 20, false},
		{"copy", 1<<20 + 1, 1 << 20, 3<<20 + 5, false},
		{"copy", 0, 3 << 20, 2 << 20, false},
		{"copy", 5, 5, 4 << 20, false},
		{"copy", 0, 0, bulkPiece, false},
		{"copy", 1, 0, bulkPiece + 1, false},
		{"copy", 1, 0, size, true},
		{"copy", 0, 1, size, true},
		{"copy", 1 << 31, 0, 1 << 31, true},
		{"copy", 0, 1<<32 - 1, 1<<32 - 1, true},
		{"fill", 3, 0x1ab, size - 3, false},
		{"fill", 0, 1, bulkPiece, false},
		{"fill", 9, 2, bulkPiece + 1, false},
		{"fill", 1, 3, size, true},
		{"fill", 1<<32 - 1, 3, 1<<32 - 1, true},
		{"fill", size, 3, 0, false},
		{"fill", size + 1, 3, 0, true},
	} {
		copy(want, memory)
		if !c.traps && c.f == "copy" {
			copy(want[c.to:c.to+c.size], memory[c.from:c.from+c.size])
		}
		if !c.traps && c.f == "fill" {
			for i := range c.size {
				want[c.to+i] = byte(c.from)
			}
		}
		outcome := "returned"
		if c.traps {
			outcome = "error: wasm error: out of bounds memory access"
		}
		what := fmt.Sprintf("%s(%d, %d, %d)", c.f, c.to, c.from, c.size)
		if got := e.call(m, c.f, c.to, c.from, c.size); got != outcome {
			t.Errorf("%s %s, want %s", what, got, outcome)
		}
		if string(memory) != string(want) {
			t.Fatalf("%s leaves another memory than it should", what)
		}
	}
	if e.yields == 0 {
		t.Error("copying and filling 50 MiB did not yield")
	}
}
