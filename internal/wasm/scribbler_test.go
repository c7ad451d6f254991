package wasm_test

import (
	"bytes"

	"github.com/waterbear-run/waterbear/internal/wasm"
)

// scribbler is a guest that does to its memory what it is told. Its base image
// is in pages 2 and 5, and it counts its calls in a global.
func scribbler(least, most int) *guest {
	const fill, copyBytes = 11, 10
	g := &guest{}
	g.memory(least, most)
	count := g.global(typeI32, opI32Const, int64(7))
	tick := []byte(code(opGlobalGet, count, opI32Const, int64(1), opI32Add, opGlobalSet, count))
	three := []byte{typeI32, typeI32, typeI32}
	g.function("fill", three, nil, nil, tick, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opPrefix, fill, 0)
	g.function("copy", three, nil, nil, tick, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opPrefix, copyBytes, 0, 0)
	g.function("store", three[:2], nil, nil, tick, opLocalGet, 0, opLocalGet, 1, opI32Store, 0, 0)
	g.function("grow", three[:1], three[:1], nil, tick, opLocalGet, 0, opMemoryGrow, 0)
	g.function("trap", three[:2], nil, nil, tick, opLocalGet, 0, opLocalGet, 1, opI32Store, 0, 0, opUnreachable)
	g.data = append(g.data,
		code(byte(0), opI32Const, int64(2*wasm.PageSize+100), opEnd, string(bytes.Repeat([]byte("base"), 1000))),
		code(byte(0), opI32Const, int64(5*wasm.PageSize), opEnd, "another page"))
	return g
}

const (
	scribblerPages = 2 // of 64 KiB, to begin with
	scribblerMost  = 40
)
