package wasmbin

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// section gives a module of one section.
func section(id byte, body ...byte) []byte {
	return appendSection([]byte("\x00asm\x01\x00\x00\x00"), id, body)
}

// inFunction gives a module with one function of a body, a memory, a table and
// a tag.
func inFunction(body ...byte) []byte {
	s := newSource()
	s.memory(0, 1)
	s.table(FuncRef, limits{min: 1})
	void := s.fn(nil, nil)
	s.tags = append(s.tags, void)
	s.add(void, nil, body...)
	return s.binary()
}

func TestUnsupportedFeaturesAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name    string
		module  []byte
		feature Feature
		advice  string // a tool or flag it must name
	}{
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), featureComponent, "wasm32-wasip1"},
		{"older component", []byte("\x00asm\x0c\x00\x01\x00"), featureComponent, "component"},
		{"struct type", section(sectionType, 1, 0x5f, 0), featureGC, "collector"},
		{"array type", section(sectionType, 1, 0x5e, 0x7f, 0), featureGC, ""},
		{"recursive types", section(sectionType, 1, 0x4e, 0), featureGC, ""},
		{"subtype", section(sectionType, 1, 0x50, 0, 0x60, 0, 0), featureGC, ""},
		{"continuation type", section(sectionType, 1, 0x5d, 0, 0), featureStackSwitching, "asyncify"},
		{"anyref parameter", section(sectionType, 1, 0x60, 1, 0x6e, 0), featureGC, ""},
		{"reference to a type", section(sectionType, 1, 0x60, 1, 0x63, 0, 0), featureFunctionReferences, "call_indirect"},
		{"reference that is not null", section(sectionType, 1, 0x60, 1, 0x64, 0x70, 0), featureFunctionReferences, ""},
		{"reference to a struct", section(sectionType, 1, 0x60, 1, 0x63, 0x6b, 0), featureGC, ""},
		{"struct.new", inFunction(0xfb, 0, 0), featureGC, ""},
		{"ref.eq", inFunction(0xd3), featureGC, ""},
		{"call_ref", inFunction(0x14, 0), featureFunctionReferences, ""},
		{"ref.as_non_null", inFunction(0xd4), featureFunctionReferences, ""},
		{"br_on_null", inFunction(0xd5, 0), featureFunctionReferences, ""},
		{"table with initial value", section(sectionTable, 1, 0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b), featureFunctionReferences, ""},
		{"64-bit memory", section(sectionMemory, 1, 4, 1), featureMemory64, "--memory64-lowering"},
		{"64-bit table", section(sectionTable, 1, 0x70, 4, 1), featureMemory64, "--table64-lowering"},
		{"two memories", section(sectionMemory, 2, 0, 1, 0, 1), featureMultiMemory, "--multi-memory-lowering"},
		{"access to another memory", inFunction(0x41, 0, 0x28, 0x42, 1, 0, 0x1a), featureMultiMemory, ""},
		{"size of another memory", inFunction(0x3f, 1, 0x1a), featureMultiMemory, ""},
		{"data for another memory", section(sectionData, 1, 2, 1, 0x41, 0, 0x0b, 0), featureMultiMemory, ""},
		{"shared memory", section(sectionMemory, 1, 3, 1, 1), featureThreads, "-pthread"},
		{"shared table", section(sectionTable, 1, 0x70, 3, 1, 1), featureThreads, ""},
		{"shared global", section(sectionGlobal, 1, 0x7f, 2, 0x41, 0, 0x0b), featureThreads, ""},
		{"atomic instruction", inFunction(0xfe, 3, 0), featureThreads, "-matomics"},
		{"pages of one byte", section(sectionMemory, 1, 8, 1, 0), featurePageSizes, "--page-size"},
		{"try", inFunction(0x06, 0x40, 0x0b), featureLegacyExceptions, "--translate-to-exnref"},
		{"catch", inFunction(0x07, 0), featureLegacyExceptions, "-wasm-use-legacy-eh=false"},
		{"rethrow", inFunction(0x09, 0), featureLegacyExceptions, ""},
		{"delegate", inFunction(0x18, 0), featureLegacyExceptions, ""},
		{"catch_all", inFunction(0x19), featureLegacyExceptions, ""},
		{"relaxed vector instruction", inFunction(0xfd, 0x80, 0x02), featureRelaxedSIMD, "-mrelaxed-simd"},
		{"half-precision instruction", inFunction(0xfd, 0xa0, 0x02), featureHalfPrecision, "-mfp16"},
		{"wide arithmetic", inFunction(0xfc, 0x13), featureWideArithmetic, "-mwide-arithmetic"},
		{"memory.discard", inFunction(0xfc, 0x12, 0), featureMemoryControl, ""},
		{"suspend", inFunction(0xe2, 0), featureStackSwitching, ""},
		{
			"constant from an own global", section(sectionGlobal, 2, 0x7f, 0, 0x41, 0, 0x0b, 0x7f, 0, 0x23, 0, 0x0b),
			featureConstGlobals, "--simplify-globals",
		},
		{"import of a type", section(sectionImport, 1, 0, 0, 5, 0), featureTypeImports, ""},
		{"import of Go's JavaScript", section(sectionImport, 1, 4, 'g', 'o', 'j', 's', 1, 'f', 0, 0), featureJavaScript, "GOOS=wasip1"},
		{"import of wasm-bindgen", section(sectionImport, 1, 3, 'w', 'b', 'g', 1, 'f', 0, 0), featureJavaScript, "wasm32-wasip1"},
	} {
		_, err := Rewrite(c.module, Options{})
		var refused *UnsupportedError
		if !errors.As(err, &refused) || refused.Feature != c.feature {
			t.Errorf("%s: %v, want that it uses %s", c.name, err, c.feature.Name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, c.feature.Name) || !strings.Contains(text, c.advice) {
			t.Errorf("%s: the message %q does not name %q", c.name, text, c.advice)
		}
	}
}

func TestMalformedModulesAreRefusedWithSectionAndOffset(t *testing.T) {
	for _, c := range []struct {
		name, section string
		offset        int
		module        []byte
	}{
		{"nothing", "header", 0, nil},
		{"text", "header", 0, []byte("(module) and more")},
		{"another version", "header", 4, []byte("\x00asm\x02\x00\x00\x00")},
		{"unknown section", "list of sections", 8, section(14)[:8:8]},
		{"section that ends early", "type section", 10, append(section(0)[:8:8], 1, 5, 1)},
		{"bytes left over", "start section", 11, nil},
		{"sections out of order", "type section", 0, nil},
		{"too long a number", "function section", 10, append(section(0)[:8:8], 3, 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0)},
		{"unknown type of function", "function section", 11, section(sectionFunction, 1, 0)},
		{"name that is not UTF-8", "import section", 11, section(sectionImport, 1, 1, 0xff, 0, 0, 0)},
		{"unknown value type", "type section", 13, section(sectionType, 1, 0x60, 1, 0x40, 0)},
		{"maximum below the minimum", "memory section", 12, section(sectionMemory, 1, 1, 2, 1)},
		{"memory above 4 GiB", "memory section", 11, section(sectionMemory, 1, 0, 0x81, 0x80, 0x04)},
		{"export of what is not there", "export section", 11, section(sectionExport, 1, 1, 'a', 0, 0)},
		{"functions without bodies", "code section", 18, append(section(sectionType, 1, 0x60, 0, 0), 3, 2, 1, 0)},
		{"data without memory", "data section", 11, section(sectionData, 1, 0, 0x41, 0, 0x0b, 0)},
		{"unknown instruction", "code section", 39, inFunction(0xff)},
		{"unknown local", "code section", 39, inFunction(0x20, 0, 0x1a)},
		{"unknown global", "code section", 39, inFunction(0x23, 0, 0x1a)},
		{"unknown function", "code section", 40, inFunction(0x10, 1)},
		{"unknown label", "code section", 40, inFunction(0x0c, 1)},
		{"unknown table", "code section", 42, inFunction(0x41, 0, 0x25, 1, 0x1a)},
		{"unknown vector instruction", "code section", 39, inFunction(0xfd, 0x9a, 0x01)},
		{"unknown tag", "code section", 40, inFunction(0x08, 1)},
		{"else without if", "code section", 39, inFunction(0x05)},
		{"reference to what is not declared", "code section", 40, inFunction(0xd2, 0, 0x1a)},
		{"block that does not end", "code section", 42, inFunction(0x02, 0x40)},
		{"code after the end", "code section", 40, inFunction(0x0b)},
		{"data without count", "code section", 41, inFunction(0xfc, 9, 0)},
		{"unknown element segment", "code section", 41, inFunction(0xfc, 13, 0)},
	} {
		switch c.name {
		case "bytes left over":
			c.module = section(sectionMemory, 0, 7)
			c.section = "memory section"
		case "sections out of order":
			c.module = append(section(sectionMemory, 0), section(sectionType, 0)[8:]...)
			c.offset = 11
		case "unknown section":
			c.module = append(c.module, 14, 0)
		}
		_, err := Rewrite(c.module, Options{})
		var malformed *MalformedError
		if !errors.As(err, &malformed) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if malformed.Section != c.section || malformed.Offset != c.offset {
			t.Errorf("%s: %v, want %s at offset %#x", c.name, err, c.section, c.offset)
		}
	}
}

func TestLimitsHold(t *testing.T) {
	leb := func(v int) []byte { return appendU32(nil, uint32(v)) }
	items := func(id byte, n int, item ...byte) []byte {
		return section(id, append(leb(n), repeat(n, item)...)...)
	}
	locals := func(n int) []byte {
		s := newSource()
		void := s.fn(nil, nil)
		s.add(void, nil)
		b := s.binary()
		body := append(append([]byte{1}, leb(n)...), byte(I32), opEnd)
		return appendSection(b[:18:18], sectionCode, append(append([]byte{1}, leb(len(body))...), body...))
	}
	type limitCase struct {
		what   string
		module []byte
		limit  int
	}
	for _, c := range []limitCase{
		{"types", items(sectionType, maxTypes+1, 0x60, 0, 0), maxTypes},
		{"parameters", section(sectionType, append(append([]byte{1, 0x60}, leb(maxParams+1)...), repeat(maxParams+2, int(I32))...)...), maxParams},
		{"functions", append(section(sectionType, 1, 0x60, 0, 0), items(sectionFunction, maxFunctions+1, 0)[8:]...), maxFunctions},
		{"imports", items(sectionImport, maxImports+1, 1, 'm', 1, 'g', 3, byte(I32), 0), maxImports},
		{"exports", append(section(sectionMemory, 1, 0, 1), items(sectionExport, maxExports+1, 1, 'm', 2, 0)[8:]...), maxExports},
		{"globals", items(sectionGlobal, maxGlobals+1, byte(I32), 0, opI32Const, 0, opEnd), maxGlobals},
		{"tags", append(section(sectionType, 1, 0x60, 0, 0), items(sectionTag, maxTags+1, 0, 0)[8:]...), maxTags},
		{"tables", items(sectionTable, maxTables+1, byte(FuncRef), 0, 1), maxTables},
		{"items in tables", section(sectionTable, append([]byte{1, byte(FuncRef), 0}, leb(maxTableItems+1)...)...), maxTableItems},
		{"items in element segments", elements(maxElementItems + 1), maxElementItems},
		{"data segments", append(section(sectionMemory, 1, 0, 1), items(sectionData, maxDataSegments+1, 1, 0)[8:]...), maxDataSegments},
		{"locals in a function", locals(maxLocals + 1), maxLocals},
		{"locals in all functions", manyLocals(), maxLocalsInAll},
		{"nested blocks", inFunction(append(repeat(maxNesting, opBlock, blockEmpty), repeat(maxNesting, opEnd)...)...), maxNesting},
		{"bytes in a function", inFunction(repeat(maxFunctionBytes, opNop)...), maxFunctionBytes},
		{"operands moved per byte of a function", manyOperands(), arityPerByte},
		{"data segments that are dropped", manyDrops(), maxDroppedSegments},
		{"calls in a function times mutable globals", manyReloads(), maxReloads},
		{"nanoseconds to compile, judging by branches, loops and locals", loopsAndLocals(), maxEffort},
		{"nanoseconds to compile, judging by branches, loops and locals", manyBranches(), maxEffort},
		{"bytes", make([]byte, maxModuleBytes+1), maxModuleBytes},
	} {
		_, err := Rewrite(c.module, Options{})
		var limit *LimitError
		if !errors.As(err, &limit) || limit.What != c.what || limit.Limit != c.limit {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if _, err := Rewrite(locals(maxLocals), Options{}); err != nil {
		t.Errorf("a function with as many locals as are allowed: %v", err)
	}
}

func elements(n int) []byte {
	s := newSource()
	s.table(FuncRef, limits{min: 1})
	f := s.add(s.fn(nil, nil), nil)
	s.fill(slices.Repeat([]uint32{f}, n)...)
	return s.binary()
}

func manyLocals() []byte {
	s := newSource()
	void := s.fn(nil, nil)
	types := make64(I64, maxLocals)
	for range maxLocalsInAll/maxLocals + 1 {
		s.add(void, types)
	}
	return s.binary()
}

func manyOperands() []byte {
	s := newSource()
	many := make64(I32, maxParams)
	t := s.fn(many, many)
	f := s.add(t, nil, opUnreachable)
	s.add(t, nil, code(opUnreachable, repeat(100, call(f)))...)
	return s.binary()
}

func manyDrops() []byte {
	s := newSource()
	s.memory(0, 1)
	for range maxDroppedSegments + 1 {
		s.passive("x")
	}
	var body []byte
	for i := range maxDroppedSegments + 1 {
		body = appendU32(append(body, opMiscPrefix, miscDataDrop), uint32(i))
	}
	s.add(s.fn(nil, nil), nil, code(body, i32(0), i32(0), i32(0), opMiscPrefix, miscMemoryInit, 0, 0)...)
	return s.binary()
}

func manyReloads() []byte {
	s := newSource()
	for range 2001 {
		s.global(global{I32, true}, i32(0)...)
	}
	f := s.add(s.fn(nil, nil), nil)
	s.add(0, nil, repeat(2000, call(f))...)
	return s.binary()
}

func manyBranches() []byte {
	return inFunction(repeat(60_000, i32(1), opIf, blockEmpty, opEnd)...)
}

func loopsAndLocals() []byte {
	s := newSource()
	s.add(s.fn(nil, nil), make64(I32, 1000), code(repeat(200, opLoop, blockEmpty), repeat(200, opEnd))...)
	return s.binary()
}

func TestClaimsOfHugeCountsCostNothing(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for id := range len(sectionNames) {
		module := appendSection([]byte("\x00asm\x01\x00\x00\x00"), byte(id), huge)
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := Rewrite(module, Options{}); err == nil && id != sectionCustom {
				t.Errorf("a %s of 4 billion items is accepted", sectionNames[id])
			}
		})
		if allocated > 100 {
			t.Errorf("a %s of 4 billion items takes %v allocations", sectionNames[id], allocated)
		}
	}
}

// everything is a module in which every kind of section and most instructions
// occur.
func everything() *source {
	s := deep()
	s.memory(1, 1, 100)
	s.names[0], s.names[3] = "direct", "through table"
	segment := s.passive("hello, world")
	void := uint32(1)
	s.start = int(s.add(void, []ValueType{V128, F64, FuncRef}, code(
		i32(0), i32(0), i32(5), opMiscPrefix, miscMemoryInit, int(segment), 0,
		opMiscPrefix, miscDataDrop, int(segment),
		opRefFunc, 3, set(2), opRefNull, int(FuncRef), set(2),
		opVectorPrefix, vecConst, make([]byte, 16), opVectorPrefix, 0xa1, 1, set(0),
		opBlock, blockEmpty, opBlock, blockEmpty, i32(1), opBrTable, 1, 0, 1, opEnd, opEnd,
		i32(1), i32(2), i32(3), opSelectTyped, 1, int(I32), opDrop,
		opI64Const, 0x7f, opDrop, opF32Const, 1, 2, 3, 4, opDrop)...))
	return s
}

func TestNoDamageToAModuleIsFatal(t *testing.T) {
	whole := everything().binary()
	if _, err := Rewrite(whole, Options{}); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		// Sections that are not there are allowed to be missing, and the names
		// at the end may be damaged.
		if _, err := Rewrite(whole[:n], Options{}); err == nil && !wholeSections(whole[:n]) {
			t.Errorf("the first %d of %d bytes are accepted", n, len(whole))
		}
	}
	damaged := slices.Clone(whole)
	for i := range whole {
		for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff, whole[i] + 1, whole[i] - 1} {
			damaged[i] = b
			_, _ = Rewrite(damaged, Options{})
		}
		damaged[i] = whole[i]
	}
}

// wholeSections says whether a module ends where a section ends.
func wholeSections(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	r := &reader{data: b, pos: 8, end: len(b)}
	for !r.done() {
		r.byte()
		r.skip(int(r.u32()))
	}
	return r.err == nil
}

func TestLargeModulesTakeNoLongerThanTheirBytes(t *testing.T) {
	// Ten thousand functions of a kilobyte, half of it calls and branches.
	s := newSource()
	s.memory(0, 1)
	void := s.fn(nil, nil)
	for i := range uint32(10_000) {
		s.add(void, []ValueType{I32, I32}, code(repeat(40, opBlock, blockEmpty, i32(1), opBrIf, 0, opEnd,
			opLoop, blockEmpty, i32(0), opBrIf, 0, opEnd, call(i*7919%10_000), i32(8), opDrop))...)
	}
	source := s.binary()
	start := time.Now()
	r, err := Rewrite(source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("%d bytes in %v, %d bytes result", len(source), took, len(r.Module))
	// On an idle machine it is a tenth of a second.
	if took > 5*time.Second {
		t.Errorf("%d bytes took %v", len(source), took)
	}
}

func TestErrorsReadWell(t *testing.T) {
	for _, c := range []struct {
		module, want string // the module in hexadecimal
	}{
		{"0061736d0100000003020100", "malformed module: function section at offset 0xb: unknown type 0"},
		{
			"0061736d0100000005030105010000",
			"the program uses 64-bit memories (memory64) (memory section at offset 0xb), which is not supported: compile for wasm32 instead of wasm64, or run wasm-opt --memory64-lowering --table64-lowering",
		},
	} {
		module, err := hex.DecodeString(c.module)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Rewrite(module, Options{}); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	limit := &LimitError{What: "tables", Limit: maxTables, Section: "table section", Offset: 10}
	if got, want := limit.Error(), "the program is too large: more than 100 tables (table section at offset 0xa)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
