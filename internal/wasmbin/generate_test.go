package wasmbin

import "math/rand"

// generator makes valid modules at random, with all that the passes treat in a
// special way and little else. A module has a memory, a table, globals, tags
// and segments; its functions take and give numbers.
type generator struct {
	*rand.Rand
	s      *source
	types  []uint32
	locals []ValueType // of the function at hand
	labels []openLabel
	fuel   int // how many more instructions the function may have
	self   FuncType
}

// openLabel is a block that is open in the function at hand.
type openLabel struct {
	results []ValueType // what a branch to it carries
}

var numbers = []ValueType{I32, I64, F32, F64}

const (
	generatedFunctions = 8
	generatedSegments  = 3
)

// generate makes a module from a seed.
func generate(seed int64) []byte {
	g := &generator{Rand: rand.New(rand.NewSource(seed)), s: newSource()}
	s := g.s
	s.memory(1, 1, 40)
	s.table(FuncRef, limits{min: 10, max: 20, bounded: true})
	s.export("memory", Memory, 0)
	for i, t := range numbers {
		s.export("global"+string(rune('0'+i)), Global, s.global(global{t, true}, g.constant(t)...))
	}
	for range generatedFunctions {
		g.types = append(g.types, s.fn(g.someTypes(3), g.someTypes(2)))
	}
	s.tags = append(s.tags, s.fn(g.someTypes(2), nil), s.fn(nil, nil))
	for range generatedSegments {
		s.passive(g.bytes())
	}
	for range g.Intn(4) {
		s.active(g.bytes(), i32(g.Int31n(65537))...)
	}
	for i, t := range g.types {
		g.function(t)
		s.export(string(rune('a'+i)), Func, uint32(i))
	}
	var table []uint32
	for range 8 {
		table = append(table, uint32(g.Intn(generatedFunctions)))
	}
	s.fill(table...)
	if g.Intn(4) == 0 {
		for i, t := range g.types {
			if len(s.types[t].Params)+len(s.types[t].Results) == 0 {
				s.start = i
			}
		}
	}
	return s.binary()
}

// bytes are those of a segment.
func (g *generator) bytes() string {
	data := make([]byte, 1+g.Intn(20))
	g.Read(data)
	return string(data)
}

func (g *generator) someTypes(most int) []ValueType {
	var types []ValueType
	for range g.Intn(most + 1) {
		types = append(types, g.number())
	}
	return types
}

func (g *generator) number() ValueType { return numbers[g.Intn(len(numbers))] }

func (g *generator) function(t uint32) {
	g.self = g.s.types[t]
	added := g.someTypes(6)
	g.locals = append(append([]ValueType{}, g.self.Params...), added...)
	g.labels = []openLabel{{g.self.Results}}
	g.fuel = 10 + g.Intn(200)
	body := g.statements(4)
	for _, r := range g.self.Results {
		body = append(body, g.value(r, 3)...)
	}
	g.s.add(t, added, body...)
}

func (g *generator) constant(t ValueType) []byte {
	switch t {
	case I32:
		return i32([]int32{0, 1, 2, -1, int32(g.Uint32()), g.Int31n(100), g.Int31n(70000)}[g.Intn(7)])
	case I64:
		return appendS64([]byte{opI64Const}, int64(g.Uint64())>>g.Intn(64))
	case F32:
		return []byte{opF32Const, 0, 0, byte(g.Intn(256)), byte(g.Intn(128))}
	default:
		return []byte{opF64Const, 0, 0, 0, 0, 0, 0, byte(g.Intn(256)), byte(g.Intn(128))}
	}
}

// local gives a local of a type.
func (g *generator) local(t ValueType) (uint32, bool) {
	for range 5 {
		if len(g.locals) == 0 {
			break
		}
		if i := g.Intn(len(g.locals)); g.locals[i] == t {
			return uint32(i), true
		}
	}
	return 0, false
}

func globalOf(t ValueType) uint32 {
	for i, n := range numbers {
		if n == t {
			return uint32(i)
		}
	}
	panic("no number")
}

// address gives an operand for a memory access, in bounds as a rule.
func (g *generator) address() []byte {
	if g.Intn(8) > 0 {
		return i32(g.Int31n(60000))
	}
	return g.value(I32, 1)
}

// value makes code that leaves a value of a type.
func (g *generator) value(t ValueType, depth int) []byte {
	g.fuel--
	if depth <= 0 || g.fuel < 0 {
		return g.leaf(t)
	}
	switch g.Intn(12) {
	case 0, 1, 2:
		return g.leaf(t)
	case 3, 4:
		return g.binary(t, depth)
	case 5:
		return g.conversion(t, depth)
	case 6:
		load := map[ValueType]byte{I32: 0x28, I64: 0x29, F32: 0x2a, F64: 0x2b}[t]
		return code(g.address(), load, 0, int(g.Intn(8)))
	case 7:
		for f, typ := range g.types {
			if r := g.s.types[typ].Results; len(r) == 1 && r[0] == t && g.Intn(2) == 0 {
				return g.callOf(uint32(f), typ, depth)
			}
		}
		return g.leaf(t)
	case 8:
		return code(g.value(I32, depth-1), opIf, int(t), g.inside([]ValueType{t}, func() []byte {
			return code(g.statements(depth-2), g.value(t, depth-1), opElse, g.statements(depth-2), g.value(t, depth-1))
		}), opEnd)
	case 9:
		return code(opBlock, int(t), g.inside([]ValueType{t}, func() []byte {
			return code(g.statements(depth-2), g.value(t, depth-1), g.value(I32, depth-2), opBrIf, 0, g.statements(depth-2))
		}), opEnd)
	case 10:
		// select
		return code(g.value(t, depth-1), g.value(t, depth-1), g.value(I32, depth-1), 0x1b)
	default:
		if i, ok := g.local(t); ok {
			return code(g.value(t, depth-1), asm(nil).local(opLocalTee, i))
		}
		if t == I32 {
			return []([]byte){
				{opMemorySize, 0},
				code(i32(g.Int31n(3)), opMemoryGrow, 0),
				code(opRefNull, int(FuncRef), i32(g.Int31n(4)), opMiscPrefix, miscTableGrow, 0),
				{opMiscPrefix, miscTableSize, 0},
			}[g.Intn(4)]
		}
		return g.leaf(t)
	}
}

func (g *generator) leaf(t ValueType) []byte {
	if i, ok := g.local(t); ok && g.Intn(3) > 0 {
		return get(i)
	}
	if g.Intn(3) == 0 {
		return asm(nil).global(opGlobalGet, globalOf(t))
	}
	return g.constant(t)
}

func (g *generator) binary(t ValueType, depth int) []byte {
	ops := map[ValueType][]byte{
		I32: {0x6a, 0x6b, 0x6c, 0x6d, 0x70, 0x71, 0x72, 0x73, 0x74, 0x76, 0x77},
		I64: {0x7c, 0x7d, 0x7e, 0x80, 0x83, 0x84, 0x85, 0x86, 0x88, 0x89},
		F32: {0x92, 0x93, 0x94, 0x96},
		F64: {0xa0, 0xa1, 0xa2, 0xa4},
	}[t]
	return code(g.value(t, depth-1), g.value(t, depth-1), ops[g.Intn(len(ops))])
}

func (g *generator) conversion(t ValueType, depth int) []byte {
	from := g.number()
	var op []byte
	switch {
	case t == I32:
		op = map[ValueType][]byte{I32: {0x45}, I64: {0xa7}, F32: {0xfc, 0}, F64: {0xfc, 3}}[from]
	case t == I64:
		op = map[ValueType][]byte{I32: {0xac}, I64: {0x79}, F32: {0xfc, 4}, F64: {0xfc, 7}}[from]
	case t == F32:
		op = map[ValueType][]byte{I32: {0xb2}, I64: {0xb5}, F32: {0x8c}, F64: {0xb6}}[from]
	default:
		op = map[ValueType][]byte{I32: {0xb7}, I64: {0xba}, F32: {0xbb}, F64: {0x9a}}[from]
	}
	return code(g.value(from, depth-1), op)
}

// callOf calls a function, directly or through the table, where it may be
// another one.
func (g *generator) callOf(f, typ uint32, depth int) []byte {
	var b []byte
	for _, p := range g.s.types[typ].Params {
		b = append(b, g.value(p, depth-1)...)
	}
	if g.Intn(3) == 0 {
		return code(b, i32(g.Int31n(10)), opCallIndirect, int(typ), 0)
	}
	return code(b, call(f))
}

// inside makes code with one more block open.
func (g *generator) inside(results []ValueType, f func() []byte) []byte {
	g.labels = append(g.labels, openLabel{results})
	b := f()
	g.labels = g.labels[:len(g.labels)-1]
	return b
}

func (g *generator) statements(depth int) []byte {
	var b []byte
	for range g.Intn(4) {
		if depth <= 0 || g.fuel < 0 {
			break
		}
		b = append(b, g.statement(depth)...)
	}
	return b
}

// statement makes code that leaves nothing.
func (g *generator) statement(depth int) []byte {
	g.fuel--
	switch g.Intn(16) {
	case 0, 1:
		t := g.number()
		if i, ok := g.local(t); ok {
			return code(g.value(t, depth), set(i))
		}
		return code(g.value(t, depth), asm(nil).global(opGlobalSet, globalOf(t)))
	case 2:
		t := g.number()
		store := map[ValueType]byte{I32: 0x36, I64: 0x37, F32: 0x38, F64: 0x39}[t]
		return code(g.address(), g.value(t, depth), store, 0, g.Intn(8))
	case 3, 4:
		return g.loop(depth)
	case 5:
		return code(g.value(I32, depth), opIf, blockEmpty, g.inside(nil, func() []byte { return g.statements(depth - 1) }), opEnd)
	case 6:
		return code(opBlock, blockEmpty, g.inside(nil, func() []byte {
			return code(g.statements(depth-1), g.branch(depth), g.statements(depth-1))
		}), opEnd)
	case 7, 8:
		f := g.Intn(len(g.types))
		typ := g.types[f]
		drops := make([]byte, len(g.s.types[typ].Results))
		for i := range drops {
			drops[i] = opDrop
		}
		return code(g.callOf(uint32(f), typ, depth), drops)
	case 9:
		return g.branch(depth)
	case 10:
		return g.bulk()
	case 11:
		return g.try(depth)
	case 12:
		return g.jumpTable(depth)
	case 13:
		return g.tailCall(depth)
	case 14:
		return code(g.value(g.number(), depth), opDrop)
	default:
		return code(g.value(I32, depth-1), opIf, blockEmpty, opThrow, 1, opEnd)
	}
}

// loop makes a loop that ends as a rule: it counts in a local if there is one.
func (g *generator) loop(depth int) []byte {
	if i, ok := g.local(I32); ok && g.Intn(4) > 0 {
		rounds := []int32{3, 10, 64, 65, 1000}[g.Intn(5)]
		return code(i32(rounds), set(i), opLoop, blockEmpty, g.inside(nil, func() []byte {
			return code(g.statements(depth-1), get(i), i32(1), opI32Sub, opLocalTee, int(i), opBrIf, 0)
		}), opEnd)
	}
	if g.Intn(3) == 0 {
		// with a parameter
		t := g.s.fn([]ValueType{I32}, []ValueType{I32})
		return code(i32(g.Int31n(100)), opLoop, int(t), g.inside([]ValueType{I32}, func() []byte {
			return code(i32(1), opI32Sub, g.statements(depth-2), g.value(I32, 1), opBrIf, 0)
		}), opEnd, opDrop)
	}
	return code(opLoop, blockEmpty, g.inside(nil, func() []byte {
		return code(g.statements(depth-1), g.value(I32, depth-1), opBrIf, 0, g.statements(depth-1))
	}), opEnd)
}

// branch makes a branch to some block, on a condition or from a table as a rule.
func (g *generator) branch(depth int) []byte {
	to := g.Intn(len(g.labels))
	results := g.labels[len(g.labels)-1-to].results
	var b []byte
	for _, t := range results {
		b = append(b, g.value(t, depth-1)...)
	}
	switch g.Intn(4) {
	case 0:
		other := g.Intn(len(g.labels))
		if len(g.labels[len(g.labels)-1-other].results)+len(results) == 0 {
			return code(g.value(I32, depth-1), opIf, blockEmpty,
				g.value(I32, 1), opBrTable, 2, to+1, other+1, to+1, opEnd)
		}
		fallthrough
	default:
		drops := make([]byte, len(results))
		for i := range drops {
			drops[i] = opDrop
		}
		return code(b, g.value(I32, depth-1), opBrIf, to, drops)
	case 3:
		if len(results) > 0 {
			return nil
		}
		return code(g.value(I32, depth-1), opIf, blockEmpty, opBr, to+1, opEnd)
	}
}

func (g *generator) bulk() []byte {
	size := i32([]int32{0, 5, 4095, 4096, 5000, 1 << 20, 1<<20 + 1}[g.Intn(7)])
	segment := g.Intn(generatedSegments)
	switch g.Intn(8) {
	case 0, 1:
		return code(i32(g.Int31n(60000)), i32(g.Int31n(60000)), size, opMiscPrefix, miscMemoryCopy, 0, 0)
	case 2, 3:
		return code(i32(g.Int31n(60000)), g.value(I32, 1), size, opMiscPrefix, miscMemoryFill, 0)
	case 4:
		return code(opMiscPrefix, miscDataDrop, segment)
	case 5:
		return code(i32(g.Int31n(9)), opRefFunc, g.Intn(generatedFunctions), i32(1), opMiscPrefix, miscTableFill, 0)
	case 6:
		return code(i32(g.Int31n(6)), i32(g.Int31n(6)), i32(3), opMiscPrefix, miscTableCopy, 0, 0)
	default:
		return code(g.address(), i32(g.Int31n(4)), g.value(I32, 1), opMiscPrefix, miscMemoryInit, segment, 0)
	}
}

// try makes a try_table whose clauses branch to a block around it, or to a loop
// or the function where these take nothing.
func (g *generator) try(depth int) []byte {
	to := 0
	for i := range g.labels {
		if len(g.labels[len(g.labels)-1-i].results) == 0 && g.Intn(2) == 0 {
			to = i + 1
		}
	}
	kind := 2 * g.Intn(2)
	clause := code(kind, to)
	if kind == 0 {
		clause = code(kind, 1, to)
	}
	return code(opBlock, blockEmpty, g.inside(nil, func() []byte {
		return code(opTryTable, blockEmpty, 1, clause, g.inside(nil, func() []byte {
			return code(g.statements(depth-1), g.value(I32, 1), opIf, blockEmpty, opThrow, 1, opEnd)
		}), opEnd)
	}), opEnd)
}

// jumpTable makes jumps as the Go compiler writes them.
func (g *generator) jumpTable(depth int) []byte {
	i, ok := g.local(I32)
	if !ok {
		return nil
	}
	const blocks = 4
	b := code(opLoop, blockEmpty, repeat(blocks, opBlock, blockEmpty), get(i), opBrTable, blocks)
	for l := range blocks + 1 {
		b = append(b, byte(min(l, blocks-1)))
	}
	for range blocks + 1 {
		g.labels = append(g.labels, openLabel{})
	}
	for l := blocks; l > 0; l-- {
		g.labels = g.labels[:len(g.labels)-1]
		b = code(b, opEnd, g.statements(depth-2))
		if g.Intn(2) == 0 {
			b = code(b, g.value(I32, 1), opIf, blockEmpty, i32(g.Int31n(blocks)), set(i), opBr, l, opEnd)
		}
	}
	g.labels = g.labels[:len(g.labels)-1]
	return code(i32(g.Int31n(blocks)), set(i), b, opEnd)
}

// tailCall leaves the function by a call of one that gives the same.
func (g *generator) tailCall(depth int) []byte {
	for f, typ := range g.types {
		t := g.s.types[typ]
		if string(appendTypes(nil, t.Results)) != string(appendTypes(nil, g.self.Results)) || g.Intn(2) == 0 {
			continue
		}
		b := code(g.value(I32, depth-1), opIf, blockEmpty)
		for _, p := range t.Params {
			b = append(b, g.value(p, 1)...)
		}
		if g.Intn(3) == 0 {
			return code(b, i32(g.Int31n(10)), opReturnCallIndirect, int(typ), 0, opEnd)
		}
		return code(b, opReturnCall, f, opEnd)
	}
	return nil
}
