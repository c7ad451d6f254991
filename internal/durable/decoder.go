package durable

import (
	"encoding/binary"
	"fmt"
)

// Decoder takes values off recorded bytes. After a failure it gives zero values
// alone, so who uses it asks once, at the end: Whole.
type Decoder struct {
	Rest   []byte // what is left
	Failed bool
}

// Whole reports whether everything was there and has been taken.
func (d *Decoder) Whole() bool { return !d.Failed && len(d.Rest) == 0 }

// Take gives the next n bytes, which are part of what is decoded.
func (d *Decoder) Take(n int) []byte {
	if d.Failed = d.Failed || n > len(d.Rest); d.Failed {
		return nil
	}
	p := d.Rest[:n:n]
	d.Rest = d.Rest[n:]
	return p
}

// Byte gives the next byte.
func (d *Decoder) Byte() byte {
	if p := d.Take(1); p != nil {
		return p[0]
	}
	return 0
}

// Bool gives a byte that is 0 or 1.
func (d *Decoder) Bool() bool {
	v := d.Byte()
	d.Failed = d.Failed || v > 1
	return v == 1
}

// Uint gives a number in base 128 (uvarint).
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.Rest)
	if d.Failed = d.Failed || n <= 0; d.Failed {
		return 0
	}
	d.Rest = d.Rest[n:]
	return v
}

// Count is how many things follow, each of a byte at least.
func (d *Decoder) Count() int {
	n := d.Uint()
	if d.Failed = d.Failed || n > uint64(len(d.Rest)); d.Failed {
		return 0
	}
	return int(n)
}

// Text gives bytes that are behind their length, as AppendText writes them.
func (d *Decoder) Text() []byte { return d.Take(d.Count()) }

// AppendText writes a text behind its length.
func AppendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ShowBytes is content of any length as people look at it.
func ShowBytes(b []byte) string {
	const most = 200
	if len(b) > most {
		return fmt.Sprintf("%q and %d bytes more", b[:most], len(b)-most)
	}
	return fmt.Sprintf("%q", b)
}
