package component_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component"
	"github.com/waterbear-run/waterbear/internal/component/binary"
	"github.com/waterbear-run/waterbear/internal/wasm"
	"github.com/waterbear-run/waterbear/wit"
)

// The programs in testdata are the .wat files there, assembled by wat2wasm of the
// Python package wasmtime.

// things is the state that the host of the tests keeps for an instance.
type things struct {
	next    uint32
	numbers map[uint32]uint32 // by representation
	dropped []uint32
}

func newThings() *things { return &things{next: 1000, numbers: map[uint32]uint32{}} }

var (
	typeU32    = &wit.Type{Kind: wit.U32}
	typeString = &wit.Type{Kind: wit.String}
	typePoint  = &wit.Type{Kind: wit.Record, Fields: []wit.Field{
		{Name: "x", Type: &wit.Type{Kind: wit.S32}}, {Name: "y", Type: &wit.Type{Kind: wit.F64}},
	}}
	typeShape = &wit.Type{Kind: wit.Variant, Fields: []wit.Field{
		{Name: "none"}, {Name: "at", Type: typePoint}, {Name: "named", Type: typeString},
	}}
	thing     = &wit.Resource{Name: "thing"}
	ownThing  = &wit.Type{Kind: wit.Own, Resource: thing}
	someThing = &wit.Type{Kind: wit.Borrow, Resource: thing}
	errFail   = errors.New("the host failed on purpose")
)

func listOf(t *wit.Type) *wit.Type { return &wit.Type{Kind: wit.List, Elem: t} }

// hostFunc makes a function of the host.
func hostFunc(name string, result *wit.Type, call func(s *things, args []wit.Value) (wit.Value, error), params ...*wit.Type) component.HostFunc {
	f := &wit.Func{Result: result}
	for _, p := range params {
		f.Params = append(f.Params, wit.Param{Type: p})
	}
	return component.HostFunc{Name: name, Type: f, Call: func(c *component.Call, args []wit.Value) (wit.Value, error) {
		s, _ := c.State().(*things)
		return call(s, args)
	}}
}

func echo(name string, t *wit.Type) component.HostFunc {
	return hostFunc(name, t, func(_ *things, args []wit.Value) (wit.Value, error) { return args[0], nil }, t)
}

// kitHost is what kit.wat imports.
func kitHost() []*component.HostInterface {
	number := func(s *things, args []wit.Value) (wit.Value, error) {
		n, ok := s.numbers[args[0].(uint32)]
		if !ok {
			return nil, fmt.Errorf("there is no thing %v", args[0])
		}
		return n, nil
	}
	typeBytes := listOf(&wit.Type{Kind: wit.U8})
	count := hostFunc("count", typeU32, func(_ *things, args []wit.Value) (wit.Value, error) {
		n := uint32(0)
		for _, b := range args[0].([]byte) {
			n += uint32(b)
		}
		return n, nil
	}, typeBytes)
	count.Aliased = true
	return []*component.HostInterface{
		{
			Name: "test:kit/host", Version: "0.2.6",
			Resources: []component.HostResource{{Type: thing, Drop: func(c *component.Call, rep uint32) error {
				s := c.State().(*things)
				s.dropped = append(s.dropped, rep)
				delete(s.numbers, rep)
				return nil
			}}},
			Funcs: []component.HostFunc{
				echo("echo-string", typeString), echo("echo-list", listOf(typeU32)), echo("echo-bytes", typeBytes), count,
				echo("echo-point", typePoint), echo("echo-shape", typeShape),
				hostFunc("[constructor]thing", ownThing, func(s *things, args []wit.Value) (wit.Value, error) {
					s.next++
					s.numbers[s.next] = args[0].(uint32)
					return s.next, nil
				}, typeU32),
				hostFunc("[method]thing.get", typeU32, number, someThing),
				hostFunc("[static]thing.take", typeU32, func(s *things, args []wit.Value) (wit.Value, error) {
					n, err := number(s, args)
					delete(s.numbers, args[0].(uint32))
					return n, err
				}, ownThing),
				hostFunc("fail", nil, func(*things, []wit.Value) (wit.Value, error) { return nil, errFail }, typeU32),
			},
		},
		{Name: "test:kit/other", Version: "0.2.0", Funcs: []component.HostFunc{hostFunc("look", typeU32, number, someThing)}},
	}
}

func newEngine(t testing.TB) *wasm.Engine {
	t.Helper()
	e, err := wasm.New(context.Background(), wasm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func readFile(name string) ([]byte, error) { return os.ReadFile("testdata/" + name + ".wasm") }

func decode(t testing.TB, file string) *binary.Component {
	t.Helper()
	source, err := readFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := binary.Decode(source)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compile(t testing.TB, file string, hosts []*component.HostInterface) *component.Program {
	t.Helper()
	p, err := component.Compile(context.Background(), newEngine(t), decode(t, file), hosts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func closeLater(t testing.TB, in *component.Instance) {
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}

func instantiate(t testing.TB, p *component.Program, c component.Config) *component.Instance {
	t.Helper()
	in, err := p.Instantiate(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, in)
	return in
}

// kit is an instance of kit.wat.
func kit(t testing.TB) (*component.Instance, *things) {
	t.Helper()
	s := newThings()
	return instantiate(t, compile(t, "kit", kitHost()), component.Config{State: s}), s
}

func call(in *component.Instance, name string, args ...wit.Value) (wit.Value, error) {
	return in.Call(context.Background(), name, args)
}

// must calls a function that has to return want.
func must(t testing.TB, in *component.Instance, want wit.Value, name string, args ...wit.Value) {
	t.Helper()
	got, err := call(in, name, args...)
	if err != nil || !same(got, want) {
		t.Errorf("%s%v: got %v, %v, want %v", name, args, got, err, want)
	}
}

func same(a, b wit.Value) bool {
	switch a := a.(type) {
	case []wit.Value:
		b, ok := b.([]wit.Value)
		return ok && slices.EqualFunc(a, b, same)
	case []byte:
		b, ok := b.([]byte)
		return ok && slices.Equal(a, b)
	case wit.Case:
		b, ok := b.(wit.Case)
		return ok && a.Index == b.Index && same(a.Payload, b.Payload)
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	}
	return a == b
}

// wantTrap checks that err is a trap for a reason.
func wantTrap(t testing.TB, err error, reason string) {
	t.Helper()
	var trap *wasm.Trap
	if !errors.As(err, &trap) || trap.Reason != reason {
		t.Errorf("got %v, want a trap: %s", err, reason)
	}
}
