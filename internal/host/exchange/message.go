package exchange

import (
	"bytes"
	"fmt"
	"strings"
)

// Request is an HTTP request, all of it. It is never changed once it is sent.
type Request struct {
	Method    string
	Scheme    string // "http" or "https"
	Authority string
	Path      string // and the query
	Headers   []Field
	Body      []byte
	Trailers  []Field
	Timeouts  Timeouts
	// Streamed says that the body is none of these: it follows by Write.
	Streamed bool
	// Source is that body as the client gets it.
	Source Source
}

// Timeouts bound a request, each in nanoseconds; 0 is the client's default.
type Timeouts struct{ Connect, FirstByte, BetweenBytes uint64 }

// Field is a name and one of its values.
type Field struct {
	Name  string
	Value []byte
}

// Head is how a response begins, or why none does.
type Head struct {
	Status  uint16
	Headers []Field
	Failure *Failure
	// Given says that a person gave the response: Body is its body.
	Given bool
	Body  []byte
}

// Piece is a part of the body of a response. Neither bytes nor an end: nothing
// is there yet.
type Piece struct {
	Bytes    []byte
	End      bool // nothing follows but what is below
	Trailers []Field
	Failure  *Failure // how it broke off, at its end
}

// Exchange is a request that was sent and how far its response was read: plain
// data, that of an image too. Whoever has it goes on with it by Exchanges.
type Exchange struct {
	Call     uint64 // names it: the index of its intent
	Request  Request
	Answered bool   // its head was taken
	Status   uint16 // from there on
	Tag      []byte // the strong entity tag, if there is one
	Empty    bool   // it has no body
	Offset   uint64 // bytes of the body that were read
	Given    bool   // a person gave the response, and Body is its body
	Body     []byte

	// What follows is of a request that was sent Streamed.
	Written uint64 // bytes of its body
	Taken   uint64 // those that the remote has taken, as far as the program knows
	Over    bool   // and takes no more
	Ended   Ending
}

// value gives the first field of a name.
func value(list []Field, name string) ([]byte, bool) {
	for _, f := range list {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return nil, false
}

// keyField is the field by which a server knows a request again (an Internet
// draft of the IETF, in wide use).
const keyField = "Idempotency-Key"

// idempotent are the methods that have the effect of one request when they are
// repeated (RFC 9110, section 9.2.2).
var idempotent = map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true}

// repeatable reports whether a request that may have arrived can be sent again.
func (r *Request) repeatable() bool {
	_, keyed := value(r.Headers, keyField)
	return keyed || idempotent[r.Method]
}

// safe are the methods that ask for nothing but an answer (RFC 9110, section
// 9.2.1).
var safe = map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true}

// answered takes the head of the response.
func (x *Exchange) answered(h Head) {
	x.Answered, x.Status = true, h.Status
	if tag, ok := value(h.Headers, "etag"); ok && !bytes.HasPrefix(tag, []byte("W/")) {
		x.Tag = bytes.Clone(tag)
	}
	x.Given, x.Body = h.Given, bytes.Clone(h.Body)
	length, _ := value(h.Headers, "content-length")
	x.Empty = x.Request.Method == "HEAD" || h.Status == 204 || h.Status == 304 || string(length) == "0"
	x.forget()
}

// resumable reports whether the body that follows can be had by sending the
// request again, should the connection be gone: what was read is of a
// representation that can be told, or nothing was read yet. To repeat a request
// for no more than the body of its answer it must be safe, or have a key.
func (x *Exchange) resumable() bool {
	_, keyed := value(x.Request.Headers, keyField)
	switch {
	case x.Empty, x.Given:
		return false
	case x.Offset == 0:
		return keyed || safe[x.Request.Method]
	}
	return x.Tag != nil && x.Request.Method == "GET"
}

// forget lets go of a request that is not sent again.
func (x *Exchange) forget() {
	if !x.resumable() {
		x.Request = Request{}
	}
}

// same reports whether h begins the answer that was being read.
func (x *Exchange) same(h Head) bool {
	tag, _ := value(h.Headers, "etag")
	return h.Failure == nil && h.Status == x.Status && (x.Tag == nil || bytes.Equal(tag, x.Tag))
}

// show is a line about the request, for people.
func (t ticket) show() string {
	s := clip(fmt.Sprintf("%s %s://%s%s", clip(t.Method, 100), t.Scheme, t.Authority, redactURL(t.Path)), maxShownField)
	if t.length > 0 {
		s += fmt.Sprintf(", %d bytes", t.length)
	}
	if t.Streamed {
		s += ", a body that follows"
	}
	if key, ok := value(t.Headers, keyField); ok {
		s += fmt.Sprintf(", key %q", clip(string(key), 100))
	}
	return s
}

func (h Head) show() string {
	if h.Failure != nil {
		return h.Failure.Error()
	}
	return fmt.Sprintf("status %d, %d fields", h.Status, len(h.Headers))
}

func (p Piece) show() string {
	s := fmt.Sprintf("%d bytes", len(p.Bytes))
	switch {
	case p.Failure != nil:
		s += ", then " + p.Failure.Error()
	case p.End:
		s += ", then the end"
	}
	return s
}

func (c chunk) show() string {
	s := fmt.Sprintf("of %d, %d bytes behind byte %d", c.call, len(c.bytes), c.offset)
	switch c.end {
	case Whole:
		s += ", then the end"
	case Aborted:
		s += ", then given up"
	}
	return s
}

func (p progressing) show() string {
	return fmt.Sprintf("of %d, %d bytes written", p.call, p.written)
}

func (p Progress) show() string {
	s := fmt.Sprintf("%d taken", p.Taken)
	if p.Over {
		s += ", no more is"
	}
	return s
}
