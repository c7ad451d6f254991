package wasm_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// cpuTime is what the process has computed so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// again repeats code as often as local 0 says, which it counts down.
func again(parts ...any) []byte {
	return code(opLoop, void, code(parts...), opLocalGet, 0, opI32Const, int64(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd)
}

func TestEachCaughtExceptionCostsAsMuchAsTheFirst(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	for _, c := range []struct {
		name  string
		round func(number, nothing int) []byte
	}{
		{"caught by tag", func(_, nothing int) []byte {
			return code(opBlock, void, opTryTable, void, 1, onTag, tagOfNothing, 0, opCall, nothing, opEnd, opUnreachable, opEnd)
		}},
		{"caught by reference", func(number, _ int) []byte {
			return code(thrown(opI64Const, int64(1), opCall, number), opDrop)
		}},
		{"caught in the inner of two handlers, and thrown again to the outer", func(number, _ int) []byte {
			return code(thrown(thrown(opI64Const, int64(1), opCall, number), opThrowRef), opDrop)
		}},
		{"caught by the outer of two handlers", func(number, _ int) []byte {
			return code(thrown(opTryTable, void, 1, onTag, tagOfNothing, 0, opI64Const, int64(1), opCall, number, opEnd), opDrop)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, _, number, nothing := exceptions()
			g.function("run", []byte{typeI32}, nil, nil, again(c.round(number, nothing)))
			in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{collector(t, e)}})
			cost := func(throws uint64) (bytes uint64, cpu time.Duration) {
				bytes, cpu = allocated(), cpuTime(t)
				if err := call(in, "run", throws); err != nil {
					t.Fatal(err)
				}
				return allocated() - bytes, cpuTime(t) - cpu
			}
			bytes1, cpu1 := cost(5_000)
			bytes2, cpu2 := cost(20_000)
			if bytes2 > bytes1*41/10 {
				t.Errorf("5,000 throws allocate %d bytes, and four times as many %d", bytes1, bytes2)
			}
			if cpu2 > 10*cpu1+time.Second {
				t.Errorf("5,000 throws compute for %v, and four times as many for %v", cpu1, cpu2)
			}
		})
	}
}

func TestQuarterOfAMillionExceptionsAreCaught(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	g, _, number, _ := exceptions()
	g.function("run", []byte{typeI32}, []byte{typeI64}, []byte{typeI64},
		again(opLocalGet, 1,
			opBlock, typeI64, opTryTable, void, 1, onTag, tagOfNumber, 0, opI64Const, int64(3), opCall, number, opEnd, opUnreachable, opEnd,
			opI64Add, opLocalSet, 1),
		opLocalGet, 1)
	in := load(t, e, g, wasm.InstanceConfig{Hosts: []*wasm.Host{collector(t, e)}})
	const throws = 250_000
	stack := []uint64{throws}
	if err := in.Call(context.Background(), "run", stack); err != nil || stack[0] != 3*throws {
		t.Errorf("got %d, %v, want %d", stack[0], err, 3*throws)
	}
}

// maze is a function that goes n levels down, on a way that the bits of its
// second parameter choose: up each it hands on, catches, holds while it digs,
// or throws on what comes from below.
func maze() *guest {
	g, collect, number, _ := exceptions()
	dig := g.imported + len(g.funcs)
	g.function("", []byte{typeI64}, []byte{typeI64}, nil,
		opLocalGet, 0, opI64Eqz, opIf, typeI64, opCall, collect, opI64Const, int64(0), opElse,
		opLocalGet, 0, opI64Const, int64(1), opI64Sub, opCall, dig, opI64Const, int64(1), opI64Add, opEnd)
	const n, x, e, v = 0, 1, 2, 3
	down := dig + 1
	below := func(times, plus int64) []byte {
		return code(opLocalGet, n, opI64Const, int64(1), opI64Sub,
			opLocalGet, x, opI64Const, times, opI64Mul, opI64Const, plus, opI64Add, opCall, down)
	}
	// caught gives what is returned from below, or else the number thrown.
	caught := func(below []byte) []byte {
		return code(opBlock, typeI64, opTryTable, typeI64, 1, onTag, tagOfNumber, 0, below, opEnd, opEnd)
	}
	choose := func(k int64) []byte {
		return code(opLocalGet, x, opLocalGet, n, opI64ShrU, opI64Const, int64(3), opI64And, opI64Const, k, opI64Eq, opIf, void)
	}
	g.function("run", []byte{typeI64, typeI64}, []byte{typeI64}, []byte{typeExnRef, typeI64},
		opLocalGet, n, opI64Eqz, opIf, void, opCall, collect, opLocalGet, x, opCall, number, opEnd,
		choose(0), below(3, 1), opI64Const, int64(1), opI64Add, opReturn, opEnd,
		choose(1), caught(below(5, 2)), opI64Const, int64(7), opI64Mul, opLocalGet, n, opI64Add, opReturn, opEnd,
		choose(2), // holds it while the stack grows, and throws it again
		opBlock, typeExnRef, opTryTable, void, 1, onAllByRef, 0, below(9, 4), opReturn, opEnd, opUnreachable, opEnd, opLocalSet, e,
		opI64Const, int64(mazeDepth), opCall, dig, opDrop, caught(code(below(11, 5))), opDrop, opLocalGet, e, opThrowRef, opEnd,
		// Throws a number of two ways, the second from a longer stack.
		caught(below(13, 6)), opLocalSet, v,
		caught(code(opI64Const, int64(mazeDepth), opCall, dig, opLocalGet, v, opI64Add, opCall, number, opUnreachable)), opLocalSet, v,
		caught(below(15, 7)), opLocalGet, v, opI64Add, opCall, number, opUnreachable)
	return g
}

// mazeDepth is how many calls make a stack longer that nothing else did.
const mazeDepth = 700

// mazeOutcome is what the maze gives.
func mazeOutcome(n, x uint64) (v uint64, thrown bool) {
	if n == 0 {
		return x, true
	}
	switch x >> n & 3 {
	case 0:
		if v, thrown = mazeOutcome(n-1, 3*x+1); thrown {
			return v, true
		}
		return v + 1, false
	case 1:
		v, _ = mazeOutcome(n-1, 5*x+2)
		return 7*v + n, false
	case 2:
		return mazeOutcome(n-1, 9*x+4)
	default:
		first, _ := mazeOutcome(n-1, 13*x+6)
		second, _ := mazeOutcome(n-1, 15*x+7)
		return first + mazeDepth + second, true
	}
}

func TestExceptionsFindTheirWayThroughFramesHandlersAndGrowingStacks(t *testing.T) {
	e := newEngine(t, wasm.Config{})
	collections := 0
	host, err := e.Host(wasm.HostModule{Name: "env", Funcs: []wasm.HostFunc{{
		Name: "collect", Call: func(*wasm.Instance, []uint64) {
			if collections++; collections%16 == 0 {
				runtime.GC()
			}
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	m := compile(t, e, maze().binary())
	returned := 0
	for x := range uint64(200) {
		in := instantiate(t, m, wasm.InstanceConfig{Hosts: []*wasm.Host{host}}) // its stack is short
		n := x % 12
		stack := []uint64{n, x * 0x9e3779b97f4a7c15}
		want, throws := mazeOutcome(n, stack[1])
		err := in.Call(context.Background(), "run", stack)
		var trap *wasm.Trap
		switch {
		case throws != (errors.As(err, &trap) && strings.Contains(trap.Reason, "uncaught exception")):
			t.Errorf("%d levels, way %d: got %v, want an exception: %v", n, x, err, throws)
		case !throws && stack[0] != want:
			t.Errorf("%d levels, way %d: got %d, want %d", n, x, stack[0], want)
		case !throws:
			returned++
		}
	}
	if returned < 50 {
		t.Errorf("only %d ways returned", returned)
	}
}
