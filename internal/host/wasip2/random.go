package wasip2

import (
	"encoding/binary"

	"github.com/waterbear-run/waterbear/wit"
)

// maxRandom bounds the bytes of one call. The WIT has no error for it and lets
// no call give less, so more is a trap.
const maxRandom = 16 << 20

// randomRandom is wasi:random/random.
func randomRandom() interfaceOf {
	return interfaceOf{
		name: "wasi:random/random",
		functions: []function{
			{name: "get-random-bytes", typ: fnTo(tBytes, param("len", tU64)), call: randomBytes},
			{name: "get-random-u64", typ: fnTo(tU64), call: randomU64},
		},
	}
}

// randomInsecure is wasi:random/insecure. It is as secure as the other.
func randomInsecure() interfaceOf {
	return interfaceOf{
		name: "wasi:random/insecure",
		functions: []function{
			{name: "get-insecure-random-bytes", typ: fnTo(tBytes, param("len", tU64)), call: randomBytes},
			{name: "get-insecure-random-u64", typ: fnTo(tU64), call: randomU64},
		},
	}
}

// randomInsecureSeed is wasi:random/insecure-seed.
func randomInsecureSeed() interfaceOf {
	return interfaceOf{
		name: "wasi:random/insecure-seed",
		functions: []function{
			{name: "insecure-seed", typ: fnTo(tuple(tU64, tU64)), call: randomSeed},
		},
	}
}

func randomBytes(s *System, a []wit.Value) (wit.Value, error) {
	n := a[0].(uint64)
	if n > maxRandom {
		return nil, trap("%d random bytes are asked for at once, and %d can be had", n, maxRandom)
	}
	p := make([]byte, n)
	return p, s.random.Fill(p)
}

func randomU64(s *System, _ []wit.Value) (wit.Value, error) {
	v, err := s.draw()
	return v, err
}

func randomSeed(s *System, _ []wit.Value) (wit.Value, error) {
	low, err := s.draw()
	if err != nil {
		return nil, err
	}
	high, err := s.draw()
	return []wit.Value{low, high}, err
}

func (s *System) draw() (uint64, error) {
	var p [8]byte
	err := s.random.Fill(p[:])
	return binary.LittleEndian.Uint64(p[:]), err
}
