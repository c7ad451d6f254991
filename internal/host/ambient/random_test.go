package ambient

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20"
	"pgregory.net/rapid"
)

// keystream is n bytes of ChaCha20 from block counter on, by the library.
func keystream(t testing.TB, seed [32]byte, nonce byte, counter uint32, n int) []byte {
	t.Helper()
	c, err := chacha20.NewUnauthenticatedCipher(seed[:], append([]byte{nonce}, make([]byte, chacha20.NonceSize-1)...))
	if err != nil {
		t.Fatal(err)
	}
	c.SetCounter(counter)
	p := make([]byte, n)
	c.XORKeyStream(p, p)
	return p
}

func draw(t interface{ Fatal(...any) }, r *Random, n int) []byte {
	p := bytes.Repeat([]byte{0xa5}, n) // what is there before has no influence
	if err := r.Fill(p); err != nil {
		t.Fatal(err)
	}
	return p
}

var seed = [32]byte{0: 1, 31: 0xfe}

// TestRandomStreamIsThatOfRFC8439 compares with appendix A.1, test vectors 1
// and 2: the first two blocks of the key and the nonce of zeros.
func TestRandomStreamIsThatOfRFC8439(t *testing.T) {
	const blocks = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
		"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586" +
		"9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed" +
		"29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
	if got := hex.EncodeToString(draw(t, NewRandom([32]byte{}, 0), 128)); got != blocks {
		t.Errorf("got %s, want %s", got, blocks)
	}
}

func TestAnySplitOfDrawsGivesTheSameStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 20).Draw(rt, "sizes")
		r := NewRandom(seed, 0)
		var got []byte
		for _, n := range sizes {
			got = append(got, draw(rt, r, n)...)
		}
		if want := keystream(t, seed, 0, 0, len(got)); !bytes.Equal(got, want) {
			rt.Fatalf("draws of %v give %x, want %x", sizes, got, want)
		}
		if r.Position() != uint64(len(got)) {
			rt.Fatalf("the position is %d behind %d bytes", r.Position(), len(got))
		}
	})
}

func TestStreamGoesOnAtAnyPosition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		position := rapid.OneOf(
			rapid.Uint64Range(0, 1000),
			rapid.Uint64Range(span-1000, span+1000),
			rapid.Uint64Range(3*span-1000, 3*span+1000),
			rapid.Uint64Range(0, 1<<60),
		).Draw(rt, "position")
		first, rest := rapid.IntRange(0, 500).Draw(rt, "first"), rapid.IntRange(0, 500).Draw(rt, "rest")
		whole := NewRandom(seed, position)
		want := draw(rt, whole, first+rest)
		before := NewRandom(seed, position)
		got := draw(rt, before, first)
		after := NewRandom(seed, before.Position())
		if got = append(got, draw(rt, after, rest)...); !bytes.Equal(got, want) {
			rt.Fatalf("got %x, want %x", got, want)
		}
		if whole.Position() != after.Position() {
			rt.Fatalf("the positions are %d and %d", whole.Position(), after.Position())
		}
	})
}

func TestStreamGoesOnWithTheNextNonceBehind128GiB(t *testing.T) {
	const before, after = 100, 200
	r := NewRandom(seed, span-before)
	got := draw(t, r, before+after)
	end := keystream(t, seed, 0, span/64-2, 128)
	want := slices.Concat(end[128-before:], keystream(t, seed, 1, 0, after))
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if r.Position() != span+after {
		t.Errorf("the position is %d, want %d", r.Position(), uint64(span+after))
	}
}

func TestStreamsOfTwoSeedsDiffer(t *testing.T) {
	other := seed
	other[5] ^= 1
	if bytes.Equal(draw(t, NewRandom(seed, 0), 64), draw(t, NewRandom(other, 0), 64)) {
		t.Error("they are the same")
	}
}
