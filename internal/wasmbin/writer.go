package wasmbin

import "encoding/binary"

func appendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

func appendS32(b []byte, v int32) []byte { return appendS64(b, int64(v)) }

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}

func appendGlobalType(b []byte, g global) []byte {
	mutable := byte(0)
	if g.mutable {
		mutable = 1
	}
	return append(b, byte(g.value), mutable)
}

func appendTypes(b []byte, types []ValueType) []byte {
	b = appendU32(b, uint32(len(types)))
	for _, t := range types {
		b = append(b, byte(t))
	}
	return b
}

func appendLimits(b []byte, l limits) []byte {
	if !l.bounded {
		return appendU32(append(b, 0), l.min)
	}
	return appendU32(appendU32(append(b, 1), l.min), l.max)
}

// appendSection appends a section, unless it is empty.
func appendSection(b []byte, id byte, body ...[]byte) []byte {
	n := 0
	for _, part := range body {
		n += len(part)
	}
	if n == 0 {
		return b
	}
	b = appendU32(append(b, id), uint32(n))
	for _, part := range body {
		b = append(b, part...)
	}
	return b
}
