package wasm_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// spinner is a guest with several ways to run for ever.
func spinner() *guest {
	g := &guest{}
	g.memory(1, 1024)
	g.function("loop", nil, nil, nil, opLoop, void, opBr, 0, opEnd)
	g.function("counting", nil, nil, []byte{typeI32},
		opLoop, void, opLocalGet, 0, opI32Const, int64(1), opI32Add, opLocalTee, 0,
		opI32Const, int64(0), opI32Eq, opI32Eqz, opBrIf, 0, opBr, 0, opEnd)
	even := g.imported + len(g.funcs)
	g.function("tail", nil, nil, nil, opReturnCall, even+1)
	g.function("", nil, nil, nil, opReturnCall, even)
	// fib(200) goes only 200 calls deep, and takes longer than the universe.
	fib := g.imported + len(g.funcs)
	g.function("fib", []byte{typeI32}, []byte{typeI32}, nil,
		opLocalGet, 0, opI32Const, int64(2), opI32LtU, opIf, void, opLocalGet, 0, opReturn, opEnd,
		opLocalGet, 0, opI32Const, int64(1), opI32Sub, opCall, fib,
		opLocalGet, 0, opI32Const, int64(2), opI32Sub, opCall, fib, opI32Add)
	g.function("recursion", nil, nil, nil, opI32Const, int64(200), opCall, fib, opDrop)
	g.function("fill", nil, nil, nil, opI32Const, int64(1023), opMemoryGrow, 0, opDrop,
		opLoop, void, opI32Const, int64(0), opI32Const, int64(7), opI32Const, int64(1024<<16), opPrefix, 11, 0, opBr, 0, opEnd)
	g.function("quick", nil, nil, nil)
	return g
}

var spins = []string{"loop", "counting", "tail", "recursion", "fill"}

func TestStopEndsAnyEndlessCallWithItsCause(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, spinner().binary())
		for _, export := range spins {
			yielded := make(chan struct{}, 1)
			in := instantiate(t, m, wasm.InstanceConfig{OnYield: func() {
				select {
				case yielded <- struct{}{}:
				default:
				}
			}})
			cause := errors.New("stopped on purpose")
			var wg sync.WaitGroup
			wg.Go(func() {
				<-yielded
				in.Stop(cause)
				in.Stop(errors.New("too late"))
			})
			if err := call(in, export); err != cause {
				t.Errorf("%s: got %v, want %v", export, err, cause)
			}
			wg.Wait()
			if err := call(in, "quick"); err != cause {
				t.Errorf("%s, then another call: got %v, want %v", export, err, cause)
			}
		}
	})
}

func TestDoneContextEndsTheCallWithItsCause(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		cause := errors.New("out of patience")
		ctx, cancel := context.WithCancelCause(context.Background())
		in := load(t, e, spinner(), wasm.InstanceConfig{OnYield: func() { cancel(cause) }})
		for range 2 {
			if err := in.Call(ctx, "loop", nil); err != cause {
				t.Errorf("got %v, want %v", err, cause)
			}
		}
		if err := call(in, "quick"); err != nil {
			t.Errorf("with another context: got %v, want success", err)
		}
	})
}

func TestConcurrentCallIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, e *wasm.Engine) {
		var in *wasm.Instance
		var during [3]error
		g := spinner()
		g.start = code(len(g.funcs) - 1)
		in = load(t, e, g, wasm.InstanceConfig{OnYield: func() {
			during = [3]error{call(in, "quick"), in.Start(context.Background()), in.Close()}
			in.Stop(context.Canceled)
		}})
		if err := call(in, "loop"); err != context.Canceled {
			t.Errorf("got %v, want the stop's cause", err)
		}
		for _, err := range during {
			if !errors.Is(err, wasm.ErrBusy) {
				t.Errorf("during a call: got %v, want %v", err, wasm.ErrBusy)
			}
		}
	})
}

func TestClosedInstanceRefusesCalls(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	in := load(t, e, spinner(), wasm.InstanceConfig{})
	for range 2 {
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := call(in, "quick"); !errors.Is(err, wasm.ErrClosed) {
			t.Errorf("got %v, want %v", err, wasm.ErrClosed)
		}
		if in.Memory() != nil {
			t.Error("a closed instance still has memory")
		}
	}
}

// TestSpinningGuestsDoNotFreezeTheProcess measures what preemption is for: a
// guest that nothing can interrupt would hold up the garbage collector, and
// with it every task of the process, for as long as it runs. The machine may be
// busy with other things too: what it does to the process without guests is
// measured as well, and one of a few rounds has to be good.
func TestSpinningGuestsDoNotFreezeTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time, which the race detector that short tests run under makes meaningless")
	}
	const bound, rounds = 500 * time.Millisecond, 5
	engines(t, func(t *testing.T, e *wasm.Engine) {
		m := compile(t, e, spinner().binary())
		for _, pair := range [][2]string{{"loop", "counting"}, {"tail", "recursion"}, {"fill", "loop"}} {
			for round := 1; ; round++ {
				idleTick, idleCollect := stalls(200 * time.Millisecond)
				tick, collect, stop := spin(t, m, pair)
				t.Logf("%v: longest tick %v (without guests %v), longest collection %v (%v), stop %v",
					pair, tick, idleTick, collect, idleCollect, stop)
				if tick < bound+4*idleTick && collect < bound+4*idleCollect && stop < bound {
					break
				}
				if round == rounds {
					t.Fatalf("%v: every round of %d stalled the process for more than %v", pair, rounds, bound)
				}
			}
		}
	})
}

// spin runs two guests for ever, watches the process meanwhile, and stops them.
func spin(t *testing.T, m *wasm.Module, pair [2]string) (tick, collect, stop time.Duration) {
	t.Helper()
	cause := errors.New("enough")
	var guests [2]*wasm.Instance
	var wg sync.WaitGroup
	for i, export := range pair {
		in := instantiate(t, m, wasm.InstanceConfig{})
		guests[i] = in
		wg.Go(func() {
			if err := call(in, export); err != cause {
				t.Errorf("%s: got %v, want %v", export, err, cause)
			}
		})
	}
	tick, collect = stalls(500 * time.Millisecond)
	for _, in := range guests {
		in.Stop(cause)
	}
	start := time.Now()
	wg.Wait()
	return tick, collect, time.Since(start)
}

// stalls watches the process for a while: the longest that a ticker of 1 ms and
// a garbage collection took.
func stalls(during time.Duration) (tick, collect time.Duration) {
	end := time.Now().Add(during)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for last := time.Now(); last.Before(end); {
			<-ticker.C
			now := time.Now()
			tick, last = max(tick, now.Sub(last)), now
		}
	})
	for time.Now().Before(end) {
		start := time.Now()
		runtime.GC()
		collect = max(collect, time.Since(start))
	}
	wg.Wait()
	return tick, collect
}
