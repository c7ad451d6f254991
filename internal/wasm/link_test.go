package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// union is modules that are linked in a store, each with those before it and a
// host: a module called "1" offers what its imports of "1" name.
type union struct {
	t       *testing.T
	engine  *wasm.Engine
	store   *wasm.Store
	host    wasm.Source
	members []*wasm.Instance
}

func newUnion(t *testing.T, e *wasm.Engine, c wasm.StoreConfig, host *wasm.Host) *union {
	t.Helper()
	s, err := e.NewStore(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return &union{t: t, engine: e, store: s, host: host}
}

// link links one more module. names has a name for each import, "0" for the host
// and the number of a module else.
func (u *union) link(g *guest, names ...wasm.ImportName) (*wasm.Instance, error) {
	u.t.Helper()
	m, err := u.engine.CompileLinked(context.Background(), g.binary(), names, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			u.t.Error(err)
		}
	})
	sources := []wasm.Source{u.host}
	for _, in := range u.members {
		sources = append(sources, in)
	}
	if err := u.store.Enter(context.Background()); err != nil {
		u.t.Fatal(err)
	}
	defer u.store.Leave()
	in, err := m.Link(u.store, sources)
	if err != nil {
		return nil, err
	}
	u.members = append(u.members, in)
	return in, in.Init()
}

func (u *union) must(g *guest, names ...wasm.ImportName) *wasm.Instance {
	u.t.Helper()
	in, err := u.link(g, names...)
	if err != nil {
		u.t.Fatal(err)
	}
	return in
}

// call calls a function of a member.
func (u *union) call(in *wasm.Instance, name string, stack ...uint64) error {
	u.t.Helper()
	f, err := in.Func(name)
	if err != nil {
		u.t.Fatal(err)
	}
	if err := u.store.Enter(context.Background()); err != nil {
		return err
	}
	defer u.store.Leave()
	return f.Call(stack)
}

func from(module int, name string) wasm.ImportName {
	return wasm.ImportName{Module: strconv.Itoa(module), Name: name}
}

// importOther adds an import that is no function, by its kind and its type.
func (g *guest) importOther(module, name string, kind byte, description ...byte) {
	g.imports = append(g.imports, code(module, name, kind, description))
}

const (
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
	kindTag    = 4
)

// keeper has a memory, a table, a counter and a function that uses it.
func keeper() *guest {
	g := &guest{}
	g.memory(1, -1)
	g.table(4, -1)
	g.exports = append(g.exports, code("table", byte(kindTable), 0))
	g.global(typeI32, opI32Const, int64(0))
	g.export("count", kindGlobal, 0)
	g.function("inc", nil, []byte{typeI32}, nil,
		opGlobalGet, 0, opI32Const, int64(1), opI32Add, opGlobalSet, 0, opGlobalGet, 0)
	g.function("load", []byte{typeI32}, []byte{typeI32}, nil, opLocalGet, 0, opI32Load, 2, 0)
	g.function("at", []byte{typeI32}, []byte{typeI32}, nil, opLocalGet, 0, opCallIndirect, g.functype(nil, []byte{typeI32}), 0)
	g.function("grow", []byte{typeI32}, []byte{typeI32}, nil, opLocalGet, 0, opMemoryGrow, 0)
	return g
}

// tenant imports all that a keeper, whose number is 1, has, and has globals of its
// own besides.
func tenant() (*guest, []wasm.ImportName) {
	g := &guest{}
	inc := g.importFunc("k", "inc", nil, []byte{typeI32})
	g.importOther("k", "memory", kindMemory, 0, 1)
	g.importOther("k", "table", kindTable, typeFuncRef, 0, 4)
	g.importOther("k", "count", kindGlobal, typeI32, 1)
	own := 1 + g.global(typeI32, opI32Const, int64(100))
	g.export("own", kindGlobal, own)
	g.function("inc", nil, []byte{typeI32}, nil,
		opGlobalGet, own, opI32Const, int64(1), opI32Add, opGlobalSet, own, opCall, inc)
	g.function("counts", nil, []byte{typeI32}, nil, opGlobalGet, 0, opI32Const, int64(1000), opI32Sub, opGlobalGet, own, opI32Add)
	g.function("store", []byte{typeI32, typeI32}, nil, nil, opLocalGet, 0, opLocalGet, 1, opI32Store, 2, 0)
	return g, []wasm.ImportName{from(1, "inc"), from(1, "memory"), from(1, "table"), from(1, "count")}
}

func TestLinkedModulesShareFunctionsMemoryTablesAndGlobals(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		u := newUnion(t, e, wasm.StoreConfig{}, nil)
		a := u.must(keeper())
		g, names := tenant()
		g.elements = append(g.elements, code(byte(0), opI32Const, int64(2), opEnd, 1, 1)) // table[2] is tenant's inc
		g.data = append(g.data, code(byte(0), opI32Const, int64(64), opEnd, "\x2a\x00\x00\x00"))
		b := u.must(g, names...)
		result := func(in *wasm.Instance, name string, args ...uint64) uint32 {
			t.Helper()
			stack := append(args, 0)
			if err := u.call(in, name, stack...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return uint32(stack[0])
		}
		if got := result(b, "inc"); got != 1 {
			t.Errorf("inc of the tenant: got %d", got)
		}
		if got := result(a, "at", 2); got != 2 {
			t.Errorf("inc of the tenant by the table: got %d", got)
		}
		if got := int32(result(b, "counts")); got != 2-1000+102 {
			t.Errorf("the globals: got %d", got)
		}
		if got := result(a, "load", 64); got != 42 {
			t.Errorf("the data segment of the tenant: got %d", got)
		}
		if err := u.call(b, "store", 128, 7); err != nil {
			t.Fatal(err)
		}
		if got := result(a, "load", 128); got != 7 {
			t.Errorf("the memory: got %d", got)
		}
		if got := result(a, "grow", 1); got != 1 {
			t.Errorf("growing: got %d", got)
		}
		if err := u.call(b, "store", 1<<16+8, 9); err != nil {
			t.Errorf("the tenant does not see the memory grow: %v", err)
		}
		if b.Memory() != nil || len(a.Memory()) != 2<<16 {
			t.Errorf("the memory is of %d and %d bytes", len(a.Memory()), len(b.Memory()))
		}
		// Each owns its own globals: those of the keeper are not the tenant's.
		if got, want := b.Globals(), []uint64{102}; !slices.Equal(got, want) {
			t.Errorf("the tenant's globals are %v, want %v", got, want)
		}
	})
}

func TestSegmentsThatReachTooFarAreTraps(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		for what, change := range map[string]func(g *guest){
			"data": func(g *guest) {
				g.data = append(g.data, code(byte(0), opI32Const, int64(1<<16-1), opEnd, "ab"))
			},
			"elements": func(g *guest) {
				g.elements = append(g.elements, code(byte(0), opI32Const, int64(4), opEnd, 1, 0))
			},
		} {
			u := newUnion(t, e, wasm.StoreConfig{}, nil)
			u.must(keeper())
			g, names := tenant()
			change(g)
			_, err := u.link(g, names...)
			var trap *wasm.Trap
			if !errors.As(err, &trap) {
				t.Errorf("%s: got %v, want a trap", what, err)
			}
		}
	})
}

// TestCallsBetweenModulesYield has a function call one of another module that does
// much and is charged for by nobody but its caller.
func TestCallsBetweenModulesYield(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		yields := 0
		u := newUnion(t, e, wasm.StoreConfig{OnYield: func() { yields++ }}, nil)
		g := &guest{}
		var work []any
		for range 1000 {
			work = append(work, opI32Const, int64(1), opDrop)
		}
		g.function("work", nil, nil, nil, work...)
		u.must(g)
		g = &guest{}
		imported := g.importFunc("a", "work", nil, nil)
		g.function("run", []byte{typeI32}, nil, nil, again(opCall, imported))
		b := u.must(g, from(1, "work"))
		if err := u.call(b, "run", 100_000); err != nil {
			t.Fatal(err)
		}
		if yields < 50 {
			t.Errorf("100,000 calls of a function of 3,000 instructions have yielded %d times", yields)
		}
		cause := errors.New("stopped on purpose")
		u.store.Stop(cause)
		if err := u.call(b, "run", 100_000); err != cause {
			t.Errorf("got %v, want %v", err, cause)
		}
	})
}

// bouncer is two modules that call each other: the first by a table that the second
// has put its function in.
func bouncer(u *union) *wasm.Instance {
	g := &guest{}
	g.table(1, -1)
	g.exports = append(g.exports, code("table", byte(kindTable), 0))
	g.function("f", []byte{typeI32}, []byte{typeI32}, nil,
		opLocalGet, 0, opI32Eqz, opIf, void, opI32Const, int64(0), opReturn, opEnd,
		opLocalGet, 0, opI32Const, int64(1), opI32Sub, opI32Const, int64(0),
		opCallIndirect, g.functype([]byte{typeI32}, []byte{typeI32}), 0, opI32Const, int64(1), opI32Add)
	u.must(g)
	g = &guest{}
	f := g.importFunc("a", "f", []byte{typeI32}, []byte{typeI32})
	g.importOther("a", "table", kindTable, typeFuncRef, 0, 1)
	back := g.function("g", []byte{typeI32}, []byte{typeI32}, nil, opLocalGet, 0, opCall, f, opI32Const, int64(1), opI32Add)
	g.elements = append(g.elements, code(byte(0), opI32Const, int64(0), opEnd, 1, back))
	return u.must(g, from(1, "f"), from(1, "table"))
}

func TestRecursionThroughModulesIsBounded(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		u := newUnion(t, e, wasm.StoreConfig{MaxStack: 1 << 20}, nil)
		b := bouncer(u)
		for range 3 {
			stack := []uint64{400} // the interpreter goes no deeper than 2000
			f, err := b.Func("g")
			if err != nil {
				t.Fatal(err)
			}
			if err := u.store.Enter(context.Background()); err != nil {
				t.Fatal(err)
			}
			err = f.Call(stack)
			u.store.Leave()
			if err != nil || stack[0] != 801 {
				t.Fatalf("got %d, %v", stack[0], err)
			}
			err = u.call(b, "g", 1<<30)
			var trap *wasm.Trap
			if !errors.As(err, &trap) || !trap.Overflow {
				t.Fatalf("got %v, want a stack overflow", err)
			}
		}
	})
}

// TestExceptionsThroughModulesGiveBackTheStack has one module throw, from some
// calls deep, through calls of its own, what another catches: over and over again.
func TestExceptionsThroughModulesGiveBackTheStack(t *testing.T) {
	u := newUnion(t, newEngine(t, wasm.Config{}), wasm.StoreConfig{MaxStack: 1 << 16}, nil)
	g := &guest{}
	g.tags = append(g.tags, code(byte(0), g.functype(nil, nil)))
	g.exports = append(g.exports, code("tag", byte(kindTag), 0))
	g.function("fall", []byte{typeI32}, nil, nil,
		opLocalGet, 0, opI32Eqz, opIf, void, opThrow, 0, opEnd, opLocalGet, 0, opI32Const, int64(1), opI32Sub, opCall, 0)
	u.must(g)
	g = &guest{}
	fall := g.importFunc("a", "fall", []byte{typeI32}, nil)
	g.importOther("a", "tag", kindTag, 0, byte(g.functype(nil, nil)))
	g.function("run", []byte{typeI32}, nil, nil, again(
		opBlock, void, opTryTable, void, 1, onTag, 0, 0, opI32Const, int64(20), opCall, fall, opEnd, opUnreachable, opEnd))
	b := u.must(g, from(1, "fall"), from(1, "tag"))
	if err := u.call(b, "run", 2000); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestMemoriesOfAStoreAreBoundedTogether(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		u := newUnion(t, e, wasm.StoreConfig{MaxMemory: 5 << 16}, nil)
		a, b := u.must(keeper()), u.must(keeper())
		grow := func(in *wasm.Instance, pages uint64) int32 {
			stack := []uint64{pages}
			if err := u.call(in, "grow", stack...); err != nil {
				t.Fatal(err)
			}
			return int32(uint32(stack[0]))
		}
		for _, step := range []struct {
			in    *wasm.Instance
			pages uint64
			want  int32
		}{{a, 2, 1}, {b, 2, -1}, {b, 1, 1}, {a, 1, -1}, {b, 1, -1}, {a, 0, 3}} {
			if got := grow(step.in, step.pages); got != step.want {
				t.Errorf("growing by %d: got %d, want %d", step.pages, got, step.want)
			}
		}
		if _, err := u.link(keeper()); err == nil {
			t.Error("a third memory is made of what is not left")
		}
	})
}

func TestAHostFunctionCallsBackIntoTheStore(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		var u *union
		var back *wasm.Func
		depth := 0
		host, err := e.Host(wasm.HostModule{Name: "host", Funcs: []wasm.HostFunc{{
			Name: "again", Params: []wasm.ValueType{wasm.I32}, Results: []wasm.ValueType{wasm.I32},
			Call: func(in *wasm.Instance, stack []uint64) {
				depth++
				if err := back.Call(stack); err != nil {
					wasm.Abort(err)
				}
				depth--
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		u = newUnion(t, e, wasm.StoreConfig{}, host)
		g := &guest{}
		out := g.importFunc("host", "again", []byte{typeI32}, []byte{typeI32})
		g.exports = append(g.exports, code("out", byte(0), out))
		f := g.function("down", []byte{typeI32}, []byte{typeI32}, nil,
			opLocalGet, 0, opI32Eqz, opIf, void, opI32Const, int64(0), opReturn, opEnd,
			opLocalGet, 0, opI32Const, int64(1), opI32Sub, opCall, out, opI32Const, int64(1), opI32Add)
		g.names(map[int]string{f: "down"})
		in := u.must(g, from(0, "again"))
		if back, err = in.Func("down"); err != nil {
			t.Fatal(err)
		}
		for _, export := range []string{"down", "out"} { // out is the host's own
			stack := []uint64{50}
			if err := u.call(in, export, stack...); err != nil || stack[0] != 50 {
				t.Errorf("%s: got %d, %v", export, stack[0], err)
			}
			err = u.call(in, export, 1<<20)
			var trap *wasm.Trap
			if !errors.As(err, &trap) || !trap.Overflow {
				t.Errorf("%s, for ever: got %v, want a stack overflow", export, err)
			}
			if depth < 100 || depth > 2000 {
				t.Errorf("%s has nested %d calls", export, depth)
			}
			depth = 0
		}
	})
}

func TestAStateOfLinkedInstancesIsRestored(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	make := func() (*union, []*wasm.Instance) {
		u := newUnion(t, e, wasm.StoreConfig{}, nil)
		a := u.must(keeper())
		g, names := tenant()
		g.data = append(g.data, code(byte(0), opI32Const, int64(64), opEnd, "\x2a\x00\x00\x00"))
		return u, []*wasm.Instance{a, u.must(g, names...)}
	}
	u, was := make()
	if err := u.call(was[1], "inc", 0); err != nil {
		t.Fatal(err)
	}
	if err := u.call(was[1], "store", 64, 0); err != nil {
		t.Fatal(err)
	}
	_, is := make()
	for i, in := range is {
		saved := in.NewSaved()
		err := was[i].Save(saved)
		if err == nil {
			err = in.Restore(saved)
		}
		if err = errors.Join(err, saved.Close()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(in.Memory(), was[i].Memory()) || !slices.Equal(in.Globals(), was[i].Globals()) {
			t.Errorf("instance %d is not what it was", i)
		}
	}
}

func TestALinkedInstanceIsClosedWithItsStore(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	u := newUnion(t, e, wasm.StoreConfig{}, nil)
	in := u.must(keeper())
	if err := in.Close(); err == nil {
		t.Error("it is closed alone")
	}
	if err := in.Recycle(wasm.InstanceConfig{}); err == nil {
		t.Error("it is recycled alone")
	}
	if err := u.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := u.call(in, "inc", 0); !errors.Is(err, wasm.ErrClosed) {
		t.Errorf("a call after closing: got %v", err)
	}
}

func TestAStoreThatHasLostAMemoryIsNotCalled(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	broken := false
	if err := e.SetDisk(func() bool { return false }, func() bool { return broken }); err != nil {
		t.Fatal(err)
	}
	u := newUnion(t, e, wasm.StoreConfig{}, nil)
	first, second := u.must(scribbler(scribblerPages, scribblerMost)), u.must(scribbler(scribblerPages, scribblerMost))
	if err := u.call(second, "store", 5, 1); err != nil {
		t.Fatal(err)
	}
	s := second.NewSaved()
	defer s.Close()
	if err := second.Save(s); err != nil {
		t.Fatal(err)
	}
	broken = true
	if err := second.Restore(s); err == nil {
		t.Fatal("it was restored from a broken disk")
	}
	broken = false
	for range 2 {
		if err := u.call(first, "store", 5, 1); err == nil || !strings.Contains(err.Error(), "lost its memory") {
			t.Errorf("got %v", err)
		}
	}
}
