// Package inbound is the HTTP requests that programs answer: what a request is
// as the argument of an invocation, how the program reads its body, and how the
// response is recorded as the program writes it. It hides where the body of a
// request comes from.
package inbound

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/oplog"
)

// The code of the recorded function. It is never used again for something else.
const codeBody = 200

// Bounds of what comes in.
const (
	// MaxHead bounds a request without its body, in bytes: it is among the
	// arguments of an invocation.
	MaxHead = 64 << 10
	// MaxInline is how long a body may be, in bytes, to be there as well. Longer
	// ones are pieces before the invocation, of MaxPiece at most.
	MaxInline = 64 << 10
	MaxPiece  = 256 << 10
	// MaxRead bounds what one read of the program gives.
	MaxRead = 64 << 10
	// MaxResponseHead bounds the fields of a response, and its trailers.
	MaxResponseHead = 128 << 10
	// fieldCost is what a field costs beside its bytes.
	fieldCost = 32
)

// Request is an HTTP request that has come in whole.
type Request struct {
	Method    string  `json:"method"`
	Scheme    string  `json:"scheme"` // "http" or "https"
	Authority string  `json:"authority"`
	Path      string  `json:"path"` // and the query
	Fields    []Field `json:"fields"`
	Body      Body    `json:"body"`
	Trailers  []Field `json:"trailers,omitempty"`
}

// Size is what bounds the head of a request, and what Request has of fields.
func (r *Request) Size() int {
	return len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Path) + FieldsSize(r.Fields) + FieldsSize(r.Trailers)
}

// FieldsSize is what fields are taken to have, in bytes.
func FieldsSize(list []Field) (n int) {
	for _, f := range list {
		n += len(f.Name) + len(f.Value) + fieldCost
	}
	return n
}

// Head reports whether the client wants no body.
func (r *Request) Head() bool { return r.Method == "HEAD" }

// Same reports whether two requests under one key can be the same call. What leads
// to the worker, and what clients and those between say of themselves in fields,
// may be another the second time.
func (r *Request) Same(o *Request) bool {
	return r.Method == o.Method && r.Path == o.Path && r.Body.Size == o.Body.Size && r.Body.Sum == o.Body.Sum
}

// Response is what a program answers.
type Response struct {
	Status uint16
	Fields []Field
}

// Serving is one request being answered. It is for one task at a time.
type Serving struct {
	Request *Request

	session *durable.Session
	source  Source
	sent    uint64
	status  uint16
	ended   bool
	failure string
}

// Source gives the body of a request that is not among the arguments: up to
// limit bytes behind offset, more than none. It is never asked at replay.
type Source func(ctx context.Context, offset uint64, limit int) ([]byte, error)

// NewServing begins to answer.
func NewServing(s *durable.Session, r *Request, source Source) *Serving {
	return &Serving{Request: r, session: s, source: source}
}

// Read gives up to limit bytes of the body of the request behind offset, none at
// its end. They are valid until the next recorded call.
func (s *Serving) Read(offset uint64, limit int) ([]byte, error) {
	b := &s.Request.Body
	if offset >= b.Size {
		return nil, nil
	}
	if !b.Stored {
		rest := b.Bytes[offset:]
		return rest[:min(limit, len(rest))], nil
	}
	r := part{offset, uint64(min(limit, MaxRead))}
	return durable.Run(s.session, &body, r, func(ctx context.Context, r part) ([]byte, error) {
		return s.source(ctx, r.offset, int(r.limit))
	})
}

// Respond begins the response.
func (s *Serving) Respond(status uint16, fields []Field) error {
	if s.status != 0 || s.ended {
		return errors.New("the response has begun")
	}
	s.status = status
	return s.session.Respond(&oplog.Response{Status: uint64(status), Fields: recorded(fields)})
}

// Write adds p to the body of the response.
func (s *Serving) Write(p []byte) error {
	s.sent += uint64(len(p))
	return s.session.ResponseBody(p)
}

// End ends the response, of which nothing follows then: failure says why the body
// is not whole, "" that it is.
func (s *Serving) End(trailers []Field, failure string) error {
	s.ended, s.failure = true, failure
	return s.session.EndResponse(&oplog.ResponseEnd{Trailers: recorded(trailers), Failure: failure})
}

// Refuse ends it without a response: nothing is recorded but the result.
func (s *Serving) Refuse(why string) { s.ended, s.failure = true, why }

// Begun reports whether there is a response; Ended, whether nothing follows.
func (s *Serving) Begun() bool { return s.status != 0 }

// Ended reports whether nothing follows, be there a response or not.
func (s *Serving) Ended() bool { return s.ended }

// Result is what the invocation has for a result, a JSON array.
func (s *Serving) Result() ([]byte, error) {
	return Result{Status: s.status, Size: s.sent, Failure: s.failure}.append()
}

func recorded(list []Field) []oplog.Field {
	to := make([]oplog.Field, len(list))
	for i, f := range list {
		to[i] = oplog.Field{Name: f.Name, Value: f.Value}
	}
	return to
}

// Received gives fields as they are recorded.
func Received(list []oplog.Field) []Field {
	to := make([]Field, len(list))
	for i, f := range list {
		to[i] = Field{Name: f.Name, Value: f.Value}
	}
	return to
}

// part is which part of a body is read.
type part struct{ offset, limit uint64 }

var errPart = errors.New("the recorded value is no part of a body")

var body = durable.Func[part, []byte]{
	Code: codeBody, Name: "http.body", Effect: durable.ReadLocal,
	Request: durable.Codec[part]{
		Append: func(b []byte, p part) []byte {
			return binary.AppendUvarint(binary.AppendUvarint(b, p.offset), p.limit)
		},
		Decode: func(b []byte) (p part, err error) {
			offset, n := binary.Uvarint(b)
			if n <= 0 {
				return p, errPart
			}
			limit, m := binary.Uvarint(b[n:])
			if m <= 0 || n+m != len(b) {
				return p, errPart
			}
			return part{offset, limit}, nil
		},
		Show: func(p part) string { return fmt.Sprintf("from %d, up to %d bytes", p.offset, p.limit) },
	},
	Response: durable.Codec[[]byte]{
		Append: func(b, p []byte) []byte { return append(b, p...) },
		Decode: func(b []byte) ([]byte, error) { return b, nil },
		Show:   func(p []byte) string { return fmt.Sprintf("%d bytes", len(p)) },
	},
}

// Funcs lists what this package records as calls.
func Funcs() []durable.Declared { return []durable.Declared{&body} }
