package wasm

import "github.com/waterbear-run/waterbear/internal/wasmbin"

// baseImage is the memory that instances of a module begin with, where it is
// not zero.
type baseImage struct {
	runs []wasmbin.Run
}

// put writes the image to a memory that is zero.
func (b *baseImage) put(memory []byte) {
	for _, r := range b.runs {
		copy(memory[r.Offset:], r.Bytes)
	}
}
