package wasmbin

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// argument values for calls of guests.
var argumentSets = [][]uint64{{0, 1, 2, 3, 4, 5}, {7, 100, 3, 1 << 31, 9, 1}, {1<<64 - 1, 5, 1 << 40, 0, 2, 8}}

// differ runs all exported functions of a module as it is and rewritten, and
// reports where anything that the guest or its host can see is not the same.
// Calls that take long are ended, and with them the comparison; so are those
// that use up the stack, which happens earlier in the rewritten module.
func differ(source []byte) error {
	r, err := Rewrite(source, Options{})
	if err != nil {
		return fmt.Errorf("rewrite: %w", err)
	}
	e := newSmallEngine()
	defer e.Close(e.ctx)
	e.stop = func() bool { return e.yields > 4 }
	rewritten, err := e.loadResult(r, "rewritten")
	if err != nil {
		_, rawErr := e.load(source, "raw")
		if got, want := outcome(nil, nil, err), outcome(nil, nil, rawErr); got != want {
			return fmt.Errorf("loading it, rewritten: %s, as it is: %s", got, want)
		}
		return nil
	}
	// The module as it is gets its start function called by the engine. It is
	// loaded only after that of the rewritten one ended.
	var raw api.Module
	if r.Start != "" {
		got := e.call(rewritten, r.Start)
		if cut(got) {
			return nil
		}
		raw, err = e.load(source, "raw")
		if failed := strings.HasPrefix(got, "error"); failed != (err != nil) {
			return fmt.Errorf("the start function %s, as it is %v", got, err)
		} else if failed {
			return nil
		}
	} else {
		raw, err = e.load(source, "raw")
	}
	if err != nil {
		return fmt.Errorf("load as it is: %w", err)
	}
	for _, args := range argumentSets {
		for _, x := range r.Exports {
			if x.Kind != Func || len(x.Type.Params) > len(args) {
				continue
			}
			e.yields = 0
			got := e.call(rewritten, x.Name, args[:len(x.Type.Params)]...)
			if cut(got) {
				return nil
			}
			want := e.call(raw, x.Name, args[:len(x.Type.Params)]...)
			if got != want {
				return fmt.Errorf("%s%v %s, as it is %s", x.Name, args, got, want)
			}
			if got, want := state(rewritten, r), state(raw, r); got != want {
				return fmt.Errorf("after %s%v the state is %s, as it is %s", x.Name, args, got, want)
			}
		}
	}
	return nil
}

// cut says whether a call was ended by the host or for using up the stack.
func cut(outcome string) bool {
	return strings.Contains(outcome, errStopped.Error()) || strings.Contains(outcome, errOverflow.Error())
}

// state describes what a host can see of a module: its memory and the globals
// that it exports itself.
func state(m api.Module, r *Rewritten) string {
	var b strings.Builder
	if r.Memory != "" {
		memory := m.Memory()
		bytes, _ := memory.Read(0, memory.Size())
		h := fnv.New64a()
		h.Write(bytes)
		fmt.Fprintf(&b, "memory of %d bytes %x", len(bytes), h.Sum64())
	}
	for _, x := range r.Exports {
		if x.Kind == Global {
			fmt.Fprintf(&b, " %s=%x", x.Name, m.ExportedGlobal(x.Name).Get())
		}
	}
	return b.String()
}

func newSmallEngine() *engine {
	e, err := openEngine(wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(64))
	if err != nil {
		panic(err)
	}
	return e
}

func TestGeneratedModulesBehaveTheSame(t *testing.T) {
	for seed := range int64(150) {
		if err := differ(generate(seed)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// FuzzGenerated looks for a module that rewriting changes the meaning of.
func FuzzGenerated(f *testing.F) {
	for seed := range int64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		if err := differ(generate(seed)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	})
}

// FuzzRewrite looks for bytes that make Rewrite panic, or that it and the
// engine see differently.
func FuzzRewrite(f *testing.F) {
	f.Add(everything().binary())
	for _, s := range endless() {
		if b := s.binary(); len(b) < 1000 {
			f.Add(b)
		}
	}
	for seed := range int64(10) {
		f.Add(generate(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		if err := judge(source); err != nil {
			t.Error(err)
		}
	})
}

// judge compares what Rewrite and the engine say about a module.
func judge(source []byte) error {
	r, err := Rewrite(source, Options{})
	var malformed *MalformedError
	var unsupported *UnsupportedError
	var limit *LimitError
	switch {
	case errors.As(err, &unsupported), errors.As(err, &limit):
		return nil
	case errors.As(err, &malformed):
		if malformed.Section != sectionNames[sectionCode] || containsAny(err, unfit) {
			return nil
		}
	case err != nil:
		return err
	}
	if confusing(source) {
		return nil
	}
	e := newSmallEngine()
	defer e.Close(e.ctx)
	source = withoutCustom(source)
	rawErr := compile(e, source)
	if err != nil {
		if rawErr == nil {
			return fmt.Errorf("the engine accepts what is refused: %w", err)
		}
		return nil
	}
	rewrittenErr := compile(e, r.Module)
	switch {
	case rawErr == nil && rewrittenErr != nil:
		return fmt.Errorf("the engine refuses what was rewritten: %w", rewrittenErr)
	case rawErr != nil && rewrittenErr == nil && !containsAny(rawErr, mended):
		return fmt.Errorf("the engine accepts what was rewritten, and refuses it as it is: %w", rawErr)
	case rawErr != nil || len(r.Imports) > 0 || growsTable(source):
		// As it is, table.grow may take all memory of the process.
		return nil
	case writesAgain(source):
		return nil
	}
	return differ(source)
}

// withoutCustom leaves out custom sections, because the engine allocates what a
// damaged name section claims.
func withoutCustom(source []byte) []byte {
	out := slices.Clone(source[:8])
	for r := (&reader{data: source, pos: 8, end: len(source)}); !r.done(); {
		at := r.pos
		id := r.byte()
		if r.skip(int(r.u32())); id != sectionCustom && r.err == nil {
			out = append(out, source[at:r.pos]...)
		}
	}
	return out
}

// compile compiles a module, and takes a panic of the engine for a refusal.
func compile(e *engine, binary []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	_, err = e.CompileModule(e.ctx, binary)
	return err
}

// unfit are reasons for which a module is refused and not shown to the engine,
// which allocates what a module claims. Neither is what is wrong before code.
var unfit = []string{"claims", "ends too early", "functions have bodies", "a number of more than", "comes after"}

// confusing says whether a module may hold a vector instruction in a form that
// the engine reads as another one: it looks at one byte of its number.
func confusing(source []byte) bool {
	for i := 0; i+2 < len(source); i++ {
		if source[i] == opVectorPrefix && source[i+1] >= 0x80 && source[i+2] != 1 {
			return true
		}
	}
	return false
}

// growsTable says whether a module has an instruction table.grow.
func growsTable(source []byte) bool {
	m, err := decode(source, Options{TableItems: maxTableItems})
	return err == nil && slices.ContainsFunc(m.edits, func(e edit) bool {
		r := &reader{data: source, pos: int(e.at), end: len(source)}
		return e.kind == editChange && r.byte() == opMiscPrefix && r.u32() == miscTableGrow
	})
}

// writesAgain says whether a module can initialize memory and has active data
// segments. By the specification those are empty then; in the engine they are
// not.
func writesAgain(source []byte) bool {
	m, err := decode(source, Options{TableItems: maxTableItems})
	return err == nil && m.use.memoryInit && slices.ContainsFunc(m.dataSegments, func(s dataSegment) bool { return !s.passive })
}

// mended are errors of the engine that rewriting mends.
var mended = []string{"empty module name", "panic", "SIMD", "vector", "opcode", "reserved byte"}

func containsAny(err error, texts []string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(err.Error(), s) })
}
