package sched_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/waterbear-run/waterbear/internal/sched"
)

// pausing is the module
//
//	(import "env" "pause" (func $pause (param i32) (result i32)))
//	(func (export "run") (param $n i32) (result i32) (local $sum i32)
//	  (loop
//	    (local.set $sum (i32.add (local.get $sum) (call $pause (local.get $n))))
//	    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
//	  (local.get $sum))
var pausing = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f,
	2, 13, 1, 3, 'e', 'n', 'v', 5, 'p', 'a', 'u', 's', 'e', 0, 0,
	3, 2, 1, 0,
	7, 7, 1, 3, 'r', 'u', 'n', 0, 1,
	10, 29, 1, 27, 1, 1, 0x7f,
	0x03, 0x40,
	0x20, 1, 0x20, 0, 0x10, 0, 0x6a, 0x21, 1,
	0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0,
	0x0b,
	0x20, 1,
	0x0b,
}

// eachEngine runs a test with the engines of wazero. start gives a new guest
// whose pauses call pause; it may be called again.
func eachEngine(t *testing.T, test func(t *testing.T, start func(pause func(uint32)) api.Function)) {
	for name, config := range map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfig(),
		"interpreter": wazero.NewRuntimeConfigInterpreter(),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			test(t, func(pause func(uint32)) api.Function {
				runtime := wazero.NewRuntimeWithConfig(ctx, config)
				t.Cleanup(func() { _ = runtime.Close(ctx) })
				_, err := runtime.NewHostModuleBuilder("env").NewFunctionBuilder().
					WithFunc(func(n uint32) uint32 { pause(n); return n }).Export("pause").Instantiate(ctx)
				if err != nil {
					t.Fatal(err)
				}
				guest, err := runtime.Instantiate(ctx, pausing)
				if err != nil {
					t.Fatal(err)
				}
				return guest.ExportedFunction("run")
			})
		})
	}
}

func TestGuestsParkInHostFunctions(t *testing.T) {
	eachEngine(t, func(t *testing.T, start func(func(uint32)) api.Function) {
		run := func(seed uint64) (order []string, trace uint64) {
			s := sched.NewSimulation(seed)
			err := s.Run(func() {
				var tasks []sched.Task
				for guest := range 3 {
					name := fmt.Sprint("guest ", guest)
					f := start(func(n uint32) {
						_ = s.Sleep(context.Background(), time.Second)
						order = append(order, fmt.Sprint(name, " pause ", n))
					})
					tasks = append(tasks, s.Go(name, func() {
						result, err := f.Call(context.Background(), 10)
						if err != nil || result[0] != 55 {
							t.Errorf("seed %d: %s = %v, %v, want 55", seed, name, result, err)
						}
					}))
				}
				for _, task := range tasks {
					task.Wait()
				}
			})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return order, s.Trace()
		}
		distinct := map[uint64]bool{}
		for seed := range uint64(10) {
			first, trace := run(seed)
			second, again := run(seed)
			if !slices.Equal(first, second) || trace != again {
				t.Fatalf("seed %d gave two traces:\n%v\n%v", seed, first, second)
			}
			distinct[trace] = true
		}
		if len(distinct) != 10 {
			t.Errorf("10 seeds gave %d traces", len(distinct))
		}
	})
}

func TestGuestAbandonedInAHostFunctionUnwinds(t *testing.T) {
	eachEngine(t, func(t *testing.T, start func(func(uint32)) api.Function) {
		for seed := range uint64(10) {
			s := sched.NewSimulation(seed)
			var pauses int
			var returned, unwound bool
			f := start(func(n uint32) {
				pauses++
				if n == 5 {
					s.Crash()
				}
				_ = s.Sleep(context.Background(), time.Second)
			})
			err := s.Run(func() {
				defer func() { unwound = true }()
				_, _ = f.Call(context.Background(), 10)
				returned = true
			})
			if !errors.Is(err, sched.ErrCrashed) {
				t.Fatalf("seed %d: Run = %v, want %v", seed, err, sched.ErrCrashed)
			}
			if pauses != 6 || returned || !unwound {
				t.Errorf("seed %d: %d pauses, call returned: %v, unwound: %v", seed, pauses, returned, unwound)
			}
		}
	})
}
