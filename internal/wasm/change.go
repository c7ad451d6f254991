package wasm

import (
	"encoding/binary"
	"errors"
)

// PageSize is the unit in which changes of a memory are found.
const PageSize = 4 << 10

// MaxChange bounds a Change, which is on the Go heap: its bytes, and runBytes more
// for each run.
const (
	MaxChange = 16 << 20
	runBytes  = 48
)

// ErrLargeChange is returned by Capture for a change of more than MaxChange
// bytes. Save keeps it all the same.
var ErrLargeChange = errors.New("more has changed than a change can have")

// mergedGap is how many bytes that are the same may be between two parts of one
// run. Where another run begins costs as much to say.
const mergedGap = 3

// Change is what has happened to an instance since its state was saved.
type Change struct {
	Size    uint64   // of the memory, bytes
	Globals []uint64 // all of them
	Runs    []Run    // of bytes that are others now, in ascending order
	Pages   int      // that have such bytes

	from *watch // of the memory that it was captured of, or nil
}

// Run is bytes of a memory.
type Run struct {
	Offset uint64
	Bytes  []byte
}

// span is a part of a memory.
type span struct{ from, to uint64 }

// spans gathers the bytes of a memory that are not the same any more.
type spans struct {
	all   []span
	total uint64 // bytes in them
}

// size is what a change of them takes.
func (d *spans) size() uint64 { return d.total + uint64(len(d.all))*runBytes }

// add takes the bytes in which a page differs.
func (d *spans) add(at uint64, was, is []byte) {
	for i := 0; i < PageSize; i += 8 {
		if binary.NativeEndian.Uint64(was[i:]) == binary.NativeEndian.Uint64(is[i:]) {
			continue
		}
		for k := i; k < i+8; k++ {
			if was[k] != is[k] {
				d.addByte(at + uint64(k))
			}
		}
	}
}

func (d *spans) addByte(at uint64) {
	if last := len(d.all) - 1; last >= 0 && at <= d.all[last].to+mergedGap {
		d.total += at + 1 - d.all[last].to
		d.all[last].to = at + 1
		return
	}
	d.total++
	d.all = append(d.all, span{at, at + 1})
}

// runs copies the spans of a memory.
func (d *spans) runs(memory []byte) []Run {
	bytes, runs := make([]byte, 0, d.total), make([]Run, len(d.all))
	for i, s := range d.all {
		begin := len(bytes)
		bytes = append(bytes, memory[s.from:s.to]...)
		runs[i] = Run{Offset: s.from, Bytes: bytes[begin:len(bytes):len(bytes)]}
	}
	return runs
}
