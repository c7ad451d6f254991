package wasip1

import (
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/internal/host/wasi"
)

// vector is strings as programs get them: each with a zero byte behind.
type vector struct {
	bytes   []byte
	offsets []uint32
}

func newVector(list []string) (vector, error) {
	var v vector
	for _, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			return v, fmt.Errorf("%q has a zero byte", s)
		}
		if len(v.bytes)+len(s)+1 > wasi.MaxVector {
			return v, fmt.Errorf("they have more than %d bytes", wasi.MaxVector)
		}
		v.offsets = append(v.offsets, uint32(len(v.bytes)))
		v.bytes = append(append(v.bytes, s...), 0)
	}
	return v, nil
}

func (v *vector) sizes(m memory, count, size uint32) errno {
	c, n := m.u32(count), m.u32(size)
	if c == nil || n == nil {
		return errFault
	}
	put32(c, uint32(len(v.offsets)))
	put32(n, uint32(len(v.bytes)))
	return success
}

func (v *vector) copy(m memory, pointers, bytes uint32) errno {
	to, at := m.at(bytes, uint32(len(v.bytes))), m.array(pointers, uint32(len(v.offsets)), 4)
	if to == nil || at == nil {
		return errFault
	}
	copy(to, v.bytes)
	for i, offset := range v.offsets {
		put32(at[4*i:], bytes+offset)
	}
	return success
}

func (s *System) argsGet(m memory, p params) errno { return s.args.copy(m, p.u32(0), p.u32(1)) }

func (s *System) argsSizesGet(m memory, p params) errno { return s.args.sizes(m, p.u32(0), p.u32(1)) }
func (s *System) environGet(m memory, p params) errno   { return s.env.copy(m, p.u32(0), p.u32(1)) }
func (s *System) environSizesGet(m memory, p params) errno {
	return s.env.sizes(m, p.u32(0), p.u32(1))
}
