package keyvalue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// The codes of the recorded functions. A code is never used again for something
// else.
const (
	codeGet   = 160
	codeKeys  = 161
	codeLook  = 162
	codeWrite = 163
)

var placeCodec = durable.Codec[place]{
	Append: func(b []byte, p place) []byte { return durable.AppendText(durable.AppendText(b, p.bucket), p.key) },
	Decode: func(b []byte) (p place, err error) {
		d := newDecoder(b)
		p = place{d.text(), d.text()}
		return p, d.close()
	},
	Show: func(p place) string { return fmt.Sprintf("%q of bucket %q", p.key, p.bucket) },
}

var (
	get = durable.Func[place, found]{
		Code: codeGet, Name: "keyvalue.get", Effect: durable.ReadLocal, Request: placeCodec,
		Response: durable.Codec[found]{Append: appendFound, Decode: decodeFound, Show: showFound},
	}
	keys = durable.Func[place, []string]{
		Code: codeKeys, Name: "keyvalue.list-keys", Effect: durable.ReadLocal, Request: placeCodec,
		Response: durable.Codec[[]string]{Append: appendKeys, Decode: decodeKeys, Show: func(list []string) string { return fmt.Sprintf("%q", list) }},
	}
	look = durable.Func[place, uint64]{
		Code: codeLook, Name: "keyvalue.look", Effect: durable.ReadLocal, Request: placeCodec, Response: durable.Uint64Codec,
	}
	write = durable.Func[change, outcome]{
		Code: codeWrite, Name: "keyvalue.write", Effect: durable.WriteRemote,
		Request:  durable.Codec[change]{Append: appendChange, Decode: decodeChange, Show: showChange},
		Response: durable.Codec[outcome]{Append: appendOutcome, Decode: decodeOutcome, Show: showOutcome},
	}
)

// Funcs lists what this package records.
func Funcs() []durable.Declared { return []durable.Declared{&get, &keys, &look, &write} }

// found is what a key has.
type found struct {
	exists bool
	value  []byte
}

func appendFound(b []byte, f found) []byte {
	if !f.exists {
		return b
	}
	return append(append(b, 1), f.value...)
}

func decodeFound(b []byte) (found, error) {
	switch {
	case len(b) == 0:
		return found{}, nil
	case b[0] != 1:
		return found{}, errDamaged
	}
	return found{true, slices.Clone(b[1:])}, nil
}

func showFound(f found) string {
	if !f.exists {
		return "nothing"
	}
	return durable.ShowBytes(f.value)
}

func appendKeys(b []byte, list []string) []byte {
	for _, key := range list {
		b = durable.AppendText(b, key)
	}
	return b
}

func decodeKeys(b []byte) (list []string, err error) {
	d := newDecoder(b)
	for len(d.Rest) > 0 && !d.Failed {
		list = append(list, d.text())
	}
	return list, d.close()
}

// action is what a change does.
type action uint64

const (
	setting action = iota + 1
	deleting
	incrementing
	swapping
	lastAction = swapping
)

var actionNames = [...]string{setting: "set", deleting: "delete", incrementing: "increment", swapping: "swap"}

// change is something that is done to a value once.
type change struct {
	place
	action action
	seen   uint64 // how often the value had been written to
	value  []byte // to set and to swap
	delta  int64  // to increment
	since  Version
}

func appendChange(b []byte, c change) []byte {
	b = placeCodec.Append(b, c.place)
	b = binary.AppendUvarint(b, uint64(c.action))
	b = binary.AppendUvarint(b, c.seen)
	b = binary.AppendUvarint(b, uint64(c.delta))
	b = binary.AppendUvarint(b, c.since)
	return append(b, c.value...)
}

func decodeChange(b []byte) (c change, err error) {
	d := newDecoder(b)
	c.place = place{d.text(), d.text()}
	c.action, c.seen, c.delta, c.since = action(d.Uint()), d.Uint(), int64(d.Uint()), d.Uint()
	if c.action < setting || c.action > lastAction {
		d.Failed = true
	}
	if len(d.Rest) > 0 {
		c.value, d.Rest = slices.Clone(d.Rest), nil
	}
	return c, d.close()
}

func showChange(c change) string {
	text := actionNames[c.action] + " " + placeCodec.Show(c.place)
	switch c.action {
	case setting, swapping:
		text += ": " + durable.ShowBytes(c.value)
	case incrementing:
		text += fmt.Sprintf(" by %d", c.delta)
	}
	return text
}

// outcome is what came of a change.
type outcome struct {
	done    bool
	sum     int64
	failure string // for the program to know
}

func appendOutcome(b []byte, o outcome) []byte {
	b = append(b, 0)
	if o.done {
		b[len(b)-1] = 1
	}
	return append(binary.AppendUvarint(b, uint64(o.sum)), o.failure...)
}

func decodeOutcome(b []byte) (o outcome, err error) {
	d := newDecoder(b)
	o.done, o.sum = d.Bool(), int64(d.Uint())
	o.failure, d.Rest = string(d.Rest), nil
	return o, d.close()
}

func showOutcome(o outcome) string {
	switch {
	case o.failure != "":
		return o.failure
	case !o.done:
		return "not done: others have written to it"
	case o.sum != 0:
		return fmt.Sprintf("done, %d", o.sum)
	}
	return "done"
}

var errDamaged = errors.New("it is damaged")

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }

func newDecoder(b []byte) *decoder { return &decoder{durable.Decoder{Rest: b}} }

func (d *decoder) text() string { return string(d.Text()) }

// close tells whether all was read and made sense.
func (d *decoder) close() error {
	if !d.Whole() {
		return errDamaged
	}
	return nil
}
