package ambient

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20"
)

// Random is a worker's random stream: ChaCha20 (RFC 8439) under the seed of its
// Create entry. It needs no entries: the same draws give the same bytes.
type Random struct {
	seed     [chacha20.KeySize]byte
	position uint64 // bytes drawn
	cipher   *chacha20.Cipher
}

// span is after how many bytes the nonce changes: below the 256 GiB that one
// nonce can give.
const span = 1 << 37

// NewRandom begins the stream of seed at byte position.
func NewRandom(seed [32]byte, position uint64) *Random {
	r := &Random{seed: seed, position: position}
	r.seek()
	return r
}

func (r *Random) seek() {
	var nonce [chacha20.NonceSize]byte
	binary.LittleEndian.PutUint64(nonce[:], r.position/span)
	c, err := chacha20.NewUnauthenticatedCipher(r.seed[:], nonce[:])
	if err != nil {
		panic(fmt.Sprintf("ambient: ChaCha20 refuses a key and a nonce of its own sizes: %v", err))
	}
	within := r.position % span
	c.SetCounter(uint32(within / 64))
	var skip [64]byte
	c.XORKeyStream(skip[:within%64], skip[:within%64])
	r.cipher = c
}

// Fill draws len(p) bytes.
func (r *Random) Fill(p []byte) error {
	for len(p) > 0 {
		n := min(uint64(len(p)), span-r.position%span)
		clear(p[:n])
		r.cipher.XORKeyStream(p[:n], p[:n])
		r.position += n
		p = p[n:]
		if r.position%span == 0 {
			r.seek()
		}
	}
	return nil
}

// Rekey goes on with the stream of another seed, from its beginning.
func (r *Random) Rekey(seed [32]byte) {
	r.seed, r.position = seed, 0
	r.seek()
}

// Position is how many bytes have been drawn.
func (r *Random) Position() uint64 { return r.position }
