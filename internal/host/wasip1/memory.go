package wasip1

import (
	"encoding/binary"

	"github.com/waterbear-run/waterbear/internal/host/filesystem"
)

// memory is a program's linear memory. Whatever lies outside is a fault.
type memory []byte

// at is n bytes from p on, or nil if they are not all there. Nil is only ever
// returned for a fault.
func (m memory) at(p, n uint32) []byte {
	end := uint64(p) + uint64(n)
	if end > uint64(len(m)) || m == nil {
		return nil
	}
	return m[p:end:end]
}

// array is count structures of size bytes from p on, or nil.
func (m memory) array(p, count, size uint32) []byte {
	if n := uint64(count) * uint64(size); n <= uint64(len(m)) {
		return m.at(p, uint32(n))
	}
	return nil
}

// u32 is where a result of 4 bytes goes, or nil.
func (m memory) u32(p uint32) []byte { return m.at(p, 4) }

// u64 is where a result of 8 bytes goes, or nil.
func (m memory) u64(p uint32) []byte { return m.at(p, 8) }

// path copies a path of the program.
func (m memory) path(p, n uint32) (string, errno) {
	b := m.at(p, n)
	switch {
	case b == nil:
		return "", errFault
	case n > filesystem.MaxPath:
		return "", errNameTooLong
	}
	return string(b), success
}

func put16(b []byte, v uint16) { binary.LittleEndian.PutUint16(b, v) }
func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func put64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }

func get16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func get32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func get64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
