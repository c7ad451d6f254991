package image

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/waterbear-run/waterbear/internal/storage"
	"github.com/waterbear-run/waterbear/internal/wasm"
)

// DeltaVersion is the format of deltas that this build writes and reads.
const DeltaVersion = 1

// Delta is what has changed of a worker's whole state.
type Delta struct {
	// Base is BaseOf where the state before was that of a fresh instance, else
	// zeros.
	Base [32]byte
	// Changes are what has happened to each core of the instance; none if there
	// is no instance any more.
	Changes []*wasm.Change
	// Files is the manifest of the file system, with Packs as in Head; nil if
	// it is as it was. Inline are those of the packs that are in no blob.
	Files  []byte
	Packs  []storage.Hash
	Inline []Pack
	// Open is as in Head; nil if it is as it was.
	Open   []byte
	Random uint64
	Clocks [3]uint64
	Input  bool
}

// Pack is file content by its name in a manifest.
type Pack struct {
	Sum     [32]byte
	Content []byte
}

// The flags of a delta.
const (
	deltaBased = 1 << iota
	deltaInstance
	deltaFiles
	deltaOpen
	deltaInput
	deltaFlags = 1<<iota - 1
)

// deltaHead is what is before the fields: a version and a checksum of them.
const deltaHead = 1 + 4

// Append encodes d.
func (d *Delta) Append(b []byte) []byte {
	start := len(b)
	e := encoder{append(b, DeltaVersion, 0, 0, 0, 0, d.flags())}
	if d.Base != ([32]byte{}) {
		e.b = append(e.b, d.Base[:]...)
	}
	if len(d.Changes) > 0 {
		e.uint(uint64(len(d.Changes)))
		for _, c := range d.Changes {
			e.change(c)
		}
	}
	if d.Files != nil {
		e.text(d.Files)
		e.packs(d.Packs)
		e.uint(uint64(len(d.Inline)))
		for _, p := range d.Inline {
			e.b = append(e.b, p.Sum[:]...)
			e.text(p.Content)
		}
	}
	if d.Open != nil {
		e.text(d.Open)
	}
	e.uint(d.Random)
	for _, c := range d.Clocks {
		e.uint(c)
	}
	binary.LittleEndian.PutUint32(e.b[start+1:], crc32.Checksum(e.b[start+deltaHead:], castagnoli))
	return e.b
}

func (d *Delta) flags() (flags byte) {
	set := func(flag byte, on bool) {
		if on {
			flags |= flag
		}
	}
	set(deltaBased, d.Base != [32]byte{})
	set(deltaInstance, len(d.Changes) > 0)
	set(deltaFiles, d.Files != nil)
	set(deltaOpen, d.Open != nil)
	set(deltaInput, d.Input)
	return flags
}

// change encodes what has happened to an instance. A run is its distance from
// the one before, its length, and its bytes.
func (e *encoder) change(c *wasm.Change) {
	e.uint(c.Size)
	e.globals(c.Globals)
	e.uint(uint64(len(c.Runs)))
	last := uint64(0)
	for _, r := range c.Runs {
		e.uint(r.Offset - last)
		e.text(r.Bytes)
		last = r.Offset + uint64(len(r.Bytes))
	}
}

// DecodeDelta reads what Append wrote. It aliases b.
func DecodeDelta(b []byte) (*Delta, error) {
	if len(b) <= deltaHead {
		return nil, ErrDamaged
	}
	if b[0] > DeltaVersion {
		return nil, ErrNewerFormat
	}
	if b[0] != DeltaVersion || binary.LittleEndian.Uint32(b[1:]) != crc32.Checksum(b[deltaHead:], castagnoli) {
		return nil, ErrDamaged
	}
	flags, d := b[deltaHead], &Delta{}
	r := decoder{b: b[deltaHead+1:]}
	if flags&deltaBased != 0 {
		copy(d.Base[:], r.take(uint64(len(d.Base))))
	}
	if flags&deltaInstance != 0 {
		d.Changes = make([]*wasm.Change, r.count(3))
		for i := range d.Changes {
			d.Changes[i] = r.change()
		}
	}
	if flags&deltaFiles != 0 {
		d.Files, d.Packs = r.text(), r.packs()
		d.Inline = make([]Pack, r.count(len(storage.Hash{})+1))
		for i := range d.Inline {
			copy(d.Inline[i].Sum[:], r.take(uint64(len(d.Inline[i].Sum))))
			d.Inline[i].Content = r.text()
		}
	}
	if flags&deltaOpen != 0 {
		d.Open = r.text()
	}
	d.Random = r.uint()
	for i := range d.Clocks {
		d.Clocks[i] = r.uint()
	}
	d.Input = flags&deltaInput != 0
	if r.failed || len(r.b) > 0 || flags > deltaFlags {
		return nil, ErrDamaged
	}
	return d, nil
}

func (d *decoder) change() *wasm.Change {
	c := &wasm.Change{Size: d.uint(), Globals: d.globals()}
	c.Runs = make([]wasm.Run, d.count(2))
	at := uint64(0)
	for i := range c.Runs {
		gap := d.uint()
		if gap > maxMemory {
			d.failed = true
			break
		}
		at += gap
		c.Runs[i] = wasm.Run{Offset: at, Bytes: d.text()}
		at += uint64(len(c.Runs[i].Bytes))
	}
	if c.Size > maxMemory || at > c.Size {
		d.failed = true
	}
	return c
}
