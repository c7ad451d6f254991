package wasm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// changerGuest can change each kind of state that no image holds: a table by
// "table", a segment by "drop", globals by "reference" and "vector". "read"
// calls what is in the table, and counts in memory.
func changerGuest() *guest {
	g := &guest{}
	g.memory(1, 2)
	g.table(2, 10)
	reference := g.global(typeFuncRef, opRefNull, typeFuncRef)
	vector := g.global(typeV128, byte(0xfd), 12, make([]byte, 16))
	value := g.functype(nil, []byte{typeI32})
	one := g.function("", nil, []byte{typeI32}, nil, opI32Const, int64(1))
	two := g.function("", nil, []byte{typeI32}, nil, opI32Const, int64(2))
	g.elements = [][]byte{
		code(0, opI32Const, int64(0), opEnd, 1, one),
		code(byte(1), 0, 1, two), // passive
	}
	g.function("table", nil, nil, nil, opI32Const, int64(0), opRefFunc, two, byte(0x26), 0)
	g.function("init", nil, nil, nil, opI32Const, int64(0), opI32Const, int64(0), opI32Const, int64(1), opPrefix, 12, 1, 0)
	g.function("drop", nil, nil, nil, opPrefix, 13, 1)
	g.function("reference", nil, nil, nil, opRefFunc, one, opGlobalSet, reference)
	g.function("vector", nil, nil, nil, byte(0xfd), 12, make([]byte, 16), opGlobalSet, vector)
	g.function("read", nil, []byte{typeI32}, nil,
		opI32Const, int64(0), opI32Const, int64(0), opI32Load, 2, 0, opI32Const, int64(1), opI32Add, opI32Store, 2, 0,
		opI32Const, int64(0), opCallIndirect, value, 0)
	return g
}

func TestInstanceThatChangesWhatNoImageHoldsIsUnimageable(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, changerGuest().binary())
		for change, want := range map[string]string{
			"table": "changed a table", "init": "changed a table", "drop": "elem.drop", "reference": "a reference", "vector": "v128",
		} {
			in, other := instantiate(t, m, wasm.InstanceConfig{}), instantiate(t, m, wasm.InstanceConfig{})
			calls := func(name string) {
				t.Helper()
				if err := call(in, name, 0); err != nil {
					t.Fatal(err)
				}
			}
			saved := m.NewSaved()
			defer saved.Close()
			for range 2 {
				calls("read")
				if reasons := in.Unimageable(); len(reasons) > 0 {
					t.Errorf("an instance that has changed nothing is not imageable: %q", reasons)
				}
				if c, err := in.Capture(saved); err != nil || c.Pages != 1 {
					t.Errorf("captured %+v, %v", c, err)
				}
				if err := in.Recycle(wasm.InstanceConfig{}); err != nil {
					t.Error(err)
				}
			}
			calls(change)
			calls("read")
			if reasons := in.Unimageable(); len(reasons) != 1 || !strings.Contains(reasons[0], want) {
				t.Errorf("after %q it is not imageable because %q, want %q", change, reasons, want)
			}
			if _, err := in.Capture(saved); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("after %q it was captured: %v", change, err)
			}
			if err := in.Restore(saved); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("after %q it was restored: %v", change, err)
			}
			if err := in.Recycle(wasm.InstanceConfig{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("after %q it was recycled: %v", change, err)
			}
			if reasons := other.Unimageable(); len(reasons) > 0 {
				t.Errorf("after %q another instance is not imageable: %q", change, reasons)
			}
		}
	})
}

func TestEveryReasonIsToldAlsoByCachedModules(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		in := load(t, newEngine(t, wasm.Config{CacheDir: dir}), changerGuest(), wasm.InstanceConfig{})
		for n, change := range []string{"vector", "reference", "drop", "table"} {
			if err := call(in, change, 0); err != nil {
				t.Fatal(err)
			}
			reasons := in.Unimageable()
			slices.Sort(reasons)
			if len(slices.Compact(reasons)) != n+1 {
				t.Errorf("%d changes are told by %q", n+1, reasons)
			}
		}
	}
}
