package wasi

import (
	"encoding/binary"
	"errors"
)

// Coder writes plain data to an image, or reads it from one: what there is to
// keep is said once, for both ways. Numbers are unsigned LEB128. An image is not
// trusted: whatever is read has a bound, and after a failure everything read is
// zero and Close tells.
type Coder struct {
	b       []byte
	reading bool
	failed  bool
}

// NewEncoder makes a coder that appends to b.
func NewEncoder(b []byte) *Coder { return &Coder{b: b} }

// NewDecoder makes a coder that reads b.
func NewDecoder(b []byte) *Coder { return &Coder{b: b, reading: true} }

// Reading tells which way it goes.
func (c *Coder) Reading() bool { return c.reading }

// Bytes are what has been written.
func (c *Coder) Bytes() []byte { return c.b }

// More tells whether what may follow at the end does: as is says where it is
// written, and if anything is left where it is read.
func (c *Coder) More(is bool) bool {
	if c.reading {
		return len(c.b) > 0
	}
	return is
}

// Fail makes Close tell that what was read makes no sense.
func (c *Coder) Fail() {
	c.failed, c.b = true, nil
}

// Failed tells whether what was read makes no sense.
func (c *Coder) Failed() bool { return c.failed }

var errDamaged = errors.New("it is damaged")

// Close tells whether all was read and made sense.
func (c *Coder) Close() error {
	if c.failed || c.reading && len(c.b) > 0 {
		return errDamaged
	}
	return nil
}

// Uint codes a number of at most most.
func Uint[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int](c *Coder, v *T, most T) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(*v))
		return
	}
	*v = T(c.uint(uint64(most)))
}

func (c *Coder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > most {
		c.Fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// Bool codes a flag.
func (c *Coder) Bool(v *bool) {
	n := uint8(0)
	if *v {
		n = 1
	}
	Uint(c, &n, 1)
	*v = n == 1
}

// Text codes at most most bytes.
func Text[T ~string | ~[]byte](c *Coder, v *T, most int) {
	n := len(*v)
	Uint(c, &n, most)
	switch {
	case !c.reading:
		c.b = append(c.b, *v...)
	case n > len(c.b):
		c.Fail()
	case n > 0: // or an empty slice would not be nil, as it was
		*v, c.b = T(append([]byte(nil), c.b[:n]...)), c.b[n:]
	}
}

// List codes at most most elements, each of which is coded by each and takes at
// least a byte.
func List[T any](c *Coder, v *[]T, most int, each func(*T)) {
	n := len(*v)
	Uint(c, &n, most)
	if c.reading && n > len(c.b) {
		c.Fail()
		return
	}
	for i := 0; i < n && !c.failed; i++ {
		if c.reading {
			var none T
			*v = append(*v, none)
		}
		each(&(*v)[i])
	}
}
