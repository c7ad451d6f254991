// Package durable records what a program does to the world and gives it back
// at replay. Every host function that is not a pure function of the worker's
// state is a Func, and every call of one goes through Run: live, it performs
// and records; at replay it returns the record, or a *DivergenceError. The
// package hides which of the two is happening.
package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Effect says what a host function does, and so how it is recorded.
type Effect int

const (
	// ReadLocal observes the host and nobody sees it do so: the call is one
	// entry, written when it has returned.
	ReadLocal Effect = iota
	// WriteLocal changes something that belongs to the worker and is outside of
	// its instance: the call is one entry, and what it says is not visible before
	// that is durable.
	WriteLocal
	// ReadRemote waits for or asks something outside: its intent is committed
	// first, so that a recovered worker goes on waiting for the same thing.
	ReadRemote
	// WriteRemote changes something outside: its intent is committed first, and
	// without an outcome it is in doubt.
	WriteRemote
	// WriteQueued hands something over that leaves once the call is committed: one
	// entry, as of ReadLocal. Whether it has left is not known: as on a network.
	WriteQueued
)

// String names the effect.
func (e Effect) String() string {
	switch e {
	case ReadLocal:
		return "ReadLocal"
	case WriteLocal:
		return "WriteLocal"
	case ReadRemote:
		return "ReadRemote"
	case WriteRemote:
		return "WriteRemote"
	case WriteQueued:
		return "WriteQueued"
	}
	return fmt.Sprintf("Effect(%d)", int(e))
}

// Func declares a recorded host function. Calls in doubt are repeated with the
// same request, so a Func with a remote effect must be one whose repetition
// has the effect of one call.
type Func[Req, Resp any] struct {
	Code     uint64 // names it in the oplog, for ever
	Name     string // names it to people
	Effect   Effect
	Request  Codec[Req]
	Response Codec[Resp]
	// OfRequest and OfResponse, if set, are what people want to know of a remote
	// call.
	OfRequest  func(Req) Facts
	OfResponse func(Resp) Facts
	// Given, if set, reads a response that a person gives in JSON for a call that
	// is held.
	Given func(b []byte) (Resp, error)
}

// Codec turns values into an entry's bytes and back. Decoded values may alias
// the bytes, which are valid until the session's next call.
type Codec[T any] struct {
	Append func(b []byte, v T) []byte
	Decode func(b []byte) (T, error)
	Show   func(v T) string // for people; nil: %v
}

// Declared is a Func for those who only read oplogs.
type Declared interface {
	// Declaration is what is said of the Func.
	Declaration() (code uint64, name string, effect Effect)
	// ShowRequest and ShowResponse make recorded bytes readable.
	ShowRequest(b []byte) string
	ShowResponse(b []byte) string
	// RequestFacts and ResponseFacts are what people want to know besides.
	RequestFacts(b []byte) Facts
	ResponseFacts(b []byte) Facts
	// TakeGiven turns what a person gives as the response into recorded bytes.
	TakeGiven(b []byte) ([]byte, error)
}

// Declaration implements Declared.
func (f *Func[Req, Resp]) Declaration() (uint64, string, Effect) { return f.Code, f.Name, f.Effect }

// ShowRequest implements Declared.
func (f *Func[Req, Resp]) ShowRequest(b []byte) string { return f.Request.show(b) }

// ShowResponse implements Declared.
func (f *Func[Req, Resp]) ShowResponse(b []byte) string { return f.Response.show(b) }

// RequestFacts implements Declared.
func (f *Func[Req, Resp]) RequestFacts(b []byte) Facts { return f.Request.facts(f.OfRequest, b) }

// ResponseFacts implements Declared.
func (f *Func[Req, Resp]) ResponseFacts(b []byte) Facts { return f.Response.facts(f.OfResponse, b) }

// TakeGiven implements Declared.
func (f *Func[Req, Resp]) TakeGiven(b []byte) ([]byte, error) {
	if f.Given == nil {
		return nil, fmt.Errorf("%s takes no response from a person", f.Name)
	}
	v, err := f.Given(b)
	if err != nil {
		return nil, err
	}
	return f.Response.Append(nil, v), nil
}

func (c Codec[T]) facts(of func(T) Facts, b []byte) (f Facts) {
	if of == nil {
		return f
	}
	if v, err := c.Decode(b); err == nil {
		f = of(v)
	}
	return f
}

func (c Codec[T]) show(b []byte) string {
	v, err := c.Decode(b)
	if err != nil {
		return fmt.Sprintf("%x (%v)", b, err)
	}
	if c.Show != nil {
		return c.Show(v)
	}
	return fmt.Sprint(v)
}

var errLength = errors.New("the recorded value has the wrong length")

// None is the value of a Func without request or response.
type None struct{}

// NoneCodec is for None.
var NoneCodec = Codec[None]{
	Append: func(b []byte, _ None) []byte { return b },
	Decode: func(b []byte) (v None, err error) {
		if len(b) != 0 {
			err = errLength
		}
		return v, err
	},
	Show: func(None) string { return "" },
}

// Uint64Codec is for numbers.
var Uint64Codec = Codec[uint64]{
	Append: binary.AppendUvarint,
	Decode: func(b []byte) (uint64, error) {
		v, n := binary.Uvarint(b)
		if n <= 0 || n != len(b) {
			return 0, errLength
		}
		return v, nil
	},
}
