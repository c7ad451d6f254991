package component_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/canon"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

func TestValuesGoThroughAComponentAndTheHostAndBack(t *testing.T) {
	in, _ := kit(t)
	text := "aé€😀 " + strings.Repeat("x", 100_000)
	numbers := []wit.Value{uint32(0), uint32(1), uint32(1<<32 - 1)}
	point := []wit.Value{int32(-7), 2.5}
	for range 3 {
		must(t, in, nil, "empty")
		must(t, in, uint32(42), "add", uint32(1<<32-1), uint32(43))
		must(t, in, text, "string", text)
		must(t, in, "", "string", "")
		must(t, in, text, "string16", text)
		must(t, in, numbers, "list", numbers)
		must(t, in, []byte(text), "bytes", []byte(text))
		must(t, in, uint32(10), "count", []byte{1, 2, 3, 4})
		must(t, in, point, "point-of", point)
		must(t, in, wit.Case{Index: 1, Payload: point}, "shape-of", wit.Case{Index: 1, Payload: point})
		must(t, in, wit.Case{Index: 2, Payload: "n"}, "shape-of", wit.Case{Index: 2, Payload: "n"})
		must(t, in, wit.Case{}, "shape-of", wit.Case{})
		must(t, in, "hello from a data segment", "greeting")
	}
}

func TestExportsAndImportsAreListed(t *testing.T) {
	p := compile(t, "kit", kitHost())
	if want := []string{"test:kit/host@0.2.0", "test:kit/other@0.2.9"}; !slices.Equal(p.Imports(), want) {
		t.Errorf("got imports %q, want %q", p.Imports(), want)
	}
	var names []string
	for _, x := range p.Exports() {
		names = append(names, x.Name)
	}
	for _, want := range []string{"empty", "string", "test:kit/api@0.2.0#[constructor]counter", "test:kit/api@0.2.0#[method]counter.inc"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among the exports %q", want, names)
		}
	}
}

func TestResourcesOfTheHostAreHandlesToTheGuest(t *testing.T) {
	in, s := kit(t)
	must(t, in, nil, "keep", uint32(77))
	must(t, in, uint32(77), "kept")
	must(t, in, uint32(77), "look") // by another interface
	must(t, in, nil, "drop-kept")
	if want := []uint32{1001}; !slices.Equal(s.dropped, want) {
		t.Errorf("the host was told to drop %v, want %v", s.dropped, want)
	}
	must(t, in, nil, "keep", uint32(78))
	must(t, in, uint32(78), "give-kept")
	_, err := call(in, "kept")
	wantTrap(t, err, "unknown handle index 1")
	if len(s.dropped) != 1 || len(s.numbers) != 0 {
		t.Errorf("what was given to the host was dropped: %v, %v", s.dropped, s.numbers)
	}
}

func TestResourcesOfTheGuestAreTheHostsToHoldAndDrop(t *testing.T) {
	const api = "test:kit/api@0.2.0#"
	in, _ := kit(t)
	first, err := call(in, api+"[constructor]counter", uint32(10))
	if err != nil {
		t.Fatal(err)
	}
	second, err := call(in, api+"[constructor]counter", uint32(20))
	if err != nil {
		t.Fatal(err)
	}
	must(t, in, uint32(11), api+"[method]counter.inc", first)
	must(t, in, uint32(21), api+"[method]counter.inc", second)
	must(t, in, uint32(0), "dropped")
	must(t, in, uint32(21), api+"[static]counter.swallow", second)
	must(t, in, uint32(21), "dropped") // its destructor has run
	if err := in.Drop(context.Background(), api+"counter", first.(uint32)); err != nil {
		t.Error(err)
	}
	must(t, in, uint32(32), "dropped")
	if err := in.Drop(context.Background(), api+"thing", 1); err == nil {
		t.Error("a resource type that is not there can be dropped")
	}
}

func TestTheHostsErrorIsWhatTheCallReturns(t *testing.T) {
	in, _ := kit(t)
	if _, err := call(in, "fail", uint32(1)); err != errFail {
		t.Errorf("got %v, want %v", err, errFail)
	}
	if _, err := call(in, "empty"); !errors.Is(err, component.ErrTrapped) {
		t.Errorf("after it: got %v, want %v", err, component.ErrTrapped)
	}
}

func TestAHostThatGivesAnotherTypeIsBlamed(t *testing.T) {
	hosts := kitHost()
	hosts[0].Funcs[0].Call = func(*component.Call, []wit.Value) (wit.Value, error) { return 5, nil }
	in := instantiate(t, compile(t, "kit", hosts), component.Config{State: newThings()})
	_, err := call(in, "string", "a")
	var trap *wasm.Trap
	if err == nil || errors.As(err, &trap) || !strings.Contains(err.Error(), "test:kit/host#echo-string") {
		t.Errorf("got %v", err)
	}
}

func TestAPanicOfAHostFunctionEndsTheCallAlone(t *testing.T) {
	hosts := kitHost()
	hosts[0].Funcs[0].Call = func(*component.Call, []wit.Value) (wit.Value, error) { panic("a defect of the host") }
	in := instantiate(t, compile(t, "kit", hosts), component.Config{State: newThings()})
	_, err := call(in, "string", "a")
	var failure *wasm.HostError
	if !errors.As(err, &failure) {
		t.Errorf("got %v", err)
	}
}

func TestAfterATrapNothingIsCalled(t *testing.T) {
	in, _ := kit(t)
	_, err := call(in, "trap")
	wantTrap(t, err, "unreachable executed")
	_, err = call(in, "empty")
	if !errors.Is(err, component.ErrTrapped) {
		t.Errorf("got %v", err)
	}
	if _, err := in.Handles(); !errors.Is(err, component.ErrTrapped) {
		t.Errorf("its handles: got %v", err)
	}
}

func TestWrongArgumentsChangeNothing(t *testing.T) {
	in, _ := kit(t)
	for _, args := range [][]wit.Value{nil, {"a", "b"}, {uint32(1)}, {"\xff"}, {nil}} {
		if _, err := call(in, "string", args...); err == nil {
			t.Errorf("%v are accepted", args)
		}
	}
	if _, err := call(in, "no-such-function"); err == nil {
		t.Error("a function that is not there is called")
	}
	must(t, in, "a", "string", "a")
}

func TestImportsAreMatchedBySemanticVersion(t *testing.T) {
	for _, c := range []struct {
		version string // of the host's interface, which the component wants at 0.2.0
		offered bool
	}{
		{"0.2.0", true},
		{"0.2.12", true},
		{"0.2.6+build", true},
		{"0.3.0", false},
		{"0.1.0", false},
		{"1.2.0", false},
		{"", false},
		{"0.2.0-rc.1", false},
	} {
		hosts := kitHost()
		hosts[0].Version = c.version
		p, err := component.Compile(context.Background(), newEngine(t), decode(t, "kit"), hosts, nil)
		if (err == nil) != c.offered {
			t.Errorf("version %s: got %v", c.version, err)
		}
		if err == nil {
			err = p.Close()
		} else if !strings.Contains(err.Error(), "test:kit/host@0.2.0") {
			t.Errorf("version %s: the error does not name the import: %v", c.version, err)
		}
		if err != nil && c.offered {
			t.Error(err)
		}
	}
}

func TestImportsOfAnotherTypeAreRefused(t *testing.T) {
	other := &wit.Resource{Name: "thing"}
	for what, change := range map[string]func(*component.HostInterface){
		"parameter 1: it is a u32, not a string": func(h *component.HostInterface) {
			h.Funcs[0] = hostFunc("echo-string", typeString, nil, typeU32)
		},
		"it takes 0 parameters, not 1": func(h *component.HostInterface) {
			h.Funcs[0] = hostFunc("echo-string", typeString, nil)
		},
		"result: one of them is there": func(h *component.HostInterface) {
			h.Funcs[0] = hostFunc("echo-string", nil, nil, typeString)
		},
		"a part of the record is z, not x": func(h *component.HostInterface) {
			h.Funcs[4] = echo("echo-point", &wit.Type{Kind: wit.Record, Fields: []wit.Field{{Name: "z", Type: typeU32}, {Name: "y", Type: typeU32}}})
		},
		"not of the host's thing": func(h *component.HostInterface) {
			h.Funcs[7] = hostFunc("[method]thing.get", typeU32, nil, &wit.Type{Kind: wit.Borrow, Resource: other})
		},
		"fail: the host does not offer it": func(h *component.HostInterface) {
			h.Funcs = slices.DeleteFunc(h.Funcs, func(f component.HostFunc) bool { return f.Name == "fail" })
		},
		"thing: the host does not offer it": func(h *component.HostInterface) { h.Resources = nil },
	} {
		hosts := kitHost()
		change(hosts[0])
		p, err := component.Compile(context.Background(), newEngine(t), decode(t, "kit"), hosts, nil)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
		if p != nil {
			_ = p.Close()
		}
	}
}

func TestProgressOfCompilingRisesToOne(t *testing.T) {
	last, calls := map[string]float64{}, 0
	p, err := component.Compile(context.Background(), newEngine(t), decode(t, "kit"), kitHost(), func(stage string, done float64) {
		if done < last[stage] || done > 1 {
			t.Errorf("%s: %v after %v", stage, done, last[stage])
		}
		last[stage] = done
		calls++
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if last["compiling"] < 0.999 || calls < 3 {
		t.Errorf("it ended at %v after %d calls", last, calls)
	}
}

func TestInstancesShareNothing(t *testing.T) {
	p := compile(t, "kit", kitHost())
	a := instantiate(t, p, component.Config{State: newThings()})
	b := instantiate(t, p, component.Config{State: newThings()})
	must(t, a, nil, "poke", uint32(4096), uint32(7))
	must(t, a, nil, "keep", uint32(1))
	must(t, b, uint32(0), "peek", uint32(4096))
	_, err := call(b, "kept")
	wantTrap(t, err, "unknown handle index 0")
	must(t, a, uint32(1), "kept")
}

func TestMemoryIsBoundedOverAllModules(t *testing.T) {
	p := compile(t, "kit", kitHost())
	in := instantiate(t, p, component.Config{State: newThings(), MaxMemory: 4 << 16})
	must(t, in, int32(2), "grow", uint32(2))
	must(t, in, int32(-1), "grow", uint32(1))
	if _, err := p.Instantiate(context.Background(), component.Config{MaxMemory: 1 << 16}); err == nil {
		t.Error("it gets less memory than it declares")
	}
}

func TestAStateIsMovedToAnotherInstance(t *testing.T) {
	p := compile(t, "kit", kitHost())
	host := newThings()
	a := instantiate(t, p, component.Config{State: host})
	must(t, a, nil, "keep", uint32(1)) // handle 1
	must(t, a, nil, "keep", uint32(2)) // handle 2
	must(t, a, nil, "drop-kept")       // 2 is free
	must(t, a, nil, "keep", uint32(3)) // handle 2 again
	must(t, a, nil, "poke", uint32(4096), uint32(123))
	must(t, a, nil, "poke", uint32(1024), uint32(0)) // over the data segment
	must(t, a, int32(2), "grow", uint32(5))
	if why := a.Unimageable(); len(why) > 0 {
		t.Fatal(why)
	}
	if _, err := call(a, "test:kit/api@0.2.0#[constructor]counter", uint32(10)); err != nil {
		t.Fatal(err)
	}

	b, err := p.Blank(context.Background(), component.Config{State: host})
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	moveState(t, p, a, b)
	for _, in := range []*component.Instance{a, b} {
		must(t, in, uint32(1), "started")
		must(t, in, uint32(3), "kept")
		must(t, in, uint32(123), "peek", uint32(4096))
		must(t, in, uint32(0), "peek", uint32(1024))
		must(t, in, int32(7), "grow", uint32(0))
	}
	// What comes next is the same in both.
	must(t, b, nil, "drop-kept")
	must(t, b, nil, "keep", uint32(9))
	handles, err := b.Handles()
	want := canon.HandleTable{
		Handles: []canon.Handle{{Used: true, Rep: 1001}, {Used: true, Rep: 1004}, {}}, Free: []uint32{3},
	}
	if err != nil || !reflect.DeepEqual(handles[0], want) {
		t.Errorf("got handles %+v, %v, want %+v", handles[0], err, want)
	}
}

// moveState gives b, which is blank or was reset, the state of a.
func moveState(t *testing.T, p *component.Program, a, b *component.Instance) {
	t.Helper()
	for i, m := range p.Modules() {
		saved := m.NewSaved()
		if err := a.Cores()[i].Save(saved); err != nil {
			t.Fatal(err)
		}
		if err := b.Cores()[i].Restore(saved); err != nil {
			t.Fatal(err)
		}
		if err := saved.Close(); err != nil {
			t.Error(err)
		}
	}
	handles, err := a.AppendHandles(nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range handles {
		if err := b.ReadHandles(handles[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken for handles", n, len(handles))
		}
	}
	if err := b.ReadHandles(handles); err != nil {
		t.Fatal(err)
	}
}

func TestAnInstanceIsUsedAgainForAnotherState(t *testing.T) {
	p := compile(t, "kit", kitHost())
	limit := component.Config{State: newThings(), MaxMemory: 1 << 20}
	a, b := instantiate(t, p, limit), instantiate(t, p, limit)
	must(t, a, nil, "keep", uint32(5))
	must(t, a, nil, "poke", uint32(4096), uint32(1))
	for range 3 {
		must(t, b, nil, "poke", uint32(8192), uint32(2))
		must(t, b, int32(2), "grow", uint32(9))
		_, err := call(b, "trap")
		wantTrap(t, err, "unreachable executed")
		b.Stop(errors.New("nobody needs it"))
		if err := b.Reset(limit); err != nil {
			t.Fatal(err)
		}
		moveState(t, p, a, b)
		must(t, b, uint32(1), "peek", uint32(4096))
		must(t, b, uint32(0), "peek", uint32(8192))
		must(t, b, uint32(5), "kept")
		must(t, b, int32(2), "grow", uint32(14)) // all there may be
		must(t, b, int32(-1), "grow", uint32(1))
		if err := b.Reset(limit); err != nil {
			t.Fatal(err)
		}
		moveState(t, p, a, b)
	}
	if err := b.Reset(component.Config{MaxMemory: 2 << 20}); err == nil {
		t.Error("it is reset for more memory than it was made for")
	}
}

func TestHandlesThatCannotBeAreRefused(t *testing.T) {
	in, _ := kit(t)
	must(t, in, nil, "keep", uint32(1))
	good, err := in.Handles()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.SetHandles(nil); err == nil {
		t.Error("the tables of another program are accepted")
	}
	bad := slices.Clone(good)
	bad[0].Free = []uint32{1}
	if err := in.SetHandles(bad); err == nil {
		t.Error("a handle that is free and in use is accepted")
	}
	bad[0].Free, bad[0].Handles[0].Type = nil, 1<<31
	if err := in.SetHandles(bad); err == nil {
		t.Error("a resource type that is not there is accepted")
	}
	must(t, in, uint32(1), "kept")
}

func TestStopEndsACallWithItsCause(t *testing.T) {
	s := newThings()
	cause := errors.New("stopped on purpose")
	var in *component.Instance
	in = instantiate(t, compile(t, "kit", kitHost()), component.Config{State: s, OnYield: func() {
		if in != nil {
			in.Stop(cause)
		}
	}})
	if _, err := call(in, "spin"); err != cause {
		t.Errorf("got %v, want %v", err, cause)
	}
}

func TestOneCallAtATime(t *testing.T) {
	hosts := kitHost()
	var in *component.Instance
	hosts[0].Funcs[0].Call = func(_ *component.Call, args []wit.Value) (wit.Value, error) {
		_, err := call(in, "empty")
		return nil, err
	}
	in = instantiate(t, compile(t, "kit", hosts), component.Config{State: newThings()})
	if _, err := call(in, "string", "a"); !errors.Is(err, wasm.ErrBusy) {
		t.Errorf("got %v, want %v", err, wasm.ErrBusy)
	}
}
