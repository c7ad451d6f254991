package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/waterbear-run/waterbear/internal/durable"
)

// The codes of the recorded functions. A code is never used again for something
// else.
const (
	codeKey      = 30
	codeSend     = 31
	codeRead     = 33
	codeWrite    = 220
	codeProgress = 221
)

var key = durable.Func[durable.None, string]{
	Code: codeKey, Name: "http.key", Effect: durable.ReadLocal,
	Request: durable.NoneCodec,
	Response: durable.Codec[string]{
		Append: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(b []byte) (string, error) { return string(b), nil },
		Show:   func(s string) string { return fmt.Sprintf("%q", s) },
	},
}

var send = durable.Func[ticket, Head]{
	Code: codeSend, Name: "http.send", Effect: durable.WriteRemote,
	Request: codecOf(ticket.append, (*decoder).ticket, ticket.show), Response: codecOf(Head.append, (*decoder).head, Head.show),
	OfRequest: ofRequest, OfResponse: ofResponse, Given: parseGiven,
}

var read = durable.Func[reading, Piece]{
	Code: codeRead, Name: "http.read", Effect: durable.ReadLocal,
	Request: codecOf(reading.append, (*decoder).reading, reading.show), Response: codecOf(Piece.append, (*decoder).piece, Piece.show),
}

var write = durable.Func[chunk, durable.None]{
	Code: codeWrite, Name: "http.write", Effect: durable.WriteLocal,
	Request: codecOf(chunk.append, (*decoder).chunk, chunk.show), Response: durable.NoneCodec,
}

var progress = durable.Func[progressing, Progress]{
	Code: codeProgress, Name: "http.progress", Effect: durable.ReadLocal,
	Request: codecOf(progressing.append, (*decoder).progressing, progressing.show), Response: codecOf(Progress.append, (*decoder).progress, Progress.show),
}

// Funcs lists what this package records.
func Funcs() []durable.Declared {
	return []durable.Declared{&key, &send, &read, &write, &progress}
}

func codecOf[T any](add func(T, []byte) []byte, decode func(*decoder) T, show func(T) string) durable.Codec[T] {
	return durable.Codec[T]{
		Append: func(b []byte, v T) []byte { return add(v, b) },
		Decode: func(b []byte) (T, error) {
			d := &decoder{durable.Decoder{Rest: b}}
			v := decode(d)
			if !d.Whole() {
				return v, errDamaged
			}
			return v, nil
		},
		Show: show,
	}
}

var errDamaged = errors.New("the recorded value is damaged")

// ticket is what an intent records of a request: all but the body, which replay
// makes again and which is told by its hash.
type ticket struct {
	Request
	length uint64
	hash   [sha256.Size]byte
}

func newTicket(r *Request) ticket {
	return ticket{Request: *r, length: uint64(len(r.Body)), hash: sha256.Sum256(r.Body)}
}

func (t ticket) append(b []byte) []byte {
	for _, s := range []string{t.Method, t.Scheme, t.Authority, t.Path} {
		b = durable.AppendText(b, s)
	}
	b = appendFields(appendFields(b, t.Headers), t.Trailers)
	for _, n := range []uint64{t.Timeouts.Connect, t.Timeouts.FirstByte, t.Timeouts.BetweenBytes, t.length} {
		b = binary.AppendUvarint(b, n)
	}
	return append(append(b, flag(t.Streamed)), t.hash[:]...)
}

func (d *decoder) ticket() (t ticket) {
	for _, s := range []*string{&t.Method, &t.Scheme, &t.Authority, &t.Path} {
		*s = string(d.Text())
	}
	t.Headers, t.Trailers = d.fields(), d.fields()
	for _, n := range []*uint64{&t.Timeouts.Connect, &t.Timeouts.FirstByte, &t.Timeouts.BetweenBytes, &t.length} {
		*n = d.Uint()
	}
	t.Streamed = d.Bool()
	copy(t.hash[:], d.Take(sha256.Size))
	return t
}

func (h Head) append(b []byte) []byte {
	b = appendFailure(b, h.Failure)
	b = appendFields(binary.AppendUvarint(b, uint64(h.Status)), h.Headers)
	if h.Given {
		b = append(append(b, 1), h.Body...)
	}
	return b
}

func (d *decoder) head() (h Head) {
	h.Failure = d.failure()
	status := d.Uint()
	h.Status = uint16(status)
	d.Failed = d.Failed || status > 1<<16-1
	h.Headers = d.fields()
	if len(d.Rest) > 0 {
		h.Given = true
		d.Failed = !d.Bool() || d.Failed
		h.Body = d.Take(len(d.Rest))
	}
	return h
}

func (p Piece) append(b []byte) []byte {
	b = appendFailure(append(b, flag(p.End)), p.Failure)
	return append(appendFields(b, p.Trailers), p.Bytes...)
}

func (d *decoder) piece() (p Piece) {
	p.End, p.Failure, p.Trailers = d.Bool(), d.failure(), d.fields()
	p.Bytes = d.Take(len(d.Rest))
	return p
}

// reading asks for bytes of a body.
type reading struct {
	call, past uint64 // the exchange, and the bytes that were read of it and 1
	limit      uint64
	block      bool
}

func (r reading) append(b []byte) []byte {
	for _, n := range []uint64{r.call, r.past, r.limit} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, flag(r.block))
}

func (d *decoder) reading() reading {
	return reading{d.Uint(), d.Uint(), d.Uint(), d.Bool()}
}

func (r reading) show() string {
	return fmt.Sprintf("of %d behind byte %d, at most %d", r.call, r.past-1, r.limit)
}

func (c chunk) append(b []byte) []byte {
	b = append(binary.AppendUvarint(binary.AppendUvarint(b, c.call), c.offset), byte(c.end))
	return append(appendFields(b, c.trailers), c.bytes...)
}

func (d *decoder) chunk() (c chunk) {
	c.call, c.offset = d.Uint(), d.Uint()
	if p := d.Take(1); p != nil {
		c.end = Ending(p[0])
		d.Failed = c.end > lastEnding
	}
	c.trailers = d.fields()
	c.bytes = d.Take(len(d.Rest))
	return c
}

// progressing asks how far a body has got.
type progressing struct {
	call, written, taken uint64
	block                bool
}

func (p progressing) append(b []byte) []byte {
	for _, n := range []uint64{p.call, p.written, p.taken} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, flag(p.block))
}

func (d *decoder) progressing() progressing {
	return progressing{d.Uint(), d.Uint(), d.Uint(), d.Bool()}
}

func (p Progress) append(b []byte) []byte {
	return append(binary.AppendUvarint(b, p.Taken), flag(p.Over))
}

func (d *decoder) progress() Progress { return Progress{d.Uint(), d.Bool()} }

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendFields(b []byte, list []Field) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, f := range list {
		b = durable.AppendText(durable.AppendText(b, f.Name), f.Value)
	}
	return b
}

func appendFailure(b []byte, f *Failure) []byte {
	if f == nil {
		return append(b, 0)
	}
	return binary.AppendUvarint(durable.AppendText(append(b, 1, byte(f.Reason)), f.Text), f.Size)
}

// decoder takes values off recorded bytes, or fails.
type decoder struct{ durable.Decoder }

func (d *decoder) fields() (list []Field) {
	for n := d.Count(); n > 0; n-- {
		list = append(list, Field{string(d.Text()), append([]byte{}, d.Text()...)})
	}
	return list
}

func (d *decoder) failure() *Failure {
	if !d.Bool() || d.Failed {
		return nil
	}
	f := &Failure{}
	if p := d.Take(1); p != nil {
		f.Reason = Reason(p[0])
	}
	f.Text, f.Size = string(d.Text()), d.Uint()
	return f
}
