package wasm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// FuzzGuest compiles and runs whatever it is given. Nothing is expected of it
// but that every failure is an error and not the end of the process.
func FuzzGuest(f *testing.F) {
	for _, g := range []*guest{spinner(), grower(10), recursion(3), hostCallerGuest()} {
		f.Add(g.binary())
	}
	g, _, number, nothing := exceptions()
	g.function("run", nil, []byte{typeI64}, []byte{typeExnRef},
		thrown(opI64Const, int64(40), opCall, number), opLocalSet, 0, thrown(opCall, nothing), opDrop, numberIn(0))
	f.Add(g.binary())
	e := newEngine(f, wasm.Config{MaxMemory: 64 << 20})
	host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{
		{Name: "collect", Call: func(*wasm.Instance, []uint64) {}},
		{Name: "f", Params: []wasm.ValueType{wasm.I32}, Results: []wasm.ValueType{wasm.I32}, Call: func(*wasm.Instance, []uint64) {}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	enough := errors.New("enough")
	f.Fuzz(func(t *testing.T, source []byte) {
		m, err := e.Compile(context.Background(), source, nil)
		if err != nil {
			return
		}
		defer m.Close()
		yields := 0
		in, err := m.Instantiate(context.Background(), wasm.InstanceConfig{
			Hosts: []*wasm.Host{host}, MaxMemory: 4 << 20, MaxStack: 1 << 20,
			OnYield: func() {
				if yields++; yields%10 == 0 {
					wasm.Abort(enough)
				}
			},
		})
		if err != nil {
			return
		}
		for _, x := range m.Exports() {
			var host *wasm.HostError
			if err := in.Call(context.Background(), x.Name, make([]uint64, 64)); errors.As(err, &host) {
				t.Errorf("%s: %v", x.Name, err)
			}
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
}
