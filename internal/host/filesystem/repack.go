package filesystem

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
)

// Repack gives the manifest with other names for the packs that its content is in, as
// replace says: for those who keep the same content somewhere else.
func Repack(manifest []byte, replace func(Sum) (Sum, error)) ([]byte, error) {
	m := slices.Clone(manifest)
	at, end := len(magic)+1, len(m)-crc32.Size
	if end < at || string(m[:len(magic)]) != magic || m[len(magic)] != formatVersion {
		return nil, errNoManifest
	}
	number := func() (uint64, bool) {
		v, n := binary.Uvarint(m[at:end])
		at += max(n, 0)
		return v, n > 0
	}
	_, ok := number() // the next inode
	packs, counted := number()
	for ok = ok && counted; ok && packs > 0; packs-- {
		if end-at < len(Sum{}) {
			return nil, errNoManifest
		}
		sum, err := replace(Sum(m[at:]))
		if err != nil {
			return nil, err
		}
		at += copy(m[at:], sum[:])
		_, ok = number() // its size
	}
	if !ok {
		return nil, errNoManifest
	}
	binary.LittleEndian.PutUint32(m[end:], crc32.Checksum(m[:end], castagnoli))
	return m, nil
}

var errNoManifest = errors.New("it is no manifest of a file system")
