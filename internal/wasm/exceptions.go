package wasm

import (
	"encoding/binary"
	"unsafe"
)

// exceptionRoots keeps the exceptions alive that a call's guest may still hold
// a reference to. wazero lets the garbage collector see only the newest one, so
// that one is noted whenever the guest is about to replace it: a module that
// takes references yields before every throw and before every try_table.
//
// Those that are no longer referred to are found like a conservative collector
// finds them, by looking for their addresses on the guest's stack. They are
// nowhere else: globals and tables that hold exceptions are not accepted.
type exceptionRoots struct {
	roots []unsafe.Pointer
	limit int // of roots, before they are looked through
}

const (
	// minExceptionRoots is how many exceptions are kept without asking whether
	// they are referred to.
	minExceptionRoots = 256
	// maxExceptionRoots bounds how many exceptions a guest refers to. Each may
	// have a thousand values.
	maxExceptionRoots = 1 << 14
)

// note keeps the newest exception of a call.
func (x *exceptionRoots) note(g *gauge, c callStack) {
	if c == nil {
		return
	}
	newest := *(*unsafe.Pointer)(unsafe.Add(c, g.newest))
	if newest == nil || len(x.roots) > 0 && x.roots[len(x.roots)-1] == newest {
		return
	}
	x.roots = append(x.roots, newest)
	if len(x.roots) < max(x.limit, minExceptionRoots) {
		return
	}
	x.sweep(g, c)
	if len(x.roots) > maxExceptionRoots {
		Abort(&Trap{Reason: "too many exceptions are referred to"})
	}
	x.limit = 2 * len(x.roots)
}

// sweep forgets the exceptions that the guest cannot reach, but never the
// newest, which may be in a register.
func (x *exceptionRoots) sweep(g *gauge, c callStack) {
	newest := x.roots[len(x.roots)-1]
	unseen := make(map[uint64]unsafe.Pointer, len(x.roots))
	for _, p := range x.roots {
		unseen[uint64(uintptr(p))] = p
	}
	delete(unseen, uint64(uintptr(newest)))
	clear(x.roots)
	x.roots = x.roots[:0]
	g.memory(c, func(b []byte) {
		// Values of four bytes come between those of eight.
		for ; len(b) >= 8; b = b[4:] {
			w := binary.NativeEndian.Uint64(b)
			if p, ok := unseen[w]; ok {
				delete(unseen, w)
				x.roots = append(x.roots, p)
			}
		}
	})
	x.roots = append(x.roots, newest)
}
